//! What somebody did with a finding, as its record says: an OCSF Detection Finding (2004) that is no new one.

use super::alert::{FindingError, rfc3339};
use serde::{Deserialize, Serialize};

/// A change of a finding that was told before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The finding's uid.
    pub uid: String,
    /// The uid of the record of this change.
    pub record: String,
    /// When it was made, RFC 3339 in UTC.
    pub time: String,
    /// `Update` or `Close`.
    pub activity: Option<String>,
    /// Status, after it.
    pub status: Option<String>,
    /// Who works on it, after it.
    pub assignee: Option<String>,
    /// What came of it, after it.
    pub verdict: Option<String>,
    /// What was said to it.
    pub comment: Option<String>,
    /// Who made it.
    pub by: Option<String>,
    /// Whether nobody has to look at the finding after it: it is resolved or suppressed.
    pub closes: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    time: i64,
    activity_name: Option<String>,
    status: Option<String>,
    status_id: Option<i64>,
    assignee: Option<Named>,
    verdict: Option<String>,
    comment: Option<String>,
    actor: Option<Actor>,
    metadata: Uid,
    finding_info: Uid,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Actor {
    user: Option<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Uid {
    uid: Option<String>,
}

impl Change {
    /// Of a record's JSON text.
    ///
    /// **Errors**: [`FindingError`].
    pub fn of(record: &str) -> Result<Self, FindingError> {
        let record: Record = serde_json::from_str(record)?;
        Ok(Self {
            uid: record.finding_info.uid.ok_or(FindingError::NoUid)?,
            record: record.metadata.uid.ok_or(FindingError::NoUid)?,
            time: rfc3339(record.time),
            activity: record.activity_name,
            status: record.status,
            assignee: record.assignee.and_then(|assignee| assignee.name),
            verdict: record.verdict,
            comment: record.comment,
            by: record.actor.and_then(|actor| actor.user?.name),
            // OCSF's `status_id`: 3 is Suppressed, 4 Resolved.
            closes: matches!(record.status_id, Some(3 | 4)),
        })
    }
}
