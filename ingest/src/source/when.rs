//! Conditions on a record's own fields: which kind it is, which log sources it belongs to.

use super::definition;

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

    /// Whether it holds; `value` gives a field's lower-cased text.
    pub fn holds<'a>(&self, value: impl Fn(u16) -> Option<&'a str>) -> bool {
        self.items.iter().all(|item| {
            let there = value(item.field);
            let holds = match &item.values {
                None => there.is_some_and(|v| !v.is_empty()),
                Some(values) => there.is_some_and(|v| {
                    values.iter().any(|w| match w.strip_suffix('*') {
                        Some(prefix) => v.starts_with(prefix),
                        None => v == w,
                    })
                }),
            };
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
