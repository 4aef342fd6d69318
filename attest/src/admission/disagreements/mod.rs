//! Where others decide otherwise: another policy engine about the same image or the same request, or an API server that let
//! in what was refused here, or a node that runs an image that nobody decided on.
//!
//! Records are OCSF objects, as the lake gives them; who fetches them is the caller. They are held against the decision that
//! was the newest at their time. A policy engine's verdict is held against what is known of the image; what the API server
//! did, against the answer.

mod finding;
mod read;
mod running;

use super::decision::Outcome;
use crate::lineage::{NAMED_MAX, Row, named_digests};
pub use read::IMAGE_POLICY;
use read::{Image, Record};
use std::collections::{BTreeMap, HashMap};

/// Decisions of ours that are held.
pub const DECISIONS_MAX: usize = 500_000;
/// Disagreements that are told apart.
pub const DISAGREEMENTS_MAX: usize = 10_000;
/// By how much another clock may be behind, milliseconds.
const SKEW_MS: i64 = 5_000;

/// What another says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A policy engine lets it in.
    Passed,
    /// A policy engine does not, or would not.
    Failed,
    /// The API server let it in.
    LetIn,
    /// The API server refused it.
    Denied,
    /// A node runs it, in the place of what was decided on.
    Runs,
}

impl Verdict {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::LetIn => "let_in",
            Self::Denied => "denied",
            Self::Runs => "runs",
        }
    }

    /// Whether a decision of ours says something else: of the image for a policy engine, of the workload for a server.
    fn differs(self, image: Outcome, workload: Outcome) -> bool {
        match self {
            Self::Passed => image != Outcome::Attested,
            Self::Failed => image == Outcome::Attested,
            Self::LetIn => image == Outcome::Refused && workload == Outcome::Refused,
            Self::Denied => workload != Outcome::Refused,
            // That it is another image is the difference.
            Self::Runs => true,
        }
    }
}

/// One disagreement, however often it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Who else decided: a policy, else a product.
    pub decider: String,
    /// About what: an image's digest, the uid of an admission request, or a workload.
    pub about: String,
    /// What was decided here.
    pub ours: Outcome,
    /// What the other says.
    pub theirs: Verdict,
    /// How many of the other's records say so.
    pub count: u64,
    /// When the first one was, milliseconds since 1970.
    pub first_time: i64,
    /// When the last one was.
    pub last_time: i64,
    /// The workload of the last one, `namespace/name`.
    pub workload: String,
    /// The uid of our decision's record, for the last one.
    pub our_record: String,
    /// The uid of the other's last record.
    pub their_record: String,
}

/// A decision of ours.
struct Ours {
    record: String,
    time: i64,
    workload: Outcome,
    images: Vec<Image>,
}

/// Our decisions, and how others differ.
#[derive(Default)]
pub struct Disagreements {
    ours: Vec<Ours>,
    by_request: HashMap<String, usize>,
    /// By their times.
    by_image: HashMap<String, Vec<usize>>,
    /// The same by the workload's kind, and its namespace and name.
    by_workload: HashMap<(String, String), Vec<usize>>,
    found: BTreeMap<(String, String, &'static str, Verdict), Disagreement>,
    /// Decisions and disagreements beyond the bounds.
    left_out: u64,
}

impl Disagreements {
    /// Takes a decision of ours, as [`Admission`](super::Admission) records it. They may come in any order, and before what
    /// others say.
    pub fn ours(&mut self, row: Row) {
        let Some(record) = Record::read(row) else { return };
        if self.ours.len() >= DECISIONS_MAX {
            self.left_out += 1;
            return;
        }
        let (workload, images) = record.decided();
        let at = self.ours.len();
        for image in &images {
            self.by_image.entry(image.digest.clone()).or_default().push(at);
        }
        self.by_workload.entry((record.kind().to_owned(), record.workload())).or_default().push(at);
        if let Some(uid) = record.metadata.correlation_uid {
            self.by_request.insert(uid, at);
        }
        self.ours.push(Ours { record: record.metadata.uid, time: record.time, workload, images });
    }

    /// All decisions of ours were taken: from here on, others are held against them.
    pub fn begin(&mut self) {
        let ours = &self.ours;
        for at in self.by_image.values_mut().chain(self.by_workload.values_mut()) {
            at.sort_by_key(|at| ours[*at].time);
        }
    }

    /// Whether there is a decision of ours.
    pub fn is_empty(&self) -> bool {
        self.ours.is_empty()
    }

    /// Takes a record of another.
    pub fn theirs(&mut self, row: Row) {
        let digests = named_digests(&row);
        let Some(record) = Record::read(row) else { return };
        let Some(theirs) = record.verdict() else { return };
        let request =
            record.metadata.correlation_uid.as_ref().and_then(|uid| Some((uid.clone(), *self.by_request.get(uid)?)));
        if let Some((uid, at)) = request {
            let workload = self.ours[at].workload;
            if theirs.differs(workload, workload) {
                self.found(uid, at, workload, theirs, &record);
            }
            return;
        }
        let is_unnamed = digests.is_empty();
        for digest in digests.into_iter().take(NAMED_MAX) {
            let Some(at) = self.decided(&digest, record.time, theirs) else { continue };
            let Ours { workload, images, .. } = &self.ours[at];
            let Some(image) = images.iter().find(|image| image.digest == digest).map(|image| image.outcome) else {
                continue;
            };
            if theirs.differs(image, *workload) {
                let ours = if matches!(theirs, Verdict::Denied) { *workload } else { image };
                self.found(digest, at, ours, theirs, &record);
            }
        }
        for (container, digest) in record.running() {
            self.runs(&container, digest, &record);
        }
        if let Some(theirs) = record.reported().filter(|_| is_unnamed) {
            self.reported(theirs, &record);
        }
    }

    /// Holds what a report says of a workload's images against what was decided on it.
    fn reported(&mut self, theirs: Verdict, record: &Record) {
        let Some(all) = self.by_workload.get(&(record.kind().to_owned(), record.workload())) else { return };
        let Some(at) = self.newest(all, record.time).or_else(|| all.first().copied()) else { return };
        let ours = self.ours[at].workload;
        if theirs.differs(ours, ours) {
            self.found(record.workload(), at, ours, theirs, record);
        }
    }

    /// Holds an image that a container runs against the one that was decided on for it. One that there is any decision on is
    /// no stranger: an update that the node has still to follow, or what was refused, which is told as such.
    fn runs(&mut self, container: &str, digest: String, record: &Record) {
        let of_pod = self.by_workload.get(&("Pod".to_owned(), record.workload()));
        let of_pod = of_pod.and_then(|all| self.newest(all, record.time));
        let Some(at) = of_pod else { return };
        // One that was named by a tag alone may be any.
        let Some(image) = self.ours[at].images.iter().find(|image| image.container == container) else { return };
        if image.digest != digest && self.decided(&digest, record.time, Verdict::Runs).is_none() {
            let ours = image.outcome;
            self.found(digest, at, ours, Verdict::Runs, record);
        }
    }

    /// Our newest decision on an image at a time. A policy engine may have been first, what the API server did comes after.
    fn decided(&self, digest: &str, time: i64, theirs: Verdict) -> Option<usize> {
        let all = self.by_image.get(digest)?;
        match (self.newest(all, time), theirs) {
            (Some(at), _) => Some(at),
            (None, Verdict::Passed | Verdict::Failed) => all.first().copied(),
            (None, Verdict::LetIn | Verdict::Denied | Verdict::Runs) => None,
        }
    }

    /// The newest of some decisions at a time.
    fn newest(&self, all: &[usize], time: i64) -> Option<usize> {
        let after = all.partition_point(|at| self.ours[*at].time <= time.saturating_add(SKEW_MS));
        all.get(after.checked_sub(1)?).copied()
    }

    fn found(&mut self, about: String, at: usize, ours: Outcome, theirs: Verdict, record: &Record) {
        let decider = record.decider();
        let key = (decider.clone(), about.clone(), ours.as_str(), theirs);
        if self.found.len() >= DISAGREEMENTS_MAX && !self.found.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let found = self.found.entry(key).or_insert_with(|| Disagreement {
            decider,
            about,
            ours,
            theirs,
            count: 0,
            first_time: record.time,
            last_time: i64::MIN,
            workload: String::new(),
            our_record: String::new(),
            their_record: String::new(),
        });
        found.count += 1;
        found.first_time = found.first_time.min(record.time);
        if record.time >= found.last_time {
            found.last_time = record.time;
            found.workload = record.workload();
            found.our_record.clone_from(&self.ours[at].record);
            found.their_record.clone_from(&record.metadata.uid);
        }
    }

    /// The disagreements, the newest first, and how many decisions and disagreements are left out for the bounds.
    pub fn finish(self) -> (Vec<Disagreement>, u64) {
        let mut found: Vec<_> = self.found.into_values().collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.last_time));
        (found, self.left_out)
    }
}
