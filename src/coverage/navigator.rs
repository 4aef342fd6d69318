//! An ATT&CK Navigator layer (layer format 4.5) of a [`Coverage`]: the score is the number of rules that count.
//!
//! ATLAS techniques are not of the Enterprise domain, and not in it.
//!
//! Source: attack-navigator, `layers/spec/v4.5/layerformat.md`.

use super::{Coverage, Technique};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tarn_rules::attack;

/// Rules of one technique beyond which the colour says no more.
const SCORE_FULL: usize = 5;

/// The layer; `over` says what the coverage is over.
pub fn layer(coverage: &Coverage, over: &str) -> Value {
    let ours: Vec<(&String, &Technique)> = coverage.techniques.iter().filter(|(id, _)| id.starts_with('T')).collect();
    let parents: BTreeSet<&str> = ours.iter().filter_map(|(id, _)| Some(id.split_once('.')?.0)).collect();
    let mut techniques: Vec<Value> = ours
        .iter()
        .map(|(id, technique)| {
            json!({
                "techniqueID": id,
                "score": technique.counting,
                "comment": comment(technique),
                "enabled": true,
                "showSubtechniques": parents.contains(id.as_str()),
                "metadata": [
                    { "name": "status", "value": technique.status() },
                    { "name": "rules", "value": format!("{} of {} count", technique.counting, technique.rules) },
                ],
            })
        })
        .collect();
    let alone = parents.iter().filter(|parent| !coverage.techniques.contains_key(**parent));
    techniques.extend(alone.map(|id| json!({ "techniqueID": id, "showSubtechniques": true })));
    json!({
        "name": "Tarn: rule coverage",
        "versions": { "attack": attack::VERSION, "navigator": "5.1.0", "layer": "4.5" },
        "domain": "enterprise-attack",
        "description": format!("{} of {} rules count, over {over}", coverage.counting, coverage.rules),
        "sorting": 3,
        "layout": { "layout": "side", "aggregateFunction": "sum", "showID": true, "showName": true },
        "hideDisabled": false,
        "techniques": techniques,
        "gradient": { "colors": ["#ff6666", "#cfe8a9", "#4e9a06"], "minValue": 0, "maxValue": SCORE_FULL },
        "legendItems": [
            { "label": "rules, and none that counts: no telemetry, or they cannot run here", "color": "#ff6666" },
            { "label": "some rules", "color": "#cfe8a9" },
            { "label": format!("{SCORE_FULL} rules or more"), "color": "#4e9a06" },
        ],
        "selectTechniquesAcrossTactics": true,
    })
}

fn comment(technique: &Technique) -> String {
    if technique.counting > 0 {
        return technique.titles.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    }
    match technique.wanted.len() {
        0 => "no rule for it can run here".to_owned(),
        _ => format!("no telemetry of {}", technique.wanted.iter().map(String::as_str).collect::<Vec<_>>().join("; ")),
    }
}
