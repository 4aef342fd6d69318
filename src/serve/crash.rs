//! Places at which a debug build may be told to die, as if it were killed there: for tests of what a restart makes of it.

/// Dies here when the variable `TARN_SERVE_CRASH_AT` names this place, with a number after a colon on the n-th visit.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static VISITS: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = crate::config::crash_at()?;
        let (place, visit) = text.split_once(':').unwrap_or((&text, "1"));
        Some((place.to_owned(), visit.parse().ok()?))
    });
    if let Some((place, visit)) = wanted
        && place == name
        && VISITS.fetch_add(1, Ordering::SeqCst) + 1 == *visit
    {
        std::process::abort();
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub fn point(_: &str) {}
