//! A score as an ATT&CK Navigator layer: 100 where all trials of a technique were detected, 0 where all were missed, less
//! where only some were or no rule named it. Techniques of which nothing ran are not in it.

use crate::navigator::Layer;
use crate::score::attack::current;
use crate::score::{Scorecard, Technique};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The layer.
pub fn layer(card: &Scorecard) -> Value {
    let mut trials: BTreeMap<String, Vec<&Technique>> = BTreeMap::new();
    for technique in card.techniques.iter().filter(|t| t.outcome.is_some()) {
        for id in &technique.attack {
            trials.entry(current(id).into_owned()).or_default().push(technique);
        }
    }
    let run = &card.run;
    let layer = Layer {
        name: format!("Tarn: {}", run.kind),
        description: format!("Run {} of {}: {}", run.id, run.started.format("%Y-%m-%d"), card.totals.detected),
        aggregate: "average",
        colours: [
            ("#ff6666", "missed".to_owned()),
            ("#ffe766", "only seen, or only some".to_owned()),
            ("#8ec843", "detected: a rule that names it, at medium or above".to_owned()),
        ],
        score_max: 100,
        techniques: trials.into_iter().map(|(id, trials)| (id, entry(&trials))).collect(),
    };
    let mut json = layer.json();
    json["metadata"] = json!([{ "name": "run", "value": run.id }]);
    json
}

fn entry(trials: &[&Technique]) -> Value {
    let scores: u32 = trials.iter().map(|t| score(t)).sum();
    let lines: Vec<String> = trials.iter().map(|t| format!("{}: {}", t.id, t.verdict())).collect();
    let detected = trials.iter().filter(|t| t.verdict() == "detected").count();
    json!({
        "score": f64::from(scores) / trials.len() as f64,
        "comment": lines.join("\n"),
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
