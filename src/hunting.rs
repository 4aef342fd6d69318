//! A lake through the rules, day by day: one scan of each class table for all rules, then the original events of hits.
//!
//! **Order**: days, and where there are correlations, event time within a day. **Bounds**: findings wait for their events
//! in groups of [`FETCHED`]; sorting spills to disk.

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType, UInt32Type};
use chrono::{DateTime, NaiveDate, Utc};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Cursor;
use std::ops::RangeInclusive;
use std::sync::Arc;
use tarn_engine::correlation::Match;
use tarn_engine::hunt::{Hunted, RULE, VALUES, values};
use tarn_engine::{Engine, RuleIx};
use tarn_ingest::container::{Blocks, Limits};
use tarn_lake::SqlSession;
use tarn_lake::table::EVENT_DAY;
use tarn_schema_ocsf::{ClassUid, Schema};

/// Hits whose events are read from the lake at once.
const FETCHED: usize = 1_000;
/// The column that says of which class a hit is.
const CLASS: &str = "class_uid";

/// How many columns hits have of their own.
pub const COLUMNS_OF_HITS: usize = 5;

/// Rows of days that are scanned at once, if a day has no more by itself.
const ROWS_OF_RUN: u64 = 1 << 20;

/// Days that are scanned at once.
pub type Days = RangeInclusive<NaiveDate>;

/// The part of a lake that is hunted through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// Events from this time on.
    pub since: Option<DateTime<Utc>>,
    /// Events before this time.
    pub until: Option<DateTime<Utc>>,
}

impl Span {
    /// The first day of which not all can be there: the one of `now`, or the one in which the span ends.
    pub fn open(&self, now: DateTime<Utc>) -> NaiveDate {
        self.until.map_or(now, |until| until.min(now)).date_naive()
    }

    fn covers(&self, day: NaiveDate) -> bool {
        let starts = day.and_time(chrono::NaiveTime::MIN).and_utc();
        let ends = starts + chrono::Days::new(1);
        self.since.is_none_or(|since| since < ends) && self.until.is_none_or(|until| starts < until)
    }

    /// What rows of it have to be.
    pub fn filters(&self) -> Vec<Expr> {
        let at = |time: DateTime<Utc>| {
            lit(ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), Some("UTC".into())))
        };
        let since = self.since.map(|since| ident("time").gt_eq(at(since)));
        let until = self.until.map(|until| ident("time").lt(at(until)));
        since.into_iter().chain(until).collect()
    }
}

/// A rule that fired on a row.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The rule.
    pub rule: RuleIx,
    /// The class table.
    pub class: ClassUid,
    /// The event's uid.
    pub uid: Arc<str>,
    /// The event's time, microseconds since 1970.
    pub time: i64,
}

/// Rules over a lake.
pub struct Hunt<'a> {
    engine: Arc<Engine>,
    session: &'a SqlSession,
    span: Span,
    /// Class tables that are there and that rules look at.
    tables: Vec<Table>,
    /// Columns that hits have besides.
    also: &'static [&'static str],
}

struct Table {
    class: ClassUid,
    name: String,
    hunted: Arc<Hunted>,
}

impl<'a> Hunt<'a> {
    /// A hunt through the tables as the session has them.
    ///
    /// **Errors**: a table that cannot be opened.
    pub async fn new(engine: Arc<Engine>, session: &'a SqlSession, span: Span) -> anyhow::Result<Self> {
        let mut tables = Vec::new();
        for class in engine.classes().into_keys() {
            let name = Schema::v1_8().class(class).map(|c| c.table()).unwrap_or_default();
            if session.tables().any(|table| table.name == name) {
                let table = session.context().table_provider(name.as_str()).await?;
                tables.push(Table { class, name, hunted: Arc::new(Hunted::new(table, class, engine.clone())) });
            }
        }
        Ok(Self { engine, session, span, tables, also: &[] })
    }

    /// The same, whose hits have these columns as texts behind [`COLUMNS_OF_HITS`]; null where a class lacks one.
    pub fn with_columns(mut self, columns: &'static [&'static str]) -> Self {
        self.also = columns;
        self
    }

    /// The days after `done` that have rows, in runs that are worth a scan, and how many rows rules look at. No run goes
    /// on into `open`, the first day that is not whole.
    pub fn days(&self, done: Option<NaiveDate>, open: NaiveDate) -> Vec<(Days, u64)> {
        let mut days: BTreeMap<NaiveDate, u64> = BTreeMap::new();
        for table in self.session.tables().filter(|t| self.tables.iter().any(|own| own.name == t.name)) {
            for file in &table.files {
                let day = file.event_day.and_then(Date32Type::to_naive_date_opt);
                if let Some(day) = day.filter(|day| self.span.covers(*day) && done.is_none_or(|done| *day > done)) {
                    *days.entry(day).or_default() += file.stats.rows.unwrap_or(0);
                }
            }
        }
        let mut runs: Vec<(Days, u64)> = Vec::new();
        for (day, rows) in days {
            let joins =
                |(run, so_far): &&mut (Days, u64)| *so_far + rows <= ROWS_OF_RUN && (*run.end() < open) == (day < open);
            match runs.last_mut().filter(joins) {
                Some((run, so_far)) => (*run, *so_far) = (*run.start()..=day, *so_far + rows),
                None => runs.push((day..=day, rows)),
            }
        }
        runs
    }

    /// The hits of some days, in batches for [`Hunt::read`].
    pub async fn hits(&self, days: &Days) -> anyhow::Result<SendableRecordBatchStream> {
        let mut all: Option<DataFrame> = None;
        for table in &self.tables {
            let hits = self.hits_of(table, days)?;
            all = Some(match all {
                None => hits,
                Some(before) => before.union(hits)?,
            });
        }
        let mut all = all.context("no table has events of these rules")?;
        if !self.engine.correlations().is_empty() {
            all = all.sort(vec![ident("time").sort(true, true), ident("uid").sort(true, true)])?;
        }
        Ok(all.execute_stream().await?)
    }

    fn hits_of(&self, table: &Table, days: &Days) -> anyhow::Result<DataFrame> {
        let mut hits = self.session.context().read_table(table.hunted.clone())?;
        for filter in self.filters(days) {
            hits = hits.filter(filter)?;
        }
        let has = |column: &str| hits.schema().has_column_with_unqualified_name(column);
        let also = self.also.iter().map(|column| match has(column) {
            true => cast(ident(*column), DataType::Utf8).alias(*column),
            false => lit(ScalarValue::Utf8(None)).alias(*column),
        });
        let own: [Expr; COLUMNS_OF_HITS] = [
            ident(RULE).alias("rule"),
            lit(table.class.0).alias(CLASS),
            ident("metadata.uid").alias("uid"),
            ident("time"),
            ident(VALUES).alias("values"),
        ];
        let columns: Vec<Expr> = own.into_iter().chain(also).collect();
        Ok(hits.select(columns)?)
    }

    fn filters(&self, days: &Days) -> Vec<Expr> {
        let day = |day: &NaiveDate| lit(ScalarValue::Date32(Some(Date32Type::from_naive_date(*day))));
        let mut filters = self.span.filters();
        filters.push(ident(EVENT_DAY).gt_eq(day(days.start())));
        filters.push(ident(EVENT_DAY).lt_eq(day(days.end())));
        filters
    }

    /// The hits of a batch, and what correlations take of them.
    pub fn read(&self, batch: &RecordBatch) -> anyhow::Result<Vec<(Hit, Option<Match>)>> {
        let (rules, classes) = (batch.column(0).as_primitive::<UInt32Type>(), batch.column(1));
        let classes = arrow::compute::cast(classes, &arrow::datatypes::DataType::UInt32)?;
        let classes = classes.as_primitive::<UInt32Type>();
        let (uids, taken) = (batch.column(2).as_string::<i32>(), batch.column(4).as_string::<i32>());
        let times = batch.column(3).as_primitive::<TimestampMicrosecondType>();
        let hit = |row: usize| {
            let (rule, time) = (RuleIx(rules.value(row)), times.value(row));
            let uid: Arc<str> = uids.value(row).into();
            let values = taken.is_valid(row).then(|| values(taken.value(row)));
            let matched = values.map(|values| Match { rule, time, uid: uid.clone(), values });
            (Hit { rule, class: ClassUid(classes.value(row)), uid, time }, matched)
        };
        Ok((0..batch.num_rows()).map(hit).collect())
    }

    /// The events of some hits of some days, as the stream saw them, by uid.
    pub async fn events(&self, days: &Days, hits: &[Hit]) -> anyhow::Result<HashMap<Arc<str>, String>> {
        let mut events = HashMap::new();
        for Table { class, name, .. } in &self.tables {
            let uids: BTreeSet<&str> = hits.iter().filter(|h| h.class == *class).map(|h| &*h.uid).collect();
            for some in uids.into_iter().collect::<Vec<_>>().chunks(FETCHED) {
                let wanted = some.iter().map(|uid| lit(*uid)).collect();
                let mut rows = self.session.context().table(name.as_str()).await?;
                for filter in self.filters(days) {
                    rows = rows.filter(filter)?;
                }
                rows = rows.filter(ident("metadata.uid").in_list(wanted, false))?;
                let rows = rows.select(vec![ident("metadata.uid"), ident("raw_data")])?;
                for batch in rows.collect().await? {
                    let (uids, texts) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
                    for row in (0..batch.num_rows()).filter(|row| texts.is_valid(*row)) {
                        events.entry(uids.value(row).into()).or_insert_with(|| event(texts.value(row)));
                    }
                }
            }
        }
        Ok(events)
    }
}

/// A record's original text as an event: what a container makes of it.
fn event(original: &str) -> String {
    let bytes = Cursor::new(original.as_bytes().to_vec());
    let block = Blocks::open(bytes, Limits::default()).and_then(|mut blocks| blocks.next_block()).ok().flatten();
    let record = block.as_ref().and_then(|block| Some(block.json(block.records.first()?).to_owned()));
    record.unwrap_or_else(|| serde_json::Value::from(original).to_string())
}
