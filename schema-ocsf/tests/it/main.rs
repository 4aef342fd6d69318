//! What the crate promises, over its public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arbitrary;
mod builder;
mod referee;
mod round_trip;
mod trust;
mod validation;
