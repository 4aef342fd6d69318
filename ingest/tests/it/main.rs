//! Tests of the crate from outside: fixtures of all sources, containers end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod containers;
mod fixtures;
mod formats;
mod linux;
mod numbers;
