//! Labelled records against the rules that stand for their behaviours: of the true ones, how many fire; of the benign
//! look-alikes, which do at medium or above.
//!
//! The tables `labelled/<service>.yml` say which rules stand for which behaviour; the labelled records themselves are other
//! people's. Each record is a stream of its own, so that correlations never mix records. **IO**: reads tables and logs.

mod judge;
mod table;

pub use judge::{Judge, Judged, Service, Verdict};
pub use table::{Behaviour, LeftOut, Table, TableError};
