//! Rows of class tables whose members of `unmapped` are columns, texts as views: what repeats in a batch is looked up once.
//!
//! The rows are those that [`super::TableReader`] makes of the same table, but for keywords, which it does not search.

use super::column::{Cell, Column};
use super::{Columns, MAPPING, Read, TableLane, TablePlan, UNMAPPED, inside, mappings, reads};
use crate::fields::{FieldIx, FieldRequest, Found, RouteId, Rows};
use crate::json::{self, Members};
use crate::layout::Layouts;
use crate::mapper::FALLBACKS;
use crate::source::{Route, Source, SourceId, Sources};
use ahash::AHashMap;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeSet;
use std::sync::Arc;
use tarn_schema_ocsf::{ClassUid, LeafType};

/// How a table names the columns of members.
#[derive(Clone, Copy, Debug)]
pub struct MemberColumns {
    /// Those that have no column of their own, as one object.
    pub rest: &'static str,
    /// The column of a member, by its name.
    pub of: fn(&str) -> String,
}

/// No number.
const UNKNOWN: u32 = u32::MAX;
/// No text's view: an empty text's has no more than its length.
const NO_VIEW: u128 = u128::MAX;
/// Distinct values that tell routes which are remembered: they come from outside.
const TOLD_MAX: usize = 1 << 16;

/// Reads batches of one class table. One a thread.
pub struct MemberReader {
    sources: Arc<Sources>,
    request: FieldRequest,
    class: ClassUid,
    /// As [`super::TableReader`] has them; the first, `unmapped`, is not read.
    placed: Vec<(String, LeafType)>,
    /// Of the placed ones, which are read as they are: values inside of them are looked for.
    whole: BTreeSet<usize>,
    /// The columns of members, behind the placed ones; the first is the rest.
    members: Vec<String>,
    lanes: Vec<Option<MemberLane>>,
    layouts: Layouts,
    plans: Vec<Option<MemberPlan>>,
    rows: Rows,
    /// Where the columns are in batches of this schema.
    at: Option<(SchemaRef, Vec<Option<usize>>)>,
    /// By column, what the views of the batch before point into.
    pointed: Vec<Vec<Buffer>>,
    codes: Vec<Codes>,
    told: Told,
    /// By a list of columns that stand in for fields, which columns these are.
    standing: AHashMap<Box<str>, Arc<[usize]>>,
}

struct MemberLane {
    table: TableLane,
    /// By the lane's field, its member's column.
    columns: Vec<Option<usize>>,
    /// The column of the list of columns that fallbacks filled.
    fallbacks: usize,
    /// For each field that tells the route, the columns where it may be; none where one may be inside of a column.
    telling: Option<Vec<Vec<usize>>>,
    /// Routes by what tells them.
    routes: AHashMap<Box<[u32]>, RouteId>,
}

/// What a row's columns say of its route.
enum Quick {
    Known(RouteId),
    /// It is not known yet by these values.
    New(Box<[u32]>),
    /// Not all that tells it are texts of columns.
    Elsewhere,
}

/// Where one requested field of a route's rows is.
struct Fetch {
    field: FieldIx,
    /// The lane's field.
    of: u16,
    /// Its columns, the first that has a value counts; with the numbers of their codes.
    columns: Vec<(usize, usize)>,
    /// What no column has as it is.
    inside: Vec<Read>,
    /// Stands in, where the row has no value of the field so far.
    is_alias: bool,
}

struct MemberPlan {
    fetches: Vec<Fetch>,
}

/// For the values of one column, their codes as one field.
struct Codes {
    column: usize,
    field: FieldIx,
    /// Whether its values are JSON texts.
    is_json: bool,
    /// By view: a dictionary's value has the same one in all rows.
    of: AHashMap<u128, u32>,
    last: (u128, u32),
    /// The epoch of the field's dictionary.
    epoch: u64,
}

/// Numbers of values that tell routes.
#[derive(Default)]
struct Told {
    numbers: AHashMap<(bool, Box<str>), u32>,
    /// By column, the numbers of values, by view.
    of: Vec<AHashMap<u128, u32>>,
}

/// A column of the batch at hand.
enum Held {
    Texts(StringViewArray),
    Other(Column),
}

impl Held {
    fn new(array: Option<&ArrayRef>, leaf: LeafType) -> Self {
        let Some(array) = array.filter(|array| array.null_count() < array.len()) else {
            return Self::Other(Column::Absent);
        };
        match array.as_string_view_opt() {
            Some(texts) => Self::Texts(texts.clone()),
            None => Self::Other(Column::new(Some(array), leaf)),
        }
    }

    /// The view of a row's text.
    #[inline]
    fn view(&self, row: usize) -> Option<u128> {
        match self {
            Self::Texts(texts) if texts.is_valid(row) => Some(texts.views()[row]),
            _ => None,
        }
    }

    /// Whether views are those of the batch before, into the same buffers, which are held so that no others take their place.
    fn points_into(&self, held: &mut Vec<Buffer>) -> bool {
        let now = if let Self::Texts(texts) = self { texts.data_buffers() } else { &[] };
        let is_same = |(a, b): (&Buffer, &Buffer)| (a.as_ptr(), a.len()) == (b.as_ptr(), b.len());
        let same = held.len() == now.len() && held.iter().zip(now).all(is_same);
        if !same {
            *held = now.to_vec();
        }
        same
    }

    fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Texts(texts) => texts.is_valid(row).then(|| texts.value(row)),
            Self::Other(_) => None,
        }
    }
}

impl MemberReader {
    /// A reader of one class's rows for what rules ask for, but for keywords.
    pub fn new(sources: Arc<Sources>, request: FieldRequest, class: ClassUid, names: MemberColumns) -> Self {
        let mut columns = Columns { class, names: vec![(UNMAPPED.to_owned(), LeafType::Json)] };
        let asked = |source: &Source| request.uses.iter().any(|u| u.binding.source == source.id);
        let lane = |source: &Source| asked(source).then(|| TableLane::new(source, &request, &mut columns));
        let tables: Vec<Option<TableLane>> = sources.iter().map(lane).collect();
        let placed = columns.names;
        let mut members = vec![names.rest.to_owned(), (names.of)(FALLBACKS)];
        let mut column = |name: &str| {
            let name = (!name.contains('.')).then(|| (names.of)(name))?;
            let at = members.iter().position(|known| *known == name).unwrap_or_else(|| {
                members.push(name);
                members.len() - 1
            });
            Some(placed.len() + at)
        };
        let fallbacks = placed.len() + 1;
        let mut lane = |table: TableLane| {
            let columns: Vec<Option<usize>> = table.lane.names.iter().map(|name| column(name)).collect();
            let telling = table.telling.iter().map(|(field, reads)| {
                let placed = reads.iter().map(|read| if let Read::Column(at) = read { Some(*at) } else { None });
                columns[*field as usize].into_iter().map(Some).chain(placed).collect::<Option<Vec<usize>>>()
            });
            let telling = telling.collect();
            MemberLane { table, columns, fallbacks, telling, routes: AHashMap::new() }
        };
        let lanes: Vec<Option<MemberLane>> = tables.into_iter().map(|table| table.map(&mut lane)).collect();
        let whole = lanes.iter().flatten().flat_map(|lane| lane.table.inside.iter().copied()).collect();
        let told = Told { of: vec![AHashMap::new(); placed.len() + members.len()], ..Told::default() };
        let rows = Rows::new(&request);
        Self {
            sources,
            request,
            class,
            placed,
            whole,
            members,
            lanes,
            layouts: Layouts::default(),
            plans: Vec::new(),
            rows,
            at: None,
            pointed: vec![Vec::new(); told.of.len()],
            codes: Vec::new(),
            told,
            standing: AHashMap::new(),
        }
    }

    /// The columns that batches should have; one that a table lacks is null.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let placed = self.placed.iter().skip(1).map(|(name, _)| name.as_str());
        placed.chain(self.members.iter().map(String::as_str)).chain([MAPPING])
    }

    /// Those of them that should be views.
    pub fn views(&self) -> impl Iterator<Item = &str> {
        let placed = self.placed.iter().enumerate().skip(1);
        let placed = placed.filter(|(at, (_, leaf))| *leaf != LeafType::Json && !self.whole.contains(at));
        placed.map(|(_, (name, _))| name.as_str()).chain(self.members.iter().map(String::as_str))
    }

    /// The rows that [`MemberReader::read`] read last.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Forgets what was read, until more is.
    pub fn rest(&mut self) {
        self.rows.rest();
        self.pointed.fill(Vec::new());
        self.codes.iter_mut().for_each(Codes::rest);
        self.told.of.fill(AHashMap::new());
    }

    /// Reads a batch: a row for each of its rows, in their order.
    pub fn read(&mut self, batch: &RecordBatch) {
        self.rows.begin();
        let held = self.held(batch);
        for (at, held) in held.iter().enumerate() {
            if !held.points_into(&mut self.pointed[at]) {
                self.codes.iter_mut().filter(|codes| codes.column == at).for_each(Codes::forget);
                self.told.of[at].clear();
            }
        }
        for codes in &mut self.codes {
            codes.is_of(self.rows.dictionary(codes.field).epoch());
        }
        let mappings = mappings(batch);
        let nowhere = self.rows.route_id(&Route { source: SourceId(u16::MAX), kind: 0, logsources: Vec::new() });
        let sources = self.sources.clone();
        let mut last: (Option<&str>, Option<&Source>) = (None, sources.native());
        for row in 0..batch.num_rows() {
            let name = mappings.get(row);
            if name != last.0 {
                last = (name, name.map_or_else(|| sources.native(), |name| sources.named(name)));
            }
            match last.1.filter(|source| self.lanes[source.id.0 as usize].is_some()) {
                Some(source) => self.row(source, row, &held),
                None => self.rows.end(nowhere),
            }
        }
    }

    /// The columns of a batch; the first, `unmapped`, is not read.
    fn held(&mut self, batch: &RecordBatch) -> Vec<Held> {
        let placed = self.placed.iter().map(|(name, leaf)| (name.as_str(), *leaf));
        let members = self.members.iter().map(|name| (name.as_str(), LeafType::Json));
        let columns = || placed.clone().chain(members.clone()).skip(1);
        let schema = batch.schema_ref();
        if self.at.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, schema)) {
            let at = columns().map(|(name, _)| schema.index_of(name).ok()).collect();
            self.at = Some((Arc::clone(schema), at));
        }
        let at = self.at.iter().flat_map(|(_, at)| at);
        let held = at.zip(columns()).map(|(at, (_, leaf))| Held::new(at.map(|at| batch.column(at)), leaf));
        std::iter::once(Held::Other(Column::Absent)).chain(held).collect()
    }

    fn row(&mut self, source: &Source, row: usize, held: &[Held]) {
        let Some(lane) = &mut self.lanes[source.id.0 as usize] else { return };
        let rest = held[self.placed.len()].text(row);
        let mut found: Vec<(u16, &str)> = Vec::new();
        if let Some(rest) = rest {
            let members: Vec<(&str, &str)> = Members::of(rest).collect();
            let layout = self.layouts.of(&members);
            for step in self.layouts.layout(layout).steps((source.id, 0), &lane.table.trie, &members) {
                let (key, raw) = members[step.member as usize];
                match step.field {
                    Some(field) => found.push((field, raw)),
                    None => lane.table.trie.enter(step.node, key, raw, &mut Found(&mut found)),
                }
            }
        }
        let fields = lane.table.lane.names.len();
        let list = found.iter().find(|(field, _)| *field as usize == fields).map(|(_, raw)| *raw);
        let list = list.or_else(|| held[lane.fallbacks].text(row));
        found.retain(|(field, _)| (*field as usize) < fields);
        let standing = list.map(|list| match self.standing.get(list) {
            Some(known) => Arc::clone(known),
            None => {
                let of: Vec<String> = Members::of(list).map(|(_, raw)| json::text(raw).into_owned()).collect();
                let of = self.placed.iter().enumerate().filter(|(_, (name, _))| of.contains(name)).map(|(at, _)| at);
                let of: Arc<[usize]> = of.collect();
                if self.standing.len() < TOLD_MAX {
                    self.standing.insert(list.into(), Arc::clone(&of));
                }
                of
            }
        });
        let stands_in = |at: usize| standing.as_ref().is_some_and(|standing| standing.contains(&at));

        let quick = match found.is_empty() {
            true => lane.route(row, held, &mut self.told, &stands_in),
            false => Quick::Elsewhere,
        };
        let route = match quick {
            Quick::Known(route) => route,
            Quick::New(key) if lane.routes.len() < TOLD_MAX => {
                let route = slow_route(lane, source, row, held, &found, &stands_in, &mut self.rows);
                lane.routes.insert(key, route);
                route
            }
            Quick::New(_) | Quick::Elsewhere => slow_route(lane, source, row, held, &found, &stands_in, &mut self.rows),
        };
        if self.plans.len() <= route.0 as usize {
            self.plans.resize_with(route.0 as usize + 1, || None);
        }
        let plan = self.plans[route.0 as usize].get_or_insert_with(|| {
            let mut known = Columns { class: self.class, names: self.placed.clone() };
            let plan = lane.table.lane.plan(source, &self.request, self.rows.route(route));
            let kind = self.rows.route(route).kind;
            let reads = lane.table.lane.names.iter().map(|f| reads(source, f, kind, &mut known)).collect();
            MemberPlan::new(&TablePlan { plan, reads, columns: Vec::new() }, lane, &mut self.codes)
        });
        for fetch in &plan.fetches {
            fetch.add(row, held, &found, &stands_in, &mut self.codes, &mut self.rows);
        }
        self.rows.end(route);
    }
}

/// The route of a row, told by texts.
fn slow_route(
    lane: &mut MemberLane,
    source: &Source,
    row: usize,
    held: &[Held],
    found: &[(u16, &str)],
    stands_in: &impl Fn(usize) -> bool,
    rows: &mut Rows,
) -> RouteId {
    use crate::fields::lane::Told;
    let placed = |read: &Read| placed_value(read, row, held, stands_in);
    let telling = lane.table.telling.iter().filter(|(field, _)| found.iter().all(|(f, _)| f != field));
    let telling = telling.filter_map(|(field, reads)| {
        let member = lane.columns[*field as usize].and_then(|at| held[at].text(row));
        let value = member.map(|raw| Cell::Json(raw.into()));
        Some((*field, value.or_else(|| reads.iter().find_map(placed))?))
    });
    let telling: Vec<(u16, Cell<'_>)> = telling.collect();
    let told = found.iter().map(|(field, raw)| (*field, Told::Json(raw)));
    let told = told.chain(telling.iter().map(|(field, value)| (*field, value.told())));
    lane.table.lane.route_of(source, told, rows)
}

/// A row's value where a placement put it.
fn placed_value<'a>(read: &Read, row: usize, held: &'a [Held], stands_in: &impl Fn(usize) -> bool) -> Option<Cell<'a>> {
    match (read, &held[read.column()]) {
        (Read::Column(at), Held::Texts(..)) => {
            let text = held[*at].text(row).filter(|_| !stands_in(*at))?;
            Some(Cell::Text(text.into()))
        }
        (Read::Column(at), Held::Other(column)) => column.value(row).filter(|_| !stands_in(*at)),
        (Read::Inside(_, path, dotted), Held::Other(column)) => inside(path, *dotted, column.value(row)?),
        (Read::Inside(..), Held::Texts(..)) => None,
    }
}

impl MemberLane {
    /// The route that a row's columns tell.
    fn route(&self, row: usize, held: &[Held], told: &mut Told, stands_in: &impl Fn(usize) -> bool) -> Quick {
        let mut key = [UNKNOWN; 16];
        let Some(telling) = self.telling.as_ref().filter(|telling| telling.len() <= key.len()) else {
            return Quick::Elsewhere;
        };
        for (columns, part) in telling.iter().zip(key.iter_mut()) {
            for at in columns {
                match &held[*at] {
                    Held::Other(Column::Absent) => {}
                    Held::Other(_) => return Quick::Elsewhere,
                    Held::Texts(texts) => {
                        if let Some(view) = held[*at].view(row).filter(|_| !stands_in(*at)) {
                            // Members' columns are behind the placed ones.
                            let is_json = *at + 1 >= self.fallbacks;
                            let Some(number) = told.number((*at, view), || (is_json, texts.value(row))) else {
                                return Quick::Elsewhere;
                            };
                            *part = number;
                            break;
                        }
                    }
                }
            }
        }
        let key = &key[..telling.len()];
        self.routes.get(key).map_or_else(|| Quick::New(key.into()), |route| Quick::Known(*route))
    }
}

impl Told {
    /// The number of a column's text; none where there are too many.
    fn number<'a>(&mut self, of: (usize, u128), text: impl FnOnce() -> (bool, &'a str)) -> Option<u32> {
        if let Some(known) = self.of[of.0].get(&of.1) {
            return Some(*known);
        }
        let (is_json, text) = text();
        let next = self.numbers.len() as u32;
        if self.numbers.len() >= TOLD_MAX {
            return None;
        }
        let number = *self.numbers.entry((is_json, text.into())).or_insert(next);
        self.of[of.0].insert(of.1, number);
        Some(number)
    }
}

impl MemberPlan {
    fn new(plan: &TablePlan, lane: &MemberLane, codes: &mut Vec<Codes>) -> Self {
        let mut fetch = |field: FieldIx, of: u16, is_alias: bool| {
            let mut code = |column: usize| {
                let at = codes.iter().position(|c| c.column == column && c.field == field).unwrap_or_else(|| {
                    let is_json = Some(column) == lane.columns[of as usize];
                    codes.push(Codes { column, field, is_json, of: AHashMap::new(), last: (NO_VIEW, 0), epoch: 0 });
                    codes.len() - 1
                });
                (column, at)
            };
            let reads = &plan.reads[of as usize];
            let placed = reads.iter().filter_map(|read| if let Read::Column(at) = read { Some(*at) } else { None });
            let columns = lane.columns[of as usize].into_iter().chain(placed).map(&mut code).collect();
            let inside = reads.iter().filter(|read| matches!(read, Read::Inside(..))).cloned().collect();
            Fetch { field, of, columns, inside, is_alias }
        };
        let wanted = plan.plan.wanted.iter().enumerate().filter_map(|(of, ix)| Some((of as u16, (*ix)?)));
        let mut fetches: Vec<Fetch> = wanted.map(|(of, ix)| fetch(ix, of, false)).collect();
        fetches.extend(plan.plan.aliases.iter().map(|(of, ix)| fetch(*ix, *of, true)));
        Self { fetches }
    }
}

impl Fetch {
    fn add(
        &self,
        row: usize,
        held: &[Held],
        found: &[(u16, &str)],
        stands_in: &impl Fn(usize) -> bool,
        codes: &mut [Codes],
        rows: &mut Rows,
    ) {
        if self.is_alias && rows.has(self.field) {
            return;
        }
        if found.iter().any(|(field, _)| *field == self.of) {
            let values = found.iter().filter(|(field, _)| *field == self.of);
            return values.for_each(|(_, raw)| rows.add(self.field, raw));
        }
        for (at, of) in &self.columns {
            match &held[*at] {
                Held::Texts(texts) => {
                    let Some(view) = held[*at].view(row).filter(|_| !stands_in(*at)) else { continue };
                    let code = codes[*of].code(view, || texts.value(row), rows);
                    return rows.add_code(self.field, code);
                }
                Held::Other(column) => {
                    if let Some(value) = column.value(row).filter(|_| !stands_in(*at)) {
                        return super::add(rows, self.field, value);
                    }
                }
            }
        }
        if let Some(value) = self.inside.iter().find_map(|read| placed_value(read, row, held, stands_in)) {
            super::add(rows, self.field, value);
        }
    }
}

impl Codes {
    fn forget(&mut self) {
        self.of.clear();
        self.last = (NO_VIEW, 0);
    }

    fn rest(&mut self) {
        (self.of, self.last) = (AHashMap::new(), (NO_VIEW, 0));
    }

    /// Forgets codes of another epoch of the dictionary.
    fn is_of(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.forget();
            self.epoch = epoch;
        }
    }

    #[inline]
    fn code<'a>(&mut self, view: u128, text: impl FnOnce() -> &'a str, rows: &mut Rows) -> u32 {
        if self.last.0 != view {
            let (field, is_json) = (self.field, self.is_json);
            let code = *self.of.entry(view).or_insert_with(|| rows.code(field, text(), is_json));
            self.last = (view, code);
        }
        self.last.1
    }
}
