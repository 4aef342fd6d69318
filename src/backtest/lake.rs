//! Rules over a lake.

use super::cost::{self, Sample, Weights};
use super::{ENTITIES, Pass, Tallies};
use crate::hunting::{COLUMNS_OF_HITS, Hunt, Span};
use crate::progress;
use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use chrono::NaiveDate;
use datafusion::logical_expr::ident;
use futures::StreamExt;
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_ingest::fields::TableReader;
use tarn_lake::SqlSession;
use tarn_schema_ocsf::Schema;

/// The part of a lake that rules are replayed over.
pub struct LakeSpan {
    /// Its tables.
    pub session: Arc<SqlSession>,
    /// Its time.
    pub span: Span,
    /// The day that is not over.
    pub today: NaiveDate,
}

impl LakeSpan {
    /// See [`super::Data::replay`].
    pub async fn replay(&self, engine: &Arc<Engine>, pass: Pass) -> anyhow::Result<Tallies> {
        let hunt = Hunt::new(engine.clone(), Arc::clone(&self.session), self.span).await?.with_columns(ENTITIES);
        let days = hunt.days(None, self.today);
        let bar = progress::events(days.iter().map(|(_, rows)| rows).sum());
        let mut tallies = Tallies::new(engine.clone(), pass);
        for (days, rows) in &days {
            bar.set_message(format!("{}: {} findings", days.start(), tallies.findings()));
            let mut batches = hunt.hits(days).await?;
            while let Some(batch) = batches.next().await {
                count(&hunt, &batch?, &mut tallies)?;
            }
            bar.inc(*rows);
        }
        bar.finish_and_clear();
        Ok(tallies.finish())
    }

    /// See [`super::Data::weigh`]. The sample is the first rows of each class table that rules look at.
    pub async fn weigh(&self, engine: &Arc<Engine>) -> anyhow::Result<Weights> {
        let classes: Vec<_> = engine.classes().into_keys().collect();
        let each = cost::sample_rows(engine) / classes.len().max(1);
        let mut readers = Vec::new();
        for class in classes {
            let name = Schema::v1_8().class(class).map(|c| c.table()).unwrap_or_default();
            if !self.session.tables().any(|table| table.name == name) {
                continue;
            }
            let mut reader = TableReader::new(engine.sources().clone(), engine.request(), class);
            let table = self.session.context().table(name.as_str()).await?;
            let has = |column: &&str| table.schema().has_column_with_unqualified_name(column);
            let columns = reader.columns().filter(has).map(ident).collect::<Vec<_>>();
            let mut rows = table;
            for filter in self.span.filters() {
                rows = rows.filter(filter)?;
            }
            let batches = rows.select(columns)?.limit(0, Some(each.max(1)))?.collect().await?;
            if let Some(first) = batches.first() {
                reader.read(&concat_batches(&first.schema(), &batches)?);
                readers.push((reader, class));
            }
        }
        let samples: Vec<Sample<'_>> = readers
            .iter()
            .map(|(reader, class)| Sample { rows: reader.rows(), rules: Some(engine.rules_of(*class)) })
            .collect();
        Ok(cost::weigh(engine, &samples))
    }
}

fn count(hunt: &Hunt, batch: &RecordBatch, tallies: &mut Tallies) -> anyhow::Result<()> {
    for (row, (hit, matched)) in hunt.read(batch)?.into_iter().enumerate() {
        tallies.hit(hit.rule, &hit.uid, hit.time);
        for (at, column) in ENTITIES.iter().enumerate() {
            let texts = batch.column(COLUMNS_OF_HITS + at).as_string_opt::<i32>().context("entities are texts")?;
            if texts.is_valid(row) {
                tallies.entity(hit.rule, column, texts.value(row));
            }
        }
        matched.into_iter().for_each(|matched| tallies.take(matched));
    }
    Ok(())
}
