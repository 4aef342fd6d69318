//! `tarn serve`, as clients and kill -9 see it.

mod alerts;
mod attested;
mod correlations;
mod crash;
pub mod daemon;
mod disk;
mod evidence;
mod findings;
mod flight_sql;
mod metrics;
mod postgres;
mod sql;
mod store;
mod streams;
mod traces;
