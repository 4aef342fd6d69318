//! Correlations of lower bounds, told before the watermark: as soon as they are true of what has arrived.
//!
//! A second set of groups takes matches as they come, each where it belongs in time. What they make true is told at once
//! and remembered until the watermark has passed it. By then the same finding (the same uid) has been made in event time
//! and is not told again; nor is it later, for as long as matches may make it once more. A late event may have changed from
//! which event on it is true: then that finding is told as well, and the early one is **revised**: somebody should close it.
//!
//! **Bounds**: [`super::Limits::early_bytes_max`] for the groups and as much for what was told. Beyond it correlations are
//! told at the watermark, as without this.

use super::groups::Groups;
use super::{Correlated, Limits};
use crate::bind::Engine;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tarn_rules::correlation::Correlation;

/// What was told early, and what became of it.
pub struct Early {
    pub groups: Groups,
    told: HashMap<Arc<str>, Told>,
    /// The same by when they expire.
    order: BTreeSet<(i64, Arc<str>)>,
    /// Of these, the ones that wait to be confirmed: few, where many uids are remembered.
    open: BTreeSet<(i64, Arc<str>)>,
    bytes: usize,
    bytes_max: usize,
    revised: Vec<Revised>,
    /// Nothing is told: what a checkpoint held is put back.
    pub silent: bool,
}

/// A finding that was told early.
struct Told {
    /// None where only its uid is known.
    found: Option<Correlated>,
    /// The event time after which it cannot be found any more.
    expires: i64,
    /// The finding that was made in its place.
    by: Option<Arc<str>>,
}

/// A finding that was told early and is not what is found once late events are there.
#[derive(Clone, Debug, PartialEq)]
pub struct Revised {
    /// As it was told.
    pub found: Correlated,
    /// The uid of the finding in its place; none where there is none.
    pub by: Option<Arc<str>>,
}

impl Early {
    /// Nothing; none where nothing is to be told early.
    pub fn new(engine: Arc<Engine>, limits: Limits) -> Option<Self> {
        let bytes_max = limits.early_bytes_max;
        let of_groups = Limits { rule_bytes_max: bytes_max / 2, bytes_max, ..limits };
        (bytes_max > 0 && limits.lateness_us.is_some_and(|lateness| lateness > 0)).then(|| Self {
            groups: Groups::new(engine, of_groups),
            told: HashMap::new(),
            order: BTreeSet::new(),
            open: BTreeSet::new(),
            bytes: 0,
            bytes_max,
            revised: Vec::new(),
            silent: false,
        })
    }

    /// Remembers a finding; whether it is to be told, as it was not before and there is room to remember it.
    pub fn tell(&mut self, uid: &str, found: &Correlated, correlation: &Correlation) -> bool {
        let tell = !self.silent && self.has_room(uid, Some(found)) && !self.told.contains_key(uid);
        if tell {
            self.found(uid, found.clone(), correlation);
        }
        tell
    }

    /// Remembers a finding that was told.
    pub fn found(&mut self, uid: &str, found: Correlated, correlation: &Correlation) {
        self.remember(uid, expires(&found, correlation), Some(found));
    }

    fn has_room(&self, uid: &str, found: Option<&Correlated>) -> bool {
        self.bytes + size(uid, found) <= self.bytes_max
    }

    /// Remembers that a finding was told; how is not known unless it is given.
    pub fn remember(&mut self, uid: &str, expires: i64, found: Option<Correlated>) {
        let uid: Arc<str> = uid.into();
        self.bytes += size(&uid, found.as_ref());
        self.order.insert((expires, uid.clone()));
        if found.is_some() {
            self.open.insert((expires, uid.clone()));
        }
        if let Some(before) = self.told.insert(uid.clone(), Told { found, expires, by: None }) {
            self.bytes -= size(&uid, before.found.as_ref());
            if before.expires != expires {
                let before = (before.expires, uid);
                self.order.remove(&before);
                self.open.remove(&before);
            }
        }
    }

    /// Takes a finding made in event time; whether it was told. If not, early ones of its group within the time span are
    /// about the same.
    pub fn confirm(&mut self, uid: &str, found: &Correlated, correlation: &Correlation) -> bool {
        let told = self.told.remove_entry(uid);
        let was_told = told.is_some();
        if let Some((uid, told)) = told {
            self.bytes -= size(&uid, told.found.as_ref());
            let place = (told.expires, uid);
            self.order.remove(&place);
            self.open.remove(&place);
        }
        // A late match may make it untrue for a while, or true from another event on: when it is true again, that is no news,
        // and nothing to revise.
        if self.has_room(uid, None) {
            self.remember(uid, expires(found, correlation), None);
        }
        if was_told {
            return true;
        }
        if !correlation.condition.is_monotone() {
            return false;
        }
        for (_, early) in self.open.range((found.time, Arc::from(""))..) {
            if early.as_ref() != uid
                && let Some(Told { found: Some(early), by, .. }) = self.told.get_mut(early)
                && (early.correlation, &early.group) == (found.correlation, &found.group)
                && early.first <= found.time.saturating_add(correlation.timespan_us)
            {
                by.get_or_insert_with(|| uid.into());
            }
        }
        false
    }

    /// Says that all before `watermark` was found in event time. `certain` says of a correlation whether that holds.
    pub fn pass(&mut self, watermark: i64, certain: impl Fn(usize) -> bool) {
        while let Some(place) = self.order.first().filter(|(expires, _)| *expires < watermark).cloned() {
            self.order.pop_first();
            self.open.remove(&place);
            let (_, uid) = place;
            let Some(Told { found, by, .. }) = self.told.remove(&uid) else { continue };
            self.bytes -= size(&uid, found.as_ref());
            let revised = found.filter(|found| by.is_some() || certain(found.correlation));
            self.revised.extend(revised.map(|found| Revised { found, by }));
        }
    }

    /// Takes what was revised since the last time.
    pub fn revised(&mut self) -> Vec<Revised> {
        std::mem::take(&mut self.revised)
    }

    /// Of what was told and of which no more is known, uids and when they expire.
    pub fn uids(&self) -> impl Iterator<Item = (&str, i64)> {
        let alone = |uid: &Arc<str>| self.told.get(uid).is_some_and(|told| told.found.is_none());
        self.order.iter().filter(move |(_, uid)| alone(uid)).map(|(expires, uid)| (uid.as_ref(), *expires))
    }

    /// What was told and is not confirmed yet; uids alone are left out.
    pub fn told(&self) -> impl Iterator<Item = &Correlated> {
        self.open.iter().filter_map(|(_, uid)| self.told.get(uid)?.found.as_ref())
    }
}

/// The event time after which a finding cannot be found any more: with late events before it, its first one may be the
/// first of a match that comes after it.
fn expires(found: &Correlated, correlation: &Correlation) -> i64 {
    found.last.saturating_add(correlation.timespan_us)
}

fn size(uid: &str, found: Option<&Correlated>) -> usize {
    let of = |found: &Correlated| {
        let group: usize =
            found.group.iter().map(|(name, v)| 96 + name.len() + v.as_ref().map_or(0, String::len)).sum();
        96 + group + found.events.iter().map(|uid| 32 + uid.len()).sum::<usize>()
    };
    2 * uid.len() + size_of::<Told>() + 128 + found.map_or(0, of)
}
