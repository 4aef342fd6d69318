//! The webhook, apart from HTTP: a question in, an answer out, in time and with a record.

use super::cache::{Asked, Cache, Known};
use super::counts::Counts;
use super::decision::{Decision, Mode, Unattested, Verdict, decide};
use super::examination::{Examination, Question};
use super::record::{Decided, Examinations, Recorder, pinned};
use super::reference::Reference;
use super::review::{Review, ReviewError};
use super::source::Source;
use super::summary::Summarizer;
use crate::ledger::Entry;
use crate::oci::Attached;
use crate::policies::Policies;
use chrono::{DateTime, Utc};
use futures::FutureExt;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// The longest that an API server waits for a webhook.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// What says the time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Bounds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Questions at a time; one more waits.
    pub requests_max: usize,
    /// Images that are examined at a time: what is attached to one is held while it is, up to 256 MiB.
    pub examinations_max: usize,
    /// Bytes of a question.
    pub body_bytes_max: usize,
    /// How long what is known of an image counts.
    pub known_for: Duration,
    /// Images that something is known of.
    pub known_max: usize,
    /// How long a question takes whose sender does not say. The API server waits 10 s by default.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_max: 64,
            examinations_max: 8,
            body_bytes_max: 3 << 20,
            known_for: Duration::from_secs(60),
            known_max: 10_000,
            timeout: Duration::from_secs(10),
        }
    }
}

/// What a webhook is made of.
pub struct Parts {
    /// Whose word counts for which image.
    pub policies: Policies,
    /// What becomes of a workload with an image that is not attested.
    pub mode: Mode,
    /// Evidence of images.
    pub source: Arc<dyn Source>,
    /// Keeps records; without it, nothing is recorded.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// Signs verification summaries; without it, there are none.
    pub summarizer: Option<Summarizer>,
    /// Says the time.
    pub clock: Clock,
    /// Bounds.
    pub limits: Limits,
}

/// Policies with what is known by them: both are replaced at once.
struct Ruled {
    policies: Policies,
    known: Cache,
}

/// An admission webhook.
pub struct Admission {
    mode: Mode,
    source: Arc<dyn Source>,
    recorder: Option<Arc<dyn Recorder>>,
    summarizer: Option<Summarizer>,
    clock: Clock,
    pub(super) limits: Limits,
    ruled: RwLock<Arc<Ruled>>,
    examining: Semaphore,
    pub(super) requests: Arc<Semaphore>,
    pub(super) counts: Counts,
    stopping: AtomicBool,
}

/// When a question came, and by when which part of its answer must be there.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// By when images must be known: a quarter of the time is the record's.
    pub known_by: Instant,
    /// By when there must be an answer: a tenth of what the API server waits is the way's, and at least 200 ms.
    pub answer_by: Instant,
}

impl Times {
    /// Of a question that came just now, whose sender waits so long. At most 30 s count.
    pub fn of(waits: Duration) -> Self {
        let waits = waits.min(TIMEOUT_MAX);
        let answer = waits.saturating_sub((waits / 10).max(Duration::from_millis(200)));
        let now = Instant::now();
        Self { known_by: now + answer * 3 / 4, answer_by: now + answer }
    }
}

impl Admission {
    /// A webhook.
    pub fn new(parts: Parts) -> Self {
        let Parts { policies, mode, source, recorder, summarizer, clock, limits } = parts;
        Self {
            mode,
            source,
            recorder,
            summarizer,
            clock,
            limits,
            ruled: RwLock::new(Arc::new(Ruled { policies, known: Cache::new(limits.known_for, limits.known_max) })),
            examining: Semaphore::new(limits.examinations_max),
            requests: Arc::new(Semaphore::new(limits.requests_max)),
            counts: Counts::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Takes other policies for questions from now on. What was known by the former ones is forgotten.
    pub fn replace(&self, policies: Policies) {
        let known = Cache::new(self.limits.known_for, self.limits.known_max);
        *self.ruled.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Ruled { policies, known });
    }

    /// Is not ready from now on, and answers what still comes.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn ruled(&self) -> Arc<Ruled> {
        self.ruled.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers a question. The record of the answer is kept before there is one.
    ///
    /// **Errors**: what is no question, to which there is no answer.
    pub async fn review(
        self: &Arc<Self>,
        body: &[u8],
        times: Times,
        source: Option<SocketAddr>,
    ) -> Result<Value, ReviewError> {
        let review = Review::read(body)?;
        let ruled = self.ruled();
        let known = self.known(&review, &ruled, times.known_by).await;
        let decision = decide(&review, self.mode, |reference, _| match pinned(reference).and_then(|p| known.get(&p)) {
            None => Verdict::Unattested(Unattested::Policy),
            Some(Ok(examination)) => examination.verdict.clone(),
            Some(Err(why)) => Verdict::Unattested(Unattested::Error(why.to_string())),
        });
        let examinations = known.into_iter().filter_map(|(image, known)| Some((image, known.ok()?))).collect();
        let version = ruled.policies.digest().to_string();
        let record = Keeping { review, examinations, version, source };
        let decision = self.recorded(decision, record, times.answer_by).await;
        self.counts.answered(&decision);
        Ok(decision.answer())
    }

    /// What is known by then of the images that a policy is for.
    async fn known(self: &Arc<Self>, review: &Review, ruled: &Arc<Ruled>, by: Instant) -> HashMap<String, Known> {
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        for used in review.images.iter().flatten() {
            let Ok(reference) = &used.reference else { continue };
            let Some(image) = pinned(reference).filter(|image| !asked.contains_key(image)) else { continue };
            if ruled.policies.of_image(&reference.name).is_some() {
                let begin = || self.clone().examine(ruled.clone(), reference.clone()).boxed();
                asked.insert(image.clone(), ruled.known.ask(&image, begin));
            }
        }
        let answers = asked.into_iter().map(|(image, asked)| async move {
            let late = || Err("not by the deadline".into());
            (image, timeout_at(by, asked).await.unwrap_or_else(|_| late()))
        });
        futures::future::join_all(answers).await.into_iter().collect()
    }

    /// Examines an image and keeps the records of it, in bounded time, whoever waits.
    async fn examine(self: Arc<Self>, ruled: Arc<Ruled>, image: Reference) -> Known {
        let examined = timeout(TIMEOUT_MAX, async {
            let _turn = self.examining.acquire().await.map_err(|e| e.to_string())?;
            let digest = image.digest.as_ref().ok_or("no digest")?;
            let attached = self.source.attached(&image, digest).await.map_err(|e| with_causes(e.as_ref()))?;
            let (admission, asked) = (self.clone(), image.clone());
            let judged = tokio::task::spawn_blocking(move || admission.judge(&ruled.policies, &asked, attached));
            let (examination, entries) = judged.await.map_err(|e| e.to_string())??;
            if let Some(recorder) = &self.recorder
                && !entries.is_empty()
            {
                recorder.record(entries).await.map_err(|e| format!("its evidence cannot be recorded: {e}"))?;
            }
            Ok(Arc::new(examination))
        });
        let examined = examined.await.unwrap_or_else(|_| Err(format!("not within {} s", TIMEOUT_MAX.as_secs())));
        self.counts.examined(examined.is_ok());
        if let Err(error) = &examined {
            tracing::warn!(%image, error, "an image could not be examined");
        }
        examined.map_err(Arc::from)
    }

    fn judge(
        &self,
        policies: &Policies,
        image: &Reference,
        attached: Vec<Attached>,
    ) -> Result<(Examination, Vec<Entry>), String> {
        let (Some(policy), Some(digest)) = (policies.of_image(&image.name), &image.digest) else {
            return Err("no policy is for it".to_owned());
        };
        let now = (self.clock)();
        Question { image, digest, policy, summarizer: self.summarizer.as_ref(), now }.examine(attached)
    }

    /// The decision with its record. Without one by then, it is what the mode says, and the last record of this question
    /// says so as well, when there is one again.
    async fn recorded(self: &Arc<Self>, decision: Decision, keeping: Keeping, by: Instant) -> Decision {
        let Some(recorder) = self.recorder.clone() else { return decision };
        let time = (self.clock)();
        let (why, keep) = match keeping.entry(&decision, time) {
            Err(error) => (error, None),
            Ok(entry) => {
                let uid = entry.uid().to_owned();
                // On its own, as a record that comes too late comes all the same.
                let mut keep = tokio::spawn(async move { recorder.record(vec![entry]).await });
                match timeout_at(by, &mut keep).await {
                    Ok(Ok(Ok(()))) => return decision.with_record(uid),
                    Ok(Ok(Err(error))) => (error, None),
                    Ok(Err(error)) => (error.to_string(), None),
                    Err(_) => ("not by the deadline".to_owned(), Some(keep)),
                }
            }
        };
        tracing::error!(uid = decision.uid(), error = why, "a decision has no record");
        let answered = decision.clone().without_record(why);
        if let (Some(keep), Some(recorder), true) = (keep, self.recorder.clone(), decision.allowed != answered.allowed)
        {
            let (clock, answered) = (self.clock.clone(), answered.clone());
            tokio::spawn(async move {
                if let (Ok(Ok(())), Ok(entry)) = (keep.await, keeping.entry(&answered, clock()))
                    && let Err(error) = recorder.record(vec![entry]).await
                {
                    tracing::error!(uid = answered.uid(), error, "the record says allowed, the answer was a refusal");
                }
            });
        }
        answered
    }
}

/// What goes into the record of a decision besides it.
struct Keeping {
    review: Review,
    examinations: Examinations,
    version: String,
    source: Option<SocketAddr>,
}

impl Keeping {
    fn entry(&self, decision: &Decision, time: DateTime<Utc>) -> Result<Entry, String> {
        let Self { review, examinations, version, source } = self;
        let decided = Decided { review, decision, examinations, policies: version, time, source: *source };
        decided.entry().map_err(|e| with_causes(&e))
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
