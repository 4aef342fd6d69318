//! The decisions, apart from HTTP: a challenge, an attestation, a release. Each attempt leaves one record.

use super::record::{Activity, Attempt, PolicyVerdict};
use super::session::{Ticket, Workload};
use super::{Broker, NoRandomness, PROTOCOL_VERSION, ids};
use crate::evidence::{Attested, Expected, sha256};
use crate::json;
use crate::jwe::Recipient;
use crate::keys::{KeyName, StoreError};
use crate::policy::Question;
use crate::reason::{Reason, Refusal};
use crate::secret::Secret;
use chrono::{DateTime, Utc};
use kbs_types::{Attestation, Challenge, Response, RuntimeData};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha384};
use std::net::SocketAddr;

/// A request that could be taken, or why not, as it came over the wire.
pub(super) type Body = Result<Vec<u8>, Refusal>;

#[derive(Deserialize)]
struct Request {
    version: String,
    tee: String,
    #[serde(rename = "extra-params", default)]
    #[expect(dead_code, reason = "clients send it; nothing in it changes the challenge")]
    extra_params: Value,
}

/// A challenge, and the session's id and seconds.
pub(super) struct Opened {
    pub(super) session: String,
    pub(super) seconds: i64,
    pub(super) challenge: Challenge,
}

/// What became of an attempt: the decision's id always.
pub(super) struct Outcome<T> {
    pub(super) uid: String,
    pub(super) result: Result<T, Refusal>,
}

impl From<NoRandomness> for Refusal {
    fn from(error: NoRandomness) -> Self {
        Self::new(Reason::KeyStoreFailed, error)
    }
}

/// What a workload binds into its evidence: SHA-384 over the canonical JSON (RFC 8785) of its public key, the challenge, and
/// the evidence of further devices, of which there is none here.
///
/// **Errors**: the key cannot be written as JSON.
pub fn report_data(runtime: &RuntimeData) -> Result<Vec<u8>, Refusal> {
    let data = serde_json::json!({
        "tee-pubkey": runtime.tee_pubkey, "nonce": runtime.nonce, "additional-evidence": "",
    });
    let canonical = serde_json_canonicalizer::to_vec(&data);
    let canonical = canonical.map_err(|error| Refusal::new(Reason::MalformedDocument, error))?;
    Ok(Sha384::digest(canonical).to_vec())
}

impl Broker {
    /// Hands out a challenge. No attempt yet, so no record.
    pub(super) fn challenge(&self, body: Body) -> Result<Opened, Refusal> {
        let request: Request = json::read(&body?, self.parts.limits.body_bytes_max)?;
        if request.version != PROTOCOL_VERSION {
            let detail = format!("protocol version {:?}, expected {PROTOCOL_VERSION}", request.version);
            return Err(Refusal::new(Reason::UnsupportedFormat, detail));
        }
        let platform = self.parts.verifiers.platform(&request.tee)?;
        let (session, nonce) = (ids::id()?, ids::challenge()?);
        let seconds = self.sessions.open(&session, platform, &nonce, self.now())?;
        // An empty text, as clients know it: the digest is SHA-384.
        Ok(Opened { session, seconds, challenge: Challenge { nonce, extra_params: Value::String(String::new()) } })
    }

    /// Verifies evidence, and records what came of it. The token is good for the session's keys.
    pub(super) async fn attest(
        &self,
        ticket: Option<Ticket>,
        body: Body,
        source: Option<SocketAddr>,
    ) -> Outcome<String> {
        let mut attempt = self.attempt(Activity::Attest, ticket.as_ref(), source);
        let now = attempt.time;
        let verified = self.verify(&mut attempt, body);
        attempt.refusal = verified.as_ref().err().cloned();
        let recorded = self.keep(&attempt).await;
        let result = verified.and_then(|(workload, token)| {
            recorded?;
            let session = attempt.session.ok_or_else(|| Refusal::new(Reason::SessionInvalid, "no session"))?;
            self.sessions.attest(session, workload, &token, now)?;
            Ok(token)
        });
        Outcome { uid: attempt.uid, result }
    }

    fn verify(&self, attempt: &mut Attempt, body: Body) -> Result<(Workload, String), Refusal> {
        let (now, limits) = (attempt.time, &self.parts.limits);
        let (Some(session), Some(platform)) = (attempt.session, attempt.platform) else {
            return Err(Refusal::new(Reason::SessionInvalid, "no such session, or it has ended"));
        };
        // First of all, so that no answer gets a second try at one challenge.
        let nonce = self.sessions.take_challenge(session, now)?;
        let attestation: Attestation = json::read(&body?, limits.body_bytes_max)?;
        let runtime = attestation.runtime_data;
        attempt.document = Some(attestation.tee_evidence.primary_evidence.to_string().into_bytes());
        if runtime.nonce != nonce {
            return Err(Refusal::new(Reason::NonceMismatch, "the answer is to another challenge than the session's"));
        }
        if !matches!(attestation.tee_evidence.additional_evidence.trim(), "" | "{}") {
            return Err(Refusal::new(Reason::UnsupportedFormat, "evidence of further devices is not verified here"));
        }
        let recipient = Recipient::new(&runtime.tee_pubkey)?;
        attempt.recipient = Some(sha256(recipient.der()));
        let report_data = report_data(&runtime)?;
        let expected = Expected {
            nonce: Some(&report_data),
            public_key: Some(recipient.der()),
            now,
            age_max: limits.age_max,
            skew_max: limits.skew_max,
        };
        let verification = self.parts.verifiers.verify(platform, &attestation.tee_evidence.primary_evidence, &expected);
        attempt.claims = verification.claims().cloned();
        attempt.steps = verification.steps().to_vec();
        let attested = verification.attested()?;
        let until = now + limits.age_max + limits.skew_max;
        self.sessions.note_payload(attested.claims().payload_digest, until, now)?;
        let token = self.token_key.token(attested.claims(), &runtime.tee_pubkey, now, limits.session_lifetime)?;
        Ok((Workload { attested, recipient }, token))
    }

    /// Releases a key, or refuses it.
    pub(super) async fn release(
        &self,
        ticket: Option<Ticket>,
        name: Result<KeyName, Refusal>,
        source: Option<SocketAddr>,
    ) -> Outcome<Response> {
        let mut attempt = self.attempt(Activity::Refuse, ticket.as_ref(), source);
        let decided = self.decide(&mut attempt, name).await;
        match &decided {
            Ok(_) => attempt.activity = Activity::Release,
            Err(refusal) => attempt.refusal = Some(refusal.clone()),
        }
        let recorded = self.keep(&attempt).await;
        let result = match decided {
            Err(refusal) => Err(refusal),
            Ok((workload, key)) => recorded.and_then(|()| {
                let encrypted = workload.recipient.encrypt(&key);
                encrypted.map_err(|error| Refusal::new(Reason::KeyStoreFailed, error))
            }),
        };
        Outcome { uid: attempt.uid, result }
    }

    async fn decide(
        &self,
        attempt: &mut Attempt,
        name: Result<KeyName, Refusal>,
    ) -> Result<(std::sync::Arc<Workload>, Secret), Refusal> {
        let now = attempt.time;
        attempt.key = name.as_ref().ok().cloned();
        let session =
            attempt.session.ok_or_else(|| Refusal::new(Reason::SessionInvalid, "no such session, or it has ended"))?;
        let workload = self.sessions.workload(session, now)?;
        attempt.claims = Some(workload.attested.claims().clone());
        attempt.recipient = Some(sha256(workload.recipient.der()));
        let name = name?;
        check_expiry(&workload.attested, now)?;
        self.ask(attempt, &workload.attested, &name).await?;
        let fetched = self.parts.keys.key(&name).await.map_err(|error| match error {
            StoreError::NotFound => Refusal::new(Reason::KeyNotFound, format!("no key {name}")),
            StoreError::Failed(_) => Refusal::new(Reason::KeyStoreFailed, error),
        })?;
        attempt.request_uid = fetched.request_uid;
        Ok((workload, fetched.key))
    }

    async fn ask(&self, attempt: &mut Attempt, attested: &Attested, name: &KeyName) -> Result<(), Refusal> {
        let passed = match &attested.claims().image_digest {
            Some(digest) => self.parts.provenance.passed(digest).await,
            None => Ok(Vec::new()),
        };
        let passed = passed.map_err(|error| {
            attempt.policy_verdict = PolicyVerdict::Error;
            Refusal::new(Reason::PolicyError, format!("the image's evidence cannot be known: {error}"))
        })?;
        attempt.evidence_uids = passed.iter().map(|passed| passed.uid.clone()).collect();
        let evidence: Vec<_> = passed.into_iter().map(|passed| passed.kind).collect();
        let asked = self.parts.policies.ask(&Question {
            attested,
            repository: name.repository(),
            key: name.as_str(),
            evidence: &evidence,
            now: attempt.time,
        });
        attempt.policy_verdict = match &asked {
            Ok(()) => PolicyVerdict::Permit,
            Err(refusal) if refusal.reason == Reason::PolicyError => PolicyVerdict::Error,
            Err(_) => PolicyVerdict::Forbid,
        };
        asked
    }

    /// Keeps the record of an attempt.
    async fn keep(&self, attempt: &Attempt) -> Result<(), Refusal> {
        self.parts.recorder.record(attempt).await.map_err(|error| {
            tracing::error!(uid = attempt.uid, reason = attempt.reason().caption(), %error, "an attempt has no record");
            Refusal::new(Reason::LedgerFailed, error)
        })
    }

    fn attempt(&self, activity: Activity, ticket: Option<&Ticket>, source: Option<SocketAddr>) -> Attempt {
        let time = self.now();
        let known = self.sessions.known(ticket, time);
        Attempt {
            uid: uuid::Uuid::new_v4().to_string(),
            time,
            activity,
            refusal: None,
            session: known.map(|(session, _)| session),
            key: None,
            store: self.parts.keys.kind(),
            policy_verdict: PolicyVerdict::NotAsked,
            policy: self.parts.policies.digest(),
            platform: known.map(|(_, platform)| platform),
            claims: None,
            document: None,
            steps: Vec::new(),
            recipient: None,
            evidence_uids: Vec::new(),
            request_uid: None,
            source,
        }
    }
}

/// A token may end within the session.
fn check_expiry(attested: &Attested, now: DateTime<Utc>) -> Result<(), Refusal> {
    match attested.claims().expires_at {
        Some(ended) if ended <= now => {
            Err(Refusal::new(Reason::DocumentExpired, format!("the evidence ended at {ended}, before {now}")))
        }
        _ => Ok(()),
    }
}
