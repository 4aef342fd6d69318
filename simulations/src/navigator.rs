//! ATT&CK Navigator layers (layer format 4.5).
//!
//! Source: attack-navigator, `layers/spec/v4.5/layerformat.md`.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tarn_rules::attack::VERSION;

/// A layer of ATT&CK Enterprise.
pub struct Layer<'a> {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub description: String,
    /// What a technique's cell makes of its sub-techniques' scores: `average` or `sum`.
    pub aggregate: &'a str,
    /// Colours of the least score, the middle and the greatest, and what each means.
    pub colours: [(&'a str, String); 3],
    /// The greatest score.
    pub score_max: u32,
    /// Of each technique its `score`, `comment` and `metadata`.
    pub techniques: BTreeMap<String, Value>,
}

impl Layer<'_> {
    /// Its JSON. Techniques that only their sub-techniques stand for are opened.
    pub fn json(mut self) -> Value {
        let parents: BTreeSet<String> =
            self.techniques.keys().filter_map(|id| Some(id.split_once('.')?.0.to_owned())).collect();
        for (id, technique) in &mut self.techniques {
            technique["techniqueID"] = id.as_str().into();
            technique["enabled"] = true.into();
        }
        for parent in parents {
            let technique = self.techniques.entry(parent).or_insert_with_key(|id| json!({ "techniqueID": id }));
            technique["showSubtechniques"] = true.into();
        }
        let colours: Vec<&str> = self.colours.iter().map(|(colour, _)| *colour).collect();
        let legend = self.colours.iter().map(|(colour, label)| json!({ "label": label, "color": colour }));
        json!({
            "name": self.name,
            "versions": { "attack": VERSION, "navigator": "5.1.0", "layer": "4.5" },
            "domain": "enterprise-attack",
            "description": self.description,
            "sorting": 3,
            "layout": { "layout": "side", "aggregateFunction": self.aggregate, "showID": true, "showName": true },
            "hideDisabled": false,
            "techniques": self.techniques.into_values().collect::<Vec<_>>(),
            "gradient": { "colors": colours, "minValue": 0, "maxValue": self.score_max },
            "legendItems": legend.collect::<Vec<_>>(),
            "selectTechniquesAcrossTactics": true,
        })
    }
}
