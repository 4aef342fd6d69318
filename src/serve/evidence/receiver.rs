//! `POST /v1/evidence`: one document a request, verified by the trust policies, and kept as `tarn attest ingest` keeps it.
//!
//! A document is a Sigstore bundle, a DSSE envelope or a bill of materials. Who may send events of the log source
//! `evidence` may send it; what comes of it is decided by the policies, not by the sender. It is one delivery: 200 says that
//! all of its records are on disk. What the tables have already, by its uid, is not put there again.
//!
//! **Bounds**: those of bodies and deliveries; as many documents are verified at once as there are processors, the others
//! wait and are refused with the retryable error.

use super::super::database::readable;
use super::super::frame::Frame;
use super::Trust;
use crate::recording::times;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tarn_attest::intake::{Document, Given, IntakeError, Taken, take};
use tarn_attest::json::DOCUMENT;
use tarn_attest::ocsf::{ArtifactType, Named};
use tarn_attest::{Digest, Policies, TrustPolicy};
use tarn_connectors::access::{Access, Scope};
use tarn_connectors::body::{self, BodyLimits};
use tarn_connectors::intake::{Content, Delivery, Intake, Refused};
use tarn_connectors::source::push::{Failure, announce};
use tarn_ingest::container::Block;
use tarn_lake::log::Log;
use tarn_lake::{Lake, Live, SqlOptions};
use tokio::sync::{Mutex, Semaphore};

/// What a sender must be allowed to send.
const SOURCE: &str = "evidence";
/// Longest name of a document, bytes.
const NAME_BYTES_MAX: usize = 256;

/// What the receiver needs.
#[derive(Clone)]
pub struct Parts {
    pub intake: Intake,
    pub access: Access,
    pub limits: BodyLimits,
    pub trust: Trust,
    pub lake: Lake,
    pub live: Live,
    pub log: Log<Frame>,
    /// How long a document waits for its turn.
    pub wait: Duration,
}

#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) parts: Parts,
    verifying: Arc<Semaphore>,
    /// What is known is asked before it is added: one request at a time, so that nothing is added twice.
    pub(super) adding: Arc<Mutex<()>>,
}

/// The routes.
pub fn router(mut parts: Parts) -> Router {
    let limits = &mut parts.limits;
    for bytes_max in [&mut limits.wire_bytes_max, &mut limits.bytes_max] {
        *bytes_max = (*bytes_max).min(DOCUMENT.bytes_max);
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let verifying = Arc::new(Semaphore::new(processors));
    let receiver = Receiver { parts, verifying, adding: Arc::default() };
    let routes = Router::new().route("/v1/evidence", post(answer)).route("/v1/evidence/records", post(handed_over));
    routes.with_state(receiver)
}

/// What the address may say of a document.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The policy to verify by; the only one of the file by default.
    policy: Option<String>,
    /// The digest of what it is about; by default each subject that the document names itself.
    artifact: Option<String>,
    /// What the document is called, for a record of one that cannot be read.
    name: Option<String>,
}

/// Why a document, or records, are not taken.
pub(super) enum Problem {
    Failure(Failure),
    /// The address is wrong.
    Asked(String),
    /// No record can be made of it.
    Intake(IntakeError),
    NoPolicies,
    /// What is known of it cannot be read.
    Lake(String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::Failure(refused.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, error) = match &self {
            Self::Failure(failure) => (failure.status(), failure.to_string()),
            Self::Asked(error) => (StatusCode::BAD_REQUEST, error.clone()),
            Self::Intake(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            Self::NoPolicies => {
                (StatusCode::NOT_FOUND, "no documents are taken: the daemon has no evidence.policies".to_owned())
            }
            Self::Lake(error) => (StatusCode::SERVICE_UNAVAILABLE, error.clone()),
        };
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if let Self::Failure(failure) = &self {
            announce(failure, "Bearer", &mut response);
        }
        response
    }
}

async fn answer(
    State(receiver): State<Receiver>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request<Body>,
) -> Response {
    match receiver.take(asked, request).await {
        Ok(told) => Json(told).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn handed_over(State(receiver): State<Receiver>, request: Request<Body>) -> Response {
    match receiver.keep(request).await {
        Ok(told) => Json(told).into_response(),
        Err(problem) => problem.into_response(),
    }
}

impl Receiver {
    async fn take(
        &self,
        asked: Result<Query<Asked>, QueryRejection>,
        request: Request<Body>,
    ) -> Result<Value, Problem> {
        let (parts, body) = request.into_parts();
        let access = &self.parts.access;
        let sender = access.check(&body::credentials(&parts), Scope::Ingest(Some(SOURCE))).map_err(Failure::from)?;
        let Query(asked) = asked.map_err(|rejection| Problem::Asked(rejection.body_text()))?;
        let policies = self.parts.trust.get().ok_or(Problem::NoPolicies)?;
        let asked = asked.checked(&policies)?;
        let document = body::read(&parts.headers, body, &self.parts.limits).await.map_err(Failure::from)?;
        let digest = Digest::sha256(&document).to_string();
        let taken = self.verify(asked, policies, document.clone()).await?;

        let _one_at_a_time = self.adding.lock().await;
        let uids: Vec<&str> = taken.iter().map(|taken| taken.evidence.uid.as_str()).collect();
        let known = self.known("artifact_signing", &uids).await?;
        let block = fresh(&taken, &known)?;
        let records: Vec<Value> = taken.iter().map(|taken| told(taken, &known)).collect();
        if !block.records.is_empty() {
            let content = Content::Evidence { document };
            let delivery = Delivery { content, block, sender: Some(sender.name), ..Delivery::default() };
            self.parts.intake.deliver(delivery).await?;
        }
        Ok(json!({ "document": digest, "records": records }))
    }

    /// Verifies on a thread that may block, when there is a processor for it.
    async fn verify(&self, asked: Checked, policies: Arc<Policies>, document: Bytes) -> Result<Vec<Taken>, Problem> {
        let overloaded = Refused::Overloaded { retry_after: Duration::from_secs(1) };
        let turn = tokio::time::timeout(self.parts.wait, self.verifying.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| overloaded)?.map_err(|_| Refused::Stopping)?;
        let verified = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let policy = asked.policy(&policies).ok_or(Problem::NoPolicies)?;
            let name = asked.name.unwrap_or_else(|| Digest::sha256(&document).to_string());
            let given = asked.artifact.map(|digest| {
                let named = Named { digest: Some(digest), name: None, uri: None, kind: ArtifactType::Unknown };
                Given { named, bytes: None }
            });
            let document = Document { bytes: &document, uri: None, name: &name };
            take(policy, document, given.as_ref(), Utc::now()).map_err(Problem::Intake)
        });
        verified.await.map_err(|_| Failure::GivenUp)?
    }

    /// Those of some uids that are rows of a table already: here, on their way into the lake, or there by another's hand.
    pub(super) async fn known(&self, table: &str, uids: &[&str]) -> Result<HashSet<String>, Problem> {
        let failed = |error: &dyn std::fmt::Display| Problem::Lake(format!("what is known of it: {error}"));
        readable(&self.parts.live, &self.parts.log).await.map_err(|e| failed(&e))?;
        let options = SqlOptions::default();
        let live = self.parts.live.sql(&options).map_err(|e| failed(&e))?;
        let mut known = HashSet::new();
        let committed = self.parts.lake.sql(&options).await.map_err(|e| failed(&e))?;
        // What other processes committed is seen by the first only after a while.
        for session in [live, committed] {
            let found = times(&session, table, "metadata.uid", uids).await;
            known.extend(found.map_err(|e| failed(&e))?.into_keys());
        }
        Ok(known)
    }
}

/// What was asked for, and can be.
struct Checked {
    policy: Option<String>,
    artifact: Option<Digest>,
    name: Option<String>,
}

impl Asked {
    fn checked(self, policies: &Policies) -> Result<Checked, Problem> {
        let artifact = self.artifact.as_deref().map(str::parse).transpose();
        let artifact = artifact.map_err(|e| Problem::Asked(format!("artifact: expected a digest, sha256:…: {e}")))?;
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
            return Err(Problem::Asked(format!("name: expected 1 to {NAME_BYTES_MAX} bytes")));
        }
        let checked = Checked { policy: self.policy, artifact, name: self.name };
        if checked.policy(policies).is_none() {
            let names = policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(", ");
            let what = checked.policy.map_or("one is needed".to_owned(), |name| format!("none is named {name:?}"));
            return Err(Problem::Asked(format!("policy: {what}; there are {names}")));
        }
        Ok(checked)
    }
}

impl Checked {
    fn policy<'a>(&self, policies: &'a Policies) -> Option<&'a TrustPolicy> {
        match &self.policy {
            Some(name) => policies.named(name),
            None => policies.only(),
        }
    }
}

/// The records that are new, each once, with the rows that go with them.
fn fresh(taken: &[Taken], known: &HashSet<String>) -> Result<Block, Problem> {
    let (mut block, mut seen) = (Block::default(), HashSet::new());
    let new = taken.iter().filter(|taken| !known.contains(&taken.evidence.uid));
    for taken in new {
        if !seen.insert(&taken.evidence.uid) {
            continue;
        }
        for evidence in std::iter::once(&taken.evidence).chain(&taken.components) {
            let line = evidence.to_canonical().map_err(|e| Problem::Lake(e.to_string()))?;
            let line = String::from_utf8(line).map_err(|e| Problem::Lake(e.to_string()))?;
            block.push(block.records.len() as u64 + 1, &line);
        }
    }
    Ok(block)
}

fn told(taken: &Taken, known: &HashSet<String>) -> Value {
    let (verdict, reason) = taken.outcome();
    let artifact = taken.artifact.digest.as_ref().map(Digest::to_string).or_else(|| taken.artifact.name.clone());
    json!({
        "uid": taken.evidence.uid,
        "artifact": artifact,
        "passed": matches!(taken.verdict, Some(Ok(()))),
        "verdict": verdict,
        "reason": reason,
        "components": taken.components.len(),
        "new": !known.contains(&taken.evidence.uid),
    })
}
