//! Tests of the crate from outside: what the matcher finds in events is what the lowered rules find in tables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod correlation;
mod differential;
mod lowered;
mod shapes;
