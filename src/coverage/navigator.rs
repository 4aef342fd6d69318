//! A [`Coverage`] as an ATT&CK Navigator layer: the score is the number of rules that count.
//!
//! ATLAS techniques are not of the Enterprise domain, and not in it.

use super::{Coverage, Technique};
use serde_json::{Value, json};
use tarn_simulations::navigator::Layer;

/// Rules of one technique beyond which the colour says no more.
const SCORE_FULL: u32 = 5;

/// The layer; `over` says what the coverage is over.
pub fn layer(coverage: &Coverage, over: &str) -> Value {
    let ours = coverage.techniques.iter().filter(|(id, _)| id.starts_with('T'));
    let layer = Layer {
        name: "Tarn: rule coverage".to_owned(),
        description: format!("{} of {} rules count, over {over}", coverage.counting, coverage.rules),
        aggregate: "sum",
        colours: [
            ("#ff6666", "rules, and none that counts: no telemetry, or they cannot run here".to_owned()),
            ("#cfe8a9", "some rules".to_owned()),
            ("#4e9a06", format!("{SCORE_FULL} rules or more")),
        ],
        score_max: SCORE_FULL,
        techniques: ours.map(|(id, technique)| (id.clone(), entry(technique))).collect(),
    };
    layer.json()
}

fn entry(technique: &Technique) -> Value {
    json!({
        "score": technique.counting,
        "comment": comment(technique),
        "metadata": [
            { "name": "status", "value": technique.status() },
            { "name": "rules", "value": format!("{} of {} count", technique.counting, technique.rules) },
        ],
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
