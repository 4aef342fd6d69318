//! What witnesses' times say about the times that leaves claim.
//!
//! A checkpoint over `s` leaves, cosigned at `t`: the leaves before `s` were there at `t`; those from `s` on were not in
//! that tree. A witness may sign a while after the tree was made, so a leaf's own time is held against it with a slack.

use super::report::Divergence;

/// Bounds on leaves' times, by the sizes at which witnesses saw the log.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// Size, latest time for it and all smaller sizes, earliest for it and all larger ones; ms.
    seen: Vec<(u64, i64, i64)>,
}

impl Times {
    /// From what witnesses signed: sizes and times in seconds.
    pub(crate) fn new(mut seen: Vec<(u64, u64)>) -> Self {
        seen.sort_unstable();
        let ms = |s: u64| i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1000);
        let mut seen: Vec<_> = seen.into_iter().map(|(size, time)| (size, ms(time), ms(time))).collect();
        for at in 1..seen.len() {
            seen[at].1 = seen[at].1.max(seen[at - 1].1);
        }
        for at in (1..seen.len()).rev() {
            seen[at - 1].2 = seen[at - 1].2.min(seen[at].2);
        }
        Self { seen }
    }

    /// **Errors**: a time that a witness's cosignature belies.
    pub(crate) fn check(&self, index: u64, logged_at: i64, slack_ms: i64) -> Result<(), Divergence> {
        let without = self.seen.partition_point(|(size, _, _)| *size <= index);
        if let Some((_, seen_at, _)) = without.checked_sub(1).map(|at| self.seen[at])
            && logged_at < seen_at.saturating_sub(slack_ms)
        {
            return Err(Divergence::BackDated { index, logged_at, seen_at });
        }
        match self.seen.get(without) {
            Some((_, _, seen_at)) if logged_at > seen_at.saturating_add(slack_ms) => {
                Err(Divergence::PostDated { index, logged_at, seen_at: *seen_at })
            }
            _ => Ok(()),
        }
    }
}
