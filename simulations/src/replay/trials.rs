//! Which findings belong to which recording: a finding names events by uid, and the lake has the text of each, which is
//! what was sent.

use super::plan::{Owner, Plan};
use super::send::Sent;
use crate::daemon::{Client, ClientError};
use crate::score::{Background, Finding, Trial};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// What findings stand on.
#[derive(Clone, Debug, Default)]
pub struct Attributed {
    /// The trials, with the uids of their records.
    pub trials: Vec<Trial>,
    /// The benign part, where there was one.
    pub background: Option<Background>,
}

/// Gives `trials`, one a recording, the uids of their records that `findings` stand on.
///
/// **Errors**: the daemon's.
pub async fn trials(
    client: &Client,
    (plan, sent): (&Plan, &Sent),
    mut trials: Vec<Trial>,
    findings: &[Finding],
) -> Result<Attributed, ClientError> {
    let mut by_text = HashMap::new();
    let mut background: Option<Background> = None;
    for (number, item) in plan.items.iter().enumerate() {
        by_text.insert(digest(&item.text), number);
        match item.owner {
            Owner::Background => background.get_or_insert_default().records += 1,
            Owner::Recording(n) => {
                if let Some(trial) = trials.get_mut(n) {
                    (trial.ran, trial.records) = (true, trial.records + 1);
                }
            }
        }
    }
    let uids: HashSet<&String> = findings.iter().flat_map(|f| &f.events).collect();
    let uids: Vec<String> = uids.into_iter().cloned().collect();
    for (uid, text) in client.originals(&uids).await? {
        let Some(number) = by_text.get(&digest(&text)).copied() else { continue };
        match plan.items[number].owner {
            Owner::Background => drop(background.get_or_insert_default().uids.insert(uid)),
            Owner::Recording(n) => {
                let (trial, time) = (trials.get_mut(n), sent.times.get(number).copied());
                if let (Some(trial), Some(time)) = (trial, time) {
                    trial.uids.insert(uid, time);
                }
            }
        }
    }
    Ok(Attributed { trials, background })
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
