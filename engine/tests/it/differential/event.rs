//! A generated event, and what its fields are.

use std::fmt::Write;

/// A JSON value; numbers as they are spelled.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// An event.
#[derive(Clone, Debug)]
pub struct Event {
    pub members: Vec<(String, Json)>,
    /// As its source writes it.
    pub text: String,
    /// As rsigma takes it.
    pub parsed: serde_json::Value,
}

impl Json {
    /// Writes it, with every `escaped`th character by its number (0: none).
    fn write(&self, out: &mut String, escaped: usize, space: &str) {
        let list = |out: &mut String, open, close, parts: Vec<String>| {
            write!(out, "{open}{}{close}", parts.join(&format!(",{space}"))).unwrap();
        };
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(b) => write!(out, "{b}").unwrap(),
            Self::Number(n) => out.push_str(n),
            Self::Text(text) if escaped > 0 => {
                out.push('"');
                for (i, c) in text.chars().enumerate() {
                    if i % escaped == 0 || c < ' ' || matches!(c, '"' | '\\') {
                        c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(out, "\\u{unit:04X}").unwrap());
                    } else {
                        out.push(c);
                    }
                }
                out.push('"');
            }
            Self::Text(text) => out.push_str(&serde_json::to_string(text).unwrap()),
            Self::List(items) => list(out, '[', ']', items.iter().map(|v| v.print(escaped, space)).collect()),
            Self::Object(members) => {
                let member = |(key, value): &(String, Self)| {
                    format!("{}:{space}{}", serde_json::to_string(key).unwrap(), value.print(escaped, space))
                };
                list(out, '{', '}', members.iter().map(member).collect());
            }
        }
    }

    fn print(&self, escaped: usize, space: &str) -> String {
        let mut out = String::new();
        self.write(&mut out, escaped, space);
        out
    }

    /// Its shortest text.
    pub fn compact(&self) -> String {
        self.print(0, "")
    }

    /// Every value in it that is no list and no object.
    pub fn leaves(&self) -> Vec<&Json> {
        match self {
            Self::List(items) => items.iter().flat_map(Json::leaves).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, v)| v.leaves()).collect(),
            leaf => vec![leaf],
        }
    }

    /// A leaf's text; none for null.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(_) | Self::Bool(_) => Some(self.compact()),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }

    fn at<'a>(&'a self, path: &str, found: &mut Vec<&'a Json>) {
        match self {
            Self::Object(members) => at(members, path, found),
            Self::List(items) => items.iter().for_each(|v| v.at(path, found)),
            _ => {}
        }
    }
}

/// The values at a dotted path: keys may hold dots, and every element of a list on the way counts.
fn at<'a>(members: &'a [(String, Json)], path: &str, found: &mut Vec<&'a Json>) {
    for (key, value) in members {
        if key == path {
            found.push(value);
        } else if let Some(rest) = path.strip_prefix(key.as_str()).and_then(|r| r.strip_prefix('.')) {
            value.at(rest, found);
        }
    }
}

impl Event {
    pub fn new(members: Vec<(String, Json)>, escaped: usize, space: &str) -> Self {
        let text = Json::Object(members.clone()).print(escaped, space);
        let parsed = serde_json::from_str(&text).unwrap();
        Self { members, text, parsed }
    }

    /// What stands at a field's path.
    pub fn values(&self, field: &str) -> Vec<&Json> {
        let mut found = Vec::new();
        at(&self.members, field, &mut found);
        found
    }

    /// Every leaf.
    pub fn leaves(&self) -> Vec<&Json> {
        self.members.iter().flat_map(|(_, v)| v.leaves()).collect()
    }
}

/// A member of an event, as a path of nested objects or as one dotted key.
pub fn put(members: &mut Vec<(String, Json)>, path: &str, value: Json, flat: bool) {
    match path.split_once('.').filter(|_| !flat) {
        None => match members
            .iter()
            .any(|(key, _)| key == path || key.starts_with(path) || path.starts_with(&format!("{key}.")))
        {
            true => {}
            false => members.push((path.to_owned(), value)),
        },
        Some((head, rest)) => match members.iter_mut().find(|(key, _)| key == head) {
            Some((_, Json::Object(inner))) => put(inner, rest, value, false),
            Some(_) => {}
            None => {
                let mut inner = Vec::new();
                put(&mut inner, rest, value, false);
                members.push((head.to_owned(), Json::Object(inner)));
            }
        },
    }
}
