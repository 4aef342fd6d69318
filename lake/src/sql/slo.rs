//! Views of service levels over evidence: one file of SQL each, in `slo/`, known by its file's name.
//!
//! A query that names one of them gets all of them as common table expressions in front of it. They stand on three
//! relations that have their columns whatever the lake has: what it lacks is NULL, and a table that is not there is empty.

mod functions;

pub(super) use functions::functions;

use crate::sql::{SqlError, parse, scope};
use crate::table::TableSnapshot;
use arrow::datatypes::{DataType, Schema};
use datafusion::sql::sqlparser::ast::{Query, Statement, With, visit_relations};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The views, each after those that it stands on.
const VIEWS: &[(&str, &str)] = &[
    ("evidence_verdicts", include_str!("slo/evidence_verdicts.sql")),
    ("evidence_deployments", include_str!("slo/evidence_deployments.sql")),
    ("slo", include_str!("slo/slo.sql")),
    ("slo_attested_deployments", include_str!("slo/slo_attested_deployments.sql")),
    ("slo_attestation_latency", include_str!("slo/slo_attestation_latency.sql")),
    ("slo_policy_enforcement", include_str!("slo/slo_policy_enforcement.sql")),
    ("slo_key_release_refusals", include_str!("slo/slo_key_release_refusals.sql")),
    ("key_release_confirmations", include_str!("slo/key_release_confirmations.sql")),
];

/// The view of all service levels: rows of `name`, `value`, `lower`, `upper`, `numerator`, `denominator`, `unit`.
pub const SLO: &str = "slo";

const TEXT: &str = "CAST(NULL AS VARCHAR)";
const NUMBER: &str = "CAST(NULL AS BIGINT)";
const TIME: &str = "arrow_cast(NULL, 'Timestamp(Microsecond, Some(\"UTC\"))')";

/// A relation under the views.
struct Base {
    name: &'static str,
    table: &'static str,
    /// Whether only what happened in the span is in it, or all before its end.
    within: bool,
    /// Column, its name here, what stands for it where the table lacks it. `list[].child` is the first element's.
    columns: &'static [(&'static str, &'static str, &'static str)],
}

const BASES: [Base; 5] = [
    Base {
        name: "evidence_signing",
        table: "artifact_signing",
        within: false,
        columns: &[
            ("time", "time", TIME),
            ("metadata.uid", "metadata.uid", TEXT),
            ("activity_id", "activity_id", NUMBER),
            ("artifact.uid", "artifact.uid", TEXT),
            ("attestation.uid", "attestation.uid", TEXT),
            ("attestation.signed_time", "attestation.signed_time", TIME),
            ("policy.uid", "policy.uid", TEXT),
            ("provenance.end_time", "provenance.end_time", TIME),
            ("trust_verdict_id", "trust_verdict_id", NUMBER),
        ],
    },
    Base {
        name: "evidence_activity",
        table: "api_activity",
        within: true,
        columns: &[
            ("time", "time", TIME),
            ("activity_id", "activity_id", NUMBER),
            ("status_id", "status_id", NUMBER),
            ("action_id", "action_id", NUMBER),
            ("authorizations[].decision", "decision", TEXT),
            ("resources[].namespace", "namespace", TEXT),
            ("resources[].type", "kind", TEXT),
            ("resources[].name", "name", TEXT),
            ("raw_data", "raw_data", TEXT),
        ],
    },
    Base {
        name: "evidence_keys",
        table: "key_release",
        within: true,
        columns: &[
            ("time", "time", TIME),
            ("activity_id", "activity_id", NUMBER),
            ("key_release_info.uid", "key_release_info.uid", TEXT),
        ],
    },
    Base {
        name: "evidence_releases",
        table: "key_release",
        within: true,
        columns: &[
            ("time", "time", TIME),
            ("metadata.uid", "metadata.uid", TEXT),
            ("activity_id", "activity_id", NUMBER),
            ("trust_verdict_id", "trust_verdict_id", NUMBER),
            ("artifact.uid", "artifact.uid", TEXT),
            ("key_release_info.request_uid", "key_release_info.request_uid", TEXT),
            ("key_release_info.key_uri", "key_release_info.key_uri", TEXT),
            ("tee_evidence.uid", "tee_evidence.uid", TEXT),
        ],
    },
    Base {
        name: "evidence_kms",
        table: "api_activity",
        within: true,
        columns: &[
            ("time", "time", TIME),
            ("metadata.uid", "metadata.uid", TEXT),
            ("status_id", "status_id", NUMBER),
            ("api.service.name", "service", TEXT),
            ("api.operation", "operation", TEXT),
            ("api.request.uid", "request_uid", TEXT),
            ("resources[].uid", "kms_key", TEXT),
            ("unmapped", "unmapped", TEXT),
        ],
    },
];

/// The events that the views are about, µs since 1970: from the first on, before the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Events from this time on.
    pub since: Option<i64>,
    /// Events before this time.
    pub until: Option<i64>,
}

/// Whether it is the name of a view.
pub(super) fn is_view(name: &str) -> bool {
    VIEWS.iter().any(|(view, _)| *view == name)
}

/// Puts the views in front of a query that names one.
///
/// **Errors**: SQL of ours that does not parse.
pub(super) fn expand(
    query: &mut Query,
    tables: &BTreeMap<String, Arc<TableSnapshot>>,
    window: Window,
) -> Result<(), SqlError> {
    let named = visit_relations(query, |relation| match scope::last_part(relation) {
        Some(name) if is_view(&name) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if named.is_continue() {
        return Ok(());
    }
    let bases = BASES.iter().map(|base| {
        let table = tables.get(base.table);
        format!("{} AS ({})", base.name, base.sql(table.map(|table| table.schema.as_ref()), window))
    });
    let views = VIEWS.iter().map(|(name, sql)| format!("{name} AS ({sql})"));
    let text = format!("WITH {} SELECT 1", bases.chain(views).collect::<Vec<_>>().join(", "));
    let Statement::Query(ours) = parse(&text)? else { return Ok(()) };
    let Some(With { cte_tables: mut all, with_token, .. }) = ours.with else { return Ok(()) };
    match &mut query.with {
        Some(theirs) => {
            // A name that the query gives itself is its own.
            all.retain(|cte| !theirs.cte_tables.iter().any(|own| own.alias.name.value == cte.alias.name.value));
            all.append(&mut theirs.cte_tables);
            theirs.cte_tables = all;
        }
        None => query.with = Some(With { with_token, recursive: false, cte_tables: all }),
    }
    Ok(())
}

impl Base {
    fn sql(&self, schema: Option<&Schema>, window: Window) -> String {
        let column = |(path, name, absent): &(&str, &str, &str)| {
            let value = schema.and_then(|schema| value(schema, path)).unwrap_or_else(|| (*absent).to_owned());
            format!("{value} AS \"{name}\"")
        };
        let columns = self.columns.iter().map(column).collect::<Vec<_>>().join(", ");
        if schema.is_none() {
            return format!("SELECT {columns} WHERE false");
        }
        let mut sql = format!("SELECT {columns} FROM {} WHERE true", self.table);
        let time = |micros: i64| format!("arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
        if let (Some(since), true) = (window.since, self.within) {
            let _ = write!(sql, " AND time >= {}", time(since));
        }
        if let Some(until) = window.until {
            let _ = write!(sql, " AND time < {}", time(until));
        }
        sql
    }
}

/// A column's value, if the table has it.
fn value(schema: &Schema, path: &str) -> Option<String> {
    let Some((list, child)) = path.split_once("[].") else {
        return schema.field_with_name(path).ok().map(|_| format!("\"{path}\""));
    };
    let field = schema.field_with_name(list).ok()?;
    let DataType::List(element) = field.data_type() else { return None };
    let DataType::Struct(children) = element.data_type() else { return None };
    children.find(child).map(|_| format!("\"{list}\"[1]['{child}']"))
}
