//! Files of the outlier partition: which of them have rows that belong to a day.

use crate::table::DataFile;
use crate::table::write::Layout;

/// Where the times of a file lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Times {
    /// Before all days, or nowhere: the rows have none, or the log does not say.
    Before,
    /// Some may be of a day.
    Within,
    /// After all days.
    After,
}

impl Times {
    pub(super) fn of(file: &DataFile, layout: &Layout) -> Self {
        let (min, max) = match file.stats.times(layout.time_column) {
            (None, None) => return Self::Before,
            // A bound that the log cannot express is none.
            (min, max) => (min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX)),
        };
        match (layout.is_before(min), layout.is_before(max)) {
            (_, true) => Self::Before,
            (false, false) if layout.is_after(min) => Self::After,
            _ => Self::Within,
        }
    }
}
