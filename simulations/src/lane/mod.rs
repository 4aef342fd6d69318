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
mod varied;

pub use background::Background;
pub use grown::{Grown, TooAlike};
pub use sample::{NotAnObject, Sample};
pub use varied::varied;

use std::hash::{Hash, Hasher};

/// A hash that is the same in every run and build, as seeds come from it: FNV-1a, mixed at its end.
fn hash(value: impl Hash) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    value.hash(&mut hasher);
    hasher.finish()
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}
