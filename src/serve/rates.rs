//! How much each identity may send: a bucket of tokens, which are bytes, that fills at its rate.
//!
//! A delivery is taken while there is any token, and may cost more than there are: so one that is larger than the bucket
//! can be taken, and the next one waits the longer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tarn_connectors::access::Access;

/// Seconds of its rate that an identity may send at once, after a pause.
const BURST_SECONDS: f64 = 5.0;

/// The buckets of those who have a limit. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Rates(Arc<HashMap<String, Bucket>>);

#[derive(Debug)]
struct Bucket {
    bytes_per_second: f64,
    filled: Mutex<(f64, Instant)>,
}

impl Rates {
    /// Of the grants that have a limit.
    pub fn new(access: &Access, now: Instant) -> Self {
        let bucket = |mib: u32| {
            let bytes_per_second = f64::from(mib) * 1_048_576.0;
            Bucket { bytes_per_second, filled: Mutex::new((bytes_per_second * BURST_SECONDS, now)) }
        };
        let limited =
            access.grants().filter_map(|grant| Some((grant.name.clone(), bucket(grant.ingest_mib_per_second?))));
        Self(Arc::new(limited.collect()))
    }

    /// Takes a delivery of `bytes`, or says when to come again.
    pub fn take(&self, sender: Option<&str>, bytes: usize, now: Instant) -> Result<(), Duration> {
        let Some(bucket) = sender.and_then(|name| self.0.get(name)) else { return Ok(()) };
        let mut filled = bucket.filled.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, at) = *filled;
        let more = now.saturating_duration_since(at).as_secs_f64() * bucket.bytes_per_second;
        let tokens = (tokens + more).min(bucket.bytes_per_second * BURST_SECONDS);
        let taken = tokens > 0.0;
        *filled = (if taken { tokens - bytes as f64 } else { tokens }, now);
        if taken { Ok(()) } else { Err(Duration::from_secs_f64(-tokens / bucket.bytes_per_second)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tarn_connectors::access::{Grant, token_digest};

    #[test]
    fn an_identity_sends_at_its_rate() {
        let grant = |name: &str, limit: Option<u32>| Grant {
            name: name.into(),
            token_sha256: Some(token_digest(name)),
            ingest_mib_per_second: limit,
            ..Grant::default()
        };
        let access = Access::new(vec![grant("slow", Some(2)), grant("free", None)]).unwrap();
        let begun = Instant::now();
        let rates = Rates::new(&access, begun);
        let mib = |sender, n: usize, after: u64| rates.take(sender, n << 20, begun + Duration::from_secs(after));
        assert_eq!(mib(Some("slow"), 10, 0), Ok(()), "five seconds of it at once");
        assert_eq!(mib(Some("slow"), 1, 0), Err(Duration::ZERO));
        assert_eq!(mib(Some("slow"), 12, 1), Ok(()), "more than there is");
        assert_eq!(mib(Some("slow"), 1, 1), Err(Duration::from_secs(5)));
        assert_eq!(mib(Some("slow"), 1, 5), Err(Duration::from_secs(1)));
        assert_eq!(mib(Some("slow"), 1, 7), Ok(()));
        for sender in [Some("free"), Some("unknown"), None] {
            assert_eq!(mib(sender, 1 << 20, 0), Ok(()));
        }
    }
}
