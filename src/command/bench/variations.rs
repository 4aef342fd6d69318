//! More rules than there are: real ones, with other literals, to measure what a rule costs.
//!
//! A variation keeps log source, fields, modifiers and condition, and has an id and a title of its own. Its literals
//! differ from the original's in some letters and digits; the same literal in two rules stays the same in their
//! variations, as real rules share many. What a letter might break stays: regular expressions, networks, numbers, names
//! of fields and placeholders. Correlations and filters are not varied.

use anyhow::Context;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tarn_simulations::lane::varied;
use yaml_serde::{Mapping, Value};

/// Modifiers whose values stay.
const KEPT: [&str; 9] = ["re", "cidr", "exists", "fieldref", "expand", "lt", "lte", "gt", "gte"];

/// Writes the rules under `paths` to `folder`, with `times` - 1 variations of each.
///
/// **Errors**: reading or writing. Files that are no rules are left out, as loading them would.
pub fn write(paths: &[PathBuf], times: u32, seed: u64, folder: &Path) -> anyhow::Result<()> {
    for (number, path) in files(paths)?.iter().enumerate() {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let documents: Result<Vec<Value>, _> =
            yaml_serde::Deserializer::from_str(&text).map(Value::deserialize).collect();
        let Ok(documents) = documents else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        std::fs::write(folder.join(format!("{number:06}-0-{name}")), &text)?;
        // Documents with an action speak of others in their file.
        if documents.iter().any(|d| d.get("action").is_some()) {
            continue;
        }
        for time in 1..times {
            let variations = documents.iter().filter_map(|d| variation(d, time, seed.wrapping_add(time.into())));
            let texts: Result<Vec<String>, _> = variations.map(|rule| yaml_serde::to_string(&rule)).collect();
            let texts = texts.with_context(|| path.display().to_string())?;
            if !texts.is_empty() {
                std::fs::write(folder.join(format!("{number:06}-{time}-{name}")), texts.join("---\n"))?;
            }
        }
    }
    Ok(())
}

fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        for entry in walkdir::WalkDir::new(path).sort_by_file_name().follow_links(true) {
            let entry = entry?;
            let is_yaml = entry.path().extension().is_some_and(|e| e == "yml" || e == "yaml");
            if entry.path().is_file() && (entry.depth() == 0 || is_yaml) {
                files.push(entry.into_path());
            }
        }
    }
    Ok(files)
}

/// A variation of a detection rule; none of another document.
fn variation(document: &Value, time: u32, seed: u64) -> Option<Value> {
    let mut rule = document.clone();
    let detection = rule.get_mut("detection")?.as_mapping_mut()?;
    for (name, value) in detection.iter_mut() {
        if !matches!(name.as_str(), Some("condition" | "timeframe")) {
            vary(value, seed);
        }
    }
    let rule_mapping = rule.as_mapping_mut()?;
    retitle(rule_mapping, time, seed);
    Some(rule)
}

fn retitle(rule: &mut Mapping, time: u32, seed: u64) {
    for name in ["title", "name"] {
        if let Some(Value::String(text)) = rule.get_mut(name) {
            text.push_str(&format!(" {time}"));
        }
    }
    if let Some(Value::String(id)) = rule.get_mut("id") {
        let digest = Sha256::digest(format!("{seed} {id}"));
        let hex = hex::encode(digest);
        *id = format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30]);
    }
}

fn vary(value: &mut Value, seed: u64) {
    match value {
        Value::String(text) if !text.bytes().all(|b| b.is_ascii_digit()) => *text = varied(text, seed),
        Value::Sequence(values) => values.iter_mut().for_each(|value| vary(value, seed)),
        Value::Mapping(items) => {
            for (field, value) in items.iter_mut() {
                let mut modifiers = field.as_str().unwrap_or_default().split('|').skip(1);
                if !modifiers.any(|modifier| KEPT.contains(&modifier)) {
                    vary(value, seed);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tarn_rules::LoadOptions;

    #[test]
    fn our_own_rules_times_three_load_and_no_two_are_alike() -> anyhow::Result<()> {
        let (folder, pack) = (tempfile::tempdir()?, Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma"));
        write(std::slice::from_ref(&pack), 3, 7, folder.path())?;
        let of = |path: &Path| tarn_rules::load(&[path.to_owned()], &LoadOptions::default());
        let (before, after) = (of(&pack), of(folder.path()));
        assert!(after.errors.is_empty(), "{:?}", after.errors);
        assert_eq!(after.rules.len(), 3 * before.rules.len());
        assert_eq!(after.correlations.len(), before.correlations.len());
        let ids: std::collections::HashSet<_> = after.rules.iter().map(|r| &r.about.id).collect();
        assert_eq!(ids.len(), after.rules.len());
        let conditions: std::collections::HashSet<_> =
            after.rules.iter().map(|r| format!("{:?}", r.condition)).collect();
        assert!(conditions.len() * 10 > after.rules.len() * 9, "{} of {}", conditions.len(), after.rules.len());
        Ok(())
    }

    #[test]
    fn fields_numbers_and_patterns_stay() -> anyhow::Result<()> {
        let rule: Value = yaml_serde::from_str(
            "title: T\nid: 00000000-0000-0000-0000-000000000000\nlogsource: {product: windows}\ndetection:\n  \
             selection: {EventID: [1, '4624'], 'Image|endswith': '\\cmd.exe', 'a|re': '^\\d+$', b: null}\n  \
             keywords: ['abc']\n  condition: selection or keywords\n",
        )?;
        let made = variation(&rule, 1, 7).context("a rule")?;
        let selection = |rule: &Value, name: &str| rule["detection"]["selection"][name].clone();
        for name in ["EventID", "a|re", "b"] {
            assert_eq!(selection(&made, name), selection(&rule, name));
        }
        assert_ne!(selection(&made, "Image|endswith"), selection(&rule, "Image|endswith"));
        assert_ne!(made["detection"]["keywords"], rule["detection"]["keywords"]);
        assert_eq!(made["detection"]["condition"], rule["detection"]["condition"]);
        assert_eq!(made["title"], "T 1");
        assert_ne!(made["id"], rule["id"]);
        Ok(())
    }
}
