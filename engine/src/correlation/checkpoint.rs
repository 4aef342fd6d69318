//! A correlator's state at rest, from which it goes on to the same future.
//!
//! **Format**: eight bytes of [`MAGIC`], the format's version as four bytes, least significant first, then frames
//! ([`frame`]): the clock; each correlation and its groups, in their order; each rule of which matches wait, and these; each
//! correlation of which something was told early, and this (since version 2); the end. What comes behind it is not read.
//!
//! Correlations and rules are known again by their id and the digest of their file. The state of others is left out, and
//! named ([`Restored::dropped`]). Bytes that are no state of these rules are an error, whatever their checksums say.

mod frame;
mod restore;

pub use restore::{Dropped, RestoreError, Restored};

use super::waiting::Waiting;
use super::{Correlated, Correlator};
use crate::bind::{Engine, RuleIx};
use frame::{Clock, Frame, Identity, Writer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use tarn_rules::About;
use tarn_rules::correlation::Correlation;

/// What a checkpoint begins with.
const MAGIC: [u8; 8] = *b"tarncorr";
/// The version of the format that is written; all since [`OLDEST`] are read.
const VERSION: u32 = 2;
/// The first version.
const OLDEST: u32 = 1;

impl Correlator {
    /// Writes the state, but for [`Correlator::forgotten`], in many small writes.
    ///
    /// **Errors**: those of `out`.
    pub fn checkpoint(&self, out: &mut impl Write) -> io::Result<()> {
        let mut out = Writer::new(out, &[&MAGIC[..], &VERSION.to_le_bytes()].concat())?;
        out.write(&Frame::Clock(Clock {
            arrived: self.arrived,
            latest: self.latest,
            taken: self.taken,
            late: self.exceptions.late,
            early: self.exceptions.early,
            dropped: self.exceptions.dropped,
        }))?;
        for (i, identity) in correlations(&self.engine).into_iter().enumerate() {
            let fields = names(self.engine.passes(i));
            out.write(&Frame::Correlation { identity, fields, evicted: self.evicted()[i] })?;
            for resting in self.groups.of(i).iter() {
                out.write_item(&resting.bytes().map_err(io::Error::other)?)?;
            }
        }
        let mut waiting: Vec<&Waiting> = self.waiting.iter().collect();
        waiting.sort_unstable_by_key(|w| (w.rule, w.number));
        let rules = rules(&self.engine);
        for of_rule in waiting.chunk_by(|a, b| a.rule == b.rule) {
            let rule = of_rule[0].rule;
            let fields = names(self.engine.captures(RuleIx(rule)));
            out.write(&Frame::Rule { identity: rules[rule as usize], fields })?;
            for waiting in of_rule {
                out.write_item(&waiting.bytes().map_err(io::Error::other)?)?;
            }
        }
        self.checkpoint_told(&mut out)?;
        out.write(&Frame::End)
    }

    fn checkpoint_told(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        let Some(early) = &self.early else { return Ok(()) };
        let mut told: Vec<&Correlated> = early.told().collect();
        told.sort_by_key(|found| found.correlation);
        let identities = correlations(&self.engine);
        for of_one in told.chunk_by(|a, b| a.correlation == b.correlation) {
            out.write(&Frame::Told { identity: identities[of_one[0].correlation] })?;
            for found in of_one {
                out.write_item(&postcard::to_stdvec(&Told::of(found)).map_err(io::Error::other)?)?;
            }
        }
        out.write(&Frame::Uids)?;
        for uid in early.uids() {
            out.write_item(&postcard::to_stdvec(&uid).map_err(io::Error::other)?)?;
        }
        Ok(())
    }
}

/// A finding that was told early, as it is written.
#[derive(Serialize, Deserialize)]
struct Told {
    time: i64,
    first: i64,
    last: i64,
    /// The group's values.
    group: Vec<Option<String>>,
    measure: f64,
    count: u64,
    events: Vec<String>,
}

impl Told {
    fn of(found: &Correlated) -> Self {
        let Correlated { time, first, last, measure, count, .. } = *found;
        let group = found.group.iter().map(|(_, value)| value.clone()).collect();
        let events = found.events.iter().map(|uid| uid.to_string()).collect();
        Self { time, first, last, group, measure, count, events }
    }

    /// The finding; none where it cannot be one of this correlation.
    fn found(self, number: usize, correlation: &Correlation) -> Option<Correlated> {
        let Self { time, first, last, group, measure, count, events } = self;
        let fits = group.len() == correlation.group_by.len() && !events.is_empty() && first <= last;
        let group = correlation.group_by.iter().cloned().zip(group).collect();
        let events = events.into_iter().map(Into::into).collect();
        fits.then_some(Correlated { correlation: number, time, first, last, group, measure, count, events })
    }
}

/// The correlations of an engine, by their numbers.
fn correlations(engine: &Engine) -> Vec<Identity<'_>> {
    identities(engine.correlations().iter().map(|c| &c.about))
}

/// Its rules.
fn rules(engine: &Engine) -> Vec<Identity<'_>> {
    identities((0..engine.len()).map(|rule| &engine.rule(RuleIx(rule as u32)).about))
}

fn identities<'a>(abouts: impl Iterator<Item = &'a About>) -> Vec<Identity<'a>> {
    let mut seen: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let one = |about: &'a About| {
        let (id, digest) = (about.id.as_str(), about.digest.as_str());
        let next = seen.entry((id, digest)).or_default();
        *next += 1;
        Identity { id, digest, nth: *next - 1 }
    };
    abouts.map(one).collect()
}

fn names(fields: Option<&[String]>) -> Vec<&str> {
    fields.unwrap_or_default().iter().map(String::as_str).collect()
}
