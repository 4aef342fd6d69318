//! Rules as their authors write them, and the public corpus where it is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod corpus;
mod files;
mod lint;
mod pack;
mod semantics;
