//! Rows of class tables as rules see them: the mapping, inverted, a batch at a time.
//!
//! A field's value is `unmapped`'s where the record has it there, else the column's where the placement of the row's
//! kind put it, unless that only stands there for want of the field. So a row gives the cells that
//! [`super::FieldReader`] reads of the event that it was made of. A row that names no mapping was OCSF when it came: it is of
//! the source of such records, and gives the fields that this source's kinds place.

mod column;
mod keywords;
mod members;

pub use members::{MemberColumns, MemberReader};

use super::lane::{Lane, RoutePlan, Told};
use super::{FieldRequest, FieldUse, Found, KEYWORDS, Needle, Rows};
use crate::json::{self, Members};
use crate::layout::Layouts;
use crate::mapper::FALLBACKS;
use crate::source::{FieldHome, Route, Source, SourceId, Sources, Trie};
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use column::{Cell, Column};
use keywords::Suspects;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use tarn_schema_ocsf::{ClassUid, LeafType, Schema};

/// The column of which the first element names the mapping.
const MAPPING: &str = "metadata.transformation_info_list";
const UNMAPPED: &str = "unmapped";

/// Where a field's value is read.
#[derive(Clone, Debug)]
enum Read {
    Column(usize),
    /// Inside a JSON column; whether dots may be in keys there.
    Inside(usize, String, bool),
}

impl Read {
    fn column(&self) -> usize {
        match self {
            Self::Column(at) | Self::Inside(at, ..) => *at,
        }
    }
}

/// How rows of one source are read.
struct TableLane {
    lane: Lane,
    /// Where the lane's fields are in `unmapped`; behind them, the names of columns that fallbacks filled.
    trie: Trie,
    /// Fields that tell the route, and where columns may have them, whatever the kind.
    telling: Vec<(u16, Vec<Read>)>,
    /// Columns of which values inside are read.
    inside: BTreeSet<usize>,
    /// Columns that keywords are searched in, and what finds the rows worth it.
    keywords: Option<(Vec<usize>, Suspects)>,
}

/// How rows of one route are read.
struct TablePlan {
    plan: RoutePlan,
    /// By the lane's field.
    reads: Vec<Vec<Read>>,
    /// For keywords: columns, and the fields that they give back.
    columns: Vec<(usize, Vec<String>)>,
}

/// Reads batches of one class table. One a thread.
pub struct TableReader {
    sources: Arc<Sources>,
    request: FieldRequest,
    class: ClassUid,
    /// The columns that are read, and what they hold.
    columns: Vec<(String, LeafType)>,
    lanes: Vec<Option<TableLane>>,
    layouts: Layouts,
    plans: Vec<Option<TablePlan>>,
    rows: Rows,
    /// What has to be in a row's texts for it to be worth a look.
    sought: Option<Suspects>,
}

impl TableReader {
    /// A reader of one class's rows for what rules ask for.
    pub fn new(sources: Arc<Sources>, request: FieldRequest, class: ClassUid) -> Self {
        let mut columns = Columns { class, names: vec![(UNMAPPED.to_owned(), LeafType::Json)] };
        let asked = |source: &Source| request.uses.iter().any(|u| u.binding.source == source.id);
        let lane = |source: &Source| asked(source).then(|| TableLane::new(source, &request, &mut columns));
        let lanes = sources.iter().map(lane).collect();
        let rows = Rows::new(&request);
        let columns = columns.names;
        let (layouts, plans) = (Layouts::default(), Vec::new());
        Self { sources, request, class, columns, lanes, layouts, plans, rows, sought: None }
    }

    /// The same, where rules say nothing of rows of whose texts none has any of these, in whatever case: such a row is of no
    /// source. None of them may be in a number.
    pub fn only_with_any(self, needles: &BTreeSet<Needle>) -> Self {
        Self { sought: Some(Suspects::of_any(needles)), ..self }
    }

    /// The columns that batches should have; one that a table lacks is null.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str()).chain([MAPPING])
    }

    /// The rows that [`TableReader::read`] read last.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Forgets what was read, until more is.
    pub fn rest(&mut self) {
        self.rows.rest();
    }

    /// Reads a batch: a row for each of its rows, in their order.
    pub fn read(&mut self, batch: &RecordBatch) {
        self.rows.clear();
        let columns: Vec<Column> =
            self.columns.iter().map(|(name, leaf)| Column::new(batch.column_by_name(name), *leaf)).collect();
        let mappings = mappings(batch);
        let nowhere = self.rows.route_id(&Route { source: SourceId(u16::MAX), kind: 0, logsources: Vec::new() });
        let sources = self.sources.clone();
        let sought = self.sought.as_ref().map(|sought| sought.of(batch.num_rows(), columns.iter()));
        let mut suspects: Vec<Option<Vec<bool>>> = vec![None; self.lanes.len()];
        let (mut found, mut members) = (Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            if sought.as_ref().is_some_and(|sought| !sought[row]) {
                self.rows.end(nowhere);
                continue;
            }
            let source = mappings.get(row).map_or_else(|| sources.native(), |name| sources.named(name));
            let Some(source) = source.filter(|s| self.lanes[s.id.0 as usize].is_some()) else {
                self.rows.end(nowhere);
                continue;
            };
            found.clear();
            members.clear();
            let unmapped = match &columns[0] {
                Column::Json(texts) if texts.is_valid(row) => texts.value(row),
                _ => "{}",
            };
            members.extend(Members::of(unmapped));
            let suspect = sought.is_some() || {
                let suspects = suspects[source.id.0 as usize].get_or_insert_with(|| {
                    let keywords = self.lanes[source.id.0 as usize].as_ref().and_then(|lane| lane.keywords.as_ref());
                    keywords.map_or_else(Vec::new, |(at, s)| s.of(batch.num_rows(), at.iter().map(|at| &columns[*at])))
                });
                suspects.get(row).copied().unwrap_or(false)
            };
            self.row(source, row, &columns, &members, &mut found, suspect);
        }
    }

    fn row<'a>(
        &mut self,
        source: &Source,
        row: usize,
        columns: &'a [Column],
        members: &[(&'a str, &'a str)],
        found: &mut Vec<(u16, &'a str)>,
        suspect: bool,
    ) {
        let Some(lane) = &mut self.lanes[source.id.0 as usize] else { return };
        let layout = self.layouts.of(members);
        for step in self.layouts.layout(layout).steps((source.id, 0), &lane.trie, members) {
            let (key, raw) = members[step.member as usize];
            match step.field {
                Some(field) => found.push((field, raw)),
                None => lane.trie.enter(step.node, key, raw, &mut Found(found)),
            }
        }
        let fallbacks = found.iter().find(|(field, _)| *field as usize == lane.lane.names.len()).map(|(_, raw)| *raw);
        found.retain(|(field, _)| (*field as usize) < lane.lane.names.len());
        let get = |reads: &[Read]| reads.iter().find_map(|read| value(read, row, columns, &self.columns, fallbacks));

        let in_columns: Vec<(u16, Cell<'_>)> = lane
            .telling
            .iter()
            .filter(|(field, _)| found.iter().all(|(f, _)| f != field))
            .filter_map(|(field, reads)| Some((*field, get(reads)?)))
            .collect();
        let told = found.iter().map(|(field, raw)| (*field, Told::Json(raw)));
        let told = told.chain(in_columns.iter().map(|(field, value)| (*field, value.told())));
        let route = lane.lane.route_of(source, told, &mut self.rows);
        if self.plans.len() <= route.0 as usize {
            self.plans.resize_with(route.0 as usize + 1, || None);
        }
        let plan = self.plans[route.0 as usize].get_or_insert_with(|| {
            let plan = lane.lane.plan(source, &self.request, self.rows.route(route));
            let kind = self.rows.route(route).kind;
            let mut known = Columns { class: self.class, names: self.columns.clone() };
            let columns = if plan.keywords.is_some() { known.of_kind(source, kind) } else { Vec::new() };
            TablePlan {
                columns,
                plan,
                reads: lane.lane.names.iter().map(|f| reads(source, f, kind, &mut known)).collect(),
            }
        });

        plan.fill(&mut self.rows, found, &get);
        if let Some(keywords) = plan.plan.keywords.as_ref().filter(|_| suspect || plan.plan.narrow) {
            let all = keywords::Values { unmapped: members, columns: &plan.columns };
            all.add(&mut self.rows, keywords, |at| get(&[Read::Column(at)]));
        }
        self.rows.end(route);
    }
}

impl TablePlan {
    /// Gives a row its fields: what was found in `unmapped`, else what `get` reads of columns.
    fn fill<'a>(&self, rows: &mut Rows, found: &[(u16, &str)], get: &impl Fn(&[Read]) -> Option<Cell<'a>>) {
        for (field, raw) in found {
            if let Some(ix) = self.plan.wanted[*field as usize] {
                rows.add(ix, raw);
            }
        }
        for (ix, reads) in self.plan.wanted.iter().zip(&self.reads) {
            if let Some(ix) = ix.filter(|ix| !reads.is_empty() && !rows.has(*ix))
                && let Some(value) = get(reads)
            {
                add(rows, ix, value);
            }
        }
        for (vendor, ix) in &self.plan.aliases {
            if rows.has(*ix) {
                continue;
            }
            let values = found.iter().filter(|(field, _)| field == vendor);
            values.for_each(|(_, raw)| rows.add(*ix, raw));
            if !rows.has(*ix)
                && let Some(value) = get(&self.reads[*vendor as usize])
            {
                add(rows, *ix, value);
            }
        }
    }
}

impl TableLane {
    fn new(source: &Source, request: &FieldRequest, columns: &mut Columns) -> Self {
        let lane = Lane::new(source, request);
        let kinds: Vec<u16> =
            (0..source.kinds.len() as u16).filter(|kind| source.kinds[*kind as usize].class == columns.class).collect();
        // All columns are known before the first batch comes.
        let (mut telling, mut inside) = (Vec::new(), BTreeSet::new());
        for (field, name) in lane.names.iter().enumerate() {
            for kind in &kinds {
                let reads = reads(source, name, *kind, columns).into_iter();
                inside.extend(reads.filter_map(|r| matches!(r, Read::Inside(..)).then(|| r.column())));
            }
            if lane.tells(field as u16) {
                let homes = source.homes_of_any_kind(name, columns.class);
                telling.push((field as u16, homes.iter().filter_map(|home| columns.read(source, home)).collect()));
            }
        }
        let mut fields = lane.fields();
        fields.push((FALLBACKS, lane.names.len() as u16));
        let trie = Trie::nested(&fields);
        let keyword = request.fields.iter().position(|f| f == KEYWORDS);
        let uses: Vec<&FieldUse> = request.uses.iter().filter(|u| u.binding.source == source.id).collect();
        let keywords = keyword.filter(|ix| uses.iter().any(|u| u.fields.contains(&(*ix as u16)))).map(|ix| {
            let mut at = vec![0];
            for kind in &kinds {
                for (column, _) in columns.of_kind(source, *kind) {
                    if !at.contains(&column) {
                        at.push(column);
                    }
                }
            }
            (at, Suspects::new(ix as u16, &uses))
        });
        Self { lane, trie, telling, inside, keywords }
    }
}

/// The columns of one class that are read so far.
struct Columns {
    class: ClassUid,
    names: Vec<(String, LeafType)>,
}

impl Columns {
    /// The columns that hold values of a kind's events as the vendor wrote them, and of which fields.
    fn of_kind(&mut self, source: &Source, kind: u16) -> Vec<(usize, Vec<String>)> {
        let mut columns: Vec<(usize, Vec<String>)> = Vec::new();
        for field in source.placed(kind) {
            for home in source.homes_or_none(field, kind).iter() {
                let FieldHome::Column(_) = home else { continue };
                let Some(Read::Column(at)) = self.read(source, home) else { continue };
                match columns.iter_mut().find(|(known, _)| *known == at) {
                    Some((_, fields)) => fields.push(field.to_owned()),
                    None => columns.push((at, vec![field.to_owned()])),
                }
            }
        }
        columns
    }

    /// How a home is read; none where it cannot give the vendor's value back.
    fn read(&mut self, source: &Source, home: &FieldHome) -> Option<Read> {
        let (path, inner) = match home {
            FieldHome::Column(path) => (path, None),
            FieldHome::Inside(path, inner) => (path, Some(inner.clone())),
            FieldHome::Unmapped => return None,
        };
        let known = self.names.iter().position(|(name, _)| name == path);
        // A column that is known gives its own values.
        if known.is_none() || inner.is_some() {
            home.is_readable(self.class).then_some(())?;
        }
        let at = match known {
            Some(at) => at,
            None => {
                self.names.push((path.clone(), Schema::v1_8().leaf(self.class, path).ok()?.leaf_type));
                self.names.len() - 1
            }
        };
        Some(inner.map_or(Read::Column(at), |inner| Read::Inside(at, inner, source.has_dotted_keys())))
    }
}

fn reads(source: &Source, field: &str, kind: u16, columns: &mut Columns) -> Vec<Read> {
    source.homes_or_none(field, kind).iter().filter_map(|home| columns.read(source, home)).collect()
}

/// A row's value of a home.
fn value<'a>(
    read: &Read,
    row: usize,
    columns: &'a [Column],
    names: &[(String, LeafType)],
    fallbacks: Option<&str>,
) -> Option<Cell<'a>> {
    match read {
        Read::Column(at) => {
            let value = columns.get(*at)?.value(row)?;
            // What stands there for want of the field is no value of it.
            let stands_in = |list: &str| Members::of(list).any(|(_, raw)| json::text(raw) == names[*at].0);
            (!fallbacks.is_some_and(stands_in)).then_some(value)
        }
        Read::Inside(at, path, dotted) => inside(path, *dotted, columns.get(*at)?.value(row)?),
    }
}

/// What is at a path inside of a JSON text.
fn inside<'a>(path: &str, dotted: bool, whole: Cell<'a>) -> Option<Cell<'a>> {
    let Cell::Json(Cow::Borrowed(whole)) = whole else { return None };
    let mut all: Vec<&str> = Vec::new();
    let mut found = |raw| all.push(raw);
    match dotted {
        true => json::descend_dotted(whole, path, &mut found),
        false => json::descend(whole, path, &mut found),
    }
    match all.as_slice() {
        [] => None,
        [only] => Some(Cell::Json((*only).into())),
        several => Some(Cell::Json(format!("[{}]", several.join(",")).into())),
    }
}

fn add(rows: &mut Rows, field: super::FieldIx, value: Cell<'_>) {
    match value {
        Cell::Text(text) => rows.add_text(field, &text),
        Cell::Json(raw) => rows.add(field, &raw),
    }
}

/// The name of each row's mapping.
struct Mappings<'a> {
    lists: Option<(&'a arrow::array::ListArray, StringArray)>,
}

fn mappings(batch: &RecordBatch) -> Mappings<'_> {
    let lists = batch.column_by_name(MAPPING).and_then(|column| {
        let lists = column.as_list_opt::<i32>()?;
        let names = lists.values().as_struct_opt()?.column_by_name("name")?;
        let names = arrow::compute::cast(names, &arrow::datatypes::DataType::Utf8).ok()?;
        Some((lists, names.as_string::<i32>().clone()))
    });
    Mappings { lists }
}

impl Mappings<'_> {
    fn get(&self, row: usize) -> Option<&str> {
        let (lists, names) = self.lists.as_ref()?;
        let first = lists.value_offsets()[row] as usize;
        (lists.is_valid(row) && lists.value_length(row) > 0 && names.is_valid(first)).then(|| names.value(first))
    }
}
