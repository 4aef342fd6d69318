//! Our own rules: every one loads without a warning, says where it comes from, and its test events decide as they say.
//!
//! Events are flattened as sources without shapes are: dotted names, a list's elements under one name. What the sources
//! make of the same events is tested with the engine.

use std::path::{Path, PathBuf};
use tarn_rules::reference::{Event, Value, holds};
use tarn_rules::{LoadOptions, Rule, events, load};

fn rules() -> Vec<Rule> {
    let set = load(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("sigma")], &LoadOptions::default());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    set.rules
}

fn flatten(name: &str, json: &serde_json::Value, out: &mut Event) {
    let value = match json {
        serde_json::Value::Object(map) => {
            for (key, inner) in map {
                flatten(&if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, inner, out);
            }
            // An object is there, and has no text.
            Value::List(Vec::new())
        }
        serde_json::Value::Array(list) => {
            list.iter().for_each(|inner| flatten(name, inner, out));
            return;
        }
        serde_json::Value::Null => Value::Null,
        serde_json::Value::String(text) => Value::Text(text.clone()),
        other => Value::Text(other.to_string()),
    };
    if name.is_empty() {
        return;
    }
    match out.entry(name.to_owned()).or_insert_with(|| Value::List(Vec::new())) {
        Value::List(list) => list.push(value),
        other => *other = value,
    }
}

fn event(json: &serde_json::Value) -> Event {
    let mut out = Event::new();
    flatten("", json, &mut out);
    // NXLog's name for what Windows and Sigma call the provider.
    if let Some(provider) = out.get("SourceName").cloned() {
        out.insert("Provider_Name".into(), provider);
    }
    out
}

#[test]
fn every_rule_fires_on_what_it_is_for_and_on_nothing_like_it() {
    for rule in rules() {
        let tests = events::of_rule(&rule.about.file).unwrap().unwrap_or_default();
        let name = rule.about.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for test in &tests {
            assert_eq!(
                holds(&rule.condition, &event(&test.event)),
                test.fires,
                "{name}: {}\n{}",
                test.name,
                rule.condition
            );
        }
        let firing = tests.iter().filter(|t| t.fires).count();
        assert!(firing >= 1 && tests.len() - firing >= 2, "{name}: {firing} of {} events fire it", tests.len());
    }
}

#[test]
fn every_rule_is_described() {
    let rules = rules();
    assert!(rules.len() >= 14, "{} rules", rules.len());
    let ids: std::collections::HashSet<&str> = rules.iter().map(|r| r.about.id.as_str()).collect();
    assert_eq!(ids.len(), rules.len());
    for rule in &rules {
        let told = !rule.about.references.is_empty()
            && !rule.about.false_positives.is_empty()
            && rule.about.description.is_some();
        assert!(
            told && !rule.about.attack.techniques.is_empty() && !rule.about.attack.tactics.is_empty(),
            "{}",
            rule.about.file.display()
        );
        assert!(rule.about.warnings.is_empty(), "{}: {:?}", rule.about.file.display(), rule.about.warnings);
    }
}

#[test]
fn no_events_file_is_without_its_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sigma");
    let files: Vec<PathBuf> =
        walkdir::WalkDir::new(folder).into_iter().flatten().map(|e| e.into_path()).filter(|p| p.is_file()).collect();
    for file in files.iter().filter(|f| events::is_events_file(&f.to_string_lossy())) {
        let rule = PathBuf::from(file.to_string_lossy().replace(".events.", "."));
        assert!(files.contains(&rule), "{}", file.display());
    }
}
