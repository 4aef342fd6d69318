//! Records to a daemon, each when it is due, and findings read meanwhile.

use super::plan::{Owner, Plan};
use crate::daemon::{Client, ClientError, LOOK_EVERY, Watch};
use chrono::{DateTime, Utc};
use std::time::Instant;

/// Records of one request.
const RECORDS_MAX: usize = 100;
/// Bytes of one request, unless one record alone has more.
const BYTES_MAX: usize = 1 << 20;

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When each of the plan's items was sent.
    pub times: Vec<DateTime<Utc>>,
    /// What the daemon took for no record; 0 in all likelihood.
    pub dead_letters: u64,
}

/// Sends a plan's items in order; `seen` gets how many were, now and then.
///
/// **Errors**: the daemon's; what was sent before stays there.
pub async fn send(
    client: &Client,
    plan: &Plan,
    watch: &mut Watch,
    mut seen: impl FnMut(usize),
) -> Result<Sent, ClientError> {
    let begun = Utc::now();
    let mut looked = Instant::now();
    let mut sent = Sent { times: Vec::with_capacity(plan.items.len()), dead_letters: 0 };
    while sent.times.len() < plan.items.len() {
        let (rest, now) = (&plan.items[sent.times.len()..], Utc::now());
        let mut lines = String::new();
        let (mut count, mut of) = (0, Owner::Background);
        for item in rest.iter().take(RECORDS_MAX) {
            let is_due = plan.due(item, begun).is_none_or(|due| due <= now);
            // Each attack is a delivery of its own, or its latency would be that of those after it.
            let is_next = matches!((of, item.owner), (Owner::Recording(a), Owner::Recording(b)) if a != b);
            if !is_due || is_next || (count > 0 && lines.len() + item.text.len() > BYTES_MAX) {
                break;
            }
            if item.owner != Owner::Background {
                of = item.owner;
            }
            lines.push_str(&item.text);
            lines.push('\n');
            count += 1;
        }
        if count > 0 {
            // When it goes, not when it is acknowledged: an alert may be there before that.
            let at = Utc::now();
            sent.dead_letters += client.ingest(None, &lines).await?.dead_letters;
            sent.times.extend(std::iter::repeat_n(at, count));
            seen(sent.times.len());
        } else if let Some(due) = rest.first().and_then(|item| plan.due(item, begun)) {
            let wait = (due - now).to_std().unwrap_or_default().min(LOOK_EVERY);
            tokio::time::sleep(wait).await;
        }
        if looked.elapsed() >= LOOK_EVERY {
            watch.look().await?;
            looked = Instant::now();
        }
    }
    Ok(sent)
}
