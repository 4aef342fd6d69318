//! Which rules stand for which labelled behaviour, and which records no rule can decide.

use crate::stratus::ids;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use tarn_rules::Ruleset;
use thiserror::Error;

static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/labelled");

/// A behaviour, and the rules of ours that stand for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Its name, as records are labelled.
    pub behaviour: String,
    /// File stems of rules.
    pub rules: Vec<String>,
}

/// A record that no rule can decide.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its behaviour.
    pub behaviour: String,
    /// Its name; all of the behaviour without one.
    pub name: Option<String>,
    /// Why.
    pub reason: String,
}

/// One or more tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    /// What is mapped.
    pub behaviours: Vec<Behaviour>,
    /// What is left out.
    pub left_out: Vec<LeftOut>,
}

/// A table that cannot be used.
#[derive(Debug, Error)]
pub enum TableError {
    /// A file or folder that cannot be read.
    #[error("{}", path.display())]
    Read {
        /// It.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is no table.
    #[error("{}", path.display())]
    Parse {
        /// It.
        path: PathBuf,
        /// Why.
        #[source]
        source: yaml_serde::Error,
    },
}

impl Table {
    /// The tables that come with Tarn.
    ///
    /// **Errors**: [`TableError`]; a test rules it out.
    pub fn builtin() -> Result<Self, TableError> {
        let files = FOLDER.files().filter(|f| is_table(f.path()));
        Self::of(files.map(|f| (f.path().to_owned(), f.contents_utf8().unwrap_or_default().to_owned())).collect())
    }

    /// All tables (`*.yml`) of a folder, or one file.
    ///
    /// **Errors**: [`TableError`], the first.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let error = |path: &Path| {
            let path = path.to_owned();
            |source| TableError::Read { path, source }
        };
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(error(path))?.collect();
            files = entries.map_err(error(path))?.into_iter().map(|e| e.path()).filter(|p| is_table(p)).collect();
        }
        let texts = files.into_iter().map(|file| {
            let text = std::fs::read_to_string(&file).map_err(error(&file))?;
            Ok((file, text))
        });
        Self::of(texts.collect::<Result<_, _>>()?)
    }

    fn of(mut texts: Vec<(PathBuf, String)>) -> Result<Self, TableError> {
        texts.sort();
        let mut all = Self::default();
        for (path, text) in texts {
            let table: Option<Self> =
                yaml_serde::from_str(&text).map_err(|source| TableError::Parse { path, source })?;
            let table = table.unwrap_or_default();
            all.behaviours.extend(table.behaviours);
            all.left_out.extend(table.left_out);
        }
        Ok(all)
    }

    /// Behaviour → ids of the rules that stand for it.
    pub fn rules(&self, rules: &Ruleset) -> BTreeMap<&str, BTreeSet<String>> {
        let mut mapped: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for Behaviour { behaviour, rules: stems } in &self.behaviours {
            mapped.entry(behaviour).or_default().extend(ids(rules, stems));
        }
        mapped
    }

    /// Rules that a table names and that are not there.
    pub fn missing<'a>(&'a self, rules: &Ruleset) -> BTreeSet<&'a str> {
        let stems = self.behaviours.iter().flat_map(|b| &b.rules).collect::<BTreeSet<_>>().into_iter();
        stems.filter(|stem| ids(rules, std::slice::from_ref(stem)).is_empty()).map(String::as_str).collect()
    }

    /// Why a record is left out.
    pub fn left_out(&self, behaviour: &str, name: &str) -> Option<&str> {
        let is_it = |l: &&LeftOut| l.behaviour == behaviour && l.name.as_deref().is_none_or(|n| n == name);
        self.left_out.iter().find(is_it).map(|l| l.reason.as_str())
    }
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yml" || e == "yaml")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn our_tables_name_rules_of_the_pack() {
        let table = Table::builtin().unwrap();
        assert_eq!(table.missing(&tarn_rules::pack()), BTreeSet::new());
        let mapped: BTreeSet<&str> = table.behaviours.iter().map(|b| b.behaviour.as_str()).collect();
        assert_eq!(mapped.len(), table.behaviours.len(), "a behaviour is mapped twice");
    }

    #[test]
    fn the_page_says_what_the_tables_say() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/behaviours.md");
        let page = std::fs::read_to_string(page).unwrap();
        let table = Table::builtin().unwrap();
        for Behaviour { behaviour, rules } in &table.behaviours {
            let rules: Vec<String> = rules.iter().map(|rule| format!("`{rule}`")).collect();
            let row = format!("| {behaviour} | {} |", rules.join(", "));
            assert!(page.lines().any(|line| line == row), "docs/behaviours.md lacks {row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`')).count();
        assert_eq!(rows, table.behaviours.len());
        assert!(table.left_out.iter().all(|left| page.contains(&left.reason)));
    }

    #[test]
    fn tables_add_up_and_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.yml", "behaviours:\n    - behaviour: A\n      rules: [aws_root_account_used, nothing]\n");
        write("b.yml", "left_out:\n    - {behaviour: A, name: n, reason: r}\n    - {behaviour: B, reason: all}\n");
        write("c.txt", "no table");
        let table = Table::read(folder.path()).unwrap();
        let pack = tarn_rules::pack();
        assert_eq!(table.rules(&pack)["A"].len(), 1);
        assert_eq!(table.missing(&pack), BTreeSet::from(["nothing"]));
        assert_eq!(
            (table.left_out("A", "n"), table.left_out("A", "m"), table.left_out("B", "m")),
            (Some("r"), None, Some("all"))
        );
        write("d.yml", "behaviors: []\n");
        assert!(Table::read(folder.path()).unwrap_err().to_string().ends_with("d.yml"));
    }
}
