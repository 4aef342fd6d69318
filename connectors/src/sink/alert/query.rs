//! SQL that an analyst goes on with. Values come from events: they stand in literals only, with quotes doubled.

use super::{Entity, Event, rfc3339};
use std::fmt::Write;

/// How far around the event an entity is looked at.
const AROUND_MS: i64 = 3_600_000;

/// The event in its table; the finding where the table or the event is not known.
pub(super) fn of_event(finding_uid: &str, event: Option<&Event>) -> String {
    let (table, uid) = match event {
        Some(Event { uid, table: Some(table) }) => (table.as_str(), uid.as_str()),
        _ => ("detection_finding", finding_uid),
    };
    format!("SELECT * FROM {table} WHERE metadata.uid = {}", literal(uid))
}

/// What an entity did around an event; none for one that has no column. Times are milliseconds.
pub(super) fn of_entity(table: &str, entity: &Entity, seen_ms: (i64, i64)) -> Option<String> {
    let value = &entity.value;
    // A value that was cut off finds nothing.
    if !entity.column || value.ends_with('…') {
        return None;
    }
    let (from, to) = (seen_ms.0.saturating_sub(AROUND_MS), seen_ms.1.saturating_add(AROUND_MS));
    let mut sql = format!("SELECT * FROM {table} WHERE {} = {}", entity.field, literal(value));
    let _ =
        write!(sql, " AND time BETWEEN TIMESTAMP '{}' AND TIMESTAMP '{}' ORDER BY time", rfc3339(from), rfc3339(to));
    Some(sql)
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
