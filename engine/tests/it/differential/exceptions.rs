//! Where rsigma 0.23 says something else, and why: every difference has to be one of these, and every one has to be seen.

use super::event::{Event, Json};
use super::rule::{Item, Val};
use super::witness::PARTS;

/// One item on one event.
pub struct Case<'a> {
    pub item: &'a Item,
    pub event: &'a Event,
    /// What Tarn says; rsigma says the opposite.
    pub tarn: bool,
    /// What Tarn says when keywords are searched in texts only.
    pub on_texts: bool,
}

/// A known difference: its name, why it is one, and whether a case is one.
pub struct Exception {
    pub name: &'static str,
    pub reason: &'static str,
    pub is: fn(&Case<'_>) -> bool,
}

const fn exception(name: &'static str, reason: &'static str, is: fn(&Case<'_>) -> bool) -> Exception {
    Exception { name, reason, is }
}

/// The first that is one counts.
pub const EXCEPTIONS: &[Exception] = &[
    exception("keywords all", "0.23 ignores a fieldless `all`; 0.26 does not", |c| {
        c.item.field.is_none() && c.item.has("all")
    }),
    exception("keywords in numbers", "rsigma searches texts only, and no text for a number", |c| {
        let number = c.values(&|v| !matches!(v, Val::Text(_)));
        c.item.field.is_none() && c.tarn && (number || !c.on_texts)
    }),
    exception("keywords with cased", "keywords are searched inside values; rsigma's are whole ones then", |c| {
        c.item.field.is_none() && c.tarn && c.item.modifiers == ["cased"]
    }),
    exception("keywords with wildcards", "keywords are searched inside values; rsigma's then fill them", |c| {
        c.item.field.is_none() && c.item.modifiers.is_empty() && c.tarn && c.wild()
    }),
    exception("null is there", "`exists` asks for the field, whatever its value (0.26 agrees)", |c| {
        c.item.has("exists") && c.found(&|v| *v == Json::Null)
    }),
    exception("neq of an absent field", "an item is false when the field that it refers to is absent", |c| {
        c.item.has("neq") && c.item.has("fieldref") && !c.tarn && c.absent()
    }),
    exception("null in lists", "a list is null when an element is; rsigma's null is no list", |c| {
        c.values(&|v| *v == Val::Null) && c.found(&|v| matches!(v, Json::List(_)))
    }),
    exception("null among values", "0.23 takes an absent field as null only where null is the only value", |c| {
        c.values(&|v| *v == Val::Null) && c.item.values.len() > 1 && c.absent()
    }),
    exception("objects", "an item on an object looks at its JSON text and the values in it", |c| {
        c.tarn != c.item.has("neq") && c.found(&|v| in_lists(v).iter().any(|v| matches!(v, Json::Object(_))))
    }),
    exception("base64offset at the end", "0.23 keeps the character that depends on what follows; 0.26 does not", |c| {
        c.item.has("base64offset") && c.tarn != c.item.has("neq")
    }),
    exception("base64offset alone", "rsigma takes it for `base64offset|contains`", |c| {
        c.item.has("base64offset") && !c.item.has("contains") && c.tarn == c.item.has("neq")
    }),
    exception("wide without base64", "0.23 ignores it", |c| {
        ["wide", "utf16le", "utf16be"].iter().any(|m| c.item.has(m)) && !c.item.has("base64")
    }),
    exception("dashes", "0.23 varies `-` only, not the other dashes of a rule; 0.26 does", |c| {
        c.item.has("windash") && c.texts(&|t| t.contains(['/', '–', '—', '―']))
    }),
    exception("many dashes", "more than five vary together, not on their own", |c| {
        c.item.has("windash") && c.texts(&|t| t.matches('-').count() > 5)
    }),
    exception("windash with wildcards", "0.23 takes them as they stand", |c| c.item.has("windash") && c.wild()),
    exception(
        "wildcards at one end",
        "0.23 anchors `startswith` with wildcards at the end, `endswith` at the start",
        |c| (c.item.has("startswith") || c.item.has("endswith")) && c.wild(),
    ),
    exception("wildcards over lines", "0.23 ends `*` and `?` at a newline; 0.26 does not", |c| {
        c.tarn != c.item.has("neq") && c.wild() && c.leaves(&|l| l.text().is_some_and(|t| t.contains('\n')))
    }),
    exception(
        "other fields",
        "a reference compares texts, of every element; rsigma compares values of other kinds whole",
        |c| c.item.has("fieldref") && (c.found(&not_text) || c.others(&not_text)),
    ),
    exception("white space", "white space around an address, a number or a time does not count", |c| {
        let trims = c.item.has("cidr") || c.compares() || c.values(&|v| matches!(v, Val::Number(_)));
        trims && c.leaves(&|l| l.text().is_some_and(|t| t.trim() != t))
    }),
    exception("infinite numbers", "a number is finite; rsigma takes inf, nan and what is too large for numbers", |c| {
        c.compares() && c.leaves(&|l| l.text().and_then(|t| t.parse().ok()).is_some_and(|n: f64| !n.is_finite()))
    }),
    exception("times", "rsigma knows fewer forms of times", |c| {
        c.timed() && c.leaves(&|l| !matches!(l, Json::Text(t) if is_iso(t)))
    }),
    exception(
        "whole numbers",
        "whole numbers of a rule are compared as texts; rsigma compares all as floating-point numbers",
        |c| {
            let numbers = |l: &Json| l.text().and_then(|t| t.parse::<f64>().ok());
            c.values(&|v| matches!(v, Val::Number(n) if c.leaves(&|l| numbers(l) == n.parse().ok() && l.text().as_ref() != Some(n))))
        },
    ),
    exception("booleans", "a boolean is a text; rsigma takes 1, 0, yes and no for one", |c| {
        let text = |l: &Json| {
            l.text().is_some_and(|t| matches!(t.to_lowercase().as_str(), "1" | "0" | "yes" | "no" | "true" | "false"))
        };
        c.values(&|v| matches!(v, Val::Bool(_))) && c.leaves(&text)
    }),
    exception(
        "spelling of numbers",
        "a number is its text; rsigma writes those anew that are no 64-bit integers",
        |c| {
            let anew = |n: &String| n.parse::<i64>().ok().map(|i| i.to_string()).as_ref() != Some(n);
            c.values(&|v| matches!(v, Val::Number(n) if anew(n)))
                || c.leaves(&|l| matches!(l, Json::Number(n) if anew(n)))
        },
    ),
    exception(
        "case beyond ASCII",
        "case goes character by character, with simple mappings; rsigma's lower case may be longer, \
         knows a final sigma, and differs from that of its wildcards",
        |c| {
            let special = |t: &str| t.contains(['İ', 'Σ', 'σ', 'ς', 'ſ', 'K', 'ẞ', 'ß', 'Ǆ', 'ǅ', 'ǆ']);
            !c.item.has("cased") && (c.texts(&special) || c.leaves(&|l| l.text().is_some_and(|t| special(&t))))
        },
    ),
];

/// Rules that rsigma refuses, by what its message holds, and why Tarn does not.
pub const REFUSALS: &[(&str, &str)] = &[
    ("|all modifier requires more than one value", "`all` of a single value is that value; Tarn warns"),
    ("repetition quantifier expects a valid decimal", "a brace that begins no quantifier stands for itself"),
    ("at most one operator may be set per field", "a part of a time is compared as any number"),
];

impl Case<'_> {
    fn values(&self, holds: &dyn Fn(&Val) -> bool) -> bool {
        self.item.values.iter().any(holds)
    }

    fn texts(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        self.values(&|v| matches!(v, Val::Text(t) if holds(t)))
    }

    /// Whether a value has a wildcard.
    fn wild(&self) -> bool {
        let expanded = self.item.expanded();
        expanded.values.iter().any(|v| matches!(v, Val::Text(t) if t.replace(r"\\", "").replace(r"\*", "").replace(r"\?", "").contains(['*', '?'])))
    }

    /// Whether something that stands at the item's field is so.
    fn found(&self, holds: &dyn Fn(&Json) -> bool) -> bool {
        self.item.field.is_some_and(|f| self.event.values(f).into_iter().any(holds))
    }

    /// Whether the field, or one that the item refers to, is not there.
    fn absent(&self) -> bool {
        let other = |v: &Val| matches!(v, Val::Text(t) if self.event.values(t).is_empty());
        self.item.field.is_some_and(|f| self.event.values(f).is_empty())
            || self.item.has("fieldref") && self.values(&other)
    }

    /// Whether something that stands at a field which the item refers to is so.
    fn others(&self, holds: &dyn Fn(&Json) -> bool) -> bool {
        self.texts(&|t| self.event.values(t).into_iter().any(holds))
    }

    fn compares(&self) -> bool {
        ["lt", "lte", "gt", "gte"].iter().any(|m| self.item.has(m))
    }

    fn timed(&self) -> bool {
        PARTS.iter().any(|(part, _)| self.item.has(part))
    }

    /// Whether a leaf that the item looks at is so.
    fn leaves(&self, holds: &dyn Fn(&Json) -> bool) -> bool {
        match self.item.field {
            None => self.event.leaves().into_iter().any(holds),
            Some(field) => self.event.values(field).into_iter().flat_map(Json::leaves).any(holds),
        }
    }
}

/// A value, or the elements of lists.
fn in_lists(value: &Json) -> Vec<&Json> {
    match value {
        Json::List(items) => items.iter().flat_map(in_lists).collect(),
        value => vec![value],
    }
}

fn not_text(value: &Json) -> bool {
    !matches!(value, Json::Text(_))
}

/// Whether a text is as `2024-07-10T12:30:00…`, which both know.
fn is_iso(text: &str) -> bool {
    text.len() >= 19 && text.as_bytes()[4] == b'-' && text.as_bytes()[16] == b':'
}
