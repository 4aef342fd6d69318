//! Which evidence passed for an image: of a file, or of the lake, whose tables find it and whose ledger proves it.
//!
//! Whoever may ingest can put rows into `artifact_signing`. What opens keys is therefore a record that the lake's ledger
//! has under its key's signature, and that is the newest verdict on its document by its trust policy: a verification that
//! failed later takes it back, logged or not.

use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use async_trait::async_trait;
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, TryStreamExt};
use object_store::path::Path as StorePath;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tarn_attest::ledger::{LAKE_PREFIX, LedgerError, Log, PublicKey, verify};
use tarn_attest::ocsf::frame::ARTIFACT_SIGNING;
use tarn_enclave::broker::{Passed, Provenance};
use tarn_lake::{Lake, SqlOptions};

/// How long an answer of the lake is good for.
const FRESH: Duration = Duration::from_secs(2);
/// How long the lake may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Images whose answers are kept, and records that were proved.
const IMAGES_MAX: usize = 1_000;
const PROVED_MAX: usize = 10_000;
/// Records of one image that count: the newest.
const RECORDS_MAX: usize = 256;
/// Memory of one question, bytes.
const MEMORY_BYTES: usize = 64 << 20;

type Answer = Result<Vec<Passed>, String>;
/// An answer that whoever asks the same waits for as well.
type Asked = Shared<BoxFuture<'static, Answer>>;

/// Evidence in the lake.
///
/// **Bounds**: an answer within 5 s, else an error; answers of 1,000 images are kept for 2 s, and one is asked for once at a
/// time; the newest 256 records of an image count.
pub(super) struct LakeEvidence {
    source: Arc<Source>,
    asked: Mutex<HashMap<String, (Instant, Asked)>>,
}

impl LakeEvidence {
    /// Evidence of a lake whose ledger has this key, by any trust policy, or by these alone.
    pub(super) fn new(lake: &Lake, key: &PublicKey, trust_policies: Vec<String>) -> Self {
        let trust_policies = trust_policies.into_iter().collect();
        let source = Source { lake: lake.clone(), key: key.clone(), trust_policies, proved: Mutex::default() };
        Self { source: Arc::new(source), asked: Mutex::default() }
    }

    fn ask(&self, digest: &str) -> Asked {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = asked.get(digest).filter(|(since, _)| since.elapsed() < FRESH) {
            return answer.clone();
        }
        let (source, about) = (Arc::clone(&self.source), digest.to_owned());
        let answer = async move { source.passed(&about).await.map_err(|error| format!("{error:#}")) }.boxed().shared();
        if asked.len() >= IMAGES_MAX {
            asked.retain(|_, (since, _)| since.elapsed() < FRESH);
        }
        if asked.len() < IMAGES_MAX {
            asked.insert(digest.to_owned(), (Instant::now(), answer.clone()));
        }
        answer
    }
}

#[async_trait]
impl Provenance for LakeEvidence {
    async fn passed(&self, digest: &str) -> Answer {
        let late = |_| Err(format!("the lake gave no answer within {} s", DEADLINE.as_secs()));
        tokio::time::timeout(DEADLINE, self.ask(digest)).await.unwrap_or_else(late)
    }
}

/// What a verdict is on, by what and when: in a row and in the record that was logged these are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    document: Option<String>,
    policy: Option<String>,
    /// Milliseconds since 1970 UTC.
    time: i64,
}

/// A record that the ledger proves.
#[derive(Clone)]
struct Proved {
    artifact: Option<String>,
    verdict: Verdict,
    passed: bool,
    kind: String,
}

struct Source {
    lake: Lake,
    key: PublicKey,
    trust_policies: BTreeSet<String>,
    /// By uid. What is logged never changes.
    proved: Mutex<HashMap<String, Proved>>,
}

impl Source {
    async fn passed(&self, digest: &str) -> anyhow::Result<Vec<Passed>> {
        let mut passed = Vec::new();
        let (mut log, mut unlogged) = (None, 0);
        for (uid, verdict) in self.newest(digest).await? {
            match self.prove(&mut log, &uid).await? {
                Some(proved) if proved.artifact.as_deref() == Some(digest) && proved.verdict == verdict => {
                    if proved.passed {
                        passed.push(Passed { kind: proved.kind, uid });
                    }
                }
                _ => unlogged += 1,
            }
        }
        if unlogged > 0 {
            tracing::warn!(digest, records = unlogged, "evidence in the lake is not in its ledger, and does not count");
        }
        Ok(passed)
    }

    /// The records that passed, and that no newer verdict on the same document by the same policy takes the place of.
    async fn newest(&self, digest: &str) -> anyhow::Result<Vec<(String, Verdict)>> {
        let session = self.lake.sql(&SqlOptions { memory_bytes: MEMORY_BYTES, partitions: 1 }).await?;
        let Some(table) = session.tables().find(|table| table.name == "artifact_signing") else {
            return Ok(Vec::new());
        };
        let has = |column: &str| table.schema.field_with_name(column).is_ok();
        if !["metadata.uid", "activity_id", "artifact.uid", "trust_verdict_id"].into_iter().all(has) {
            return Ok(Vec::new());
        }
        let text =
            |column: &str| if has(column) { format!("\"{column}\"") } else { "CAST(NULL AS VARCHAR)".to_owned() };
        let (document, policy) = (text("attestation.uid"), text("policy.uid"));
        let sql = format!(
            "SELECT uid, document, policy, time FROM (
                SELECT \"metadata.uid\" AS uid, {document} AS document, {policy} AS policy, time, trust_verdict_id,
                    row_number() OVER (PARTITION BY {document}, {policy} ORDER BY time DESC, trust_verdict_id DESC) AS n
                FROM artifact_signing
                WHERE \"artifact.uid\" = $1 AND activity_id IN (3, 4) AND trust_verdict_id IS NOT NULL
            ) WHERE n = 1 AND trust_verdict_id = 1 AND uid IS NOT NULL ORDER BY time DESC LIMIT {RECORDS_MAX}"
        );
        let value = Arc::new(StringArray::from(vec![digest])) as ArrayRef;
        let mut stream = session.query_with(&sql, &[value]).await?;
        let mut found = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            let column = |at: usize, to: &DataType| arrow::compute::cast(batch.column(at), to);
            let [uids, documents, policies] =
                [column(0, &DataType::Utf8)?, column(1, &DataType::Utf8)?, column(2, &DataType::Utf8)?];
            let times =
                arrow::compute::cast(&column(3, &DataType::Timestamp(TimeUnit::Millisecond, None))?, &DataType::Int64)?;
            let text = |of: Option<&str>| of.map(str::to_owned);
            let rows = uids.as_string::<i32>().iter().zip(documents.as_string::<i32>().iter());
            let rows = rows.zip(policies.as_string::<i32>().iter().zip(times.as_primitive::<Int64Type>().iter()));
            found.extend(rows.filter_map(|((uid, document), (policy, time))| {
                Some((text(uid)?, Verdict { document: text(document), policy: text(policy), time: time? }))
            }));
        }
        if !self.trust_policies.is_empty() {
            found.retain(|(_, verdict)| verdict.policy.as_ref().is_some_and(|name| self.trust_policies.contains(name)));
        }
        Ok(found)
    }

    /// A record of the ledger, which is opened when the first one is not known yet; none that it does not have.
    async fn prove(&self, log: &mut Option<Log>, uid: &str) -> anyhow::Result<Option<Proved>> {
        if let Some(known) = self.proved.lock().unwrap_or_else(PoisonError::into_inner).get(uid) {
            return Ok(Some(known.clone()));
        }
        let proof = match self.proof(log, uid).await {
            Ok(proof) => proof,
            Err(LedgerError::Unknown { .. } | LedgerError::NoLedger) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let proven = verify(&proof, &self.key)?;
        // Another class's record may be of another shape.
        let Ok(record) = serde_json::from_slice::<Record>(proven.record()) else { return Ok(None) };
        let proved = record.proved();
        let mut kept = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= PROVED_MAX {
            kept.clear();
        }
        kept.insert(uid.to_owned(), proved.clone());
        Ok(Some(proved))
    }

    async fn proof(&self, log: &mut Option<Log>, uid: &str) -> Result<Vec<u8>, LedgerError> {
        let log = match log {
            Some(log) => log,
            None => {
                let prefix = StorePath::from(LAKE_PREFIX);
                log.insert(Log::open(self.lake.store().clone(), &prefix, self.key.clone()).await?)
            }
        };
        log.prove(uid).await
    }
}

/// What is asked of a record of the class Artifact Signing (`docs/trust.md`).
#[derive(Deserialize)]
struct Record {
    class_uid: i32,
    activity_id: i64,
    time: i64,
    trust_verdict_id: i64,
    artifact: Named,
    attestation: Document,
    policy: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    uid: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    uid: Option<String>,
    r#type: Option<String>,
    predicate_type: Option<String>,
}

impl Record {
    fn proved(self) -> Proved {
        let Document { uid: document, r#type, predicate_type } = self.attestation;
        let verified = self.class_uid == ARTIFACT_SIGNING.uid() && matches!(self.activity_id, 3 | 4);
        Proved {
            artifact: self.artifact.uid,
            verdict: Verdict { document, policy: self.policy.and_then(|policy| policy.uid), time: self.time },
            passed: verified && self.trust_verdict_id == 1,
            // A signature of the image itself claims nothing: it is called by its form.
            kind: predicate_type.or(r#type).unwrap_or_default(),
        }
    }
}

/// Evidence that passed, from a file: `{"sha256:…": [{"kind": "…", "uid": "…"}]}`.
pub(super) struct EvidenceFile(HashMap<String, Vec<Known>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    kind: String,
    uid: String,
}

impl EvidenceFile {
    /// Reads the file.
    ///
    /// **Errors**: [`Usage`] when it cannot be read, or has another form.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = NamedFile::by("--evidence", path);
        Ok(Self(serde_json::from_slice(&file.bytes(SMALL_BYTES_MAX)?).map_err(|e| file.wrong(e))?))
    }
}

#[async_trait]
impl Provenance for EvidenceFile {
    async fn passed(&self, digest: &str) -> Answer {
        let entries = self.0.get(digest).map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().map(|entry| Passed { kind: entry.kind.clone(), uid: entry.uid.clone() }).collect())
    }
}
