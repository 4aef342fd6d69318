//! Reads a checkpoint.

use super::frame::{Clock, Frame, Identity, Reader, take_item};
use super::{MAGIC, OLDEST, Told, VERSION, correlations, names, rules};
use crate::bind::{Engine, RuleIx};
use crate::correlation::group::{Group, Resting};
use crate::correlation::measured::Texts;
use crate::correlation::waiting::Waiting;
use crate::correlation::{Correlator, Limits};
use std::io::{self, Read};
use std::sync::Arc;
use tarn_rules::correlation::Correlation;

/// Why there is no state to go on from.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The input failed.
    #[error("cannot read the checkpoint")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("no checkpoint of correlations: expected it to begin with \"tarncorr\" and a version")]
    Magic,
    /// It is of another version.
    #[error("the checkpoint has version {0} of its format; expected {OLDEST} to {VERSION}")]
    Version(u32),
    /// It is damaged.
    #[error("frame {frame} of the checkpoint is damaged: expected {expected}")]
    Damaged {
        /// The frame's number, from 0.
        frame: u64,
        /// What should be there.
        expected: &'static str,
    },
}

/// A correlator that goes on.
pub struct Restored {
    /// It.
    pub correlator: Correlator,
    /// What it does not know any more.
    pub dropped: Vec<Dropped>,
}

/// State of a correlation or rule that is not there any more, or not in that version; of a rule, too, that is now asked
/// for fields of which its waiting matches say nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its id.
    pub id: String,
    /// Groups of the correlation.
    pub groups: u64,
    /// Waiting matches of the rule.
    pub matches: u64,
}

impl Correlator {
    /// Goes on, with these rules and within these limits, from where a checkpoint was written; in many small reads.
    ///
    /// **Errors**: the input's, and bytes that are no such checkpoint.
    pub fn restore(engine: Arc<Engine>, limits: Limits, input: &mut impl Read) -> Result<Restored, RestoreError> {
        let mut head = [0; 12];
        input.read_exact(&mut head).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => RestoreError::Magic,
            _ => RestoreError::Read(error),
        })?;
        let [magic @ .., a, b, c, d] = head;
        match u32::from_le_bytes([a, b, c, d]) {
            _ if magic != MAGIC => return Err(RestoreError::Magic),
            OLDEST..=VERSION => {}
            other => return Err(RestoreError::Version(other)),
        }
        let mut frames = Reader::new(input, &head);
        let mut restoring = Restoring::new(&engine, limits);
        loop {
            let (frame, read) = frames.read()?;
            if let Frame::End = &read {
                let expected = "a clock before the end";
                return restoring.done().ok_or(RestoreError::Damaged { frame, expected });
            }
            restoring.take(read).map_err(|expected| RestoreError::Damaged { frame, expected })?;
        }
    }
}

/// A correlator that is being restored.
struct Restoring<'e> {
    engine: &'e Engine,
    correlations: Vec<Identity<'e>>,
    rules: Vec<Identity<'e>>,
    correlator: Correlator,
    clock: Option<Clock>,
    /// Correlations whose groups were read.
    read: Vec<bool>,
    dropped: Vec<Dropped>,
    /// Whose items come next.
    of: Of,
}

/// Whose items come next, and where in them the values stand that are asked for now.
enum Of {
    Nothing,
    Correlation(usize, Fields),
    Rule(u32, Fields),
    DroppedCorrelation,
    DroppedRule,
    Told(usize),
    /// What was told of a correlation that is not there any more.
    DroppedTold,
    Uids,
}

struct Fields {
    /// How many values there were.
    written: usize,
    /// For each field that is asked for, which value it was.
    now: Vec<Option<usize>>,
}

impl Fields {
    fn new(written: &[&str], now: &[&str]) -> Self {
        let now = now.iter().map(|field| written.iter().position(|name| name == field)).collect();
        Self { written: written.len(), now }
    }

    /// The values that are asked for; none where there are not as many as were written.
    fn of<'a>(&self, values: Vec<Texts<'a>>) -> Option<Vec<Texts<'a>>> {
        let value = |at: &Option<usize>| at.map(|at| values[at].clone()).unwrap_or_default();
        (values.len() == self.written).then(|| self.now.iter().map(value).collect())
    }
}

/// More than this is no count of anything.
const COUNT_MAX: u64 = 1 << 48;

impl<'e> Restoring<'e> {
    fn new(engine: &'e Arc<Engine>, limits: Limits) -> Self {
        Self {
            correlations: correlations(engine),
            rules: rules(engine),
            correlator: Correlator::new(engine.clone(), limits),
            clock: None,
            read: vec![false; engine.correlations().len()],
            dropped: Vec::new(),
            of: Of::Nothing,
            engine,
        }
    }

    fn done(mut self) -> Option<Restored> {
        self.correlator.revive_early();
        self.clock.map(|_| Restored { correlator: self.correlator, dropped: self.dropped })
    }

    /// Takes a frame.
    ///
    /// **Errors**: what was expected instead.
    fn take(&mut self, frame: Frame<'_>) -> Result<(), &'static str> {
        match frame {
            Frame::Clock(clock) if self.clock.is_none() => self.clock(clock),
            _ if self.clock.is_none() => Err("a clock"),
            Frame::Correlation { identity, fields, evicted } => self.correlation(identity, &fields, evicted),
            Frame::Rule { identity, fields } => self.rule(identity, &fields),
            Frame::Items(items) => self.items(items),
            Frame::Told { identity } => {
                let known = self.correlations.iter().position(|known| *known == identity);
                self.of = known.map_or(Of::DroppedTold, Of::Told);
                Ok(())
            }
            Frame::Uids => {
                self.of = Of::Uids;
                Ok(())
            }
            Frame::Clock(_) | Frame::End => Err("a correlation, a rule, what was told, their items or the end"),
        }
    }

    fn clock(&mut self, clock: Clock) -> Result<(), &'static str> {
        let Clock { arrived, latest, taken, late, early, dropped } = clock;
        if [arrived, late, early, dropped].iter().any(|count| *count > COUNT_MAX) {
            return Err("counts of at most 2^48");
        }
        let to = &mut self.correlator;
        (to.arrived, to.latest, to.taken) = (arrived, latest, taken);
        (to.exceptions.late, to.exceptions.early, to.exceptions.dropped) = (late, early, dropped);
        self.clock = Some(clock);
        Ok(())
    }

    fn correlation(&mut self, identity: Identity<'_>, fields: &[&str], evicted: u64) -> Result<(), &'static str> {
        let Some(i) = self.correlations.iter().position(|known| *known == identity) else {
            self.of = Of::DroppedCorrelation;
            self.dropped.push(Dropped { id: identity.id.to_owned(), groups: 0, matches: 0 });
            return Ok(());
        };
        if std::mem::replace(&mut self.read[i], true) {
            return Err("each correlation once");
        }
        if evicted > COUNT_MAX {
            return Err("counts of at most 2^48");
        }
        self.correlator.groups.restore_evicted(i, evicted);
        self.of = Of::Correlation(i, Fields::new(fields, &names(self.engine.passes(i))));
        Ok(())
    }

    fn rule(&mut self, identity: Identity<'_>, fields: &[&str]) -> Result<(), &'static str> {
        let known = self.rules.iter().position(|known| *known == identity).map(|rule| rule as u32);
        let taken = known.and_then(|rule| Some((rule, self.engine.captures(RuleIx(rule))?)));
        let asked = taken.map(|(rule, now)| (rule, Fields::new(fields, &names(Some(now)))));
        self.of = match asked {
            Some((rule, fields)) if fields.now.iter().all(Option::is_some) => Of::Rule(rule, fields),
            _ => {
                self.dropped.push(Dropped { id: identity.id.to_owned(), groups: 0, matches: 0 });
                Of::DroppedRule
            }
        };
        Ok(())
    }

    fn items(&mut self, mut items: &[u8]) -> Result<(), &'static str> {
        while !items.is_empty() {
            self.item(take_item(&mut items).ok_or("items behind their lengths")?)?;
        }
        Ok(())
    }

    fn item(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        match &self.of {
            Of::Nothing => Err("a correlation or a rule before its items"),
            Of::DroppedCorrelation => {
                self.dropped.last_mut().into_iter().for_each(|dropped| dropped.groups += 1);
                Ok(())
            }
            Of::DroppedTold => Ok(()),
            Of::Told(i) => {
                let correlation = &self.engine.correlations()[*i];
                let (told, rest): (Told, _) = postcard::take_from_bytes(bytes).map_err(|_| "what was told")?;
                let found = told.found(*i, correlation).filter(|_| rest.is_empty()).ok_or("what was told")?;
                if let Some(early) = &mut self.correlator.early {
                    early.found(&found.uid(self.engine), found, correlation);
                }
                Ok(())
            }
            Of::Uids => {
                let ((uid, expires), []) = postcard::take_from_bytes::<(&str, i64)>(bytes).map_err(|_| "a uid")? else {
                    return Err("a uid and when it expires");
                };
                self.correlator.early.iter_mut().for_each(|early| early.remember(uid, expires, None));
                Ok(())
            }
            Of::DroppedRule => {
                self.dropped.last_mut().into_iter().for_each(|dropped| dropped.matches += 1);
                Ok(())
            }
            Of::Correlation(i, fields) => {
                let (key, group) = group(&self.engine.correlations()[*i], fields, bytes).ok_or("a group")?;
                let taken = self.correlator.taken;
                let new = self.correlator.groups.restore(*i, &key, group, taken);
                new.then_some(()).ok_or("each group once")
            }
            Of::Rule(rule, fields) => {
                let waiting = waiting(*rule, fields, bytes).ok_or("a match")?;
                self.correlator.waiting.push(waiting);
                Ok(())
            }
        }
    }
}

/// Reads a group of a correlation.
fn group(correlation: &Correlation, fields: &Fields, bytes: &[u8]) -> Option<(Box<[u8]>, Group)> {
    let (key, mut group) = Resting::read(correlation, bytes)?;
    let (values, []) = postcard::take_from_bytes::<Vec<Option<&str>>>(&key).ok()? else { return None };
    if values.len() != correlation.group_by.len() {
        return None;
    }
    // A window that slides passes on what is at hand; one that closes, nothing where no correlation was over it.
    if !group.passed.is_empty() {
        let (values, []) = postcard::take_from_bytes::<Vec<Texts<'_>>>(&group.passed).ok()? else { return None };
        group.passed = postcard::to_stdvec(&fields.of(values)?).ok()?.into();
    }
    Some((key, group))
}

fn waiting(rule: u32, fields: &Fields, bytes: &[u8]) -> Option<Waiting> {
    let (time, number, uid, values) = Waiting::read(bytes)?;
    Waiting::packed(time, number, rule, &uid, &fields.of(values)?)
}
