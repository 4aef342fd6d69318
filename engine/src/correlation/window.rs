//! The matches of one group that are within the time span, and what is measured over them.
//!
//! A window that *slides* remembers when each match was, to forget it in time. One that *closes* is forgotten as a whole:
//! it remembers only how many there were. Of both, the uids are those of the latest matches.

use super::EVENTS_MAX;
use super::measured::Measured;
use super::tally::{Tally, shrink};
use super::uid::Uid;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use tarn_rules::correlation::Correlation;

/// Matches that a window which slides remembers: beyond it, the oldest go before their time.
pub const WINDOW_EVENTS_MAX: u64 = 100_000;

/// Bytes of one window: beyond it, the oldest matches go before their time, and one that closes takes no more values.
pub const WINDOW_BYTES_MAX: usize = 16 << 20;

/// A match on its way into a window.
pub struct Entry<'a> {
    pub time: i64,
    pub uid: &'a Uid,
    /// Which of the correlation's rules it is of.
    pub place: u8,
}

/// A window.
#[derive(Serialize, Deserialize)]
pub struct Window {
    /// Stands first, to be read without the rest.
    span: Span,
    count: u64,
    /// From each match to the next; where it slides.
    gaps: VecDeque<u64>,
    /// Of the latest matches.
    uids: VecDeque<Uid>,
    tally: Tally,
}

/// From when to when a window is.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Span {
    /// Whether it slides.
    pub slides: bool,
    /// Time of the first match.
    pub first: i64,
    /// From the first match to the last, microseconds.
    extent: u64,
}

impl Span {
    /// Time of the last match.
    pub fn last(&self) -> i64 {
        self.first.wrapping_add_unsigned(self.extent)
    }
}

impl Window {
    /// An empty one.
    pub fn new(correlation: &Correlation) -> Self {
        Self {
            span: Span { slides: correlation.condition.is_monotone(), first: 0, extent: 0 },
            count: 0,
            gaps: VecDeque::new(),
            uids: VecDeque::new(),
            tally: Tally::new(correlation),
        }
    }

    /// Adds a match, which is not before the others; how many had to go, or were not measured, because it is full.
    pub fn add(&mut self, entry: &Entry<'_>, measured: Measured<'_>) -> u64 {
        let slides = self.span.slides;
        let mut full = 0;
        if !slides && self.size() > WINDOW_BYTES_MAX {
            full += 1;
        } else {
            self.tally.add(entry.time, entry.place, measured, slides);
        }
        if self.count == 0 {
            (self.span.first, self.span.extent) = (entry.time, 0);
        } else {
            let last = self.span.last();
            let gap = entry.time.max(last).abs_diff(last);
            self.span.extent += gap;
            if slides {
                self.gaps.push_back(gap);
            }
        }
        self.count = self.count.saturating_add(1);
        self.uids.push_back(entry.uid.clone());
        if self.uids.len() > EVENTS_MAX {
            self.uids.pop_front();
        }
        while slides && self.count > 1 && (self.count > WINDOW_EVENTS_MAX || self.size() > WINDOW_BYTES_MAX) {
            self.drop_first();
            full += 1;
        }
        full
    }

    /// Adds a match to a window that slides where it belongs in time, behind those of its time; whether what is measured
    /// can be measured so.
    pub fn insert(&mut self, entry: &Entry<'_>, measured: Measured<'_>) -> bool {
        if self.count == 0 || entry.time >= self.span.last() {
            self.add(entry, measured);
            return true;
        }
        // The match before it, counted from the latest.
        let (mut behind, mut time) = (1, self.span.last());
        for gap in self.gaps.iter().rev() {
            time = time.wrapping_sub_unsigned(*gap);
            if time <= entry.time {
                break;
            }
            behind += 1;
        }
        if !self.tally.insert(behind, entry.place, measured) {
            return false;
        }
        let at = self.gaps.len() + 1 - behind;
        if at == 0 {
            let gap = self.span.first.abs_diff(entry.time);
            self.gaps.push_front(gap);
            (self.span.first, self.span.extent) = (entry.time, self.span.extent + gap);
        } else {
            let gap = entry.time.abs_diff(time);
            self.gaps[at - 1] -= gap;
            self.gaps.insert(at - 1, gap);
        }
        self.count += 1;
        if let Some(at) = self.uids.len().checked_sub(behind) {
            self.uids.insert(at, entry.uid.clone());
            if self.uids.len() > EVENTS_MAX {
                self.uids.pop_front();
            }
        }
        while self.count > 1 && (self.count > WINDOW_EVENTS_MAX || self.size() > WINDOW_BYTES_MAX) {
            self.drop_first();
        }
        true
    }

    /// Drops what is before `time`.
    pub fn expire(&mut self, time: i64) {
        while self.count > 0 && self.span.first < time {
            self.drop_first();
        }
        shrink(&mut self.gaps);
        self.tally.expire(time);
    }

    fn drop_first(&mut self) {
        self.count -= 1;
        let gap = self.gaps.pop_front().unwrap_or(0);
        self.span.first = self.span.first.wrapping_add_unsigned(gap);
        self.span.extent -= gap;
        while self.uids.len() as u64 > self.count {
            self.uids.pop_front();
        }
        self.tally.drop_first();
    }

    /// Whether the correlation's condition holds.
    pub fn holds(&self, correlation: &Correlation) -> bool {
        self.count > 0 && correlation.condition.holds(self.measure(correlation), |place| self.tally.matched(place))
    }

    /// What is measured.
    pub fn measure(&self, correlation: &Correlation) -> f64 {
        self.tally.measure(&correlation.measure, self.count)
    }

    /// Matches in it.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// From when to when it is.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Uids of the latest matches, in order.
    pub fn events(&self) -> Vec<Arc<str>> {
        self.uids.iter().map(Uid::text).collect()
    }

    /// Bytes that it takes, at most.
    pub fn size(&self) -> usize {
        // Lists that grow are half empty at worst.
        let uids: usize = self.uids.iter().map(Uid::size).sum();
        size_of::<Self>() + 2 * size_of::<u64>() * self.gaps.len() + uids * 3 / 2 + self.tally.size()
    }

    /// The window, with what is not written of it, if it can be one of this correlation.
    pub fn revived(self, correlation: &Correlation) -> Option<Self> {
        let slides = correlation.condition.is_monotone();
        let matches = usize::try_from(self.count).ok().filter(|count| *count > 0)?;
        let (gaps, between) = if slides { (matches - 1, self.span.extent) } else { (0, 0) };
        let sum = self.gaps.iter().try_fold(0_u64, |sum, gap| sum.checked_add(*gap))?;
        let fits = self.span.slides == slides
            && self.gaps.len() == gaps
            && sum == between
            && self.span.first.checked_add_unsigned(self.span.extent).is_some()
            && self.uids.len() == matches.min(EVENTS_MAX);
        let tally = self.tally.revived(correlation, matches, slides)?;
        fits.then_some(Self { tally, ..self })
    }
}
