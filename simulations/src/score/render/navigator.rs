//! An ATT&CK Navigator layer (layer format 4.5): 100 where all trials of a technique were detected, 0 where all were
//! missed, less where only some were or no rule named it. Techniques of which nothing ran are not in it.
//!
//! Source: attack-navigator, `layers/spec/v4.5/layerformat.md`.

use crate::score::attack::current;
use crate::score::{Scorecard, Technique};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The layer.
pub fn layer(card: &Scorecard) -> Value {
    let mut by_id: BTreeMap<&str, Vec<&Technique>> = BTreeMap::new();
    for technique in card.techniques.iter().filter(|t| t.outcome.is_some()) {
        for id in &technique.attack {
            by_id.entry(current(id)).or_default().push(technique);
        }
    }
    let parents: Vec<&str> = by_id.keys().filter_map(|id| Some(id.split_once('.')?.0)).collect();
    let mut techniques: Vec<Value> = by_id.iter().map(|(id, trials)| entry(id, trials)).collect();
    for entry in &mut techniques {
        let has_children = entry["techniqueID"].as_str().is_some_and(|id| parents.contains(&id));
        entry["showSubtechniques"] = has_children.into();
    }
    let mut added: Vec<&str> = parents.into_iter().filter(|parent| !by_id.contains_key(parent)).collect();
    added.dedup();
    techniques.extend(added.into_iter().map(|id| json!({ "techniqueID": id, "showSubtechniques": true })));
    json!({
        "name": format!("Tarn: {}", card.run.kind),
        "versions": { "attack": "19", "navigator": "5.1.0", "layer": "4.5" },
        "domain": "enterprise-attack",
        "description": format!("Run {} of {}: {}", card.run.id, card.run.started.format("%Y-%m-%d"), card.totals.detected),
        "sorting": 3,
        "layout": { "layout": "side", "aggregateFunction": "average", "showID": true, "showName": true },
        "hideDisabled": false,
        "techniques": techniques,
        "gradient": { "colors": ["#ff6666", "#ffe766", "#8ec843"], "minValue": 0, "maxValue": 100 },
        "legendItems": [
            { "label": "detected: a rule that names it, at medium or above", "color": "#8ec843" },
            { "label": "only seen, or only some", "color": "#ffe766" },
            { "label": "missed", "color": "#ff6666" },
        ],
        "metadata": [{ "name": "run", "value": card.run.id }],
        "selectTechniquesAcrossTactics": true,
    })
}

fn entry(id: &str, trials: &[&Technique]) -> Value {
    let scores: u32 = trials.iter().map(|t| score(t)).sum();
    let lines: Vec<String> = trials.iter().map(|t| format!("{}: {}", t.id, t.verdict())).collect();
    let detected = trials.iter().filter(|t| t.verdict() == "detected").count();
    json!({
        "techniqueID": id,
        "score": f64::from(scores) / trials.len() as f64,
        "comment": lines.join("\n"),
        "enabled": true,
        "metadata": [{ "name": "detected", "value": format!("{detected} of {}", trials.len()) }],
    })
}

fn score(technique: &Technique) -> u32 {
    match technique.verdict() {
        "detected" => 100,
        "named" => 60,
        "other" => 30,
        _ => 0,
    }
}
