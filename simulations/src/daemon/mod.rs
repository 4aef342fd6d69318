//! A daemon to send to and to ask: one that runs, or one of our own for the time of a run.
//!
//! **IO**: HTTP to the daemon; [`Embedded`] starts a child process. Everything else of a simulation is without IO.

mod client;
mod embedded;
mod reading;
mod watch;

pub use client::{Accepted, Client, ClientError};
pub use embedded::{Embedded, EmbeddedError, EmbeddedOptions};
pub use watch::{LOOK_EVERY, Watch, WatchOptions};
