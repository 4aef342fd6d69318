//! Evidence from outside: what was logged is proved, and what was changed is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ledger;
