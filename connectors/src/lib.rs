//! Sockets and other people's systems: what takes events in (`source/`), what takes findings out (`sink/`), the
//! protocols that SQL is asked over (`query/`), and what people do with findings (`findings/`).
//!
//! Knows no lake, no rules and no configuration file: receivers hand [`intake::Delivery`]s to an [`intake::Intake`], and
//! the wiring in `src/` decides what that means. Nothing here acknowledges what the intake has not taken.

pub mod access;
pub mod attestation;
pub mod body;
pub mod findings;
pub mod intake;
pub mod listen;
pub mod query;
pub mod sink;
pub mod source;
