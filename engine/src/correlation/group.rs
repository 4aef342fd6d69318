//! One group of one correlation: its window, whether it may match again, and how it lies in memory and in checkpoints.
//!
//! A small group lies packed, key and all, in one allocation, and is unpacked for each match: most groups see few. What
//! is packed is what a checkpoint holds.

use super::measured::Measured;
use super::window::{Entry, Span, Window};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tarn_rules::correlation::Correlation;

/// A group whose window takes more bytes does not lie packed.
const PACKED_MAX: usize = 2_048;

/// A group.
#[derive(Serialize, Deserialize)]
pub struct Group {
    pub window: Window,
    /// When it matched last.
    fired: Option<i64>,
    /// Of a window that closes, what its match passes on of its last event: each field's texts, packed.
    pub passed: Box<[u8]>,
}

/// A group at rest.
pub enum Resting {
    /// Key and group.
    Packed(Box<[u8]>),
    /// A large one.
    Live(Box<(Box<[u8]>, Group)>),
}

impl Group {
    /// A group without events.
    pub fn new(correlation: &Correlation) -> Self {
        Self { window: Window::new(correlation), fired: None, passed: Box::default() }
    }

    /// Takes a match; whether the correlation matches with it, and how many events a full window dropped.
    pub fn take(&mut self, correlation: &Correlation, entry: &Entry<'_>, measured: Measured<'_>) -> (bool, u64) {
        let (time, span) = (entry.time, correlation.timespan_us);
        if !correlation.condition.is_monotone() {
            return (false, self.window.add(entry, measured));
        }
        self.window.expire(time.saturating_sub(span));
        let dropped = self.window.add(entry, measured);
        if !self.window.holds(correlation) {
            self.fired = None;
            return (false, dropped);
        }
        let quiet = self.fired.is_some_and(|fired| time.saturating_sub(fired) <= span);
        if !quiet {
            self.fired = Some(time);
        }
        (!quiet, dropped)
    }

    /// Takes a match as it arrives, where it belongs in time; whether a correlation of lower bounds is true by it.
    pub fn take_early(&mut self, correlation: &Correlation, entry: &Entry<'_>, measured: Measured<'_>) -> bool {
        let span = correlation.timespan_us;
        let latest = if self.window.len() > 0 { self.window.span().last() } else { entry.time };
        let now = entry.time.max(latest);
        if entry.time < now.saturating_sub(span) {
            return false;
        }
        self.window.expire(now.saturating_sub(span));
        if !self.window.insert(entry, measured) {
            return false;
        }
        if !self.window.holds(correlation) {
            if entry.time == now {
                self.fired = None;
            }
            return false;
        }
        let quiet = self.fired.is_some_and(|fired| now.saturating_sub(fired) <= span);
        if !quiet {
            self.fired = Some(now);
        }
        !quiet
    }

    /// Lays it down; `scratch` is room to do so.
    pub fn rest(self, key: &[u8], scratch: &mut Vec<u8>) -> Resting {
        scratch.clear();
        if self.window.size() <= PACKED_MAX
            && let Ok(packed) = postcard::to_extend(&(key, &self), std::mem::take(scratch))
        {
            *scratch = packed;
            return Resting::Packed(scratch.as_slice().into());
        }
        Resting::Live(Box::new((key.into(), self)))
    }
}

impl Default for Resting {
    fn default() -> Self {
        Self::Packed(Box::default())
    }
}

impl Resting {
    /// Reads a packed group of a correlation; none where these bytes are none.
    pub fn read(correlation: &Correlation, bytes: &[u8]) -> Option<(Box<[u8]>, Group)> {
        let ((key, group), rest): ((&[u8], Group), _) = postcard::take_from_bytes(bytes).ok()?;
        let window = group.window.revived(correlation).filter(|_| rest.is_empty())?;
        Some((key.into(), Group { window, ..group }))
    }

    /// Its key and group; none where it is none's.
    pub fn wake(self, correlation: &Correlation) -> Option<(Box<[u8]>, Group)> {
        match self {
            Self::Packed(bytes) => Self::read(correlation, &bytes),
            Self::Live(live) => Some(*live),
        }
    }

    /// Its key.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Packed(bytes) => postcard::take_from_bytes(bytes).map_or(&[][..], |(key, _)| key),
            Self::Live(live) => &live.0,
        }
    }

    /// From when to when its window is.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Packed(bytes) => Some(postcard::take_from_bytes::<(&[u8], Span)>(bytes).ok()?.0.1),
            Self::Live(live) => Some(live.1.window.span()),
        }
    }

    /// Its bytes as a checkpoint has them.
    pub fn bytes(&self) -> postcard::Result<Cow<'_, [u8]>> {
        match self {
            Self::Packed(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Live(live) => Ok(Cow::Owned(postcard::to_stdvec(&(&*live.0, &live.1))?)),
        }
    }

    /// Bytes that it takes beside itself, with what an allocator adds.
    pub fn size(&self) -> usize {
        match self {
            Self::Packed(bytes) => allocated(bytes.len()),
            Self::Live(live) => allocated(live.0.len()) + allocated(live.1.window.size() + live.1.passed.len()),
        }
    }
}

/// What an allocation of so many bytes takes.
pub fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}
