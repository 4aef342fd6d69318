//! Records of any class out of the schema itself: what a seed decides, for properties.

use serde_json::{Map, Value, json};
use tarn_schema_ocsf::schema::{Attribute, Class, Entity};
use tarn_schema_ocsf::{LeafType, Schema};

/// A small deterministic generator.
pub struct Seed(u64);

impl Seed {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n.max(1)
    }
}

pub fn class(seed: &mut Seed) -> &'static Class {
    let classes = Schema::v1_8().classes().count() as u64;
    let at = seed.below(classes) as usize;
    Schema::v1_8().classes().nth(at).unwrap()
}

/// A record of a class without nulls, empty lists and empty objects.
pub fn record(class: &'static Class, seed: &mut Seed) -> Map<String, Value> {
    let mut record = object(&class.entity, seed, 0);
    record.insert("class_uid".to_owned(), json!(class.uid.0));
    record
}

fn object(entity: &'static Entity, seed: &mut Seed, depth: u32) -> Map<String, Value> {
    let schema = Schema::v1_8();
    let mut out = Map::new();
    let odds = 3 + u64::from(depth) * 4;
    for attribute in schema.attributes(entity) {
        if seed.below(odds) == 0
            && let Some(value) = value(attribute, seed, depth)
        {
            out.insert(attribute.name.clone(), value);
        }
    }
    out
}

fn value(attribute: &'static Attribute, seed: &mut Seed, depth: u32) -> Option<Value> {
    let schema = Schema::v1_8();
    let inner = attribute.object.as_deref().and_then(|o| schema.object(o)).filter(|o| !o.is_free_form());
    let one = |seed: &mut Seed| match inner {
        Some(_) if depth > 5 => None,
        Some(inner) => Some(object(inner, seed, depth + 1)).filter(|o| !o.is_empty()).map(Value::Object),
        None => Some(scalar(attribute, seed)),
    };
    if !attribute.is_array {
        return one(seed);
    }
    let items: Vec<Value> = (0..1 + seed.below(3)).filter_map(|_| one(seed)).collect();
    (!items.is_empty()).then_some(Value::Array(items))
}

fn scalar(attribute: &Attribute, seed: &mut Seed) -> Value {
    const TEXTS: [&str; 8] = ["", "a", "Unknown", "ключ", "a\"b\\c\nd", "\u{0}\u{1f}", "10.0.0.1", "null"];
    let leaf = Schema::v1_8().leaf_type(attribute);
    match leaf {
        LeafType::Json if attribute.object.is_some() => json!({"a.b": [1, null, {"c": TEXTS[seed.below(8) as usize]}]}),
        LeafType::Json => match seed.below(5) {
            0 => json!(seed.below(1 << 40)),
            1 => json!("text"),
            2 => json!([true, {"x": []}, 12_345_678_901_234_567_890_u64]),
            3 => json!(0.5),
            _ => json!({"k": TEXTS[seed.below(8) as usize]}),
        },
        LeafType::Text => json!(TEXTS[seed.below(8) as usize]),
        LeafType::Bool => json!(seed.below(2) == 0),
        LeafType::Int32 => json!(seed.below(1 << 32) as u32 as i32),
        LeafType::Int64 => json!((seed.below(1 << 53) as i64 - (1 << 52)) << 11),
        LeafType::Timestamp => json!(seed.below(1 << 43) as i64 - (1 << 42)),
        // Short ones: reading a long decimal may cost its last bit (serde_json without `float_roundtrip`).
        LeafType::Float64 => json!((seed.below(1 << 20) as f64 - f64::from(1 << 19)) / 8.0),
    }
}
