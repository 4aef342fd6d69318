//! What is seen of the daemon each second, and the worst of it.

use super::daemon::{Daemon, Sample};
use super::load::Lane;
use super::rounded;
use anyhow::Context;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// What was seen each second.
pub struct Curve {
    begun: Instant,
    out: Option<File>,
    /// Moments and the log's last frame then, as far back as something of it is not committed.
    frames: Vec<(Instant, u64)>,
    looked: Option<Instant>,
    pub visible_lag_s: f64,
    pub detection_lag_s: f64,
    pub lake_lag_s: f64,
}

impl Curve {
    /// Of a load that began then. **Errors**: the file cannot be made.
    pub fn new(path: Option<&Path>, begun: Instant) -> anyhow::Result<Self> {
        let create = |path: &Path| File::create(path).with_context(|| format!("--curve: {}", path.display()));
        let out = path.map(create).transpose()?;
        let (frames, looked) = (Vec::new(), None);
        Ok(Self { begun, out, frames, looked, visible_lag_s: 0.0, detection_lag_s: 0.0, lake_lag_s: 0.0 })
    }

    /// Looks, if it is time.
    pub fn see(&mut self, daemon: &Daemon, lane: &Lane) -> anyhow::Result<()> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= SAMPLE_EVERY) {
            self.force(daemon, lane)?;
        }
        Ok(())
    }

    /// Looks.
    pub fn force(&mut self, daemon: &Daemon, lane: &Lane) -> anyhow::Result<Sample> {
        let sample = daemon.sample()?;
        self.looked = Some(sample.at);
        self.frames.push((sample.at, sample.last));
        // The age of the first frame that is not there yet, as old as the look that saw it first.
        let age = |frames: &[(Instant, u64)], through: u64| {
            let first = frames.iter().find(|(_, last)| *last > through);
            first.map_or(0.0, |(at, _)| sample.at.duration_since(*at).as_secs_f64())
        };
        let (visible, lake) = (age(&self.frames, sample.visible), age(&self.frames, sample.committed));
        self.visible_lag_s = self.visible_lag_s.max(visible);
        self.lake_lag_s = self.lake_lag_s.max(lake);
        self.detection_lag_s = self.detection_lag_s.max(sample.detection_lag_s);
        self.frames.retain(|(_, last)| *last > sample.committed);
        if let Some(out) = &mut self.out {
            let line = json!({
                "second": rounded(sample.at.duration_since(self.begun).as_secs_f64()),
                "mb": rounded(lane.sent.bytes.load(Ordering::Relaxed) as f64 / 1e6),
                "resident_mb": rounded(sample.resident_bytes as f64 / 1e6),
                "visible_lag_s": rounded(visible), "lake_lag_s": rounded(lake),
                "detection_lag_s": rounded(sample.detection_lag_s), "findings": sample.findings,
            });
            writeln!(out, "{line}")?;
        }
        Ok(sample)
    }
}
