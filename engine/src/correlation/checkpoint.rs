//! A correlator's state at rest, from which it goes on to the same future.
//!
//! **Format**: eight bytes of [`MAGIC`], the format's version as four bytes, least significant first, then frames
//! ([`frame`]): the clock; each correlation and its groups, in their order; each rule of which matches wait, and these; the
//! end. What comes behind it is not read.
//!
//! Correlations and rules are known again by their id and the digest of their file. The state of others is left out, and
//! named ([`Restored::dropped`]). Bytes that are no state of these rules are an error, whatever their checksums say.

mod frame;
mod restore;

pub use restore::{Dropped, RestoreError, Restored};

use super::Correlator;
use super::waiting::Waiting;
use crate::bind::{Engine, RuleIx};
use frame::{Clock, Frame, Identity, Writer};
use std::collections::BTreeMap;
use std::io::{self, Write};
use tarn_rules::About;

/// What a checkpoint begins with.
const MAGIC: [u8; 8] = *b"tarncorr";
/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

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
        out.write(&Frame::End)
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
