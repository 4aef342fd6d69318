//! The lineage of an artifact: commit → build → artifact → SBOM, signature, transparency entry, admission, workload,
//! attestation, key release, inference session, each edge from a record.
//!
//! Beside the chain are the findings on it: a Detection Finding leads to the images and workloads that it is about
//! ([`subject`]), and an image's evidence in one word is its [`standing`].
//!
//! Records are OCSF objects (`docs/trust.md`), as the lake gives them; who fetches them is the caller. Of several records
//! of one thing the newest counts, so a passed re-verification takes the place of a failed verification, and the other
//! way round.

mod names;
mod read;
mod render;
mod standing;
mod subject;

pub use names::{NAMED_MAX, Pod, keys, named_digests, names_pod, pods, sessions};
pub use render::{to_dot, to_mermaid};
pub use standing::{Image, Standing, standing};
pub use subject::{Subject, subject};

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A record: one OCSF object, `time` in milliseconds.
pub type Row = Map<String, Value>;

/// The links of a chain, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The commit that was built.
    Commit,
    /// The run that built it.
    Build,
    /// The bill of materials.
    Sbom,
    /// Who signed.
    Signature,
    /// The entry in a transparency log.
    Transparency,
    /// What decided that it may run.
    Admission,
    /// Where it runs.
    Workload,
    /// What vouched for where it runs.
    Attestation,
    /// The key that it got.
    KeyRelease,
    /// What it answered.
    Inference,
    /// What was found on it: no link, and never missing.
    Finding,
}

impl Stage {
    /// All links, in order.
    pub const ALL: [Self; 10] = [
        Self::Commit,
        Self::Build,
        Self::Sbom,
        Self::Signature,
        Self::Transparency,
        Self::Admission,
        Self::Workload,
        Self::Attestation,
        Self::KeyRelease,
        Self::Inference,
    ];

    /// Its name, as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Build => "build",
            Self::Sbom => "sbom",
            Self::Signature => "signature",
            Self::Transparency => "transparency",
            Self::Admission => "admission",
            Self::Workload => "workload",
            Self::Attestation => "attestation",
            Self::KeyRelease => "key_release",
            Self::Inference => "inference",
            Self::Finding => "finding",
        }
    }

    /// The link of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// What a link came to; the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No record tells of it.
    Missing,
    /// Its newest record says that it does not hold.
    Failing,
    /// There are more records than were looked at: older ones may say something else.
    Limited,
    /// Its newest record says that it holds.
    Whole,
    /// No link: something that was found on what is in the chain.
    Told,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Failing => "failing",
            Self::Limited => "limited",
            Self::Whole => "whole",
            Self::Told => "told",
        }
    }
}

/// An edge of the graph: a link of one artifact's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Which link it is.
    pub stage: Stage,
    /// What it came to.
    pub state: State,
    /// The artifact's digest, `sha256:…`.
    pub artifact: String,
    /// Where the edge begins: a digest or an identity.
    pub from: String,
    /// Where it ends; empty for a missing link.
    pub to: String,
    /// Why it is as it is, in words.
    pub detail: String,
    /// `metadata.uid` of the record that it stands on, for a finding `finding_info.uid`; none for a missing link.
    pub record: Option<String>,
    /// The record's time, milliseconds.
    pub time: Option<i64>,
    /// What has to be equal for a newer record to take its place.
    key: String,
}

/// The records that lineage is made of, as the lake's tables have them.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// `artifact_signing`.
    pub signing: Vec<Row>,
    /// `software_info`.
    pub inventory: Vec<Row>,
    /// `api_activity` that names one of the artifacts.
    pub activity: Vec<Row>,
    /// `key_release`.
    pub keys: Vec<Row>,
    /// Telemetry with `gen_ai` attributes that names one of the pods or key releases.
    pub inference: Vec<Row>,
    /// `detection_finding` that names one of the artifacts or pods.
    pub findings: Vec<Row>,
    /// Links of which the newest records are here and others are not, with how many are.
    pub limited: BTreeMap<Stage, usize>,
}

/// The chains of some artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Missing links first, then failing ones, then the others, findings last; within these by artifact, in the order of the
    /// chain.
    pub edges: Vec<Edge>,
}

impl Lineage {
    /// The chains of `artifacts`, up to and with the link `through`.
    ///
    /// A link without any record is missing. Findings are there whatever the last link is. Of records of the same thing the newest counts; at the same time the one that
    /// fails.
    pub fn new(artifacts: &BTreeSet<String>, records: &Records, through: Stage) -> Self {
        let mut edges = Vec::new();
        let subjects: Vec<Subject> = records.findings.iter().map(subject).collect();
        for artifact in artifacts {
            let mut found = newest(read::edges(artifact, records, &subjects));
            found.retain(|edge| edge.stage <= through || edge.stage == Stage::Finding);
            join(&mut found);
            for stage in Stage::ALL.into_iter().filter(|stage| *stage <= through) {
                if !found.iter().any(|edge| edge.stage == stage) {
                    found.push(missing(artifact, stage));
                }
            }
            let limited = records.limited.iter().filter(|(stage, _)| **stage <= through || **stage == Stage::Finding);
            found.extend(limited.map(|(stage, count)| self::limited(artifact, *stage, *count)));
            edges.append(&mut found);
        }
        edges.sort_by(|a, b| {
            let rank = |edge: &Edge| (edge.state, edge.artifact.clone(), edge.stage, edge.to.clone(), edge.time);
            rank(a).cmp(&rank(b))
        });
        Self { edges }
    }

    /// Whether no link is missing or failing.
    pub fn is_whole(&self) -> bool {
        !self.edges.is_empty() && self.edges.iter().all(|edge| edge.state >= State::Limited)
    }
}

fn missing(artifact: &str, stage: Stage) -> Edge {
    Edge {
        stage,
        state: State::Missing,
        artifact: artifact.to_owned(),
        from: artifact.to_owned(),
        to: String::new(),
        detail: format!("no record of {}", stage.name()),
        record: None,
        time: None,
        key: String::new(),
    }
}

fn limited(artifact: &str, stage: Stage, count: usize) -> Edge {
    Edge {
        state: State::Limited,
        to: format!("the newest {count} records"),
        detail: "there are more, which were not looked at: a span narrows it".to_owned(),
        ..missing(artifact, stage)
    }
}

/// The newest edge of each thing.
fn newest(edges: Vec<Edge>) -> Vec<Edge> {
    let mut kept: BTreeMap<(Stage, String), Edge> = BTreeMap::new();
    for edge in edges {
        let rank = |edge: &Edge| (edge.time, std::cmp::Reverse(edge.state), edge.record.clone());
        let at = (edge.stage, edge.key.clone());
        if kept.get(&at).is_none_or(|known| rank(known) < rank(&edge)) {
            kept.insert(at, edge);
        }
    }
    kept.into_values().collect()
}

/// An edge begins where the chain's link before it ends, if that is known to be about the same thing.
fn join(edges: &mut [Edge]) {
    let ends: BTreeMap<(Stage, String), String> =
        edges.iter().map(|edge| ((edge.stage, edge.key.clone()), edge.to.clone())).collect();
    for edge in edges {
        let before = match edge.stage {
            Stage::Transparency => Stage::Signature,
            Stage::Inference => Stage::Workload,
            Stage::Workload => Stage::Admission,
            Stage::KeyRelease => Stage::Attestation,
            Stage::Attestation => Stage::Workload,
            _ => continue,
        };
        // A key may be longer by what the other link does not know, such as a workload's by its decider.
        let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('\0'));
        let same = |(stage, key): &&(Stage, String)| {
            *stage == before && (*key == edge.key || begins(key, &edge.key) || begins(&edge.key, key))
        };
        if let Some(at) = ends.keys().find(same)
            && let Some(end) = ends.get(at)
        {
            edge.from.clone_from(end);
        }
    }
}
