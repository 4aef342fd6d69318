//! The protocols that SQL is asked over: HTTP ([`http`]), PostgreSQL's ([`postgres`]) and
//! Arrow Flight SQL ([`flight`]).
//!
//! A protocol asks one [`Database`], which the wiring makes of a lake, through one [`Queries`], which keeps the limits.
//! Nothing here parses or plans a user's SQL, and nothing here writes.

mod cells;
mod database;
mod error;
pub mod flight;
pub mod http;
mod limits;
pub mod postgres;
mod running;
mod workers;

pub use cells::nested_as_json;
pub use database::{Answer, Database, Session, Shape, TableInfo};
pub use error::{Position, QueryError};
pub use limits::{LimitsError, QueryLimits};
pub use running::{Ask, Queries, QueryId, Running};
