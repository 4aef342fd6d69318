//! The life of findings over HTTP: `GET /v1/findings`, `GET` and `PATCH /v1/findings/{uid}`.
//!
//! Nothing is rewritten: a change is one more record, the finding as it was with what changed ([`state`]). Reading asks
//! the view `findings` as any query does; writing goes through [`Keep`], which the wiring makes of the durable log.

mod change;
mod filter;
mod problem;
mod state;

use crate::access::{Identity, Scope};
use crate::attestation::Attestation;
use crate::body::{self, BodyLimits};
use crate::intake::Refused;
use crate::query::{Ask, Queries};
use arrow::array::{ArrayRef, StringArray};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Json, Router};
use change::Change;
use filter::Filter;
use futures::future::BoxFuture;
use problem::Problem;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tarn_schema_ocsf::nest::Rows;
use tokio::sync::Mutex;

pub use state::{STATUSES, VERDICTS};

/// Columns that lists leave out: they are long, or the lake's own.
const LONG: [&str; 5] = ["evidences", "raw_data", "unmapped", "arrival", "event_day"];
/// Columns that are the lake's own.
const OWN: [&str; 3] = ["raw_data", "arrival", "event_day"];
/// Records of a finding's history that are told.
const HISTORY_MAX: u64 = 1_000;

type Record = dyn Fn(Update) -> BoxFuture<'static, Result<(), Refused>> + Send + Sync;

/// A record that says what somebody did with a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// OCSF JSON, Detection Finding.
    pub record: String,
    /// Who did it.
    pub by: Arc<str>,
}

/// Says of a finding, known by its uid, which images it is about and whether they were attested; nothing where it cannot be
/// said in time.
pub type Attesting = Arc<dyn Fn(String) -> BoxFuture<'static, Vec<Attestation>> + Send + Sync>;

/// Keeps updates. Cheap to clone.
#[derive(Clone)]
pub struct Keep(Arc<Record>);

impl Keep {
    /// `record` resolves once an update will survive a power cut and queries that begin afterwards see it.
    pub fn new(record: impl Fn(Update) -> BoxFuture<'static, Result<(), Refused>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keep")
    }
}

/// Findings that people work on. Cheap to clone.
#[derive(Clone)]
pub struct Findings {
    queries: Queries,
    keep: Keep,
    attesting: Option<Attesting>,
    /// A change reads what it changes: one at a time, so that none undoes another.
    changing: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Findings").field("queries", &self.queries).finish_non_exhaustive()
    }
}

impl Findings {
    /// Findings as `queries` sees them, changed through `keep`.
    pub fn new(queries: Queries, keep: Keep) -> Self {
        Self { queries, keep, attesting: None, changing: Arc::default() }
    }

    /// The same, which tell whether the images of a finding were attested.
    pub fn attested_by(self, attesting: Attesting) -> Self {
        Self { attesting: Some(attesting), ..self }
    }

    fn admit(&self, parts: &Parts, scope: Scope<'_>) -> Result<Identity, Problem> {
        Ok(self.queries.access().check(&body::credentials(parts), scope)?)
    }

    /// Rows of `table` but for the columns `without`. None where there is no such table yet.
    async fn rows(&self, asker: &Identity, wanted: Wanted<'_>) -> Result<Vec<Map<String, Value>>, Problem> {
        let session = self.queries.open().await?;
        let Some(table) = session.tables().iter().find(|table| table.name == wanted.table) else {
            return Ok(Vec::new());
        };
        let names = table.schema.fields().iter().map(|field| field.name().as_str());
        let names: Vec<&str> = names.filter(|name| !wanted.without.contains(name)).collect();
        if wanted.needs.iter().any(|needed| table.schema.field_with_name(needed).is_err()) {
            return Ok(Vec::new());
        }
        let columns: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        let sql = format!("SELECT {} FROM {} {}", columns.join(", "), wanted.table, wanted.rest);
        let ask = Ask {
            sql,
            parameters: wanted.parameters,
            rows_max: Some(wanted.rows_max),
            session: Some(session),
            ..Ask::default()
        };
        let mut running = self.queries.start(asker, ask).await?;
        let mut rows = Vec::new();
        while let Some(batch) = running.next().await? {
            let nested = Rows::new(&batch);
            rows.extend((0..batch.num_rows()).map(|row| nested.to_json(row)));
        }
        Ok(rows)
    }

    /// A finding as it is now. **Errors**: [`Problem::NoSuchFinding`].
    async fn latest(&self, asker: &Identity, uid: &str) -> Result<Map<String, Value>, Problem> {
        let rest = "WHERE \"finding_info.uid\" = $1".to_owned();
        let wanted = Wanted { table: "findings", without: &OWN, needs: &[], rest, parameters: text(uid), rows_max: 1 };
        let found = self.rows(asker, wanted).await?.pop();
        found.ok_or_else(|| Problem::NoSuchFinding { uid: uid.to_owned() })
    }
}

/// What is read.
struct Wanted<'a> {
    table: &'a str,
    without: &'a [&'a str],
    /// Columns without which there are no rows.
    needs: &'a [&'a str],
    rest: String,
    parameters: Vec<ArrayRef>,
    rows_max: u64,
}

fn text(value: &str) -> Vec<ArrayRef> {
    vec![Arc::new(StringArray::from(vec![value]))]
}

/// The record that closes a finding which was told before events that were late: suppressed, as a duplicate where the
/// finding `by` took its place. `finding` is its OCSF record; `by` and the record's own uid are uids.
pub fn revised(finding: Map<String, Value>, by: Option<&str>, record_uid: &str, now_ms: i64) -> Map<String, Value> {
    let comment = match by {
        Some(by) => format!("events that were late belong to it: finding {by} takes its place"),
        None => "events that were late changed what it stood on: the rule does not fire".to_owned(),
    };
    let verdict_id = by.map(|_| state::DUPLICATE);
    let change = Change { status_id: Some(state::SUPPRESSED), verdict_id, comment: Some(comment), ..Change::default() };
    state::updated(finding, &change, "tarn", now_ms, record_uid)
}

/// The HTTP API over these findings.
pub fn router(findings: Findings) -> Router {
    Router::new()
        .route("/v1/findings", get(list))
        .route("/v1/findings/{uid}", get(show).patch(set))
        .with_state(findings)
}

async fn list(State(findings): State<Findings>, request: Request) -> Result<Json<Value>, Problem> {
    let (parts, _) = request.into_parts();
    let asker = findings.admit(&parts, Scope::Query)?;
    let filter = Filter::parse(parts.uri.query().unwrap_or_default(), chrono::Utc::now())?;
    let (rest, parameters) = filter.sql();
    let wanted =
        Wanted { table: "findings", without: &LONG, needs: filter.needs(), rest, parameters, rows_max: filter.limit };
    Ok(Json(json!({ "findings": findings.rows(&asker, wanted).await? })))
}

async fn show(
    State(findings): State<Findings>,
    Path(uid): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, _) = request.into_parts();
    let asker = findings.admit(&parts, Scope::Query)?;
    let finding = findings.latest(&asker, &uid).await?;
    let rest = "WHERE \"finding_info.uid\" = $1 ORDER BY arrival, time".to_owned();
    let (without, parameters) = (&LONG, text(&uid));
    let wanted = Wanted { table: "detection_finding", without, needs: &[], rest, parameters, rows_max: HISTORY_MAX };
    let history = findings.rows(&asker, wanted).await?;
    let history: Vec<Value> = history.iter().map(state::told).collect();
    let attestation = match &findings.attesting {
        Some(attesting) => attesting(uid).await,
        None => Vec::new(),
    };
    Ok(Json(json!({ "finding": finding, "history": history, "attestation": attestation })))
}

async fn set(
    State(findings): State<Findings>,
    Path(uid): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    let by = findings.admit(&parts, Scope::Respond)?;
    let limits =
        BodyLimits { wire_bytes_max: change::BODY_MAX, bytes_max: change::BODY_MAX, timeout: Duration::from_secs(30) };
    let body = body::read(&parts.headers, body, &limits).await?;
    let change = Change::parse(&body)?;
    let _one = findings.changing.lock().await;
    let latest = findings.latest(&by, &uid).await?;
    let now_ms = chrono::Utc::now().timestamp_millis();
    let updated = state::updated(latest, &change, &by.name, now_ms, &uuid::Uuid::new_v4().to_string());
    let told = state::told(&updated);
    let update = Update { record: Value::Object(updated).to_string(), by: Arc::clone(&by.name) };
    (findings.keep.0)(update).await?;
    Ok(Json(told))
}
