//! How bad an alert is, in the five steps of Sigma's levels and OCSF's `severity_id`.

use serde::{Deserialize, Serialize};

/// A severity; they compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// OCSF 1.
    Informational,
    /// OCSF 2.
    Low,
    /// OCSF 3; also what has no known severity, because nobody said that it is harmless.
    Medium,
    /// OCSF 4.
    High,
    /// OCSF 5, and 6, which is `Fatal`.
    Critical,
}

impl Severity {
    /// Of OCSF's `severity_id`.
    pub fn of_ocsf(severity_id: i64) -> Self {
        match severity_id {
            1 => Self::Informational,
            2 => Self::Low,
            4 => Self::High,
            5 | 6 => Self::Critical,
            _ => Self::Medium,
        }
    }

    /// Its caption in OCSF.
    pub fn caption(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }

    /// From 1 to 5.
    pub fn rank(self) -> u8 {
        self as u8 + 1
    }
}
