//! The list of tests that may run: `allowed.yml`, reviewed one by one.
//!
//! An entry stands for a test **as it was reviewed**: it holds a digest of everything that would be executed. A test whose
//! commands, inputs or executor differ from that is not run, whatever its GUID says.

use super::definition::Test;
use serde::Deserialize;
use sha2::{Digest, Sha256};

const LIST: &str = include_str!("allowed.yml");
/// Hexadecimal digits of a digest that the list holds: 128 bits.
const DIGITS: usize = 32;

/// A reviewed test.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// The technique whose folder it stands in.
    pub technique: String,
    /// The test.
    pub guid: String,
    /// What was reviewed ([`digest`]).
    pub digest: String,
    /// What it does, and so why it is harmless.
    pub reason: String,
    /// Whether what makes its prerequisites is harmless and offline too.
    #[serde(default)]
    pub prepare: bool,
}

/// Why a test does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody has reviewed it.
    #[error("not on the list of reviewed tests")]
    Unlisted,
    /// It was reviewed when it was another.
    #[error("changed since its review: {digest} is not {reviewed}")]
    Changed {
        /// Of the test as it is.
        digest: String,
        /// Of the test that was reviewed.
        reviewed: String,
    },
}

/// A list of reviewed tests.
#[derive(Debug, Clone, Default)]
pub struct List(Vec<Allowed>);

impl List {
    /// The list that this program ships.
    ///
    /// # Errors
    /// The text is not in the form; a test of this crate shows that it is.
    pub fn shipped() -> Result<Self, yaml_serde::Error> {
        Self::parse(LIST)
    }

    /// A list of one's own.
    ///
    /// # Errors
    /// The text is not in the form.
    pub fn parse(text: &str) -> Result<Self, yaml_serde::Error> {
        yaml_serde::from_str(text).map(Self)
    }

    /// With the entries of another list behind its own.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// All entries, in the list's order.
    #[must_use]
    pub fn entries(&self) -> &[Allowed] {
        &self.0
    }

    /// The entry of a test that is as it was reviewed.
    ///
    /// # Errors
    /// It is not on the list, or differs from what was reviewed.
    pub fn check(&self, test: &Test) -> Result<&Allowed, Refused> {
        let same = |a: &&Allowed| a.guid == test.guid && a.technique == test.technique;
        let entry = self.0.iter().find(same).ok_or(Refused::Unlisted)?;
        let digest = digest(test);
        if digest == entry.digest {
            Ok(entry)
        } else {
            Err(Refused::Changed { digest, reviewed: entry.digest.clone() })
        }
    }
}

/// A digest of everything of a test that is executed or decides what is.
#[must_use]
pub fn digest(test: &Test) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update(text.len().to_be_bytes());
        digest.update(text);
    };
    add(&test.executor.name);
    add(&test.executor.command);
    add(test.executor.cleanup_command.as_deref().unwrap_or_default());
    for dependency in &test.dependencies {
        add("dependency");
        add(&dependency.prereq_command);
        add(&dependency.get_prereq_command);
    }
    for (name, value) in &test.inputs {
        add("input");
        add(name);
        add(value);
    }
    let mut text = hex::encode(digest.finalize());
    text.truncate(DIGITS);
    text
}

#[cfg(test)]
mod tests;
