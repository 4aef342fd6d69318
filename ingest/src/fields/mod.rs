//! The detection lane: the fields that rules use, and only these, as dictionary codes.
//!
//! A row is a short list of cells (field, code). A code stands for one distinct value of a field and is remembered
//! across blocks, so what rules say of a value is worked out once. **Bounds**: those of [`Dictionary`] and of layouts.

mod batch;
mod dictionary;
mod keywords;
mod lane;
mod table;

pub use batch::{Cell, NO_CODE, RouteId, Rows};
pub use dictionary::{DICTIONARY_BYTES_MAX, Dictionary, Scalar};
pub use keywords::Needle;
pub use table::{MemberColumns, MemberReader, TableReader};

use lane::{Lane, RoutePlan, Told};

use crate::container::Block;
use crate::identity::{record_uid, vendor_uid};
use crate::json::{self, Kind, Members};
use crate::layout::Layouts;
use crate::source::{Binding, Record, Sink, Source, SourceId, Sources, Trie, parse_time_at, unwrap};
use chrono_tz::Tz;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A field's number in a [`FieldRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldIx(pub u16);

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

impl FieldUse {
    /// Whether the rules are for all of a source's events.
    pub(crate) fn is_broad(&self) -> bool {
        self.binding.category.is_none() && self.binding.service.is_none()
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

/// What identifies an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its time, microseconds since 1970, UTC; none where it says none.
    pub time: Option<i64>,
}

/// How events of one source are read.
struct EventLane {
    lane: Lane,
    /// By shape, where the lane's fields are.
    tries: Vec<Trie>,
    /// Finds what identifies an event, only when that is asked for.
    identity: Vec<Trie>,
}

/// Reads blocks into cells. One a thread.
pub struct FieldReader {
    sources: Arc<Sources>,
    lanes: Vec<EventLane>,
    layouts: Layouts,
    /// By route.
    plans: Vec<RoutePlan>,
    rows: Rows,
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

impl FieldReader {
    /// A reader for what rules ask for.
    pub fn new(sources: Arc<Sources>, request: FieldRequest) -> Self {
        let lane = |source: &Source| {
            let lane = Lane::new(source, &request);
            EventLane { tries: source.tries(&lane.fields()), identity: source.tries(&identifying(source)), lane }
        };
        let lanes = sources.iter().map(lane).collect();
        Self {
            sources,
            lanes,
            layouts: Layouts::default(),
            plans: Vec::new(),
            rows: Rows::new(&request),
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

    /// The rows that [`FieldReader::read`] read last: one for each of the block's records, in their order.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// A row's value of a requested field; none where it has none.
    pub fn value(&self, row: usize, field: &str) -> Option<FieldValue> {
        let ix = self.request.fields.iter().position(|f| f == field)?;
        let cell = self.rows.cell(row, FieldIx(ix as u16))?;
        Some(self.rows.dictionary(cell.field).value(cell.code))
    }

    /// What identifies a row of `block`, which was read last. `now` (µs) tells the year of times without one.
    pub fn identity(&self, block: &Block, row: usize, now: i64) -> Identity {
        let record = &block.records[row];
        let source = self.sources.source(self.rows.route(self.rows.route_of(row)).source);
        let text = block.json(record);
        let mut members = Vec::new();
        block.members(record, &mut members);
        let shape = source.shape_of(&Record::new(&members)).unwrap_or(0);
        let event = source.unwraps(shape).then(|| unwrap(source, shape, text));
        let inner: Option<Vec<(&str, &str)>> = event.as_ref().map(|event| Members::of(event).collect());
        let mut found = Vec::new();
        let trie = if source.shapes.is_empty() { 0 } else { shape as usize };
        let members = inner.as_deref().unwrap_or(&members);
        self.lanes[source.id.0 as usize].identity[trie].walk(members, &mut Found(&mut found));
        let get = |field: u16| found.iter().find(|(at, _)| *at == field).map(|(_, raw)| *raw);
        let uid = source.uid.iter().find_map(|f| vendor_uid(get(*f)?));
        let time =
            source.time.iter().find_map(|(f, format)| parse_time_at(&json::text(get(*f)?), *format, self.zone, now));
        Identity { uid: uid.map_or_else(|| record_uid(block, record), Cow::into_owned), time }
    }

    /// Reads a block, of one source when that is known.
    pub fn read(&mut self, block: &Block, source: Option<SourceId>) {
        self.rows.clear();
        self.layouts.begin(source);
        let sources = self.sources.clone();
        let (mut members, mut found) = (Vec::new(), Vec::new());
        for record in &block.records {
            block.members(record, &mut members);
            let layout = self.layouts.of(&members);
            let (id, shape) = self.layouts.recognise(layout, &sources, &members);
            let known = sources.source(id);
            let text = block.json(record);
            if known.unwraps(shape) {
                let event: Cow<'_, str> = unwrap(known, shape, text);
                // The event may be owned by this turn of the loop, so its row is made before the turn ends.
                let inner: Vec<(&str, &str)> = Members::of(&event).collect();
                let mut inner_found = Vec::new();
                let layout = self.layouts.of(&inner);
                self.find(layout, (id, shape), &inner, &mut inner_found);
                self.row(id, &inner_found, &event);
            } else {
                found.clear();
                self.find(layout, (id, shape), &members, &mut found);
                self.row(id, &found, text);
            }
        }
    }

    /// The fields of a record's members.
    fn find<'a>(
        &mut self,
        layout: usize,
        of: (SourceId, u16),
        members: &[(&'a str, &'a str)],
        found: &mut Vec<(u16, &'a str)>,
    ) {
        let trie = &self.lanes[of.0.0 as usize].tries[of.1 as usize];
        for step in self.layouts.layout(layout).steps(of, trie, members) {
            let (key, raw) = members[step.member as usize];
            match step.field {
                Some(field) => found.push((field, raw)),
                None => trie.enter(step.node, key, raw, &mut Found(found)),
            }
        }
    }

    fn row(&mut self, source: SourceId, found: &[(u16, &str)], event: &str) {
        let (lane, source) = (&mut self.lanes[source.0 as usize].lane, self.sources.source(source));
        let told = found.iter().map(|(field, raw)| (*field, Told::Json(raw)));
        let route = lane.route_of(source, told, &mut self.rows);
        if route.0 as usize == self.plans.len() {
            self.plans.push(lane.plan(source, &self.request, self.rows.route(route)));
        }
        let plan = &self.plans[route.0 as usize];
        for (field, raw) in found {
            if let Some(ix) = plan.wanted[*field as usize] {
                self.rows.add(ix, raw);
            }
        }
        for (vendor, ix) in &plan.aliases {
            if !self.rows.has(*ix) {
                let values = found.iter().filter(|(field, _)| field == vendor);
                values.for_each(|(_, raw)| self.rows.add(*ix, raw));
            }
        }
        if let Some(keywords) = plan.keywords.as_ref().filter(|k| k.worth(event, &mut self.lower)) {
            self.rows.add(keywords.field, event);
        }
        self.rows.end(route);
    }
}

/// The fields that identify a source's events, under the source's own numbers.
fn identifying(source: &Source) -> Vec<(&str, u16)> {
    let fields = source.uid.iter().chain(source.time.iter().map(|(f, _)| f));
    fields.map(|f| (source.fields[*f as usize].as_str(), *f)).collect()
}
