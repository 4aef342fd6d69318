//! Threads for queries: one that computes for long keeps nobody else's timers, sockets and acknowledgements waiting.

use std::io;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// As many threads as there are processors, which end with this.
#[derive(Debug)]
pub struct Workers(Option<Runtime>);

impl Workers {
    /// **Errors**: the system's, when it gives no threads.
    pub fn new() -> io::Result<Self> {
        Builder::new_multi_thread().thread_name("query").enable_all().build().map(|runtime| Self(Some(runtime)))
    }

    /// Runs a future on these threads, until it ends or the handle is dropped.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
        AbortOnDropHandle::new(match &self.0 {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // A runtime that waits for its threads must not be dropped by a task.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
