//! One group of one correlation: its window, and whether it may match again.

use super::Item;
use super::window::{Entry, Window};
use tarn_ingest::fields::FieldValue;
use tarn_rules::correlation::Correlation;

/// A group.
pub struct Group {
    pub window: Window,
    /// When it matched last.
    fired: Option<i64>,
    /// The last match, where the window's end decides.
    pub last: Option<Item>,
}

impl Group {
    /// A group without events.
    pub fn new(correlation: &Correlation) -> Self {
        Self { window: Window::new(correlation), fired: None, last: None }
    }

    /// Takes a match; whether the correlation matches with it.
    pub fn take(&mut self, correlation: &Correlation, entry: Entry, measured: &[Option<&FieldValue>]) -> bool {
        let (time, span) = (entry.time, correlation.timespan_us);
        if !correlation.condition.is_monotone() {
            self.window.add(entry, measured);
            return false;
        }
        self.window.expire(time.saturating_sub(span));
        if !self.window.add(entry, measured) {
            return false;
        }
        if !self.holds(correlation) {
            self.fired = None;
            return false;
        }
        let quiet = self.fired.is_some_and(|fired| time.saturating_sub(fired) <= span);
        if !quiet {
            self.fired = Some(time);
        }
        !quiet
    }

    /// Whether the condition holds.
    pub fn holds(&self, correlation: &Correlation) -> bool {
        let measure = self.window.measure(&correlation.measure);
        self.window.len() > 0 && correlation.condition.holds(measure, |place| self.window.matched(place))
    }
}
