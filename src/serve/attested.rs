//! Whether the images that findings are about were attested: the lake is asked, within a deadline.
//!
//! For people who look at a finding and for alerts, never for detection. What cannot be said in time is left out: an alert
//! does not wait for evidence. **Bounds**: one look-up at a time; after one that was too slow, alerts do without for
//! [`PAUSE`].

use crate::hunting::Span;
use crate::lineage::Questions;
use chrono::{TimeDelta, Utc};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tarn_attest::lineage::{Image, Row, Standing, Subject, subject};
use tarn_connectors::attestation::{self, Attestation, Verdict};
use tarn_connectors::findings;
use tarn_lake::{Live, SqlOptions};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// How long the findings of one frame wait, all together.
const ALERTS_WAIT: Duration = Duration::from_millis(500);
/// How long somebody who looks at a finding waits.
const SHOWN_WAIT: Duration = Duration::from_secs(5);
/// How long alerts do without after a look-up that was too slow.
const PAUSE: Duration = Duration::from_secs(30);
/// How far back alerts look for what a workload runs, and for verifications of it.
const LOOK_BACK: TimeDelta = TimeDelta::days(30);
/// Memory of one look-up.
const MEMORY_BYTES: usize = 128 << 20;

/// Looks images up. Cheap to clone.
#[derive(Clone)]
pub struct Attested {
    live: Live,
    one: Arc<Semaphore>,
    paused_until: Arc<Mutex<Option<Instant>>>,
}

impl Attested {
    /// Asks the lake that a log streams into, with rows that are on their way there.
    pub fn new(live: Live) -> Self {
        Self { live, one: Arc::new(Semaphore::new(1)), paused_until: Arc::default() }
    }

    /// For alerts. Blocks; must be called outside of `runtime`'s own threads.
    pub fn of_alerts(self, runtime: Handle) -> attestation::Attesting {
        Arc::new(move |texts| {
            let row = |text: &&str| serde_json::from_str::<Row>(text).unwrap_or_default();
            let subjects: Vec<Subject> = texts.iter().map(row).map(|row| subject(&row)).collect();
            if subjects.iter().all(Subject::is_empty) || self.is_paused() {
                return Vec::new();
            }
            let span = Span { since: Some(Utc::now() - LOOK_BACK), until: None };
            let asked = within(&self.one, ALERTS_WAIT, async { self.questions(span)?.images(&subjects).await });
            match runtime.block_on(asked) {
                Some(images) => images.into_iter().map(told).collect(),
                None => {
                    *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
                    Vec::new()
                }
            }
        })
    }

    /// For who looks at a finding: of all time.
    pub fn of_findings(self) -> findings::Attesting {
        Arc::new(move |uid| {
            let this = self.clone();
            Box::pin(async move {
                let asked = async {
                    let questions = this.questions(Span::default())?;
                    let Some((_, about)) = questions.finding(&uid).await? else { return Ok(Vec::new()) };
                    Ok(questions.images(&[about]).await?.into_iter().flatten().collect())
                };
                within(&this.one, SHOWN_WAIT, asked).await.map(told).unwrap_or_default()
            })
        })
    }

    fn is_paused(&self) -> bool {
        let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn questions(&self, span: Span) -> anyhow::Result<Questions> {
        let options = SqlOptions { memory_bytes: MEMORY_BYTES, ..SqlOptions::default() };
        Ok(Questions { session: self.live.sql(&options)?, span })
    }
}

/// The answer, one look-up at a time; none where there is none in time, or where it fails: which is logged, not told.
async fn within<T>(one: &Semaphore, wait: Duration, asked: impl Future<Output = anyhow::Result<T>>) -> Option<T> {
    let alone = async {
        let _one = one.acquire().await?;
        asked.await
    };
    match tokio::time::timeout(wait, alone).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!(error = format!("{error:#}"), "findings are told without attestation");
            None
        }
        Err(_) => {
            tracing::info!(seconds = wait.as_secs_f64(), "attestation was not found in time: findings go without");
            None
        }
    }
}

fn told(images: Vec<Image>) -> Vec<Attestation> {
    let attestation = |image: Image| Attestation {
        verdict: match image.standing {
            Standing::Attested => Verdict::Attested,
            Standing::Unattested => Verdict::Unattested,
            Standing::Unknown => Verdict::Unknown,
        },
        digest: image.digest,
        reason: image.detail,
        record: image.record,
    };
    images.into_iter().map(attestation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_takes_too_long_is_left_out_and_holds_up_nothing_after_it() {
        let (one, wait) = (Semaphore::new(1), Duration::from_millis(20));
        let begun = Instant::now();
        assert_eq!(within(&one, wait, std::future::pending::<anyhow::Result<u8>>()).await, None);
        assert!(begun.elapsed() >= wait);
        assert_eq!(within(&one, wait, async { Ok(1) }).await, Some(1));
        assert_eq!(within(&one, wait, async { anyhow::bail!("no lake") }).await, None::<u8>);
        let _held = one.acquire().await;
        assert_eq!(within(&one, wait, async { Ok(1) }).await, None, "one at a time");
    }
}
