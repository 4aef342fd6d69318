//! `POST /v1/evidence/records`: OCSF records of those who recorded them before they answered (`--to`), a line each: rows, and
//! seen by rules, as any other, but each once by its uid, however often and by however many it is handed over.
//!
//! Nothing of them is verified, so whoever sends them must be allowed to send events of the log source `ocsf`.
//!
//! **Bounds**: those of bodies and deliveries; [`RECORDS_MAX`] records.

use super::receiver::{Problem, Receiver};
use axum::body::Body;
use axum::http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use tarn_connectors::access::Scope;
use tarn_connectors::body;
use tarn_connectors::intake::{Content, Delivery};
use tarn_connectors::source::push::Failure;
use tarn_ingest::container::Block;
use tarn_schema_ocsf::{ClassUid, Schema};

/// What a sender must be allowed to send, and what the records are.
const SOURCE: &str = "ocsf";
/// Records of one request.
const RECORDS_MAX: usize = 8_192;

/// What a record says of itself.
#[derive(Deserialize)]
struct Record {
    class_uid: u32,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

/// A record, and where it is once.
struct Line<'a> {
    text: &'a str,
    table: String,
    uid: String,
}

impl Receiver {
    /// Takes what the tables do not have.
    pub(super) async fn keep(&self, request: Request<Body>) -> Result<Value, Problem> {
        let (parts, body) = request.into_parts();
        let access = &self.parts.access;
        let sender = access.check(&body::credentials(&parts), Scope::Ingest(Some(SOURCE))).map_err(Failure::from)?;
        let body = body::read(&parts.headers, body, &self.parts.limits).await.map_err(Failure::from)?;
        let lines = lines(&body)?;

        let _one_at_a_time = self.adding.lock().await;
        let mut uids: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in &lines {
            uids.entry(&line.table).or_default().push(&line.uid);
        }
        let mut seen = HashSet::new();
        for (table, uids) in uids {
            seen.extend(self.known(table, &uids).await?.into_iter().map(|uid| (table, uid)));
        }
        let mut block = Block::default();
        for (number, line) in (1..).zip(&lines) {
            if seen.insert((line.table.as_str(), line.uid.clone())) {
                block.push(number, line.text);
            }
        }
        let new = block.records.len();
        if new > 0 {
            let (content, source, sender) = (Content::Events, Some(SOURCE.to_owned()), Some(sender.name));
            self.parts.intake.deliver(Delivery { content, source, block, sender }).await?;
        }
        Ok(json!({ "records": lines.len(), "new": new }))
    }
}

/// The records of a body.
///
/// **Errors**: one that has no class with a table, or no uid, by its number.
fn lines(body: &[u8]) -> Result<Vec<Line<'_>>, Problem> {
    let text = std::str::from_utf8(body).map_err(|e| Problem::Asked(format!("the body is no UTF-8: {e}")))?;
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(text.lines().filter(|line| !line.is_empty())) {
        if number > RECORDS_MAX {
            return Err(Problem::Asked(format!("more than {RECORDS_MAX} records: send them in several requests")));
        }
        let wrong = |why: &dyn std::fmt::Display| Problem::Asked(format!("record {number}: {why}"));
        let record: Record = serde_json::from_str(text).map_err(|e| wrong(&e))?;
        let class = Schema::v1_8().class(ClassUid(record.class_uid));
        let class = class.ok_or_else(|| wrong(&format!("class_uid {}: there is no such class", record.class_uid)))?;
        lines.push(Line { text, table: class.table(), uid: record.metadata.uid });
    }
    Ok(lines)
}
