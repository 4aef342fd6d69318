//! Records built by path into Arrow batches: only paths and types that the class has can be written.

mod builder;
mod column;
mod table;
mod values;

pub use builder::BatchBuilder;
pub use table::{FIELD_TYPE_KEY, Slot, TableSchema, TypeError};
pub use values::Value;
