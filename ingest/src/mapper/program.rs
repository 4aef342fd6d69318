//! A kind's placements, resolved to slots and run over one record.

use super::complete::{self, Completion};
use super::{Found, KindCoverage};
use crate::json::{self, Kind as JsonKind};
use crate::source::{Convert, Kind, Made, Place, Source, TimeFormat, parse_time};
use std::borrow::Cow;
use tarn_schema_ocsf::record::Value;
use tarn_schema_ocsf::schema::{Attribute, Requirement};
use tarn_schema_ocsf::validate::Form;
use tarn_schema_ocsf::{BatchBuilder, ClassUid, LeafType, Schema, Slot, TableSchema};

/// What a value has to be for its column.
struct Target {
    slot: Slot,
    /// What its type asks of a text.
    form: &'static Form,
    /// The enum's values, in order, for integers.
    allowed: Option<Vec<i64>>,
    range: Option<(i64, i64)>,
}

impl Target {
    fn new(class: ClassUid, path: &str, table: &TableSchema) -> Option<Self> {
        let slot = table.slot(path)?;
        let schema = Schema::v1_8();
        let attribute: &'static Attribute = schema.leaf(class, path).ok()?.attribute;
        let integer = matches!(slot.leaf_type(), LeafType::Int32 | LeafType::Int64);
        let allowed = (integer && !attribute.values.is_empty()).then(|| {
            let mut values: Vec<i64> = attribute.values.keys().filter_map(|k| k.parse().ok()).collect();
            values.sort_unstable();
            values
        });
        let range = schema.type_named(&attribute.type_name).and_then(|t| t.range);
        Some(Self { slot, form: Form::of(&attribute.type_name), allowed, range })
    }

    /// A text as the column's value, and whether the column gives the same text back.
    fn value<'a>(&self, text: &'a str) -> Option<(Value<'a>, bool)> {
        let (value, exact) = match self.slot.leaf_type() {
            LeafType::Text => (Value::Text(text), true),
            LeafType::Json => (Value::Text(text), true),
            LeafType::Int32 | LeafType::Int64 => {
                let n = integer(text)?;
                let fits = self.allowed.as_ref().is_none_or(|a| a.binary_search(&n).is_ok())
                    && self.range.is_none_or(|(a, b)| (a..=b).contains(&n));
                if !fits {
                    return None;
                }
                (Value::Int(n), is_shortest(text))
            }
            LeafType::Float64 => {
                let n: f64 = text.parse().ok()?;
                (Value::Float(n), n.to_string() == text)
            }
            LeafType::Bool => match text {
                "true" | "True" | "TRUE" => (Value::Bool(true), text == "true"),
                "false" | "False" | "FALSE" => (Value::Bool(false), text == "false"),
                _ => return None,
            },
            LeafType::Timestamp => {
                let parse = |format| parse_time(text, format, chrono_tz::Tz::UTC);
                (Value::Time(parse(TimeFormat::Utc).or_else(|| parse(TimeFormat::Epoch))?), false)
            }
        };
        if matches!(value, Value::Text(_)) && self.slot.leaf_type() == LeafType::Text && !self.form.fits(text) {
            return None;
        }
        Some((value, exact))
    }

    /// Writes a text; whether it was written, and whether the column gives the same text back.
    fn write(&self, builder: &mut BatchBuilder, text: &str) -> Option<bool> {
        let (value, exact) = self.value(text)?;
        match builder.set(self.slot, value) {
            Ok(true) => Some(exact),
            Ok(false) | Err(_) => None,
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok().and_then(|n| i64::try_from(n).ok());
    }
    text.parse().ok()
}

/// Whether the text of an integer is the one that it is printed as: without signs, zeros or bases that it does not need.
fn is_shortest(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text == "0" || digits.starts_with(|first: char| first.is_ascii_digit() && first != '0')
}

enum To {
    One(Target),
    /// A list of objects, by child.
    Objects(Slot, Vec<(String, Target)>),
}

struct Op {
    from: Vec<u16>,
    first: bool,
    to: To,
    convert: Convert,
    places: bool,
    /// Whether another placement may fill the column: it does not say which field it was.
    shared: bool,
}

/// A required attribute, and the slots of its object: it is asked for where one of them is set.
struct Required {
    slot: Slot,
    path: String,
    object: Vec<Slot>,
}

/// A constant.
struct Constant {
    slot: Slot,
    value: Fixed,
    path: String,
    /// Whether it stands in for a field, so that a record that lacks the field has to say so.
    stands_in: bool,
}

/// A constant's value.
enum Fixed {
    Text(String),
    Other(Value<'static>),
}

impl Fixed {
    fn new(value: Value<'_>) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Int(n) => Self::Other(Value::Int(n)),
            Value::Float(n) => Self::Other(Value::Float(n)),
            Value::Bool(is) => Self::Other(Value::Bool(is)),
            Value::Time(time) => Self::Other(Value::Time(time)),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Other(value) => *value,
        }
    }
}

/// A kind, ready to run.
pub struct Program {
    ops: Vec<Op>,
    constants: Vec<Constant>,
    required: Vec<Required>,
    completion: Option<Completion>,
    /// Fields that are kept wherever they are placed.
    untold: Vec<u16>,
}

/// Children that functions fill in lists of objects.
const OBJECT_CHILDREN: &[&str] = &[
    "algorithm_id",
    "algorithm",
    "value",
    "name",
    "uid",
    "type",
    "type_id",
    "owner.uid",
    "owner.account.uid",
    "namespace",
    "rdata",
    "class",
    "api.operation",
    "api.service.name",
    "src_endpoint.ip",
    "src_endpoint.port",
    "src_endpoint.domain",
    "src_endpoint.location.city",
    "src_endpoint.autonomous_system.name",
    "src_endpoint.autonomous_system.number",
    "dst_endpoint.ip",
    "dst_endpoint.port",
    "query.hostname",
    "url.path",
    "state",
    "state_id",
    "developer_uid",
];

/// The columns that a kind populates, with required ids beside them.
pub fn columns(kind: &Kind) -> Vec<String> {
    let schema = Schema::v1_8();
    let mut columns: Vec<String> = kind.constants.iter().map(|(path, _)| path.clone()).collect();
    for place in &kind.places {
        match place.to.strip_suffix("[]") {
            Some(list) => {
                let children = OBJECT_CHILDREN.iter().map(|c| format!("{list}[].{c}"));
                columns.extend(children.filter(|path| schema.leaf(kind.class, path).is_ok()));
            }
            None => columns.push(place.to.clone()),
        }
    }
    let required: Vec<String> = columns.iter().flat_map(|path| siblings(kind.class, path)).collect();
    columns.extend(required);
    columns.extend(top_level(kind.class));
    columns.extend(complete::columns(kind.class, &columns));
    columns
}

/// Required enum ids of the objects on a path.
fn siblings(class: ClassUid, path: &str) -> Vec<String> {
    let schema = Schema::v1_8();
    let Some(class) = schema.class(class) else { return Vec::new() };
    let mut entity = &class.entity;
    let mut prefix = String::new();
    let mut out = Vec::new();
    for step in path.split('.') {
        if step.ends_with("[]") {
            break;
        }
        let Some(inner) =
            schema.attribute(entity, step).filter(|a| !a.is_array).and_then(|a| schema.object(a.object.as_deref()?))
        else {
            break;
        };
        prefix = if prefix.is_empty() { step.to_owned() } else { format!("{prefix}.{step}") };
        entity = inner;
        let ids = schema.attributes(entity).filter(|a| fallback_id(a));
        out.extend(ids.map(|a| format!("{prefix}.{}", a.name)));
    }
    out
}

/// A required enum of integers that has a 0 for Unknown, outside any profile.
fn fallback_id(attribute: &Attribute) -> bool {
    attribute.requirement == Requirement::Required
        && attribute.values.contains_key("0")
        && !attribute.is_array
        && attribute.profiles.is_empty()
}

fn top_level(class: ClassUid) -> Vec<String> {
    let schema = Schema::v1_8();
    let Some(class) = schema.class(class) else { return Vec::new() };
    schema.attributes(&class.entity).filter(|a| fallback_id(a)).map(|a| a.name.clone()).collect()
}

impl Program {
    /// Resolves a kind in its table.
    pub fn new(source: &Source, kind: &Kind, table: Option<&TableSchema>) -> Self {
        let untold = source.untold(kind);
        let Some(table) = table else {
            return Self { ops: Vec::new(), constants: Vec::new(), required: Vec::new(), completion: None, untold };
        };
        let op = |place: &Place| {
            let to = match place.to.strip_suffix("[]") {
                None => To::One(Target::new(kind.class, &place.to, table)?),
                Some(list) => {
                    let children = OBJECT_CHILDREN.iter().filter_map(|c| {
                        Some(((*c).to_owned(), Target::new(kind.class, &format!("{list}[].{c}"), table)?))
                    });
                    let children: Vec<_> = children.collect();
                    To::Objects(children.first()?.1.slot, children)
                }
            };
            Some(Op {
                from: place.from.clone(),
                first: place.first,
                to,
                convert: place.convert.clone(),
                places: place.places,
                shared: kind.shares(place),
            })
        };
        let placed = |path: &str| {
            kind.places.iter().any(|p| p.places && p.to == path && !matches!(p.convert, Convert::Lookup(..)))
        };
        let constant = |(path, value): &(String, String)| {
            let target = Target::new(kind.class, path, table)?;
            let (slot, value) = (target.slot, Fixed::new(target.value(value)?.0));
            Some(Constant { slot, value, stands_in: placed(path), path: path.clone() })
        };
        let constants = kind.constants.iter().filter_map(constant).collect();
        let mut required: Vec<Required> = Vec::new();
        let populated = columns(kind);
        let completion = Some(Completion::new(kind.class, &populated, table));
        for path in &populated {
            for id in siblings(kind.class, path) {
                let Some(slot) = table.slot(&id).filter(|_| required.iter().all(|r| r.path != id)) else { continue };
                let object = id.rsplit_once('.').map_or("", |(o, _)| o);
                let of = |p: &&String| p.strip_prefix(object).is_some_and(|r| r.starts_with('.'));
                let object = populated.iter().filter(of).filter_map(|p| table.slot(p)).collect();
                required.push(Required { slot, path: id, object });
            }
        }
        required.sort_by_key(|r| std::cmp::Reverse(r.path.matches('.').count()));
        for id in top_level(kind.class).into_iter().filter(|id| !matches!(id.as_str(), "activity_id" | "severity_id")) {
            if let Some(slot) = table.slot(&id) {
                required.push(Required { slot, path: id, object: Vec::new() });
            }
        }
        Self { ops: kind.places.iter().filter_map(op).collect(), constants, required, completion, untold }
    }

    /// Places a record's fields; those that are not given back verbatim by a column go to `kept`. The names of those that
    /// JSON columns hold.
    pub(super) fn run<'p, 'a: 'p>(
        &'p self,
        source: &'p Source,
        found: &Found<'a, '_>,
        builder: &mut BatchBuilder,
        kept: &mut Vec<(&'p str, &'p str)>,
        fallbacks: &mut Vec<&'p str>,
        mut coverage: Option<&mut KindCoverage>,
    ) -> Vec<&'p str> {
        // Bits of each found field: written somewhere, written verbatim, written to a JSON column.
        let mut fate = vec![0_u8; found.fields.len()];
        let mut roots = Vec::new();
        for op in &self.ops {
            let written = op.run(found, builder, &source.absent);
            if let (true, Some((exact, json))) = (op.places, written) {
                for from in &op.from {
                    if let Some(i) = found.position(*from) {
                        // A column that several fields made gives back none of them.
                        let exact = exact && !op.shared && op.from.len() == 1;
                        fate[i] |= 1 | (u8::from(exact) << 1) | (u8::from(json) << 2);
                    }
                }
            }
        }
        for Constant { slot, value, path, stands_in } in &self.constants {
            if slot.is_list() || !builder.is_set(*slot) {
                if slot.is_child() {
                    builder.begin_object(*slot);
                }
                if builder.set(*slot, value.value()) == Ok(true) && *stands_in {
                    fallbacks.push(path);
                }
            }
        }
        for ((field, raw, covered), fate) in found.fields.iter().zip(&fate) {
            let name = source.fields[*field as usize].as_str();
            let told = fate & 2 != 0 && !found.repeated.contains(field);
            if (!told && !covered) || self.untold.contains(field) {
                kept.push((name, raw));
            }
            if told && fate & 4 != 0 {
                roots.push(name);
            }
            // Where there is no value, there is none to be typed.
            let is_counted = || !*covered && (fate & 1 != 0 || absent(raw, &source.absent).is_none());
            if let Some(coverage) = coverage.as_deref_mut().filter(|_| is_counted()) {
                // A time that becomes `time` is typed though no placement names it.
                let typed = fate & 1 != 0 || source.time.iter().any(|(f, _)| f == field) || source.uid.contains(field);
                let count = coverage.entry(name.to_owned()).or_default();
                let is = |list: &[String]| list.iter().any(|n| n == name);
                if is(&source.shipper) {
                    count.shipper += 1;
                } else if fate & 4 != 0 || (!typed && is(&source.free)) {
                    count.json += 1;
                } else if typed {
                    count.typed += 1;
                } else {
                    count.kept += 1;
                }
            }
        }
        roots
    }

    /// The row's activity; 0 Unknown is a fallback.
    pub(super) fn activity(&self, builder: &mut BatchBuilder, slot: Option<Slot>, fallbacks: &mut Vec<&str>) -> i64 {
        let Some(slot) = slot else { return 0 };
        if let Some(activity) = builder.int_of(slot) {
            return activity;
        }
        let _ = builder.set(slot, Value::Int(0));
        fallbacks.push("activity_id");
        0
    }

    /// Fills required ids that the record did not set with 0 Unknown.
    pub(super) fn required<'a>(&'a self, builder: &mut BatchBuilder, fallbacks: &mut Vec<&'a str>) {
        for required in &self.required {
            let asked = required.object.is_empty() || required.object.iter().any(|s| builder.is_set(*s));
            if asked && !builder.is_set(required.slot) && builder.set(required.slot, Value::Int(0)) == Ok(true) {
                fallbacks.push(&required.path);
            }
        }
        if let Some(completion) = &self.completion {
            completion.run(builder, fallbacks);
        }
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// The text of a value that the source has for no value.
fn absent<'a>(raw: &'a str, texts: &[String]) -> Option<&'a str> {
    let text = raw.strip_prefix('"')?.strip_suffix('"')?;
    texts.iter().any(|t| t == text).then_some(text)
}

impl Op {
    /// Runs; whether something was written: verbatim?, to a JSON column?
    fn run(&self, found: &Found<'_, '_>, builder: &mut BatchBuilder, absent_texts: &[String]) -> Option<(bool, bool)> {
        // A table that lists such a text says what it means.
        let listed = |text: &str| matches!(&self.convert, Convert::Lookup(table, _) if table.contains_key(text));
        let value = |raw: &&str| json::kind(raw) != JsonKind::Null && absent(raw, absent_texts).is_none_or(listed);
        let places = || self.from.iter().map(|f| found.position(*f).filter(|at| value(&found.fields[*at].1)));
        let first = places().flatten().next();
        match &self.convert {
            Convert::Plain => {
                let To::One(target) = &self.to else { return None };
                let first = first?;
                let raw = found.fields[first].1;
                if target.slot.leaf_type() == LeafType::Json && !target.slot.is_child() {
                    return target.write(builder, raw).map(|exact| (exact, true));
                }
                match json::kind(raw) {
                    JsonKind::Array if target.slot.is_list() => {
                        // An empty list leaves the column empty, as an absent field does.
                        let mut exact = json::Members::of(raw).next().is_some();
                        for (_, element) in json::Members::of(raw) {
                            exact &= json::kind(element) == JsonKind::String
                                && target.write(builder, &json::text(element)).unwrap_or(false);
                        }
                        Some((exact, false))
                    }
                    JsonKind::Array | JsonKind::Object => None,
                    _ => {
                        if target.slot.is_child() {
                            builder.begin_object(target.slot);
                        }
                        // Among a list's objects nothing says which one a field made.
                        target.write(builder, found.text(first)).map(|exact| (exact && !target.slot.is_child(), false))
                    }
                }
            }
            Convert::Lookup(table, default) => {
                let text = found.text(first?);
                let value = table.get(lower(text).as_ref()).or(default.as_ref())?;
                // Of what the table makes, nothing says which text it was of, even where it is the same.
                self.write(builder, value, text).map(|(_, json)| (false, json))
            }
            Convert::Function(function) => {
                let mut texts = places().map(|at| at.map_or("", |at| found.text(at)));
                let texts: Vec<&str> = match self.first {
                    true => texts.find(|text| !text.is_empty()).into_iter().collect(),
                    false => texts.collect(),
                };
                match function(&texts) {
                    Made::Nothing => None,
                    Made::Text(value) => self.write(builder, &value, texts.first().copied().unwrap_or("")),
                    Made::Texts(values) => {
                        let To::One(target) = &self.to else { return None };
                        for value in values {
                            target.write(builder, &value);
                        }
                        Some((false, false))
                    }
                    Made::Objects(objects) => {
                        let To::Objects(list, children) = &self.to else { return None };
                        for object in objects {
                            builder.begin_object(*list);
                            for (child, value) in object {
                                if let Some((_, target)) = children.iter().find(|(n, _)| n == child) {
                                    target.write(builder, &value);
                                }
                            }
                        }
                        Some((false, false))
                    }
                }
            }
        }
    }

    fn write(&self, builder: &mut BatchBuilder, value: &str, original: &str) -> Option<(bool, bool)> {
        let To::One(target) = &self.to else { return None };
        if target.slot.is_child() {
            builder.begin_object(target.slot);
        }
        target.write(builder, value).map(|exact| (exact && value == original && !target.slot.is_child(), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_shortest_as_it_is_printed() {
        for text in ["0", "-0", "+5", "5", "-5", "05", "-05", "0x1f", "10", "9223372036854775807"] {
            assert_eq!(is_shortest(text), integer(text).is_some_and(|n| n.to_string() == text), "{text}");
        }
    }
}
