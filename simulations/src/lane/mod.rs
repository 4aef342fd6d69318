//! Lanes: events of one kind of log, one JSON object a line, as many as a benchmark asks for.
//!
//! A lane is made from nothing but a seed ([`Background`]), or grown from a sample of real events ([`Sample`]). **No event
//! comes twice**, and a grown lane's share of new values is its sample's: an engine that remembers values sees as
//! many that it cannot know as it would in the log that the sample is of. Repeating a file would measure its memory.

mod background;
mod form;
mod grown;
mod leaves;
mod sample;

pub use background::Background;
pub use grown::{Grown, TooAlike};
pub use sample::{NotAnObject, Sample};

use std::hash::{DefaultHasher, Hash, Hasher};

/// A hash that is the same in every run.
fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
