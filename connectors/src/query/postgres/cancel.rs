//! Connections by the key that their clients were given, so that another connection can end what they wait for.

use crate::access::Identity;
use crate::query::{Queries, QueryId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The query that a connection waits for.
pub type Current = Arc<Mutex<Option<QueryId>>>;

#[derive(Debug)]
struct Entry {
    secret: i32,
    identity: Identity,
    current: Current,
}

/// The connections that are open. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    open: Arc<Mutex<HashMap<i32, Entry>>>,
    last: Arc<AtomicI32>,
}

/// A connection that is open for as long as this lives.
#[derive(Debug)]
pub struct Opened {
    /// Its number, and the secret that goes with it.
    pub key: (i32, i32),
    connections: Connections,
}

impl Connections {
    /// Takes a connection in.
    pub fn open(&self, identity: Identity, current: Current) -> Opened {
        let number = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let secret = Uuid::new_v4().as_u128() as i32;
        self.entries().insert(number, Entry { secret, identity, current });
        Opened { key: (number, secret), connections: self.clone() }
    }

    /// Ends the query of the connection with this key, if it has one. Nobody learns whether it had.
    pub fn cancel(&self, number: i32, secret: i32, queries: &Queries) {
        let found = self.entries().get(&number).and_then(|entry| {
            let right: bool = entry.secret.ct_eq(&secret).into();
            let current = *entry.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.filter(|_| right).map(|id| (id, entry.identity.clone()))
        });
        if let Some((id, identity)) = found {
            queries.cancel(id, &identity);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.connections.entries().remove(&self.key.0);
    }
}
