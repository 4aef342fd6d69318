//! The detection lane: the fields that rules use, and only these, as dictionary codes.
//!
//! A row is a short list of cells (field, code). A code stands for one distinct value of a field and is remembered
//! across blocks, so what rules say of a value is worked out once. **Bounds**: a dictionary that outgrows
//! [`DICTIONARY_BYTES_MAX`] is cleared between blocks, and its epoch moves on.

use crate::container::Block;
use crate::identity::{record_uid, vendor_uid};
use crate::json::{self, Kind, Members};
use crate::source::{Binding, Route, Sink, Source, SourceId, Sources, Trie, Values, parse_time_at, unwrap};
use ahash::AHashMap;
use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};
use chrono_tz::Tz;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes of values that one field's dictionary remembers.
pub const DICTIONARY_BYTES_MAX: usize = 32 << 20;

/// A field's number in a [`FieldRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldIx(pub u16);

/// A distinct set of (source, kind, log sources) that events of a [`FieldReader`] had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId(pub u32);

/// What rules ask for.
#[derive(Clone, Debug, Default)]
pub struct FieldRequest {
    /// Fields by number; [`KEYWORDS`] is every value of an event.
    pub fields: Vec<String>,
    /// Which events need which fields.
    pub uses: Vec<FieldUse>,
}

/// Fields that rules of one log source use.
#[derive(Clone, Debug)]
pub struct FieldUse {
    /// The events.
    pub binding: Binding,
    /// The fields' numbers.
    pub fields: BTreeSet<u16>,
    /// Of which one is in every event that a keyword item of these rules holds for; none when that cannot be said.
    pub needles: Option<BTreeSet<Needle>>,
}

/// Lower-case ASCII that JSON writes as it is: it is in a value without case only if it is in the event's JSON, or the
/// JSON has an escape by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needle(Box<str>);

impl Needle {
    /// The longest such part of a text; none when no character of it is written as it is.
    pub fn of(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '/');
        let part = text.split(|c| !plain(c)).max_by_key(|p| p.len()).filter(|p| !p.is_empty())?;
        Some(Self(part.to_ascii_lowercase().into()))
    }
}

/// The name of the field that is every value of an event, for keyword items.
pub const KEYWORDS: &str = "*";

/// A field's value as rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// JSON null.
    Null,
    /// A text; numbers and booleans are their JSON text.
    Text(Box<str>),
    /// Any element counts. An object is a list of its own compact JSON text and the texts of all values in it.
    List(Box<[FieldValue]>),
}

impl FieldValue {
    /// The value of a JSON text.
    pub fn of(raw: &str) -> Self {
        match json::kind(raw) {
            Kind::Null => Self::Null,
            Kind::Array => Self::List(Members::of(raw).map(|(_, v)| Self::of(v)).collect()),
            // Rules search objects for what is in them, however they are spelled.
            Kind::Object => {
                let mut values = vec![Self::Text(json::compact(raw).into())];
                json::scalars(raw, &mut |scalar| values.push(Self::Text(json::text(scalar).into())));
                Self::List(values.into())
            }
            _ => Self::Text(json::text(raw).into()),
        }
    }
}

/// The distinct values of one field.
#[derive(Debug, Default)]
pub struct Dictionary {
    codes: AHashMap<Box<str>, u32>,
    values: Vec<FieldValue>,
    bytes: usize,
    epoch: u64,
    transient: bool,
}

impl Dictionary {
    /// The value of a code.
    pub fn value(&self, code: u32) -> &FieldValue {
        &self.values[code as usize]
    }

    /// How many codes there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no code yet.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Moves on when codes are given anew.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    fn code(&mut self, raw: &str) -> u32 {
        if let Some(code) = self.codes.get(raw) {
            return *code;
        }
        let code = self.values.len() as u32;
        self.values.push(FieldValue::of(raw));
        self.codes.insert(raw.into(), code);
        self.bytes += 2 * raw.len() + 64;
        code
    }

    fn add(&mut self, value: FieldValue) -> u32 {
        self.values.push(value);
        (self.values.len() - 1) as u32
    }

    fn renew(&mut self) {
        if self.bytes > DICTIONARY_BYTES_MAX || (self.transient && !self.values.is_empty()) {
            self.codes.clear();
            self.values.clear();
            self.bytes = 0;
            self.epoch += 1;
        }
    }
}

/// What identifies an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its time, microseconds since 1970, UTC; none where it says none.
    pub time: Option<i64>,
}

/// One field of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The field.
    pub field: FieldIx,
    /// The value's code in the field's dictionary.
    pub code: u32,
}

/// Numbers of cells, and the further values of their fields.
type Repeated<'a> = Vec<(usize, Vec<&'a str>)>;

/// Rows of one block.
#[derive(Clone, Debug, Default)]
pub struct FieldBatch {
    /// Each row's route.
    pub routes: Vec<RouteId>,
    /// Each row's record in [`Block::records`].
    pub records: Vec<u32>,
    cells: Vec<Cell>,
    ends: Vec<u32>,
}

impl FieldBatch {
    /// Rows.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// A row's cells; an absent field has none.
    pub fn cells(&self, row: usize) -> &[Cell] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.cells[start..self.ends[row] as usize]
    }

    /// Adds a cell to the row that starts at `start`; a field that comes again (an element of an array) waits in
    /// `repeated`.
    fn add<'a>(
        &mut self,
        start: usize,
        ix: FieldIx,
        dictionary: &mut Dictionary,
        raw: &'a str,
        repeated: &mut Repeated<'a>,
    ) {
        match self.cells[start..].iter().position(|c| c.field == ix) {
            None => self.cells.push(Cell { field: ix, code: dictionary.code(raw) }),
            Some(at) => match repeated.iter_mut().find(|(cell, _)| *cell == start + at) {
                Some((_, raws)) => raws.push(raw),
                None => repeated.push((start + at, vec![raw])),
            },
        }
    }

    /// Joins what came again to lists.
    fn join(&mut self, repeated: Repeated<'_>, dictionaries: &mut [Dictionary]) {
        for (cell, raws) in repeated {
            let cell = &mut self.cells[cell];
            let dictionary = &mut dictionaries[cell.field.0 as usize];
            let mut values = match dictionary.value(cell.code) {
                FieldValue::List(values) => values.to_vec(),
                value => vec![value.clone()],
            };
            dictionary.bytes += raws.iter().map(|raw| raw.len() + 64).sum::<usize>() + 64 * values.len();
            values.extend(raws.into_iter().map(FieldValue::of));
            cell.code = dictionary.add(FieldValue::List(values.into()));
        }
    }

    fn clear(&mut self) {
        self.routes.clear();
        self.records.clear();
        self.cells.clear();
        self.ends.clear();
    }
}

/// A source's part of a plan.
struct Lane {
    tries: Vec<Trie>,
    /// The request's field of each of the lane's fields; none for those that only tell the route.
    wanted: Vec<Option<FieldIx>>,
    /// The source's number of each of the lane's fields that tell the route.
    discriminates: Vec<Option<u16>>,
    /// Finds what identifies an event, only when that is asked for.
    identity: Vec<Trie>,
    /// Routes by the values that tell them.
    routes: AHashMap<Box<[u8]>, RouteId>,
}

/// What rules want of a route's events.
struct RoutePlan {
    /// The request's field of each of the lane's fields.
    wanted: Vec<Option<FieldIx>>,
    /// Stand-ins: (vendor field of the lane, requested field).
    aliases: Vec<(u16, FieldIx)>,
    /// Every value, for keyword rules.
    keywords: Option<Keywords>,
}

/// When an event's values are worth collecting.
struct Keywords {
    field: FieldIx,
    /// Finds one of the needles in lower-cased JSON; none when every event is.
    search: Option<Search>,
}

/// Whether any of some texts is in another.
enum Search {
    /// By vectors, for a few texts.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Search {
    fn new(texts: BTreeSet<&str>) -> Option<Self> {
        if let Some(packed) = packed::Searcher::new(&texts) {
            return Some(Self::Packed(packed));
        }
        AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(texts).ok().map(Self::Automaton)
    }

    fn finds(&self, text: &[u8]) -> bool {
        match self {
            Self::Packed(searcher) => searcher.find(text).is_some(),
            Self::Automaton(automaton) => automaton.is_match(text),
        }
    }
}

impl Keywords {
    fn new(field: FieldIx, uses: &[&FieldUse]) -> Self {
        let of_keywords = uses.iter().filter(|u| u.fields.contains(&field.0));
        let needles: Option<Vec<&BTreeSet<Needle>>> = of_keywords.map(|u| u.needles.as_ref()).collect();
        let search = needles.and_then(|sets| {
            let all: BTreeSet<&str> = sets.into_iter().flatten().map(|n| &*n.0).collect();
            Search::new(all)
        });
        Self { field, search }
    }

    fn worth(&self, event: &str, lower: &mut Vec<u8>) -> bool {
        let Some(search) = &self.search else { return true };
        lower.clear();
        lower.extend_from_slice(event.as_bytes());
        lower.make_ascii_lowercase();
        // The Kelvin sign is the one character beyond ASCII whose lower case is within.
        search.finds(lower)
            || memchr::memmem::find(lower, b"\\u").is_some()
            || (!lower.is_ascii() && memchr::memmem::find(lower, "\u{212a}".as_bytes()).is_some())
    }
}

/// Reads blocks into cells. One a thread.
pub struct FieldReader {
    sources: Arc<Sources>,
    lanes: Vec<Lane>,
    /// Names of each lane's fields.
    names: Vec<Vec<String>>,
    dictionaries: Vec<Dictionary>,
    keywords: Option<FieldIx>,
    routes: Vec<Route>,
    plans: Vec<RoutePlan>,
    batch: FieldBatch,
    request: FieldRequest,
    /// What bare times are in.
    zone: Tz,
    /// Scratch: an event in lower case.
    lower: Vec<u8>,
}

struct Found<'a, 'b>(&'b mut Vec<(u16, &'a str)>);

impl<'a> Sink<'a> for Found<'a, '_> {
    fn field(&mut self, field: u16, raw: &'a str, _covered: bool) {
        self.0.push((field, raw));
    }
}

/// Routes beyond this are not remembered by their values, only looked up: discriminators come from outside.
const ROUTE_CACHE_MAX: usize = 200_000;

impl FieldReader {
    /// A reader for what rules ask for.
    pub fn new(sources: Arc<Sources>, request: FieldRequest) -> Self {
        let keywords = request.fields.iter().position(|f| f == KEYWORDS).map(|i| FieldIx(i as u16));
        let mut lanes = Vec::new();
        let mut all_names = Vec::new();
        for source in sources.iter() {
            let uses = request.uses.iter().filter(|u| u.binding.source == source.id);
            let asked: BTreeSet<u16> = uses.flat_map(|u| u.fields.iter().copied()).collect();
            let mut names: Vec<String> = Vec::new();
            let mut wanted = Vec::new();
            let mut number = |name: &str, ix: Option<FieldIx>, wanted: &mut Vec<Option<FieldIx>>| {
                let at = names.iter().position(|n| n == name).unwrap_or_else(|| {
                    names.push(name.to_owned());
                    wanted.push(None);
                    names.len() - 1
                });
                wanted[at] = wanted[at].or(ix);
                at as u16
            };
            for ix in &asked {
                let name = &request.fields[*ix as usize];
                if name != KEYWORDS {
                    number(name, Some(FieldIx(*ix)), &mut wanted);
                }
            }
            let telling: Vec<(u16, u16)> = source
                .discriminators
                .iter()
                .map(|f| (number(&source.fields[*f as usize], None, &mut wanted), *f))
                .collect();
            for (_, vendor) in source.logsources.iter().flat_map(|l| &l.alias) {
                number(vendor, None, &mut wanted);
            }
            let fields: Vec<(&str, u16)> = names.iter().enumerate().map(|(i, n)| (n.as_str(), i as u16)).collect();
            let told = |field| telling.iter().find(|(here, _)| *here == field).map(|(_, own)| *own);
            lanes.push(Lane {
                tries: source.tries(&fields),
                wanted,
                discriminates: (0..names.len() as u16).map(told).collect(),
                identity: source.tries(&identifying(source)),
                routes: AHashMap::new(),
            });
            all_names.push(names);
        }
        let mut dictionaries: Vec<Dictionary> = request.fields.iter().map(|_| Dictionary::default()).collect();
        if let Some(ix) = keywords {
            dictionaries[ix.0 as usize].transient = true;
        }
        Self {
            sources,
            lanes,
            names: all_names,
            dictionaries,
            keywords,
            routes: Vec::new(),
            plans: Vec::new(),
            batch: FieldBatch::default(),
            request,
            zone: Tz::UTC,
            lower: Vec::new(),
        }
    }

    /// The same, with bare times in `zone` instead of UTC.
    pub fn in_zone(mut self, zone: Tz) -> Self {
        self.zone = zone;
        self
    }

    /// A field's values.
    pub fn dictionary(&self, field: FieldIx) -> &Dictionary {
        &self.dictionaries[field.0 as usize]
    }

    /// What a route is.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }

    /// How many routes there are so far.
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// The rows that [`FieldReader::read`] read last.
    pub fn batch(&self) -> &FieldBatch {
        &self.batch
    }

    /// A row's value of a requested field; none where it has none.
    pub fn value(&self, row: usize, field: &str) -> Option<&FieldValue> {
        let ix = self.request.fields.iter().position(|f| f == field)?;
        let cell = self.batch.cells(row).iter().find(|c| c.field.0 as usize == ix)?;
        Some(self.dictionaries[ix].value(cell.code))
    }

    /// What identifies a row of `block`, which was read last. `now` (µs) tells the year of times without one.
    pub fn identity(&self, block: &Block, row: usize, now: i64) -> Identity {
        let record = &block.records[self.batch.records[row] as usize];
        let source = self.sources.source(self.route(self.batch.routes[row]).source);
        let text = block.json(record);
        let members: Vec<(&str, &str)> = Members::of(text).collect();
        let shape = source.shape_of(&members).unwrap_or(0);
        let event = unwrap(source, shape, text);
        let inner: Vec<(&str, &str)> = Members::of(&event).collect();
        let mut found = Vec::new();
        let trie = if source.shapes.is_empty() { 0 } else { shape as usize };
        self.lanes[source.id.0 as usize].identity[trie].walk(&inner, &mut Found(&mut found));
        let get = |field: u16| found.iter().find(|(at, _)| *at == field).map(|(_, raw)| *raw);
        let uid = source.uid.iter().find_map(|f| vendor_uid(get(*f)?));
        let time =
            source.time.iter().find_map(|(f, format)| parse_time_at(&json::text(get(*f)?), *format, self.zone, now));
        Identity { uid: uid.map_or_else(|| record_uid(block, record), Cow::into_owned), time }
    }

    /// Reads a block, of one source when that is known.
    pub fn read(&mut self, block: &Block, source: Option<SourceId>) {
        self.batch.clear();
        self.dictionaries.iter_mut().for_each(Dictionary::renew);
        let mut members = Vec::new();
        let mut found = Vec::new();
        let mut key = Vec::new();
        for (i, record) in block.records.iter().enumerate() {
            let text = block.json(record);
            members.clear();
            members.extend(Members::of(text));
            let (id, shape) = self.sources.recognise(&members, source);
            let known = self.sources.source(id);
            let wrapped = known.shapes.get(shape as usize).is_some_and(|s| s.unwrap.is_some() || s.code.is_some());
            let lane = id.0 as usize;
            if wrapped {
                let event: Cow<'_, str> = unwrap(known, shape, text);
                // The event may be owned by this turn of the loop, so its cells are made before the turn ends.
                let inner: Vec<(&str, &str)> = Members::of(&event).collect();
                let mut inner_found = Vec::new();
                self.lanes[lane].tries[shape as usize].walk(&inner, &mut Found(&mut inner_found));
                self.row(i, lane, &inner_found, &event, &mut key);
            } else {
                found.clear();
                let shape = if known.shapes.is_empty() { 0 } else { shape as usize };
                self.lanes[lane].tries[shape].walk(&members, &mut Found(&mut found));
                self.row(i, lane, &found, text, &mut key);
            }
        }
    }

    fn row(&mut self, record: usize, lane: usize, found: &[(u16, &str)], event: &str, key: &mut Vec<u8>) {
        let route = self.route_of(lane, found, key);
        self.batch.routes.push(route);
        self.batch.records.push(record as u32);
        let start = self.batch.cells.len();
        let plan = &self.plans[route.0 as usize];
        let (batch, dictionaries) = (&mut self.batch, &mut self.dictionaries);
        let mut repeated = Vec::new();
        for (field, raw) in found {
            if let Some(ix) = plan.wanted[*field as usize] {
                batch.add(start, ix, &mut dictionaries[ix.0 as usize], raw, &mut repeated);
            }
        }
        batch.join(repeated, dictionaries);
        for (vendor, ix) in &plan.aliases {
            let there = batch.cells[start..].iter().any(|c| c.field == *ix);
            if let Some((_, raw)) = found.iter().find(|(f, _)| f == vendor).filter(|_| !there) {
                batch.cells.push(Cell { field: *ix, code: dictionaries[ix.0 as usize].code(raw) });
            }
        }
        if let Some(keywords) = plan.keywords.as_ref().filter(|k| k.worth(event, &mut self.lower)) {
            let mut values = Vec::new();
            json::scalars(event, &mut |scalar| values.push(FieldValue::Text(json::text(scalar).into())));
            let code = dictionaries[keywords.field.0 as usize].add(FieldValue::List(values.into()));
            batch.cells.push(Cell { field: keywords.field, code });
        }
        self.batch.ends.push(self.batch.cells.len() as u32);
    }

    fn route_of(&mut self, lane: usize, found: &[(u16, &str)], key: &mut Vec<u8>) -> RouteId {
        let here = &self.lanes[lane];
        let telling = || found.iter().filter_map(|(f, raw)| Some((here.discriminates[*f as usize]?, *raw)));
        key.clear();
        for (field, raw) in telling() {
            key.extend(field.to_le_bytes());
            key.extend(raw.as_bytes());
            key.push(0);
        }
        if let Some(route) = here.routes.get(key.as_slice()) {
            return *route;
        }
        let route = self.sources.source(SourceId(lane as u16)).route(&Values::new(telling()));
        let id = match self.routes.iter().position(|r| *r == route) {
            Some(at) => RouteId(at as u32),
            None => self.add_route(lane, route),
        };
        let routes = &mut self.lanes[lane].routes;
        if routes.len() < ROUTE_CACHE_MAX {
            routes.insert(key.as_slice().into(), id);
        }
        id
    }

    fn add_route(&mut self, lane: usize, route: Route) -> RouteId {
        let source = self.sources.source(route.source);
        let uses: Vec<&FieldUse> = self.request.uses.iter().filter(|u| u.binding.covers(&route)).collect();
        let asked: BTreeSet<u16> = uses.iter().flat_map(|u| u.fields.iter().copied()).collect();
        let mut aliases = Vec::new();
        for entry in source.logsources.iter().filter(|l| route.logsources.contains(&l.id)) {
            for (sigma, vendor) in &entry.alias {
                let ix = asked.iter().find(|ix| self.request.fields[**ix as usize] == *sigma);
                let vendor = self.names[lane].iter().position(|n| n == vendor);
                if let (Some(ix), Some(vendor)) = (ix, vendor) {
                    aliases.push((vendor as u16, FieldIx(*ix)));
                }
            }
        }
        let asks = |ix: &FieldIx| asked.contains(&ix.0);
        let wanted = self.lanes[lane].wanted.iter().map(|ix| ix.filter(asks)).collect();
        let keywords = self.keywords.filter(asks).map(|ix| Keywords::new(ix, &uses));
        self.plans.push(RoutePlan { wanted, aliases, keywords });
        self.routes.push(route);
        RouteId((self.routes.len() - 1) as u32)
    }
}

/// The fields that identify a source's events, under the source's own numbers.
fn identifying(source: &Source) -> Vec<(&str, u16)> {
    let fields = source.uid.iter().chain(source.time.iter().map(|(f, _)| f));
    fields.map(|f| (source.fields[*f as usize].as_str(), *f)).collect()
}
