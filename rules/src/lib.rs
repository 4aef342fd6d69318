//! The Sigma language: rules read from YAML and lowered to one small expression each. It knows no log source.
//!
//! [`load()`] reads files and folders; [`Rule::condition`] is what the engine evaluates, [`reference`] says slowly and
//! obviously what it means, [`print`] writes it back as Sigma, [`lint`] says what is odd about it, [`attack`] reads tags,
//! [`events`] a rule's own test events.

mod about;
pub mod attack;
pub mod correlation;
pub mod events;
pub mod expr;
pub mod lint;
mod load;
mod lower;
mod pack;
mod parse;
pub mod print;
pub mod reference;

pub use about::{About, Level};
pub use correlation::Correlation;
pub use expr::{Compare, Expr, FieldTest, Item, Number, Part, Pattern, Test, TimePart};
pub use load::{Filter, LoadError, LoadOptions, Logsource, Rule, Ruleset, load, parse};
pub use lower::Placeholders;
pub use pack::pack;
