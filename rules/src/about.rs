//! What a rule says of itself, whatever kind of rule it is.

use crate::attack::{self, AttackTags};
use crate::parse::yaml::Yaml;
use std::fmt;
use std::path::PathBuf;

/// A rule's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Level {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// What a rule says of itself, and where it stands.
#[derive(Clone, Debug)]
pub struct About {
    /// Its id; rules without one get a digest of their text.
    pub id: String,
    /// Its name, by which others may refer to it.
    pub name: Option<String>,
    /// Title.
    pub title: String,
    /// Level; medium where the rule names none.
    pub level: Level,
    /// Status, as written.
    pub status: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Author.
    pub author: Option<String>,
    /// Day of creation, as written.
    pub date: Option<String>,
    /// Day of the last change, as written.
    pub modified: Option<String>,
    /// Licence.
    pub license: Option<String>,
    /// References.
    pub references: Vec<String>,
    /// Known false positives.
    pub false_positives: Vec<String>,
    /// Fields its author wants to see with a match.
    pub fields: Vec<String>,
    /// Tags, as written.
    pub tags: Vec<String>,
    /// ATT&CK techniques and tactics among the tags.
    pub attack: AttackTags,
    /// What is odd about it and keeps nothing from working.
    pub warnings: Vec<String>,
    /// The file that holds it.
    pub file: PathBuf,
    /// The line of that file at which its document begins.
    pub line: usize,
    /// Digest of that file's text: the rule's version.
    pub digest: String,
}

const TITLE_CHARS_MAX: usize = 256;

/// What a document says of its rule; where it stands is for the caller to add.
pub(crate) fn about(content: &Yaml, title: String) -> About {
    let mut warnings = Vec::new();
    let level = match content.text("level").as_deref() {
        Some("informational") => Level::Informational,
        Some("low") => Level::Low,
        Some("medium") | None => Level::Medium,
        Some("high") => Level::High,
        Some("critical") => Level::Critical,
        Some(other) => {
            warnings.push(format!("Sigma has no level {other:?}; medium is assumed"));
            Level::Medium
        }
    };
    let status = content.text("status");
    if let Some(status) =
        status.as_deref().filter(|s| !["stable", "test", "experimental", "deprecated", "unsupported"].contains(s))
    {
        warnings.push(format!("Sigma has no status {status:?}"));
    }
    if status.as_deref() == Some("unsupported") {
        warnings.push("its author says that it is unsupported".into());
    }
    if let Some(taxonomy) = content.text("taxonomy").filter(|t| t != "sigma") {
        warnings.push(format!("its names are of the taxonomy {taxonomy:?}, and are taken as Sigma's"));
    }
    if content.get("detection").and_then(|d| d.get("timeframe")).is_some() {
        warnings.push("`timeframe` has no meaning without an aggregation, which Sigma 2 gave up".into());
    }
    if title.chars().count() > TITLE_CHARS_MAX {
        warnings.push(format!("the title is longer than {TITLE_CHARS_MAX} characters"));
    }
    let tags = content.texts("tags");
    About {
        id: String::new(),
        name: content.text("name"),
        title,
        level,
        status,
        description: content.text("description"),
        author: content.text("author"),
        date: content.text("date"),
        modified: content.text("modified"),
        license: content.text("license"),
        references: content.texts("references"),
        false_positives: content.texts("falsepositives"),
        fields: content.texts("fields"),
        attack: attack::tags(&tags),
        tags,
        warnings,
        file: PathBuf::new(),
        line: 0,
        digest: String::new(),
    }
}
