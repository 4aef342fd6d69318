//! The extension `trust`: its folder is what the data says, its records are valid and stay what they are, and its page
//! in the docs tells no other story.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_schema_ocsf::flatten::flatten;
use tarn_schema_ocsf::nest::to_json;
use tarn_schema_ocsf::schema::{Attribute, Entity, Requirement};
use tarn_schema_ocsf::validate::{Rule, validate};
use tarn_schema_ocsf::{BatchBuilder, ClassUid, Schema, TableSchema};

const SIGNING: ClassUid = ClassUid(99_906_001);
const RELEASE: ClassUid = ClassUid(99_903_001);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("extensions/trust")
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The JSON files of a folder of the extension.
fn files(within: &str) -> Vec<Value> {
    let entries = std::fs::read_dir(folder().join(within)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|p| read(p)).collect()
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/trust.md")).unwrap()
}

fn cases() -> Vec<(String, Map<String, Value>)> {
    let cases: Value = serde_json::from_str(include_str!("../cases/trust.json")).unwrap();
    let case = |c: &Value| (c["case"].as_str().unwrap().to_owned(), c["record"].as_object().unwrap().clone());
    cases.as_array().unwrap().iter().map(case).collect()
}

/// What breaks a rule in a record, but for recommended attributes that are absent.
fn faults(record: &Map<String, Value>) -> Vec<String> {
    let found = validate(&Value::Object(record.clone()));
    let said = found.iter().filter(|v| v.rule != Rule::AttributeRecommendedMissing);
    said.map(ToString::to_string).collect()
}

#[test]
fn two_classes_with_tables_of_their_own() {
    let schema = Schema::v1_8();
    for (uid, table, category) in [(SIGNING, "artifact_signing", "application"), (RELEASE, "key_release", "iam")] {
        let class = schema.class(uid).unwrap();
        assert_eq!((class.table().as_str(), class.category.as_str()), (table, category));
        assert_eq!(class.entity.extension(), Some("trust"));
        assert_eq!(schema.class_named(table).unwrap().uid, uid);
        assert_eq!(schema.class_named(&format!("trust/{table}")).unwrap().uid, uid);
        // A column that begins like its table could be read as the table's.
        assert!(schema.attributes(&class.entity).all(|a| a.name != table));
    }
}

/// Leaves of an entity and of our objects below it, without those of OCSF's own objects.
fn leaves(entity: &Entity, above: &mut Vec<String>) -> usize {
    let schema = Schema::v1_8();
    assert!(!above.contains(&entity.name), "{} holds itself: {above:?}", entity.name);
    above.push(entity.name.clone());
    let of = |a: &Attribute, above: &mut Vec<String>| match a.object.as_deref() {
        Some(object) if object.starts_with("trust/") => leaves(schema.object(object).unwrap(), above),
        _ => 1,
    };
    let count = schema.attributes(entity).map(|a| of(a, above)).sum();
    above.pop();
    count
}

#[test]
fn objects_of_the_extension_end() {
    for class in [SIGNING, RELEASE] {
        let count = leaves(&Schema::v1_8().class(class).unwrap().entity, &mut Vec::new());
        assert!(count < 256, "class {class} has {count} leaves");
    }
}

#[test]
fn the_data_is_what_the_folder_says() {
    let schema = Schema::v1_8();
    let about = read(&folder().join("extension.json"));
    let extension = &schema.extensions()["trust"];
    assert_eq!((json!(extension.uid), json!(extension.version)), (about["uid"].clone(), about["version"].clone()));
    let dictionary = read(&folder().join("dictionary.json"));
    let mut used = BTreeSet::new();
    let mut check = |content: &Value, entity: &Entity| {
        assert_eq!(content["caption"], json!(entity.caption));
        for (name, own) in content["attributes"].as_object().unwrap() {
            let at = format!("{}.{name}", entity.name);
            let attribute = schema.attribute(entity, name).unwrap_or_else(|| panic!("{at} is not in the data"));
            assert_eq!(attribute.deprecated, None, "{at}");
            if let Some(requirement) = own["requirement"].as_str() {
                let expected = match requirement {
                    "required" => Requirement::Required,
                    "recommended" => Requirement::Recommended,
                    _ => Requirement::Optional,
                };
                assert_eq!(attribute.requirement, expected, "{at}");
            }
            let defined = &dictionary["attributes"][name];
            for values in [&own["enum"], &defined["enum"]].into_iter().filter_map(Value::as_object) {
                for (value, about) in values {
                    assert_eq!(json!(attribute.values[value]), about["caption"], "{at} {value}");
                }
            }
            if let Some(values) = defined["enum"].as_object() {
                assert_eq!(attribute.values.len(), values.len(), "{at} has values that the folder has not");
            }
            if defined.is_object() {
                used.insert(name.clone());
                let kind = attribute.object.as_deref().unwrap_or(&attribute.type_name);
                assert_eq!(json!(kind.trim_start_matches("trust/")), defined["type"], "{at}");
            }
        }
    };
    let objects = files("objects");
    for content in &objects {
        check(content, schema.object(&format!("trust/{}", content["name"].as_str().unwrap())).unwrap());
    }
    let classes = [files("events/application"), files("events/iam")].concat();
    for content in &classes {
        check(content, &schema.class_named(content["name"].as_str().unwrap()).unwrap().entity);
    }
    let ours = |e: &Entity| e.extension() == Some("trust");
    assert_eq!(objects.len(), schema.objects().filter(|o| ours(o)).count());
    assert_eq!(classes.len(), schema.classes().filter(|c| ours(&c.entity)).count());
    // A caption is filled in with its id, wherever it is not written down.
    let captions = dictionary["attributes"].as_object().unwrap().values().filter_map(|a| a["sibling"].as_str());
    used.extend(captions.map(str::to_owned));
    assert_eq!(used.len(), dictionary["attributes"].as_object().unwrap().len(), "an attribute that nothing uses");
}

#[test]
fn golden_records_are_valid_and_stay_what_they_are() {
    let mut seen = BTreeSet::new();
    for (name, record) in cases() {
        assert_eq!(faults(&record), [] as [String; 0], "{name}");
        let flat = flatten(&record).unwrap();
        assert_eq!(flat.unknown, [], "{name}");
        let table = TableSchema::new(flat.class.unwrap(), flat.paths().iter().map(String::as_str)).unwrap();
        let mut builder = BatchBuilder::new(Arc::new(table));
        flat.write(&mut builder).unwrap();
        builder.end_row();
        assert_eq!(Value::Object(to_json(&builder.finish(), 0)), Value::Object(record.clone()), "{name}");
        seen.insert(record["type_uid"].as_i64().unwrap());
    }
    let activities = [9_990_600_101, 9_990_600_102, 9_990_600_103, 9_990_600_104];
    let releases = [9_990_300_101, 9_990_300_102, 9_990_300_103, 9_990_300_104];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [releases, activities].concat(), "an activity without a record");
}

#[test]
fn a_verdict_and_its_reason_agree() {
    for (name, record) in cases() {
        let id = |name| record[name].as_i64().unwrap();
        let passed = id("trust_verdict_id") == 1;
        assert_eq!(passed, id("trust_reason_id") == 1, "{name}");
        assert_eq!(passed, id("status_id") == 1, "{name}");
        let failing = |c: &Value| c["trust_verdict_id"] == 2;
        if let Some(checks) = record.get("trust_checks").and_then(Value::as_array) {
            let failed: Vec<&Value> = checks.iter().filter(|c| failing(c)).map(|c| &c["trust_reason_id"]).collect();
            let expected: &[&Value] = if passed { &[] } else { &[&record["trust_reason_id"]] };
            assert_eq!(failed, expected, "{name}");
        }
    }
}

#[test]
fn records_that_are_not_valid_say_why() {
    let record = |name: &str| cases().into_iter().find(|(n, _)| n == name).unwrap().1;
    let check = |name: &str, pointer: &str, value: Value, expected: &str| {
        let mut record = Value::Object(record(name));
        *record.pointer_mut(pointer).unwrap() = value;
        let found = faults(record.as_object().unwrap());
        assert!(found.iter().any(|f| f.contains(expected)), "{pointer}: {found:?}");
    };
    let (verified, released) = ("verified: provenance of an image", "released to an attested enclave");
    check(verified, "/trust_reason_id", json!(98), "trust_reason_id: attribute_enum_value_unknown");
    check(verified, "/trust_reason", json!("Because"), "trust_reason: attribute_enum_sibling_incorrect");
    check(verified, "/trust_verdict_id", Value::Null, "trust_verdict_id: attribute_required_missing");
    check(verified, "/artifact", Value::Null, "artifact: attribute_required_missing");
    check(verified, "/artifact", json!({"version": "1.4.0"}), "artifact: constraint_failed");
    check(verified, "/tlog_entry/integrated_time", json!("today"), "tlog_entry.integrated_time: attribute_wrong_type");
    check(verified, "/type_uid", json!(9_990_600_101_i64), "type_uid: type_uid_incorrect");
    check(released, "/tee_evidence/assurance_id", Value::Null, "tee_evidence.assurance_id: attribute_required_missing");
    check(released, "/tee_evidence/platform_id", json!(7), "platform_id: attribute_enum_value_unknown");
    check(released, "/tee_evidence/measurements/0/value", Value::Null, "measurements[0].value");
    check(released, "/key_release_info", json!({"uid": "kr-1"}), "key_release_info: constraint_failed");
    check(released, "/key_release_info/key_uri", json!(["a"]), "key_release_info.key_uri: attribute_wrong_type");
}

/// The page's tables with the heading `id | caption | …` under a heading that ends in an attribute's name.
fn tables(page: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut out: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut at = String::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            at = heading.rsplit('`').nth(1).unwrap_or_default().to_owned();
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [id, caption, ..] = cells[..]
            && id.parse::<u32>().is_ok()
        {
            out.entry(at.clone()).or_default().push((id.to_owned(), caption.to_owned()));
        }
    }
    out
}

#[test]
fn the_page_has_every_value_and_valid_examples() {
    let page = page();
    let dictionary = read(&folder().join("dictionary.json"));
    let told = tables(&page);
    for (name, attribute) in dictionary["attributes"].as_object().unwrap() {
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
        let Some(values) = attribute["enum"].as_object() else { continue };
        let told: BTreeSet<_> = told.get(name).into_iter().flatten().cloned().collect();
        let caption = |v: &Value| v["caption"].as_str().unwrap().to_owned();
        let values: BTreeSet<_> = values.iter().map(|(id, v)| (id.clone(), caption(v))).collect();
        assert_eq!(told, values, "{name}");
    }
    let blocks = page.split("```json\n").skip(1).filter_map(|b| b.split("```").next());
    let examples: Vec<Value> = blocks.map(|b| serde_json::from_str(b).unwrap()).collect();
    let classes: BTreeSet<u64> = examples.iter().map(|e| e["class_uid"].as_u64().unwrap()).collect();
    assert_eq!(classes, BTreeSet::from([u64::from(SIGNING.0), u64::from(RELEASE.0)]));
    for example in &examples {
        assert_eq!(faults(example.as_object().unwrap()), [] as [String; 0]);
    }
}
