//! In which order records came in: a number for each, in the column [`ARRIVAL`] of its class table.
//!
//! The numbers are those of a hybrid logical clock: microseconds since 1970, and where that is no greater than the last
//! number given, one more than it. So they tell the order of all that one writer takes in, and of what writers after
//! one another do even where a clock was set back; between writers at the same time they are as good as their clocks.

use crate::error::LakeError;
use crate::table::ARRIVAL;
use arrow::array::{Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Gives records their arrival. Its threads share one; each then takes numbers that no other has.
#[derive(Debug)]
pub struct Clock {
    /// The greatest that was given; 0 before the first.
    last: AtomicI64,
}

impl Clock {
    /// A clock whose numbers are greater than `last`.
    pub fn after(last: i64) -> Self {
        Self { last: AtomicI64::new(last) }
    }

    /// Takes a number for each of `records` that came in by `now`, one after the other: the first of them.
    pub fn take(&self, records: usize, now: DateTime<Utc>) -> i64 {
        let count = i64::try_from(records).unwrap_or(i64::MAX);
        let first = |last: i64| last.saturating_add(1).max(now.timestamp_micros());
        let taken = |last| Some(if count == 0 { last } else { first(last).saturating_add(count - 1) });
        match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken) {
            Ok(last) | Err(last) => first(last),
        }
    }

    /// The greatest number that was given, or that is known of another writer; 0 when there is none.
    pub(crate) fn last(&self) -> i64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Goes on after what another writer gave.
    pub(crate) fn pass(&self, other: i64) {
        self.last.fetch_max(other, Ordering::Relaxed);
    }
}

/// `batch` with the arrival of each of its rows.
///
/// **Errors**: another number of rows than of arrivals.
pub fn with_arrival(batch: &RecordBatch, arrivals: Vec<i64>) -> Result<RecordBatch, LakeError> {
    let schema = batch.schema();
    let field = Arc::new(Field::new(ARRIVAL, DataType::Int64, true));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([field]).collect();
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(arrivals)) as Arc<dyn Array>);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(LakeError::arrow(ARRIVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_increase_whatever_the_time_does() {
        let clock = Clock::after(0);
        let at = |micros: i64| DateTime::from_timestamp_micros(micros).unwrap_or_default();
        assert_eq!(clock.take(3, at(1_000)), 1_000);
        assert_eq!(clock.take(0, at(1_000)), 1_003);
        assert_eq!(clock.take(2, at(1_001)), 1_003, "faster than the clock");
        assert_eq!(clock.take(1, at(500)), 1_005, "it was set back");
        assert_eq!(clock.take(1, at(9_000)), 9_000);
        clock.pass(20_000);
        clock.pass(10_000);
        assert_eq!(clock.take(1, at(9_001)), 20_001);
        assert_eq!(clock.last(), 20_001);
    }
}
