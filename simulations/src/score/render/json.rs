//! The whole scorecard as one JSON document. What is not known is null, never 0.

use crate::score::Scorecard;

/// The document.
///
/// **Errors**: none that a scorecard can cause.
pub fn document(card: &Scorecard) -> serde_json::Result<String> {
    serde_json::to_string_pretty(card)
}
