//! The durable log from outside: what was acknowledged is read back, whatever happens.

mod disk;
mod power;
