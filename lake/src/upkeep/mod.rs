//! Upkeep of tables: fewer files, no rows beyond their age, no files that nobody needs.
//!
//! ```text
//! compact   small files of a day ─► one file, sorted by time       rows stay: dataChange=false
//! retain    files of days beyond an age ─► gone from the table     a reader of an older version still has them
//! vacuum    files that no version within some hours refers to ─► gone from the store
//! ```
//!
//! Each may run beside readers and writers, in this process and in others. A change whose files went meanwhile is given
//! up, and its new file is litter that vacuum finds. What the ingest log knows is not touched: the same content is still
//! recognised.

mod compact;
mod merge;
mod outliers;
mod retain;
mod vacuum;

pub use compact::{CompactOptions, Compacted, compact};
pub use retain::{Retained, retain};
pub use vacuum::{HOURS_MIN, Vacuumed, vacuum};
