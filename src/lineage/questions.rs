//! The questions themselves.

use crate::hunting::Span;
use arrow::array::{ArrayRef, StringArray};
use futures::TryStreamExt;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use tarn_attest::lineage::{self, NAMED_MAX, Pod, Row};
use tarn_lake::SqlSession;
use tarn_schema_ocsf::nest::Rows;

/// Rows of one question; of more, the newest.
pub(super) const ROWS_MAX: usize = 2_000;

/// Asks a lake as it was at one moment, about a span of time.
pub struct Questions {
    /// The lake.
    pub session: SqlSession,
    /// Records from then to then.
    pub span: Span,
}

/// The newest rows, and whether there are more of them.
#[derive(Default)]
pub(super) struct Found {
    pub rows: Vec<Row>,
    pub is_limited: bool,
}

impl Questions {
    /// The digests of the artifacts that a commit, a build, a workload, a key or a session belongs to, and whether any
    /// record knows it at all.
    pub(super) async fn artifacts(&self, start: &str, artifacts: &mut BTreeSet<String>) -> anyhow::Result<bool> {
        let one = [start.to_owned()];
        let columns =
            ["provenance.source_commit", "provenance.invocation_uid", "attestation.uid", "signer.uid", "metadata.uid"];
        let signing = self.among("artifact_signing", &columns, &one).await?.rows;
        let mut known = !signing.is_empty();
        for row in &signing {
            let uid = row.get("artifact").and_then(|artifact| artifact.get("uid")).and_then(Value::as_str);
            artifacts.extend(uid.map(str::to_owned));
        }
        let columns = [
            "key_release_info.key_uri",
            "key_release_info.key_uid",
            "key_release_info.session_uid",
            "key_release_info.uid",
            "metadata.uid",
        ];
        let keys = self.among("key_release", &columns, &one).await?.rows;
        known |= !keys.is_empty();
        artifacts.extend(keys.iter().flat_map(|row| lineage::keys(row).0));
        let (namespace, name) = match start.split_once('/') {
            Some((namespace, name)) if !name.contains('/') => (Some(namespace), name),
            _ => (None, start),
        };
        let is = |pod: &Pod| {
            let named = pod.name == name && namespace.is_none_or(|namespace| pod.namespace == namespace);
            named || pod.uid == start
        };
        for row in self.naming("api_activity", &[name.to_owned()], "").await?.rows {
            if lineage::pods(&row).iter().any(is) {
                known = true;
                artifacts.extend(lineage::named_digests(&row));
            }
        }
        while artifacts.len() > NAMED_MAX {
            artifacts.pop_last();
        }
        Ok(known)
    }

    /// Records of the Kubernetes API that name one of the workloads, the newest first.
    pub(super) async fn of_pods(&self, pods: impl Iterator<Item = &Pod>) -> anyhow::Result<Vec<Row>> {
        Ok(self.naming("api_activity", &names(pods), "").await?.rows)
    }

    /// Verifications of some artifacts.
    pub(super) async fn verifications(&self, digests: &[String]) -> anyhow::Result<Vec<Row>> {
        Ok(self.among("artifact_signing", &["artifact.uid"], digests).await?.rows)
    }

    /// The tables that there are.
    pub(super) fn tables(&self) -> impl Iterator<Item = &str> {
        self.session.tables().map(|table| table.name.as_str())
    }

    pub(super) fn has(&self, table: &str, column: &str) -> bool {
        self.session.tables().any(|t| t.name == table && t.schema.field_with_name(column).is_ok())
    }

    /// The rows in which one of `columns` is one of `values`.
    pub(super) async fn among(&self, table: &str, columns: &[&str], values: &[String]) -> anyhow::Result<Found> {
        let list = (1..=values.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let columns = columns.iter().filter(|column| self.has(table, column));
        let any: Vec<String> = columns.map(|column| format!("\"{column}\" IN ({list})")).collect();
        self.ask(table, &any, "", values).await
    }

    /// The rows whose original event has one of `values` in it.
    pub(super) async fn naming(&self, table: &str, values: &[String], and: &str) -> anyhow::Result<Found> {
        let any: Vec<String> = match self.has(table, "raw_data") {
            true => (1..=values.len()).map(|n| format!("contains(raw_data, ${n})")).collect(),
            false => Vec::new(),
        };
        self.ask(table, &any, and, values).await
    }

    /// The newest rows for which any of the conditions holds.
    async fn ask(&self, table: &str, any: &[String], and: &str, values: &[String]) -> anyhow::Result<Found> {
        if any.is_empty() || values.is_empty() {
            return Ok(Found::default());
        }
        let literal = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339();
        let since = self.span.since.map_or_else(String::new, |time| format!(" AND time >= '{}'", literal(time)));
        let until = self.span.until.map_or_else(String::new, |time| format!(" AND time < '{}'", literal(time)));
        let sql = format!(
            "SELECT * FROM {table} WHERE ({}) {and}{since}{until} ORDER BY time DESC LIMIT {}",
            any.join(" OR "),
            ROWS_MAX + 1
        );
        let values: Vec<ArrayRef> =
            values.iter().map(|value| Arc::new(StringArray::from(vec![value.as_str()])) as ArrayRef).collect();
        let mut rows = Vec::new();
        let mut stream = self.session.query_with(&sql, &values).await?;
        while let Some(batch) = stream.try_next().await? {
            let nested = Rows::new(&batch);
            rows.extend((0..batch.num_rows()).map(|row| nested.to_json(row)));
        }
        let is_limited = rows.len() > ROWS_MAX;
        rows.truncate(ROWS_MAX);
        Ok(Found { rows, is_limited })
    }
}

/// Names and uids of workloads, each once.
pub(super) fn names<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<String> {
    let names: BTreeSet<String> = pods.flat_map(|pod| [pod.name.clone(), pod.uid.clone()]).collect();
    names.into_iter().filter(|name| !name.is_empty()).collect()
}
