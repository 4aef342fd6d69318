//! The ingest lane: records become rows of their class's table, and nothing of them is lost.
//!
//! A kind's placements run over the fields that one walk found. What they cannot give back verbatim, and what no
//! placement took, goes to `unmapped`; the original stands in `raw_data`. Records in = rows + dead letters.

mod complete;
mod coverage;
mod native;
mod program;
mod unmapped;

pub(crate) use unmapped::FALLBACKS;

pub use coverage::{Coverage, FieldCoverage, KindCoverage};

use crate::container::{Block, RecordSpan};
use crate::dead_letter::DeadLetter;
use crate::identity::{record_uid, vendor_uid};
use crate::json::{self, Members};
use crate::layout::{Layouts, Step};
use crate::source::{Sink, SourceId, Sources, Trie, Values, parse_time_at, unwrap};
use ahash::AHashMap;
use arrow::array::RecordBatch;
use chrono_tz::Tz;
use program::Program;
pub(crate) use program::columns as columns_of_kind;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tarn_schema_ocsf::record::Value;
use tarn_schema_ocsf::{BatchBuilder, ClassUid, Slot, TableSchema};

/// What the lane is told.
#[derive(Clone, Debug)]
pub struct MapOptions {
    /// When the records came in, microseconds since 1970, UTC: the time of records that have none.
    pub ingest_time: i64,
    /// The zone of bare times.
    pub zone: Tz,
    /// Whether field occurrences are counted.
    pub coverage: bool,
}

impl Default for MapOptions {
    fn default() -> Self {
        Self { ingest_time: 0, zone: Tz::UTC, coverage: false }
    }
}

/// Kinds beyond this are looked up each time: what tells them comes from outside.
const KIND_CACHE_MAX: usize = 200_000;

/// Columns that every table has and the mapper fills.
const COMMON: &[&str] = &[
    "time",
    "class_uid",
    "category_uid",
    "activity_id",
    "type_uid",
    "severity_id",
    "metadata.uid",
    "metadata.version",
    "metadata.product.name",
    "metadata.product.vendor_name",
    "metadata.original_time",
    "metadata.logged_time",
    "metadata.processed_time",
    "metadata.transformation_info_list[].name",
    "metadata.transformation_info_list[].uid",
    "unmapped",
    "raw_data",
];

struct Common {
    time: Option<Slot>,
    class_uid: Option<Slot>,
    category_uid: Option<Slot>,
    activity_id: Option<Slot>,
    type_uid: Option<Slot>,
    severity_id: Option<Slot>,
    uid: Option<Slot>,
    version: Option<Slot>,
    product: Option<Slot>,
    vendor: Option<Slot>,
    original_time: Option<Slot>,
    processed_time: Option<Slot>,
    mapping: Option<Slot>,
    mapping_version: Option<Slot>,
    unmapped: Option<Slot>,
    raw_data: Option<Slot>,
    category: i64,
}

struct Table {
    builder: BatchBuilder,
    /// Whose the builder's rows are.
    numbers: Vec<i64>,
    common: Common,
}

/// Rows of one class.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The class.
    pub class: ClassUid,
    /// The rows.
    pub batch: RecordBatch,
    /// For each row the number of its record: increasing where those of [`Mapper::push_numbered`] are.
    pub numbers: Vec<i64>,
}

impl Table {
    fn new(class: ClassUid, schema: Arc<TableSchema>) -> Self {
        let slot = |path| schema.slot(path);
        let category = tarn_schema_ocsf::Schema::v1_8().class(class).map_or(0, |c| i64::from(c.category_uid));
        let common = Common {
            time: slot("time"),
            class_uid: slot("class_uid"),
            category_uid: slot("category_uid"),
            activity_id: slot("activity_id"),
            type_uid: slot("type_uid"),
            severity_id: slot("severity_id"),
            uid: slot("metadata.uid"),
            version: slot("metadata.version"),
            product: slot("metadata.product.name"),
            vendor: slot("metadata.product.vendor_name"),
            original_time: slot("metadata.original_time"),
            processed_time: slot("metadata.processed_time"),
            mapping: slot("metadata.transformation_info_list[].name"),
            mapping_version: slot("metadata.transformation_info_list[].uid"),
            unmapped: slot("unmapped"),
            raw_data: slot("raw_data"),
            category,
        };
        Self { builder: BatchBuilder::new(schema), numbers: Vec::new(), common }
    }
}

struct Lane {
    tries: Vec<Trie>,
    programs: Vec<Program>,
    /// Whether a field tells the kind.
    discriminates: Vec<bool>,
    /// Kinds by the values that tell them.
    kinds: AHashMap<Box<[u8]>, u16>,
}

/// The schemas of the tables of all kinds.
fn schemas(sources: &Sources) -> BTreeMap<ClassUid, Arc<TableSchema>> {
    let mut columns: BTreeMap<ClassUid, Vec<String>> = BTreeMap::new();
    for kind in sources.iter().flat_map(|source| &source.kinds) {
        let of = columns.entry(kind.class).or_insert_with(|| COMMON.iter().map(|c| (*c).to_owned()).collect());
        of.extend(program::columns(kind));
    }
    // Paths were resolved when the mappings were compiled.
    let schema = |(class, paths): (ClassUid, Vec<String>)| {
        Some((class, Arc::new(TableSchema::new(class, paths.iter().map(String::as_str)).ok()?)))
    };
    columns.into_iter().filter_map(schema).collect()
}

impl Lane {
    fn new(source: &crate::source::Source, tables: &BTreeMap<ClassUid, Table>) -> Self {
        let fields: Vec<(&str, u16)> = source.fields.iter().enumerate().map(|(i, f)| (f.as_str(), i as u16)).collect();
        let program = |kind: &crate::source::Kind| {
            Program::new(source, kind, tables.get(&kind.class).map(|t| t.builder.schema().as_ref()))
        };
        Self {
            tries: source.tries(&fields),
            programs: source.kinds.iter().map(program).collect(),
            discriminates: (0..source.fields.len() as u16).map(|f| source.discriminators.contains(&f)).collect(),
            kinds: AHashMap::new(),
        }
    }
}

/// Maps blocks to batches. **Bounds**: rows stay in builders until [`Mapper::drain`]; else those of layouts.
pub struct Mapper {
    sources: Arc<Sources>,
    options: MapOptions,
    /// By source, from its first record on: most mappers see few of the sources.
    lanes: Vec<Option<Lane>>,
    tables: BTreeMap<ClassUid, Table>,
    layouts: Layouts,
    native: native::Tables,
    dead: Vec<DeadLetter>,
    coverage: Coverage,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    unmapped: String,
    key: Vec<u8>,
    spots: Vec<Spot>,
}

/// What a walk found in a record.
struct Found<'a, 's> {
    fields: Vec<(u16, &'a str, bool)>,
    /// Of the same, what was asked for as a text: more than one placement may.
    texts: Vec<OnceCell<Cow<'a, str>>>,
    other: Vec<(String, &'a str)>,
    /// Where each of the source's fields is in `fields`: placements ask for many more than a record has.
    spots: &'s mut [Spot],
    /// Fields that came more than once, by a repeated key or under two names: a column takes one of the values.
    repeated: Vec<u16>,
}

/// Where a field is.
#[derive(Clone, Copy, Default)]
struct Spot {
    /// One more than the place of its first value; 0 where the record does not have it.
    first: u32,
    /// Whether it was there apart from what holds it.
    alone: bool,
}

impl<'a> Sink<'a> for Found<'a, '_> {
    fn field(&mut self, field: u16, raw: &'a str, covered: bool) {
        self.fields.push((field, raw, covered));
        self.texts.push(OnceCell::new());
        let spot = &mut self.spots[field as usize];
        if spot.first == 0 {
            spot.first = self.fields.len() as u32;
        }
        if !covered && std::mem::replace(&mut spot.alone, true) {
            self.repeated.push(field);
        }
    }

    fn other(&mut self, prefix: &str, key: Option<&'a str>, raw: &'a str) {
        let path = match key.map(json::unescape) {
            Some(key) if prefix.is_empty() => key.into_owned(),
            Some(key) => format!("{prefix}.{key}"),
            None => prefix.to_owned(),
        };
        self.other.push((path, raw));
    }
}

impl<'a, 's> Found<'a, 's> {
    /// Nothing yet, of a source with so many fields and a record with so many members.
    fn new(fields: usize, members: usize, spots: &'s mut Vec<Spot>) -> Self {
        spots.clear();
        spots.resize(fields, Spot::default());
        let (fields, texts) = (Vec::with_capacity(members), Vec::with_capacity(members));
        Self { fields, texts, other: Vec::new(), spots, repeated: Vec::new() }
    }

    /// Where a field's first value is.
    fn position(&self, field: u16) -> Option<usize> {
        self.spots[field as usize].first.checked_sub(1).map(|at| at as usize)
    }

    fn get(&self, field: u16) -> Option<&'a str> {
        self.position(field).map(|at| self.fields[at].1)
    }

    /// The text of the value at a place.
    fn text(&self, at: usize) -> &str {
        self.texts[at].get_or_init(|| json::text(self.fields[at].1))
    }
}

impl Mapper {
    /// A mapper for all sources.
    pub fn new(sources: Arc<Sources>, options: MapOptions) -> Self {
        let schemas = sources.tables.get_or_init(|| schemas(&sources));
        let tables = schemas.iter().map(|(class, schema)| (*class, Table::new(*class, schema.clone()))).collect();
        let lanes = sources.iter().map(|_| None).collect();
        let coverage = Coverage::new(options.coverage);
        Self {
            lanes,
            tables,
            layouts: Layouts::default(),
            native: native::Tables::default(),
            dead: Vec::new(),
            coverage,
            options,
            sources,
            scratch: Scratch::default(),
        }
    }

    /// Says when the records that come next came in, microseconds since 1970.
    pub fn set_ingest_time(&mut self, micros: i64) {
        self.options.ingest_time = micros;
    }

    /// Maps a block's records; its dead letters are passed on.
    pub fn push(&mut self, block: &Block, only: Option<SourceId>) {
        self.push_numbered(block, only, 0);
    }

    /// The same; the block's first record has the number `first`, each other one the next.
    pub fn push_numbered(&mut self, block: &Block, only: Option<SourceId>, first: i64) {
        self.layouts.begin(only);
        let mut members = Vec::new();
        let mut spots = std::mem::take(&mut self.scratch.spots);
        for (number, span) in (first..).zip(&block.records) {
            let text = block.json(span);
            block.members(span, &mut members);
            let sources = self.sources.clone();
            let mut layout = self.layouts.of(&members);
            let (id, shape) = self.layouts.recognise(layout, &sources, &members);
            let source = sources.source(id);
            // A class that OCSF 1.8.0 does not have is this source's default kind, whole.
            if source.native {
                let uid = record_uid(block, span);
                if self.native.push(text, block.original(span), &uid, number, &self.options).is_ok() {
                    continue;
                }
            }
            let event: Cow<'_, str> = unwrap(source, shape, text);
            let trie = if source.shapes.is_empty() { 0 } else { shape as usize };
            let inner: Vec<(&str, &str)>;
            let walked = if matches!(&event, Cow::Borrowed(e) if e.len() == text.len()) {
                &members
            } else {
                inner = Members::of(&event).collect();
                layout = self.layouts.of(&inner);
                &inner
            };
            let mut found = Found::new(source.fields.len(), walked.len(), &mut spots);
            let lane = self.lanes[id.0 as usize].get_or_insert_with(|| Lane::new(source, &self.tables));
            let trie = &lane.tries[trie];
            let mut steps = self.layouts.layout(layout).steps((id, shape), trie, walked).iter().peekable();
            for (number, (key, raw)) in (0..).zip(walked) {
                match steps.next_if(|step| step.member == number) {
                    Some(Step { field: Some(field), .. }) => found.field(*field, raw, false),
                    Some(step) => trie.enter(step.node, key, raw, &mut found),
                    None => trie.walk(&[(key, raw)], &mut found),
                }
            }
            self.row(source, &found, layout, block, span, number);
        }
        self.scratch.spots = spots;
        self.dead.extend(block.dead.iter().cloned());
    }

    fn row(
        &mut self,
        source: &crate::source::Source,
        found: &Found<'_, '_>,
        layout: usize,
        block: &Block,
        span: &RecordSpan,
        number: i64,
    ) {
        let kind = self.kind(source, found);
        let class = source.kinds[kind].class;
        let Some(lane) = &self.lanes[source.id.0 as usize] else { return };
        let program = &lane.programs[kind];
        let Some(table) = self.tables.get_mut(&class) else { return };
        table.numbers.push(number);
        let (builder, common) = (&mut table.builder, &table.common);

        let mut kept: Vec<(&str, &str)> = Vec::with_capacity(found.fields.len());
        let mut fallbacks: Vec<&str> = Vec::new();
        let mut coverage = self.coverage.of(source, kind);
        let roots = program.run(source, found, builder, &mut kept, &mut fallbacks, coverage.as_deref_mut());
        kept.extend(found.other.iter().map(|(path, raw)| (path.as_str(), *raw)));
        if let Some(coverage) = coverage {
            for (field, _) in &found.other {
                coverage.entry(field.clone()).or_default().unknown += 1;
            }
        }

        let time = source.time.iter().find_map(|(field, format)| {
            let text = found.text(found.position(*field)?);
            Some((parse_time_at(text, *format, self.options.zone, self.options.ingest_time)?, text))
        });
        match &time {
            Some((micros, text)) => {
                set(builder, common.time, Value::Time(*micros));
                set(builder, common.original_time, Value::Text(text));
            }
            None => {
                set(builder, common.time, Value::Time(self.options.ingest_time));
                fallbacks.push("time");
            }
        }
        let uid = source.uid.iter().find_map(|f| vendor_uid(found.get(*f)?));
        set(builder, common.uid, Value::Text(&uid.unwrap_or_else(|| record_uid(block, span).into())));
        set(builder, common.version, Value::Text(tarn_schema_ocsf::Schema::v1_8().version()));
        set(builder, common.product, Value::Text(&source.product_name));
        set(builder, common.vendor, Value::Text(&source.vendor_name));
        set(builder, common.processed_time, Value::Time(self.options.ingest_time));
        if let Some(slot) = common.mapping {
            builder.begin_object(slot);
            set(builder, common.mapping, Value::Text(&source.name));
            let mut digits = [0_u8; 10];
            set(builder, common.mapping_version, Value::Text(decimal(source.version, &mut digits)));
        }
        set(builder, common.class_uid, Value::Int(i64::from(class.0)));
        set(builder, common.category_uid, Value::Int(common.category));
        let activity = program.activity(builder, common.activity_id, &mut fallbacks);
        set(builder, common.type_uid, Value::Int(i64::from(class.0) * 100 + activity));
        if common.severity_id.is_some_and(|s| !builder.is_set(s)) {
            // OCSF: 1 Informational is what a log without a severity of its own is.
            set(builder, common.severity_id, Value::Int(1));
        }
        program.required(builder, &mut fallbacks);
        if !kept.is_empty() || !fallbacks.is_empty() {
            self.scratch.unmapped.clear();
            let out = &mut self.scratch.unmapped;
            self.layouts.ordered(layout, |order| unmapped::write(out, &mut kept, order, &roots, &fallbacks));
            set(builder, common.unmapped, Value::Text(&self.scratch.unmapped));
        }
        set(builder, common.raw_data, Value::Text(block.original(span)));
        builder.end_row();
    }

    fn kind(&mut self, source: &crate::source::Source, found: &Found<'_, '_>) -> usize {
        let lane = self.lanes[source.id.0 as usize].get_or_insert_with(|| Lane::new(source, &self.tables));
        let telling = || found.fields.iter().filter(|(f, _, _)| lane.discriminates[*f as usize]);
        let key = &mut self.scratch.key;
        key.clear();
        for (field, raw, _) in telling() {
            key.extend(field.to_le_bytes());
            key.extend(raw.as_bytes());
            key.push(0);
        }
        if let Some(kind) = lane.kinds.get(key.as_slice()) {
            return *kind as usize;
        }
        let kind = source.kind_of(&Values::new(telling().map(|(field, raw, _)| (*field, *raw))));
        if lane.kinds.len() < KIND_CACHE_MAX {
            lane.kinds.insert(key.as_slice().into(), kind);
        }
        kind as usize
    }

    /// Bytes of text that wait in the builders.
    pub fn pending_bytes(&self) -> usize {
        self.tables.values().map(|t| t.builder.text_bytes()).sum::<usize>() + self.native.pending_bytes()
    }

    /// All rows so far, a batch or more a class, and the dead letters.
    pub fn drain(&mut self) -> (Vec<(ClassUid, RecordBatch)>, Vec<DeadLetter>) {
        let (numbered, dead) = self.drain_numbered();
        (numbered.into_iter().map(|rows| (rows.class, rows.batch)).collect(), dead)
    }

    /// The same, with the numbers of the rows' records.
    pub fn drain_numbered(&mut self) -> (Vec<Numbered>, Vec<DeadLetter>) {
        let full = self.tables.iter_mut().filter(|(_, t)| !t.builder.is_empty());
        let rows = full.map(|(class, t)| {
            let numbers = std::mem::take(&mut t.numbers);
            Numbered { class: *class, batch: t.builder.finish(), numbers }
        });
        let mut rows: Vec<_> = rows.collect();
        rows.extend(self.native.drain());
        (rows, std::mem::take(&mut self.dead))
    }

    /// How the field occurrences so far were placed; empty unless asked for.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }
}

fn set(builder: &mut BatchBuilder, slot: Option<Slot>, value: Value<'_>) {
    if let Some(slot) = slot {
        // The common columns have the types that are written here.
        let _ = builder.set(slot, value);
    }
}

fn decimal(n: u32, digits: &mut [u8; 10]) -> &str {
    let mut at = digits.len();
    let mut n = n;
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[at..]).unwrap_or("0")
}
