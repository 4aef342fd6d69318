//! A change as it is asked for: `{"status": …, "assignee": …, "verdict": …, "comment": …}`, at least one of them.

use super::problem::Problem;
use super::state::{STATUSES, VERDICTS, id_of, names};
use serde_json::Value;

/// Bytes of a request: the longest comment with every character escaped, and the rest.
pub(super) const BODY_MAX: usize = 64 << 10;
/// Characters of a comment.
const COMMENT_MAX: usize = 4_000;
/// Characters of an assignee's name.
const ASSIGNEE_MAX: usize = 256;

/// What is to be different. Absent: as it was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) status_id: Option<i64>,
    /// `Some(None)`: nobody.
    pub(super) assignee: Option<Option<String>>,
    pub(super) verdict_id: Option<i64>,
    pub(super) comment: Option<String>,
}

impl Change {
    /// **Errors**: [`Problem::Field`], which names the field and what it takes; [`Problem::Malformed`].
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let malformed = |reason: String| Problem::Malformed { reason };
        let body: Value = serde_json::from_slice(body).map_err(|e| malformed(e.to_string()))?;
        let body = body.as_object().ok_or_else(|| malformed("expected an object".into()))?;
        let mut change = Self::default();
        for (field, value) in body {
            match field.as_str() {
                "status" => change.status_id = Some(named(field, value, &STATUSES)?),
                "verdict" => change.verdict_id = Some(named(field, value, &VERDICTS)?),
                "assignee" if value.is_null() => change.assignee = Some(None),
                "assignee" => change.assignee = Some(Some(bounded(field, value, ASSIGNEE_MAX)?)),
                "comment" => change.comment = Some(bounded(field, value, COMMENT_MAX)?),
                _ => return Err(Problem::field(field, "no such field", "status, assignee, verdict, comment")),
            }
        }
        if change == Self::default() {
            return Err(malformed("nothing to change; expected status, assignee, verdict or comment".into()));
        }
        Ok(change)
    }
}

fn named(field: &str, value: &Value, all: &[(&str, i64, &str)]) -> Result<i64, Problem> {
    let id = value.as_str().and_then(|name| id_of(all, name));
    id.ok_or_else(|| Problem::field(field, &format!("{value} is not known"), &names(all)))
}

fn bounded(field: &str, value: &Value, chars_max: usize) -> Result<String, Problem> {
    let expected = format!("a text of 1 to {chars_max} characters");
    let text = value.as_str().map(str::trim).unwrap_or_default();
    match text.chars().count() {
        0 => Err(Problem::field(field, "there is none", &expected)),
        n if n > chars_max => Err(Problem::field(field, &format!("{n} characters"), &expected)),
        _ => Ok(text.to_owned()),
    }
}
