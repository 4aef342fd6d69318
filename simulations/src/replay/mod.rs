//! Recorded attacks, sent again as if they happened now: shifted with their intervals kept, under fresh ids, mixed into an
//! ordinary day where that is wanted.
//!
//! [`Recording`]s are read from files, [`Plan`] lays them out in time, [`send()`] gives them to a daemon, and [`trials()`]
//! says which of the daemon's findings belong to which. All but reading and sending is without IO.

mod fresh;
mod plan;
mod recording;
mod send;
mod shift;
mod trials;

pub use plan::{Item, Ordinary, Owner, Pace, Plan};
pub use recording::{Recorded, Recording, RecordingError, Recordings};
pub use send::{Sent, send};
pub use trials::{Attributed, trials};
