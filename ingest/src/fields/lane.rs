//! A source's part of what rules ask for: its fields, by number, and what each of its routes needs.

use super::keywords::Keywords;
use super::{FieldIx, FieldRequest, FieldUse, KEYWORDS, RouteId, Rows};
use crate::source::{Route, Source, Values};
use ahash::AHashMap;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Routes beyond this are not remembered by their values, only looked up: discriminators come from outside.
const ROUTE_CACHE_MAX: usize = 200_000;
/// Nor are they by longer values than these.
const ROUTE_KEY_BYTES_MAX: usize = 512;

/// The fields of one source that are looked at.
pub struct Lane {
    /// Their names, by the lane's own numbers.
    pub names: Vec<String>,
    /// The request's field of each; none for those that only tell the route, or stand in for another.
    wanted: Vec<Option<FieldIx>>,
    /// The source's number of each that tells the route.
    discriminates: Vec<Option<u16>>,
    /// Routes by the values that tell them.
    routes: AHashMap<Box<[u8]>, RouteId>,
    /// Scratch.
    key: Vec<u8>,
}

/// A field's value.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// As JSON.
    Json(&'a str),
    /// A text as it is.
    Text(&'a str),
}

impl<'a> Told<'a> {
    fn json(self) -> Cow<'a, str> {
        match self {
            Self::Json(raw) => raw.into(),
            Self::Text(text) => {
                let mut raw = String::with_capacity(text.len() + 2);
                crate::json::push_string(&mut raw, text);
                raw.into()
            }
        }
    }
}

/// What rules want of a route's events.
pub struct RoutePlan {
    /// The request's field of each of the lane's fields.
    pub wanted: Vec<Option<FieldIx>>,
    /// Stand-ins: (vendor field of the lane, requested field).
    pub aliases: Vec<(u16, FieldIx)>,
    /// Every value, for keyword rules.
    pub keywords: Option<Keywords>,
    /// Whether some of these rules are not for all of the source's events.
    pub narrow: bool,
}

impl Lane {
    /// What a request needs of a source.
    pub fn new(source: &Source, request: &FieldRequest) -> Self {
        let uses = request.uses.iter().filter(|u| u.binding.source == source.id);
        let asked: BTreeSet<u16> = uses.flat_map(|u| u.fields.iter().copied()).collect();
        let mut names: Vec<String> = Vec::new();
        let mut wanted = Vec::new();
        let mut number = |name: &str, ix: Option<FieldIx>| {
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
                number(name, Some(FieldIx(*ix)));
            }
        }
        let telling: Vec<(u16, u16)> =
            source.discriminators.iter().map(|f| (number(&source.fields[*f as usize], None), *f)).collect();
        for (_, vendor) in source.logsources.iter().flat_map(|l| &l.alias) {
            number(vendor, None);
        }
        let told = |field| telling.iter().find(|(here, _)| *here == field).map(|(_, own)| *own);
        let discriminates = (0..names.len() as u16).map(told).collect();
        Self { names, wanted, discriminates, routes: AHashMap::new(), key: Vec::new() }
    }

    /// The fields by name, with the lane's numbers.
    pub fn fields(&self) -> Vec<(&str, u16)> {
        self.names.iter().enumerate().map(|(i, n)| (n.as_str(), i as u16)).collect()
    }

    /// Whether a field tells the route.
    pub fn tells(&self, field: u16) -> bool {
        self.discriminates[field as usize].is_some()
    }

    /// The route of an event with these fields; `rows` number routes.
    pub fn route_of<'a>(
        &mut self,
        source: &Source,
        found: impl Iterator<Item = (u16, Told<'a>)> + Clone,
        rows: &mut Rows,
    ) -> RouteId {
        let discriminates = &self.discriminates;
        let telling = found.filter_map(|(field, told)| Some((discriminates[field as usize]?, told)));
        self.key.clear();
        for (field, told) in telling.clone() {
            let (text, kind) = match told {
                Told::Json(raw) => (raw, 0),
                Told::Text(text) => (text, 1),
            };
            self.key.extend(field.to_le_bytes());
            self.key.push(kind);
            self.key.extend((text.len() as u32).to_le_bytes());
            self.key.extend(text.as_bytes());
        }
        if let Some(route) = self.routes.get(self.key.as_slice()) {
            return *route;
        }
        let json: Vec<(u16, Cow<'_, str>)> = telling.map(|(field, told)| (field, told.json())).collect();
        let values = Values::new(json.iter().map(|(field, raw)| (*field, raw.as_ref())));
        let id = rows.route_id(&source.route(&values));
        if self.routes.len() < ROUTE_CACHE_MAX && self.key.len() <= ROUTE_KEY_BYTES_MAX {
            self.routes.insert(self.key.as_slice().into(), id);
        }
        id
    }

    /// What rules want of a route's events.
    pub fn plan(&self, source: &Source, request: &FieldRequest, route: &Route) -> RoutePlan {
        let uses: Vec<&FieldUse> = request.uses.iter().filter(|u| u.binding.covers(route)).collect();
        let asked: BTreeSet<u16> = uses.iter().flat_map(|u| u.fields.iter().copied()).collect();
        let mut aliases = Vec::new();
        for entry in source.logsources.iter().filter(|l| route.logsources.contains(&l.id)) {
            for (sigma, vendor) in &entry.alias {
                let ix = asked.iter().find(|ix| request.fields[**ix as usize] == *sigma);
                let vendor = self.names.iter().position(|n| n == vendor);
                if let (Some(ix), Some(vendor)) = (ix, vendor) {
                    aliases.push((vendor as u16, FieldIx(*ix)));
                }
            }
        }
        let asks = |ix: &FieldIx| asked.contains(&ix.0);
        let keywords = request.fields.iter().position(|f| f == KEYWORDS).map(|i| FieldIx(i as u16)).filter(asks);
        let narrow = |ix: FieldIx| uses.iter().any(|u| u.fields.contains(&ix.0) && !u.is_broad());
        RoutePlan {
            narrow: keywords.is_some_and(narrow),
            wanted: self.wanted.iter().map(|ix| ix.filter(asks)).collect(),
            aliases,
            keywords: keywords.map(|ix| Keywords::new(ix, &uses)),
        }
    }
}
