//! Bytes in, OCSF batches, field cells and dead letters out.
//!
//! [`container`] makes records of bytes, [`source`] says what each record is, and two lanes read it: [`fields`] gives
//! rules the fields that they use, [`mapper`] makes OCSF records. No IO beyond a `Read` handed in, no threads.

pub mod container;
pub mod fields;
pub mod golden;
pub mod identity;
pub mod json;
pub mod literals;
pub mod mapper;
pub mod otlp;
pub mod source;

mod dead_letter;
mod decode;
mod layout;

pub use dead_letter::{DeadLetter, Reason};
pub use decode::LineDecoder;
