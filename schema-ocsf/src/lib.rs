//! OCSF 1.8.0 and our extension `trust` as data, and what stands on it: class → Arrow schema, records built by path,
//! canonical JSON, validation.
//!
//! The facts are in `data/ocsf.json`, made by `generate.py` from OCSF's compiled schema and `extensions/`. No IO, no
//! async.

pub mod column;
pub mod flatten;
pub mod nest;
pub mod record;
pub mod required;
pub mod schema;
pub mod validate;

pub use column::{Leaf, LeafType, PathError};
pub use record::{BatchBuilder, Slot, TableSchema, TypeError};
pub use required::Required;
pub use schema::{ClassUid, Schema};
