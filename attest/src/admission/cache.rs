//! What is known of images, for a while: each is asked about once, however many ask at the same time.

use super::examination::Examination;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What came of an examination, or why nothing did.
pub(super) type Known = Result<Arc<Examination>, Arc<str>>;
/// An examination that is under way or done.
pub(super) type Asked = Shared<BoxFuture<'static, Known>>;

struct Entry {
    began: Instant,
    asked: Asked,
}

impl Entry {
    /// Whether an answer would not be too old. One without evidence is none.
    fn holds(&self, lifetime: Duration) -> bool {
        match self.asked.peek() {
            None => true,
            Some(Ok(_)) => self.began.elapsed() < lifetime,
            Some(Err(_)) => false,
        }
    }
}

/// Examinations by the image's reference with its digest.
///
/// **Bounds**: `entries_max`; of more, the oldest go. What is under way counts.
pub(super) struct Cache {
    lifetime: Duration,
    entries_max: usize,
    entries: Mutex<HashMap<String, Entry>>,
}

impl Cache {
    pub(super) fn new(lifetime: Duration, entries_max: usize) -> Self {
        Self { lifetime, entries_max, entries: Mutex::default() }
    }

    /// What is known, or will be; `begin` asks anew. It goes on when nobody waits for it any more.
    pub(super) fn ask(&self, image: &str, begin: impl FnOnce() -> BoxFuture<'static, Known>) -> Asked {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(image).filter(|entry| entry.holds(self.lifetime)) {
            return entry.asked.clone();
        }
        if entries.len() >= self.entries_max {
            entries.retain(|_, entry| entry.holds(self.lifetime));
        }
        if entries.len() >= self.entries_max
            && let Some(oldest) = entries.iter().min_by_key(|(_, entry)| entry.began).map(|(image, _)| image.clone())
        {
            entries.remove(&oldest);
        }
        let asked = begin().shared();
        tokio::spawn(asked.clone());
        entries.insert(image.to_owned(), Entry { began: Instant::now(), asked: asked.clone() });
        asked
    }
}
