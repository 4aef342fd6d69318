//! The table `stratus.yml`: what each technique is, and the rules of the pack that are there for it.

use crate::score::Trial;
use serde::Deserialize;
use std::collections::BTreeSet;
use tarn_rules::Ruleset;
use thiserror::Error;

const TEXT: &str = include_str!("../../stratus.yml");

/// A technique of Stratus Red Team.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Technique {
    /// Its id, such as `aws.defense-evasion.cloudtrail-stop`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// ATT&CK ids, current ones.
    pub attack: Vec<String>,
    /// Its platform, such as `AWS`.
    pub platform: String,
    /// What tells of it, such as `CloudTrail`.
    #[serde(default)]
    pub telemetry: String,
    /// File stems of the rules that are there for it.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// A table that cannot be read, which would be a defect of ours.
#[derive(Debug, Error)]
#[error("stratus.yml: {0}")]
pub struct TableError(#[from] yaml_serde::Error);

/// All techniques, in the table's order.
///
/// **Errors**: [`TableError`]; a test rules it out.
pub fn table() -> Result<Vec<Technique>, TableError> {
    Ok(yaml_serde::from_str(TEXT)?)
}

impl Technique {
    /// A trial of it in which nothing ran yet; `rules` are those that are loaded, as far as that is known.
    pub fn trial(&self, rules: &Ruleset) -> Trial {
        Trial {
            id: self.id.clone(),
            name: self.name.clone(),
            platform: self.platform.clone(),
            attack: self.attack.clone(),
            expected: ids(rules, &self.rules),
            ..Trial::default()
        }
    }
}

/// Ids of the rules and correlations in files with these stems.
pub fn ids(rules: &Ruleset, stems: &[String]) -> BTreeSet<String> {
    let abouts = rules.rules.iter().map(|r| &r.about).chain(rules.correlations.iter().map(|c| &c.about));
    let is_wanted = |about: &&tarn_rules::About| {
        about.file.file_stem().is_some_and(|stem| stems.iter().any(|wanted| stem == wanted.as_str()))
    };
    abouts.filter(is_wanted).map(|about| about.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_table_is_read_and_names_each_technique_once() {
        let table = table().unwrap();
        let ids: BTreeSet<&str> = table.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(ids.len(), table.len());
        for technique in &table {
            assert!(!technique.attack.is_empty(), "{} has no ATT&CK id", technique.id);
            assert!(
                technique.attack.iter().all(|id| crate::score::attack::current(id) == id.as_str()),
                "{}",
                technique.id
            );
        }
    }

    #[test]
    fn the_rules_that_are_named_are_there() {
        let pack = tarn_rules::pack();
        let stems: BTreeSet<String> = table().unwrap().into_iter().flat_map(|t| t.rules).collect();
        let missing: Vec<_> = stems.iter().filter(|stem| ids(&pack, std::slice::from_ref(stem)).is_empty()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
