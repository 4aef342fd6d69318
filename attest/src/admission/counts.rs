//! How many questions there were, and what came of them, in Prometheus' text format.

use super::decision::{Decision, Outcome};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start.
#[derive(Default)]
pub(super) struct Counts {
    attested: AtomicU64,
    warned: AtomicU64,
    refused: AtomicU64,
    unrecorded: AtomicU64,
    invalid: AtomicU64,
    examined: AtomicU64,
    unexamined: AtomicU64,
}

fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    pub(super) fn answered(&self, decision: &Decision) {
        one(match decision.outcome() {
            Outcome::Attested => &self.attested,
            Outcome::Warned => &self.warned,
            Outcome::Refused => &self.refused,
        });
        if decision.unrecorded.is_some() {
            one(&self.unrecorded);
        }
    }

    pub(super) fn invalid(&self) {
        one(&self.invalid);
    }

    pub(super) fn examined(&self, worked: bool) {
        one(if worked { &self.examined } else { &self.unexamined });
    }

    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, help: &str, samples: &[(&str, &AtomicU64)]| {
            let _ =
                writeln!(text, "# HELP tarn_admission_{name}_total {help}\n# TYPE tarn_admission_{name}_total counter");
            for (labels, counter) in samples {
                let _ = writeln!(text, "tarn_admission_{name}_total{labels} {}", counter.load(Ordering::Relaxed));
            }
        };
        family(
            "answers",
            "Answers, by what was decided.",
            &[
                ("{decision=\"attested\"}", &self.attested),
                ("{decision=\"warned\"}", &self.warned),
                ("{decision=\"refused\"}", &self.refused),
            ],
        );
        family("unrecorded", "Answers whose decision has no record.", &[("", &self.unrecorded)]);
        family("invalid", "Requests without an answer.", &[("", &self.invalid)]);
        family(
            "examinations",
            "Images whose evidence was asked for, by whether it could be told.",
            &[("{told=\"true\"}", &self.examined), ("{told=\"false\"}", &self.unexamined)],
        );
        text
    }
}
