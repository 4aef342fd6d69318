//! A lake through the rules, day by day: one scan of each class table for all rules, then the original events of hits.
//!
//! **Order**: days, and where there are correlations, event time within a day, ties as they arrived; or all days at once,
//! as they arrived. **Bounds**: findings wait for their events in groups; sorting spills to disk.

use ahash::AHashMap;
use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::scalar::ScalarValue;
use futures::stream::{self, StreamExt};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use tarn_engine::correlation::Match;
use tarn_engine::hunt::{Hunted, Part, RULE, VALUES, in_turn, values};
use tarn_engine::{Engine, RuleIx};
use tarn_ingest::container::first_record;
use tarn_ingest::fields::MemberColumns;
use tarn_lake::table::{ARRIVAL, DataFile, EVENT_DAY, REST, TableSnapshot, member_column};
use tarn_lake::{Originals, SqlSession};
use tarn_schema_ocsf::{ClassUid, Schema};

/// Uids that are looked for in the lake at once.
const FETCHED: usize = 1_000;
/// Batches of hits that wait to be written.
const BATCHES_AHEAD: usize = 16;
/// The column that says of which class a hit is.
const CLASS: &str = "class_uid";

/// How many columns hits have of their own.
pub const COLUMNS_OF_HITS: usize = 6;

/// Rows of days that are scanned at once, if a day has no more by itself.
const ROWS_OF_RUN: u64 = 1 << 20;

/// Members of `unmapped` as tables have them.
const MEMBERS: MemberColumns = MemberColumns { rest: REST, of: member_column };

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

/// In which order hits come to correlations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// By event time, equal times as they arrived
    #[default]
    Time,
    /// As they arrived: a replay, in which events can be late
    Arrival,
}

/// Rows that do not say when they arrived, as an earlier release wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unordered {
    /// Their table.
    pub table: String,
    /// Their day.
    pub day: NaiveDate,
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
    /// When it arrived, where the row says so.
    pub arrival: Option<i64>,
}

/// Rules over a lake.
pub struct Hunt {
    engine: Arc<Engine>,
    session: Arc<SqlSession>,
    span: Span,
    /// When it began.
    now: DateTime<Utc>,
    order: Order,
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

impl Hunt {
    /// A hunt through the tables as the session has them.
    ///
    /// **Errors**: a table that cannot be opened.
    pub async fn new(engine: Arc<Engine>, session: Arc<SqlSession>, span: Span) -> anyhow::Result<Self> {
        let mut tables = Vec::new();
        for class in engine.classes().into_keys() {
            let name = Schema::v1_8().class(class).map(|c| c.table()).unwrap_or_default();
            if session.tables().any(|table| table.name == name) {
                let table = session.context().table_provider(name.as_str()).await?;
                let hunted = Hunted::in_parts(table.clone(), class, engine.clone(), MEMBERS, |part| {
                    let texts = if let Part::Members(texts) = part { texts } else { &[] };
                    let (files, others) = session.for_hunts(&name, texts)?;
                    Some(match part {
                        Part::Others => Arc::new(others?) as Arc<dyn TableProvider>,
                        Part::Keywords(Some(sought)) => Arc::new(files?.with_any_of(sought)),
                        Part::Keywords(None) | Part::Members(_) => Arc::new(files?),
                    })
                });
                tables.push(Table { class, name, hunted: Arc::new(hunted) });
            }
        }
        // What takes longest comes first, so that threads end together.
        let rows = |table: &Table| session.tables().find(|own| own.name == table.name).and_then(|own| own.rows());
        tables.sort_by_key(|table| std::cmp::Reverse(rows(table)));
        Ok(Self { engine, session, span, now: Utc::now(), order: Order::default(), tables, also: &[] })
    }

    /// The same in another order. [`Hunt::unordered`] says whether rows can be in that of their arrival.
    pub fn in_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The same, whose hits have these columns as texts behind [`COLUMNS_OF_HITS`]; null where a class lacks one.
    pub fn with_columns(mut self, columns: &'static [&'static str]) -> Self {
        self.also = columns;
        self
    }

    /// The days after `done` that have rows, in runs that are worth a scan, and how many rows rules look at. No run goes
    /// on into `open`, the first day that is not whole. In the order of arrival all days are one run: the events of one may
    /// arrive before and after those of another.
    pub fn days(&self, done: Option<NaiveDate>, open: NaiveDate) -> Vec<(Days, u64)> {
        let mut days: BTreeMap<NaiveDate, u64> = BTreeMap::new();
        let mut any_shared = false;
        for table in self.session.tables().filter(|t| self.tables.iter().any(|own| own.name == t.name)) {
            for file in &table.files {
                let own = self.days_of(table, file);
                let own = own.filter(|own| done.is_none_or(|done| done < *own.end()));
                let Some((mut first, last)) = own.map(Days::into_inner) else { continue };
                first = done.and_then(|done| done.succ_opt()).map_or(first, |next| first.max(next));
                // Of which days the rows are that share a file, nobody knows: they count as of the first.
                *days.entry(first).or_default() += file.stats.rows.unwrap_or(0);
                if first < last {
                    any_shared = true;
                    days.entry(last).or_default();
                    if (first..last).contains(&open) {
                        days.entry(open).or_default();
                    }
                }
            }
        }
        let mut runs: Vec<(Days, u64)> = Vec::new();
        for (day, rows) in days {
            let joins = |(run, so_far): &&mut (Days, u64)| {
                let fits = *so_far + rows <= ROWS_OF_RUN && (*run.end() < open) == (day < open);
                self.order == Order::Arrival || fits
            };
            match runs.last_mut().filter(joins) {
                Some((run, so_far)) => (*run, *so_far) = (*run.start()..=day, *so_far + rows),
                None => runs.push((day..=day, rows)),
            }
        }
        if any_shared {
            let starts: Vec<NaiveDate> = runs.iter().skip(1).map(|(run, _)| *run.start()).collect();
            for ((run, _), next) in runs.iter_mut().zip(starts) {
                *run = *run.start()..=next.pred_opt().unwrap_or(next);
            }
        }
        runs
    }

    /// The days that rows of a file may have within the span.
    fn days_of(&self, table: &TableSnapshot, file: &DataFile) -> Option<Days> {
        let days = table.days(file, self.now)?;
        let date = |day: &i32| Date32Type::to_naive_date_opt(*day);
        let (mut first, mut last) = (date(days.start())?, date(days.end())?);
        if let Some(since) = self.span.since {
            first = first.max(since.date_naive());
        }
        if let Some(until) = self.span.until {
            last = last.min((until - TimeDelta::nanoseconds(1)).date_naive());
        }
        (first <= last).then_some(first..=last)
    }

    /// The latest day in the span with rows that do not say when they arrived, as far as the tables' logs tell.
    pub fn unordered(&self) -> Option<Unordered> {
        let own = |name: &str| self.tables.iter().any(|own| own.name == name);
        let unordered = self.session.tables().filter(|table| own(&table.name)).filter_map(|table| {
            let says = |file: &DataFile| file.stats.column(ARRIVAL).is_some_and(|column| column.nulls == Some(0));
            let files = table.files.iter().filter(|file| !says(file));
            let day = files.filter_map(|file| Some(*self.days_of(table, file)?.end())).max()?;
            Some(Unordered { table: table.name.clone(), day })
        });
        unordered.max_by_key(|unordered| unordered.day)
    }

    /// The hits of some days, in batches for [`Hunt::read`].
    pub async fn hits(&self, days: &Days) -> anyhow::Result<SendableRecordBatchStream> {
        // Nothing is left to be optimised: the tables take the filters, and the operator the columns.
        let state = self.session.context().state();
        let mut all = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            all.push(self.hits_of(&state, table, days).await?);
        }
        let context = self.session.context().task_ctx();
        let at_once = context.session_config().target_partitions();
        let plan = match all.len() {
            0 => anyhow::bail!("no table has events of these rules"),
            1 => all.remove(0),
            _ => UnionExec::try_new(all)?,
        };
        let plan = in_turn(plan, at_once)?;
        let plan = if self.is_sorted() { self.sorted(plan)? } else { plan };
        let hits = execute_stream(plan, context)?;
        // Scans with threads of their own go on while findings of hits are written.
        Ok(if at_once > 1 { spawn_buffered(hits, BATCHES_AHEAD) } else { hits })
    }

    /// Sorts hits that come in turn: sorts of a plan of DataFusion's own would go below its unions.
    fn sorted(&self, hits: Arc<dyn ExecutionPlan>) -> anyhow::Result<Arc<dyn ExecutionPlan>> {
        // Rows without an arrival are older than those with one; writers at the same time may give one number. Rules of one
        // row come as the stream has them.
        let by: &[&str] = match self.order {
            Order::Time => &["time", ARRIVAL, "uid", "rule"],
            Order::Arrival => &[ARRIVAL, "uid", "rule"],
        };
        let schema = hits.schema();
        let options = SortOptions { descending: false, nulls_first: true };
        let column = |name: &&str| Ok(PhysicalSortExpr { expr: col(name, &schema)?, options });
        let by: Vec<PhysicalSortExpr> = by.iter().map(column).collect::<anyhow::Result<_>>()?;
        let order = LexOrdering::new(by).context("an order has columns")?;
        Ok(Arc::new(SortExec::new(order, Arc::new(CoalescePartitionsExec::new(hits)))))
    }

    fn is_sorted(&self) -> bool {
        self.order == Order::Arrival || !self.engine.correlations().is_empty()
    }

    async fn hits_of(
        &self,
        state: &SessionState,
        table: &Table,
        days: &Days,
    ) -> anyhow::Result<Arc<dyn ExecutionPlan>> {
        let (schema, filters) = (table.hunted.schema(), self.filters(days));
        let has = |column: &str| schema.index_of(column).is_ok();
        let also = self.also.iter().map(|column| match has(column) {
            true => (cast(ident(*column), DataType::Utf8), *column),
            false => (lit(ScalarValue::Utf8(None)), *column),
        });
        let own: [(Expr, &str); COLUMNS_OF_HITS] = [
            (ident(RULE), "rule"),
            (lit(table.class.0), CLASS),
            (ident("metadata.uid"), "uid"),
            (ident("time"), "time"),
            (ident(VALUES), "values"),
            (if has(ARRIVAL) { ident(ARRIVAL) } else { lit(ScalarValue::Int64(None)) }, ARRIVAL),
        ];
        let columns: Vec<(Expr, &str)> = own.into_iter().chain(also).collect();
        let read: BTreeSet<&str> = columns.iter().map(|(column, _)| column).chain(&filters).flat_map(names).collect();
        let read = read.into_iter().map(|name| schema.index_of(name)).collect::<Result<Vec<usize>, _>>()?;

        let scan = table.hunted.scan(state, Some(&read), &filters, None).await?;
        let scanned = DFSchema::try_from(scan.schema())?;
        let physical = |expr: Expr| state.create_physical_expr(expr, &scanned);
        // Tables leave out what they can: some rows of other days and times remain.
        let kept = conjunction(filters).context("days are filters")?;
        let kept = Arc::new(FilterExec::try_new(physical(kept)?, scan)?);
        let column = |(expr, name): (Expr, &str)| Ok((physical(expr)?, name.to_owned()));
        let columns = columns.into_iter().map(column).collect::<Result<Vec<_>, DataFusionError>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, kept)?))
    }

    fn filters(&self, days: &Days) -> Vec<Expr> {
        let day = |day: &NaiveDate| lit(ScalarValue::Date32(Some(Date32Type::from_naive_date(*day))));
        let mut filters = self.span.filters();
        // Of files that days share, statistics tell the times; rows of no day may have any.
        if *days.start() > NaiveDate::default() {
            let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
            let (since, until) = (Some(midnight(*days.start())), days.end().succ_opt().map(midnight));
            filters.extend(Span { since, until }.filters());
        }
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
        let arrivals = batch.column(5).as_primitive::<Int64Type>();
        let hit = |row: usize| {
            let (rule, time) = (RuleIx(rules.value(row)), times.value(row));
            let uid: Arc<str> = uids.value(row).into();
            let values = taken.is_valid(row).then(|| values(taken.value(row)));
            let matched = values.map(|values| Match { rule, time, uid: uid.clone(), values });
            let arrival = arrivals.is_valid(row).then(|| arrivals.value(row));
            (Hit { rule, class: ClassUid(classes.value(row)), uid, time, arrival }, matched)
        };
        Ok((0..batch.num_rows()).map(hit).collect())
    }

    /// The events of some hits of some days.
    ///
    /// **Errors**: files that cannot be read.
    pub async fn events(&self, days: &Days, hits: &[Hit]) -> anyhow::Result<Events> {
        let mut events = Events::default();
        for Table { class, name, .. } in &self.tables {
            let hits = || hits.iter().filter(|hit| hit.class == *class);
            let arrivals: Option<BTreeSet<i64>> = hits().map(|hit| hit.arrival).collect();
            let originals = match arrivals {
                Some(arrivals) => self.session.originals(name, &arrivals).await?,
                None => {
                    let batches = self.originals_by_uid(name, days, hits().map(|hit| &*hit.uid).collect()).await?;
                    stream::iter(batches).map(Ok).boxed()
                }
            };
            events.coming.push((*class, originals));
        }
        Ok(events)
    }

    /// The originals of rows of which some do not say when they arrived, as an earlier release wrote them.
    async fn originals_by_uid(
        &self,
        table: &str,
        days: &Days,
        uids: BTreeSet<&str>,
    ) -> anyhow::Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for some in uids.into_iter().collect::<Vec<_>>().chunks(FETCHED) {
            let mut rows = self.session.context().table(table).await?;
            for filter in self.filters(days) {
                rows = rows.filter(filter)?;
            }
            let wanted = some.iter().map(|uid| lit(*uid)).collect();
            rows = rows.filter(ident("metadata.uid").in_list(wanted, false))?;
            let rows = rows.select(vec![ident("metadata.uid"), ident("raw_data")])?;
            batches.extend(rows.collect().await?);
        }
        Ok(batches)
    }
}

/// The columns that an expression reads.
fn names(expr: &Expr) -> impl Iterator<Item = &str> {
    expr.column_refs().into_iter().map(|column| column.name.as_str())
}

/// Events of hits, as the stream saw them. Originals are read up to the one that is asked for: it is still in the processor's
/// caches when its finding is written.
#[derive(Default)]
pub struct Events {
    /// What was not read yet, by class.
    coming: Vec<(ClassUid, Originals)>,
    originals: Vec<StringViewArray>,
    /// In which of these, and which of its rows, what arrived then is, where that names it.
    by_arrival: AHashMap<(ClassUid, i64), (usize, usize)>,
    by_uid: AHashMap<String, (usize, usize)>,
}

impl Events {
    /// The JSON text of a hit's event: what a container makes of its original. None where the lake has none.
    ///
    /// **Errors**: a file that cannot be read.
    pub async fn get(&mut self, hit: &Hit) -> anyhow::Result<Option<Cow<'_, str>>> {
        let (batch, row) = loop {
            if let Some(place) = self.place(hit) {
                break place;
            }
            let coming = self.coming.iter_mut().find(|(class, _)| *class == hit.class);
            let Some((class, originals)) = coming else { return Ok(None) };
            let (class, batch) = (*class, originals.next().await.transpose()?);
            match batch {
                Some(batch) => self.add(class, &batch)?,
                None => self.coming.retain(|(own, _)| *own != class),
            }
        };
        let original = self.originals[batch].value(row);
        Ok(Some(first_record(original).unwrap_or_else(|| serde_json::Value::from(original).to_string().into())))
    }

    fn place(&self, hit: &Hit) -> Option<(usize, usize)> {
        let by_arrival = hit.arrival.and_then(|arrival| self.by_arrival.get(&(hit.class, arrival)));
        by_arrival.or_else(|| self.by_uid.get(&*hit.uid)).copied()
    }

    /// Adds originals of a class, with the uids of their events or times of arrival that are theirs alone.
    fn add(&mut self, class: ClassUid, batch: &RecordBatch) -> anyhow::Result<()> {
        let column = |name| {
            let column = batch.column_by_name(name);
            column.map(|column| arrow::compute::cast(column, &DataType::Utf8View)).transpose()
        };
        let Some(originals) = column("raw_data")? else { return Ok(()) };
        let originals = originals.as_string_view();
        let there = |row: &usize| originals.is_valid(*row);
        let place = |row| (self.originals.len(), row);
        if let Some(uids) = column("metadata.uid")? {
            let uids = uids.as_string_view();
            for row in (0..uids.len()).filter(|row| uids.is_valid(*row) && there(row)) {
                self.by_uid.entry(uids.value(row).to_owned()).or_insert(place(row));
            }
        } else if let Some(arrivals) = batch.column_by_name(ARRIVAL).and_then(|a| a.as_primitive_opt::<Int64Type>()) {
            let rows = (0..arrivals.len()).filter(there);
            self.by_arrival.extend(rows.map(|row| ((class, arrivals.value(row)), place(row))));
        }
        self.originals.push(originals.clone());
        Ok(())
    }
}
