//! Which log sources' events are in a lake: a scan of the class tables that rules look at, for the columns that tell.
//!
//! Rows are told apart as a hunt does it: by the mapping that wrote them and the mapping's own conditions. Records that
//! are OCSF when they come name no source.

use crate::hunting::Span;
use crate::progress;
use chrono::{DateTime, Days, Utc};
use datafusion::logical_expr::ident;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_ingest::fields::{FieldRequest, FieldUse, TableReader};
use tarn_ingest::source::{Binding, Route, SourceId, Sources};
use tarn_lake::SqlSession;
use tarn_schema_ocsf::Schema;

/// Rows of a lake by what they are.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    routes: HashMap<Route, u64>,
    /// Rows looked at.
    pub rows: u64,
}

impl Telemetry {
    /// What the tables that `engine`'s rules look at hold of the last `days` before `now`.
    ///
    /// **Errors**: a table that cannot be read. **Bounds**: a batch in memory, and a count for each kind of event.
    pub async fn of_lake(session: &SqlSession, engine: &Engine, days: u32, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let since = now.checked_sub_days(Days::new(days.into()));
        let span = Span { since, until: None };
        let request = every(engine.sources());
        let mut out = Self::default();
        let bar = progress::events(session.tables().flat_map(|t| &t.files).filter_map(|f| f.stats.rows).sum());
        for class in engine.classes().into_keys() {
            let name = Schema::v1_8().class(class).map(|c| c.table()).unwrap_or_default();
            if session.tables().any(|table| table.name == name) {
                bar.set_message(name.clone());
                let reader = TableReader::new(engine.sources().clone(), request.clone(), class);
                out.read(session, &name, span, reader).await?;
                bar.set_position(out.rows);
            }
        }
        bar.finish_and_clear();
        Ok(out)
    }

    async fn read(
        &mut self,
        session: &SqlSession,
        table: &str,
        span: Span,
        mut reader: TableReader,
    ) -> anyhow::Result<()> {
        let mut rows = session.context().table(table).await?;
        let has = |column: &&str| rows.schema().has_column_with_unqualified_name(column);
        let columns: Vec<_> = reader.columns().filter(has).map(ident).collect();
        for filter in span.filters() {
            rows = rows.filter(filter)?;
        }
        let mut batches = rows.select(columns)?.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            reader.read(&batch?);
            let read = reader.rows();
            let mut counts: HashMap<u32, u64> = HashMap::new();
            (0..read.len()).for_each(|row| *counts.entry(read.route_of(row).0).or_default() += 1);
            for (route, count) in counts {
                let route = read.route(tarn_ingest::fields::RouteId(route));
                self.rows += count;
                if route.source != SourceId(u16::MAX) {
                    *self.routes.entry(route.clone()).or_default() += count;
                }
            }
        }
        Ok(())
    }

    /// Whether events of a rule's log source are there.
    pub fn has(&self, binding: &Binding) -> bool {
        self.routes.keys().any(|route| binding.covers(route))
    }

    /// Rows by source and Sigma log source, most first; a row counts in every log source that it is of.
    pub fn by_logsource(&self, sources: &Sources) -> Vec<(String, String, u64)> {
        let mut rows: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (route, count) in &self.routes {
            let source = sources.source(route.source);
            let named: BTreeSet<String> = route
                .logsources
                .iter()
                .filter_map(|id| sources.logsource(*id))
                .map(|entry| {
                    let product = entry.product.clone().or_else(|| source.products.first().cloned());
                    let (category, service) = (entry.category.clone(), entry.service.clone());
                    tarn_rules::Logsource { product, category, service }.to_string()
                })
                .collect();
            let named = if named.is_empty() { BTreeSet::from([String::new()]) } else { named };
            for logsource in named {
                *rows.entry((source.name.clone(), logsource)).or_default() += count;
            }
        }
        let mut out: Vec<_> = rows.into_iter().map(|((source, logsource), n)| (source, logsource, n)).collect();
        out.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| (&a.0, &a.1).cmp(&(&b.0, &b.1))));
        out
    }
}

/// A request for every source's events and none of their fields: only what they are.
fn every(sources: &Arc<Sources>) -> FieldRequest {
    let whole = |id| Binding { source: id, category: None, service: None };
    let uses = sources.iter().map(|source| FieldUse {
        binding: whole(source.id),
        fields: BTreeSet::new(),
        needles: Some(BTreeSet::new()),
    });
    FieldRequest { fields: Vec::new(), uses: uses.collect() }
}
