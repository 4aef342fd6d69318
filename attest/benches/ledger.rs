//! How fast the ledger appends, proves and audits.

fn main() {}
