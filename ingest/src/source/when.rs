//! Conditions on a record's own fields: which kind it is, which log sources it belongs to.
//!
//! A null is absent, and of a list any element counts. SQL says the same in `tarn_engine`'s `lower`.

use super::{Route, Source, definition};
use crate::json::{self, Kind, Members};

/// One field's condition.
#[derive(Clone, Debug)]
struct Item {
    field: u16,
    negated: bool,
    /// Lower-cased values; none is "any value".
    values: Option<Vec<String>>,
}

/// Conditions that all have to hold.
#[derive(Clone, Debug, Default)]
pub struct When {
    items: Vec<Item>,
}

impl When {
    /// Compiles conditions; `field` numbers the fields.
    pub fn new(when: &definition::When, mut field: impl FnMut(&str) -> u16) -> Self {
        let item = |(name, values): (&String, &definition::OneOrMany)| {
            let (negated, name) = name.strip_prefix('!').map_or((false, name.as_str()), |n| (true, n));
            let values: Vec<String> = values.texts().iter().map(|v| v.to_lowercase()).collect();
            Item { field: field(name), negated, values: (values != ["*"]).then_some(values) }
        };
        Self { items: when.iter().map(item).collect() }
    }

    /// Its conditions: field, whether negated, values (none is any).
    pub fn items(&self) -> impl Iterator<Item = (u16, bool, Option<&[String]>)> {
        self.items.iter().map(|i| (i.field, i.negated, i.values.as_deref()))
    }

    /// The fields that it looks at.
    pub fn fields(&self) -> impl Iterator<Item = u16> + '_ {
        self.items.iter().map(|i| i.field)
    }

    /// Whether it holds.
    pub fn holds(&self, values: &Values) -> bool {
        self.items.iter().all(|item| {
            let holds = values.of_field(item.field).any(|v| match &item.values {
                None => !v.is_empty(),
                Some(wanted) => wanted.iter().any(|w| match w.strip_suffix('*') {
                    Some(prefix) => v.starts_with(prefix),
                    None => v == w,
                }),
            });
            holds != item.negated
        })
    }

    /// Whether one event can meet both.
    pub fn compatible(&self, other: &Self) -> bool {
        self.items.iter().all(|a| {
            other.items.iter().all(|b| {
                let (Some(x), Some(y)) = (&a.values, &b.values) else { return true };
                let literal = |v: &&String| !v.ends_with('*');
                if a.field != b.field || !x.iter().all(|v| literal(&v)) || !y.iter().all(|v| literal(&v)) {
                    return true;
                }
                match (a.negated, b.negated) {
                    (false, false) => x.iter().any(|v| y.contains(v)),
                    (false, true) => x.iter().any(|v| !y.contains(v)),
                    (true, false) => y.iter().any(|v| !x.contains(v)),
                    (true, true) => true,
                }
            })
        })
    }
}

/// What conditions see of a record.
#[derive(Debug)]
pub struct Values(Vec<(u16, String)>);

impl Values {
    /// Of the fields' JSON texts; a field may come more than once.
    pub fn new<'a>(fields: impl Iterator<Item = (u16, &'a str)>) -> Self {
        let mut values = Vec::new();
        fields.for_each(|(field, raw)| collect(field, raw, &mut values));
        Self(values)
    }

    fn of_field(&self, field: u16) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(f, _)| *f == field).map(|(_, v)| v.as_str())
    }
}

fn collect(field: u16, raw: &str, into: &mut Vec<(u16, String)>) {
    match json::kind(raw) {
        Kind::Null => {}
        Kind::Array => Members::of(raw).for_each(|(_, element)| collect(field, element, into)),
        _ => into.push((field, json::text(raw).to_lowercase())),
    }
}

impl Source {
    /// The first kind whose conditions hold, else the default.
    pub(crate) fn kind_of(&self, values: &Values) -> u16 {
        self.kinds.iter().position(|k| k.when.holds(values)).unwrap_or(self.kinds.len() - 1) as u16
    }

    /// The kind and the log source entries of an event.
    pub(crate) fn route(&self, values: &Values) -> Route {
        let logsources = self.logsources.iter().filter(|l| l.when.holds(values)).map(|l| l.id).collect();
        Route { source: self.id, kind: self.kind_of(values), logsources }
    }
}
