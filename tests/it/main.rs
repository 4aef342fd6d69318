//! Tests of the whole: the crates' edges, and the binary as its users call it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
