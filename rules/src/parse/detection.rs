//! A detection section: named selections of items, and conditions over them.

use super::condition::{self, Condition};
use super::yaml::{Map, Yaml};

/// A detection section.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detections {
    /// Selections in the order of the rule.
    pub selections: Vec<(String, Detection)>,
    /// Conditions; any of them fires the rule.
    pub conditions: Vec<Condition>,
}

/// A selection, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Detection {
    /// A mapping: all hold.
    All(Vec<Detection>),
    /// A list: one holds.
    Any(Vec<Detection>),
    /// One field with its modifiers and values.
    Item(RawItem),
}

/// One entry of a selection, as the rule has it.
#[derive(Clone, Debug, PartialEq)]
pub struct RawItem {
    /// The whole key, for messages.
    pub key: String,
    /// The field; none for keywords.
    pub field: Option<String>,
    /// Modifiers in order.
    pub modifiers: Vec<String>,
    /// Values: scalars only.
    pub values: Vec<Yaml>,
}

/// What is wrong with a section, and the key it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key nearest to it.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

const VALUES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 20;

/// Reads the section `section` (`detection` or `filter`); keys named in `besides` are no selections.
pub fn parse(section: &str, value: &Yaml, besides: &[&str]) -> Result<Detections, Mistake> {
    let mistake = |key: &str, reason: String| Mistake { key: key.into(), reason };
    let map = value.map().ok_or_else(|| mistake(section, format!("{section} is no mapping")))?;
    let texts = match value.get("condition") {
        Some(Yaml::Text(text)) => vec![text.clone()],
        Some(Yaml::List(list)) => list
            .iter()
            .map(|v| v.scalar().ok_or_else(|| mistake("condition", "a condition is no text".into())))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(mistake("condition", "the condition is no text".into())),
        None => return Err(mistake(section, format!("{section} has no condition"))),
    };
    if texts.is_empty() {
        return Err(mistake("condition", "the list of conditions is empty".into()));
    }
    let conditions = texts
        .iter()
        .map(|t| condition::parse(t).map_err(|reason| mistake("condition", reason)))
        .collect::<Result<_, _>>()?;
    let mut selections = Vec::new();
    for (name, value) in map {
        if name != "condition" && name != "timeframe" && !besides.contains(&name.as_str()) {
            let detection = detection(value, 0)
                .map_err(|(key, reason)| mistake(key.as_deref().unwrap_or(name), format!("{name}: {reason}")))?;
            selections.push((name.clone(), detection));
        }
    }
    if selections.is_empty() {
        return Err(mistake(section, format!("{section} has no selection")));
    }
    Ok(Detections { selections, conditions })
}

type Wrong = (Option<String>, String);

fn detection(value: &Yaml, depth: usize) -> Result<Detection, Wrong> {
    if depth > DEPTH_MAX {
        return Err((None, format!("lists nested more than {DEPTH_MAX} deep")));
    }
    match value {
        Yaml::Map(map) => items(map),
        Yaml::List(list) if list.is_empty() => Err((None, "an empty list".into())),
        Yaml::List(list) if list.len() > VALUES_MAX => {
            Err((None, format!("{} entries; the limit is {VALUES_MAX}", list.len())))
        }
        Yaml::List(list) => Ok(Detection::Any(list.iter().map(|v| detection(v, depth + 1)).collect::<Result<_, _>>()?)),
        Yaml::Null => Err((None, "a selection without content".into())),
        keyword => Ok(Detection::Item(RawItem {
            key: String::new(),
            field: None,
            modifiers: Vec::new(),
            values: vec![keyword.clone()],
        })),
    }
}

fn items(map: &Map) -> Result<Detection, Wrong> {
    if map.is_empty() {
        return Err((None, "an empty mapping".into()));
    }
    let mut out = Vec::with_capacity(map.len());
    for (key, value) in map {
        let wrong = |reason: String| (Some(key.clone()), format!("{key}: {reason}"));
        let mut names = key.split('|');
        let field = names.next().filter(|f| !f.is_empty()).map(str::to_owned);
        let modifiers: Vec<String> = names.map(str::to_owned).collect();
        if field.is_none() && modifiers.is_empty() {
            return Err(wrong("an entry without a field".into()));
        }
        let values = match value {
            Yaml::List(list) => list.clone(),
            one => vec![one.clone()],
        };
        if values.len() > VALUES_MAX {
            return Err(wrong(format!("{} values; the limit is {VALUES_MAX}", values.len())));
        }
        if values.iter().any(|v| matches!(v, Yaml::List(_) | Yaml::Map(_))) {
            return Err(wrong("a value is a text, a number, a boolean or null".into()));
        }
        out.push(Detection::Item(RawItem { key: key.clone(), field, modifiers, values }));
    }
    Ok(Detection::All(out))
}
