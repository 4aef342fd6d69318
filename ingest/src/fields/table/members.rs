//! Rows of class tables whose members of `unmapped` are columns, texts as numbers of values: what repeats is looked up once.
//!
//! The rows are those that [`super::TableReader`] makes of the same table, but for keywords, which it does not search.
//! Rows that say the same in all columns that tell routes are told apart column by column ([`Alike`]), and read column by
//! column. Only those whose rest has something to say are read one by one.

use super::column::{Cell, Column};
use super::{Columns, MAPPING, Mappings, Read, TableLane, TablePlan, UNMAPPED, inside, mappings, reads};
use crate::fields::{FieldIx, FieldRequest, Found, NO_CODE, RouteId, Rows};
use crate::json::{self, Members};
use crate::layout::Layouts;
use crate::mapper::FALLBACKS;
use crate::source::{Route, Source, SourceId, Sources};
use ahash::AHashMap;
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Int32Type, SchemaRef};
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
/// Pairs of a number and a value that rows of one batch are told apart by.
const PAIRS_MAX: usize = 1 << 16;
/// Distinct values that tell routes which are remembered: they come from outside. So do lists of columns that stand in.
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
    /// By column, the values that its numbers in the batch before stood for.
    values: Vec<Option<ArrayRef>>,
    codes: Vec<Codes>,
    told: Told,
    standing: Standing,
    groups: Groups,
    alike: Alike,
}

/// Rows of a batch, by what they say in some columns: those of one number are of one route.
#[derive(Default)]
struct Alike {
    /// The columns: those that tell routes, and the one of lists of columns that stand in.
    columns: Vec<usize>,
    /// By row; [`UNKNOWN`] where the row is like no other.
    numbers: Vec<u32>,
    /// How many numbers there are.
    count: usize,
    /// Whether every row has one.
    are_numbered: bool,
    /// Scratch: by number so far and value, the number with that value.
    next: Vec<u32>,
    /// By number, what a row of it was found to be.
    of: Vec<Option<Known>>,
}

/// What rows of one number are.
#[derive(Clone, Copy)]
struct Known {
    route: RouteId,
    /// Their group; none where no rule asks for the source.
    group: Option<usize>,
}

/// Rows of a batch that have one route, and whose columns say the same.
#[derive(Default)]
struct Groups {
    /// By source, route and the number of the columns that stand in.
    numbers: AHashMap<(SourceId, RouteId, u32), usize>,
    rows: Vec<Vec<u32>>,
}

/// Columns that stand in for fields, by a list of them that rows have.
struct Standing {
    numbers: AHashMap<Box<str>, u32>,
    /// By the value's number in the column of lists.
    of_values: Vec<u32>,
    /// By number; the first are none.
    of: Vec<Arc<[usize]>>,
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
    /// By the value's number.
    of: Vec<u32>,
    /// By value, where the column has numbers.
    of_numbers: AHashMap<i64, u32>,
    /// The epoch of the field's dictionary.
    epoch: u64,
}

/// Numbers of values that tell routes.
#[derive(Default)]
struct Told {
    numbers: AHashMap<(bool, Box<str>), u32>,
    /// By column, the numbers of values, by the value's number there.
    of: Vec<Vec<u32>>,
}

/// A column of the batch at hand.
enum Held {
    /// Of each row, the number of its value.
    Texts(Int32Array, StringViewArray),
    Other(Column),
}

impl Held {
    fn new(array: Option<&ArrayRef>, leaf: LeafType) -> Self {
        let Some(array) = array.filter(|array| array.null_count() < array.len()) else {
            return Self::Other(Column::Absent);
        };
        let coded = array.as_dictionary_opt::<Int32Type>();
        match coded.and_then(|coded| Some((coded.keys(), coded.values().as_string_view_opt()?))) {
            Some((keys, values)) => Self::Texts(keys.clone(), values.clone()),
            None => Self::Other(Column::new(Some(array), leaf)),
        }
    }

    /// The number of a row's value.
    #[inline]
    fn number(&self, row: usize) -> Option<usize> {
        match self {
            Self::Texts(numbers, _) if numbers.is_valid(row) => Some(numbers.values()[row] as usize),
            _ => None,
        }
    }

    fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Texts(_, values) => self.number(row).map(|number| values.value(number)),
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
        let told = Told { of: vec![Vec::new(); placed.len() + members.len()], ..Told::default() };
        let mut alike = Alike { columns: vec![fallbacks], ..Alike::default() };
        alike.columns.extend(lanes.iter().flatten().flat_map(|lane| lane.telling.iter().flatten().flatten()));
        alike.columns.sort_unstable();
        alike.columns.dedup();
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
            values: vec![None; told.of.len()],
            codes: Vec::new(),
            told,
            standing: Standing::default(),
            groups: Groups::default(),
            alike,
        }
    }

    /// The columns that batches should have; one that a table lacks is null.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let placed = self.placed.iter().skip(1).map(|(name, _)| name.as_str());
        placed.chain(self.members.iter().map(String::as_str)).chain([MAPPING])
    }

    /// Those of them that should be `Dictionary(Int32, Utf8View)`, whose values may repeat.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
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
        self.values.fill(None);
        self.codes.iter_mut().for_each(Codes::rest);
        self.told.of.fill(Vec::new());
        self.standing.of_values.clear();
    }

    /// Reads a batch: a row for each of its rows, in their order.
    pub fn read(&mut self, batch: &RecordBatch) {
        self.rows.begin();
        let held = self.held(batch);
        for codes in &mut self.codes {
            codes.is_of(self.rows.dictionary(codes.field).epoch());
        }
        let mappings = mappings(batch);
        let nowhere = self.rows.route_id(&Route { source: SourceId(u16::MAX), kind: 0, logsources: Vec::new() });
        let sources = self.sources.clone();
        let mut alike = std::mem::take(&mut self.alike);
        alike.tell_apart(&held, self.placed.len(), batch.num_rows(), &mappings);
        for row in 0..batch.num_rows() {
            let number = alike.numbers[row] as usize;
            if let Some(Some(known)) = alike.of.get(number) {
                if let Some(group) = known.group {
                    self.groups.rows[group].push(row as u32);
                }
                self.rows.end(known.route);
                continue;
            }
            let source = mappings.get(row).map_or_else(|| sources.native(), |name| sources.named(name));
            let known = match source.filter(|source| self.lanes[source.id.0 as usize].is_some()) {
                Some(source) => self.row(source, row, &held),
                None => {
                    self.rows.end(nowhere);
                    Some(Known { route: nowhere, group: None })
                }
            };
            if let Some(of) = alike.of.get_mut(number) {
                *of = known;
            }
            // Numbers are given to rows as they come: behind the first row of the last one all are known.
            if number + 1 == alike.of.len()
                && let Some(known) = alike.all_known()
            {
                let behind = &alike.numbers[row + 1..];
                self.groups.add_all(&known, behind, row + 1);
                self.rows.end_all(behind.iter().map(|number| known[*number as usize].route));
                break;
            }
        }
        self.alike = alike;
        let mut groups = std::mem::take(&mut self.groups);
        for ((source, route, standing), number) in groups.numbers.drain() {
            let standing = Arc::clone(&self.standing.of[standing as usize]);
            self.plan(sources.source(source), route);
            let Some(plan) = &self.plans[route.0 as usize] else { continue };
            for fetch in &plan.fetches {
                fetch.add_all(&groups.rows[number], &held, &standing, &mut self.codes, &mut self.rows);
            }
            groups.rows[number].clear();
        }
        self.groups = groups;
    }

    /// The columns of a batch; the first, `unmapped`, is not read.
    fn held(&mut self, batch: &RecordBatch) -> Vec<Held> {
        let placed = self.placed.iter().map(|(name, leaf)| (name.as_str(), *leaf));
        let members = self.members.iter().map(|name| (name.as_str(), LeafType::Json));
        let columns = || placed.clone().chain(members.clone()).skip(1);
        let schema = batch.schema_ref();
        if self.at.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, schema)) {
            let at = columns().map(|(name, _)| Some(schema.column_with_name(name)?.0)).collect();
            self.at = Some((Arc::clone(schema), at));
        }
        let at = self.at.iter().flat_map(|(_, at)| at);
        let mut held = vec![Held::Other(Column::Absent)];
        for ((at, (_, leaf)), column) in at.zip(columns()).zip(1..) {
            let array = at.map(|at| batch.column(at));
            held.push(Held::new(array, leaf));
            let values = match (&held[column], array.and_then(|array| array.as_any_dictionary_opt())) {
                (Held::Texts(..), Some(coded)) => coded.values(),
                // What was known of others' values stays, for the next batch that has some.
                _ => continue,
            };
            if !self.values[column].as_ref().is_some_and(|known| Arc::ptr_eq(known, values)) {
                // They are held, so that no others take their place.
                self.values[column] = Some(Arc::clone(values));
                self.codes.iter_mut().filter(|codes| codes.column == column).for_each(|codes| codes.of.clear());
                self.told.of[column].clear();
                if column == self.placed.len() + 1 {
                    self.standing.of_values.clear();
                }
            }
        }
        held
    }

    /// Reads a row, and says what it is where all rows that say the same in the columns of [`Alike`] are that.
    fn row(&mut self, source: &Source, row: usize, held: &[Held]) -> Option<Known> {
        let lane = self.lanes[source.id.0 as usize].as_mut()?;
        let mut found: Vec<(u16, &str)> = Vec::new();
        if let Some(rest) = held[self.placed.len()].text(row) {
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
        found.retain(|(field, _)| (*field as usize) < fields);
        let number = match list {
            Some(list) => self.standing.number(list, &self.placed),
            None => self.standing.number_of(row, &held[lane.fallbacks], &self.placed),
        };
        let unnumbered = || standing(list.or_else(|| held[lane.fallbacks].text(row)).unwrap_or_default(), &self.placed);
        let unnumbered = if number.is_none() { unnumbered() } else { Arc::default() };
        let columns = number.map_or(&*unnumbered, |number| &*self.standing.of[number as usize]);
        let stands_in = |at: usize| columns.contains(&at);

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
        let is_told = lane.telling.is_some();
        let group = match number.filter(|_| found.is_empty()) {
            Some(number) => Some(self.groups.add((source.id, route, number), row)),
            None => {
                let columns = number.map_or(unnumbered, |number| Arc::clone(&self.standing.of[number as usize]));
                let stands_in = |at: usize| columns.contains(&at);
                self.plan(source, route);
                let fetches = self.plans[route.0 as usize].iter().flat_map(|plan| &plan.fetches);
                fetches.for_each(|f| f.add(row, held, &found, &stands_in, &mut self.codes, &mut self.rows));
                None
            }
        };
        self.rows.end(route);
        group.filter(|_| is_told).map(|group| Known { route, group: Some(group) })
    }

    /// Makes the plan of a route.
    fn plan(&mut self, source: &Source, route: RouteId) {
        if self.plans.len() <= route.0 as usize {
            self.plans.resize_with(route.0 as usize + 1, || None);
        }
        let (plan, lane) = (&mut self.plans[route.0 as usize], &self.lanes[source.id.0 as usize]);
        if let (None, Some(lane)) = (&plan, lane) {
            let mut known = Columns { class: self.class, names: self.placed.clone() };
            let of_route = lane.table.lane.plan(source, &self.request, self.rows.route(route));
            let kind = self.rows.route(route).kind;
            let reads = lane.table.lane.names.iter().map(|f| reads(source, f, kind, &mut known)).collect();
            let table = TablePlan { plan: of_route, reads, columns: Vec::new() };
            *plan = Some(MemberPlan::new(&table, lane, &mut self.codes));
        }
    }
}

impl Alike {
    /// Numbers the rows of a batch. The column behind the placed ones is the rest.
    fn tell_apart(&mut self, held: &[Held], rest: usize, rows: usize, mappings: &Mappings<'_>) {
        self.numbers.clear();
        self.numbers.resize(rows, 0);
        self.count = 1;
        let (mut names, mut last) = (AHashMap::new(), (None, 0));
        let by_name = |row: usize| {
            let (name, next) = (mappings.get(row), names.len());
            if last.0 != Some(name) {
                last = (Some(name), *names.entry(name).or_insert(next));
            }
            last.1
        };
        // Every row may name another mapping.
        let mut are_told = self.add(rows, by_name);
        for at in &self.columns.clone() {
            are_told &= match &held[*at] {
                Held::Other(Column::Absent) => true,
                Held::Other(_) => false,
                Held::Texts(numbers, _) if only_number(numbers).is_some() => true,
                Held::Texts(numbers, values) => {
                    let (all, nulls) = (numbers.values(), numbers.nulls());
                    let is_valid = |row| nulls.is_none_or(|nulls| nulls.is_valid(row));
                    self.add(values.len() + 1, |row| if is_valid(row) { all[row] as usize + 1 } else { 0 })
                }
            };
        }
        let has_rest = !matches!(held[rest], Held::Other(Column::Absent));
        self.are_numbered = are_told && !has_rest;
        match &held[rest] {
            Held::Texts(rests, _) if are_told => {
                let numbers = self.numbers.iter_mut().enumerate().filter(|(row, _)| rests.is_valid(*row));
                numbers.for_each(|(_, number)| *number = UNKNOWN);
            }
            _ if !self.are_numbered => self.numbers.fill(UNKNOWN),
            _ => {}
        }
        self.of.clear();
        self.of.resize(self.count, None);
    }

    /// What rows of each number are, once that is known, where every row has one.
    fn all_known(&self) -> Option<Vec<Known>> {
        self.of.last().filter(|last| last.is_some() && self.are_numbered)?;
        self.of.iter().copied().collect()
    }

    /// Tells rows apart also by what each has of `values` values; whether it does.
    fn add(&mut self, values: usize, mut value: impl FnMut(usize) -> usize) -> bool {
        let pairs = self.count.saturating_mul(values);
        if pairs > PAIRS_MAX {
            return false;
        }
        self.next.clear();
        self.next.resize(pairs, UNKNOWN);
        self.count = 0;
        for (row, number) in self.numbers.iter_mut().enumerate() {
            let next = &mut self.next[*number as usize * values + value(row)];
            if *next == UNKNOWN {
                *next = self.count as u32;
                self.count += 1;
            }
            *number = *next;
        }
        true
    }
}

impl Groups {
    /// Adds rows, the first at `first`, by their numbers.
    fn add_all(&mut self, known: &[Known], numbers: &[u32], first: usize) {
        if let [known] = known {
            let rows = first as u32..(first + numbers.len()) as u32;
            return known.group.into_iter().for_each(|group| self.rows[group].extend(rows.clone()));
        }
        for (number, row) in numbers.iter().zip(first as u32..) {
            if let Some(group) = known[*number as usize].group {
                self.rows[group].push(row);
            }
        }
    }

    /// Adds a row, and says to which group.
    fn add(&mut self, of: (SourceId, RouteId, u32), row: usize) -> usize {
        let next = self.numbers.len();
        let number = *self.numbers.entry(of).or_insert(next);
        if self.rows.len() <= number {
            self.rows.resize_with(number + 1, Vec::new);
        }
        self.rows[number].push(row as u32);
        number
    }
}

impl Default for Standing {
    fn default() -> Self {
        Self { numbers: AHashMap::new(), of_values: Vec::new(), of: vec![Arc::from([])] }
    }
}

impl Standing {
    /// The number of a list, not 0, which is that of no list; none where there are too many.
    fn number(&mut self, list: &str, placed: &[(String, LeafType)]) -> Option<u32> {
        if let Some(known) = self.numbers.get(list) {
            return Some(*known);
        }
        if self.of.len() >= TOLD_MAX {
            return None;
        }
        let number = self.of.len() as u32;
        self.of.push(standing(list, placed));
        self.numbers.insert(list.into(), number);
        Some(number)
    }

    /// The number of a row's list in the column of lists.
    #[inline]
    fn number_of(&mut self, row: usize, lists: &Held, placed: &[(String, LeafType)]) -> Option<u32> {
        let (Held::Texts(_, values), Some(value)) = (lists, lists.number(row)) else { return Some(0) };
        match self.of_values.get(value) {
            Some(number) if *number != UNKNOWN => Some(*number),
            _ => {
                let number = self.number(values.value(value), placed)?;
                self.of_values.resize(values.len(), UNKNOWN);
                self.of_values[value] = number;
                Some(number)
            }
        }
    }
}

/// The columns that a list names.
fn standing(list: &str, placed: &[(String, LeafType)]) -> Arc<[usize]> {
    let of: Vec<String> = Members::of(list).map(|(_, raw)| json::text(raw).into_owned()).collect();
    placed.iter().enumerate().filter(|(_, (name, _))| of.contains(name)).map(|(at, _)| at).collect()
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
        (Read::Column(at), own @ Held::Texts(..)) => {
            let text = own.text(row).filter(|_| !stands_in(*at))?;
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
                    Held::Texts(_, values) => {
                        if let Some(value) = held[*at].number(row).filter(|_| !stands_in(*at)) {
                            // Members' columns are behind the placed ones.
                            let is_json = *at + 1 >= self.fallbacks;
                            let Some(number) = told.number((*at, value), is_json, values) else {
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
    /// The number of a column's value; none where there are too many.
    #[inline]
    fn number(&mut self, (column, value): (usize, usize), is_json: bool, values: &StringViewArray) -> Option<u32> {
        match self.of[column].get(value) {
            Some(number) if *number != UNKNOWN => Some(*number),
            _ => self.new_number((column, value), is_json, values),
        }
    }

    fn new_number(&mut self, (column, value): (usize, usize), is_json: bool, values: &StringViewArray) -> Option<u32> {
        let next = self.numbers.len() as u32;
        if self.numbers.len() >= TOLD_MAX {
            return None;
        }
        let number = *self.numbers.entry((is_json, values.value(value).into())).or_insert(next);
        self.of[column].resize(values.len(), UNKNOWN);
        self.of[column][value] = number;
        Some(number)
    }
}

impl MemberPlan {
    fn new(plan: &TablePlan, lane: &MemberLane, codes: &mut Vec<Codes>) -> Self {
        let mut fetch = |field: FieldIx, of: u16, is_alias: bool| {
            let mut code = |column: usize| {
                let at = codes.iter().position(|c| c.column == column && c.field == field).unwrap_or_else(|| {
                    let is_json = Some(column) == lane.columns[of as usize];
                    codes.push(Codes { column, field, is_json, of: Vec::new(), of_numbers: AHashMap::new(), epoch: 0 });
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
        for (at, of) in self.columns.iter().filter(|(at, _)| !stands_in(*at)) {
            if let Some(code) = codes[*of].of_row(&held[*at], row, rows) {
                return rows.add_code(self.field, code);
            }
        }
        if let Some(value) = self.inside.iter().find_map(|read| placed_value(read, row, held, stands_in)) {
            super::add(rows, self.field, value);
        }
    }

    /// Gives these rows their values, those that have none of the field so far. Nothing of them is in their rest.
    fn add_all(&self, at_rows: &[u32], held: &[Held], standing: &[usize], codes: &mut [Codes], rows: &mut Rows) {
        let columns = self.columns.iter().filter(|(at, _)| !standing.contains(at));
        let columns = columns.filter(|(at, _)| !matches!(held[*at], Held::Other(Column::Absent)));
        let inside = self.inside.iter().filter(|read| matches!(&held[read.column()], Held::Other(Column::Json(_))));
        let (mut columns, inside) = (columns.peekable(), inside.collect::<Vec<_>>());
        if columns.peek().is_none() && inside.is_empty() {
            return;
        }
        let mut column = rows.take_column(self.field);
        for (at, of) in columns {
            codes[*of].of_rows(&held[*at], at_rows, &mut column, rows);
        }
        if !inside.is_empty() {
            for row in at_rows.iter().map(|row| *row as usize) {
                if column[row] == NO_CODE
                    && let Some(value) = inside.iter().find_map(|read| placed_value(read, row, held, &|_| false))
                {
                    column[row] = value.code(self.field, rows);
                }
            }
        }
        rows.put_column(self.field, column);
    }
}

/// The number that all rows have.
fn only_number(numbers: &Int32Array) -> Option<usize> {
    let first = *numbers.values().first().filter(|_| numbers.null_count() == 0)?;
    let is_first = |some: &[i32]| some.iter().fold(true, |same, number| same & (*number == first));
    numbers.values().chunks(64).all(is_first).then_some(first as usize)
}

impl Codes {
    fn rest(&mut self) {
        (self.of, self.of_numbers) = (Vec::new(), AHashMap::new());
    }

    /// Forgets codes of another epoch of the dictionary.
    fn is_of(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.of.clear();
            self.of_numbers.clear();
            self.epoch = epoch;
        }
    }

    /// The code of a row's value.
    fn of_row(&mut self, held: &Held, row: usize, rows: &mut Rows) -> Option<u32> {
        match held {
            Held::Texts(_, values) => {
                let number = held.number(row)?;
                Some(self.of_value(number, values, rows))
            }
            Held::Other(Column::Whole(numbers)) => {
                numbers.is_valid(row).then(|| self.of_number(numbers.value(row), rows))
            }
            Held::Other(column) => column.value(row).map(|value| value.code(self.field, rows)),
        }
    }

    /// The codes of some rows' values, where there is none yet.
    fn of_rows(&mut self, held: &Held, at_rows: &[u32], column: &mut [u32], rows: &mut Rows) {
        let Held::Texts(numbers, values) = held else {
            for row in at_rows.iter().map(|row| *row as usize) {
                if column[row] == NO_CODE
                    && let Some(code) = self.of_row(held, row, rows)
                {
                    column[row] = code;
                }
            }
            return;
        };
        if let Some(number) = only_number(numbers) {
            let code = self.of_value(number, values, rows);
            let none_yet = |own: &&mut u32| **own == NO_CODE;
            return match at_rows.len() == column.len() {
                true => column.iter_mut().filter(none_yet).for_each(|own| *own = code),
                false => at_rows.iter().for_each(|row| {
                    let own = &mut column[*row as usize];
                    *own = if *own == NO_CODE { code } else { *own };
                }),
            };
        }
        self.of.resize(values.len(), UNKNOWN);
        // Pages without a dictionary have a value for each row.
        let is_lent = values.len() == numbers.len() - numbers.null_count() && rows.is_lent(self.field);
        if !is_lent && self.are_known(numbers, at_rows, column) {
            return;
        }
        for row in at_rows.iter().map(|row| *row as usize) {
            if column[row] == NO_CODE && numbers.is_valid(row) {
                let number = numbers.values()[row] as usize;
                if self.of[number] == UNKNOWN && is_lent {
                    self.of[number] = rows.code_of_lent(self.field, values, number, self.is_json);
                }
                column[row] = self.of_value(number, values, rows);
            }
        }
    }

    /// Gives some rows the codes of values that are known; whether all are.
    fn are_known(&self, numbers: &Int32Array, at_rows: &[u32], column: &mut [u32]) -> bool {
        let (all, mut are_known) = (numbers.values(), true);
        let mut take = |own: &mut u32, number: i32| {
            if *own == NO_CODE {
                // What is not known is no code.
                *own = self.of[number as usize];
                are_known &= *own != UNKNOWN;
            }
        };
        match numbers.nulls() {
            Some(nulls) => {
                for row in at_rows.iter().map(|row| *row as usize).filter(|row| nulls.is_valid(*row)) {
                    take(&mut column[row], all[row]);
                }
            }
            None if at_rows.len() == column.len() => {
                column.iter_mut().zip(all).for_each(|(own, number)| take(own, *number));
            }
            None => at_rows.iter().map(|row| *row as usize).for_each(|row| take(&mut column[row], all[row])),
        }
        are_known
    }

    /// The code of a column's value by its number.
    fn of_value(&mut self, number: usize, values: &StringViewArray, rows: &mut Rows) -> u32 {
        self.of.resize(values.len(), UNKNOWN);
        if self.of[number] == UNKNOWN {
            self.of[number] = rows.code(self.field, values.value(number), self.is_json);
        }
        self.of[number]
    }

    fn of_number(&mut self, number: i64, rows: &mut Rows) -> u32 {
        let field = self.field;
        *self.of_numbers.entry(number).or_insert_with(|| rows.code(field, &number.to_string(), false))
    }
}
