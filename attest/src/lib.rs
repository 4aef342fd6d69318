//! Trust evidence.
//!
//! * [`ledger`]: evidence as leaves of an append-only Merkle log, its proofs and its audit.

pub mod ledger;
