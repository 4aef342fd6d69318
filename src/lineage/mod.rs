//! What a lake says of images and workloads: one question for each kind of record, about a set of names at once.
//!
//! What the records mean together is [`tarn_attest::lineage`]'s; here they are fetched. All names are parameters.

mod finding;
mod questions;

pub use questions::Questions;

use crate::command::Usage;
use std::collections::BTreeSet;
use tarn_attest::Digest;
use tarn_attest::lineage::{self, Image, Lineage, NAMED_MAX, Pod, Records, Row, Stage, Subject, standing};

/// Images that are told of one finding.
const IMAGES_MAX: usize = 8;

/// Says that a starting point is a finding.
const FINDING: &str = "finding:";

impl Questions {
    /// The chains that a starting point belongs to.
    ///
    /// **Errors**: [`Usage`] where no record knows it; what the lake says.
    pub async fn lineage(&self, start: &str, through: Stage) -> anyhow::Result<Lineage> {
        let mut artifacts = BTreeSet::new();
        if start.parse::<Digest>().is_ok() {
            artifacts.insert(start.to_owned());
            let records = self.records(&artifacts).await?;
            if !records.signing.is_empty() || !records.activity.is_empty() || !records.keys.is_empty() {
                return Ok(Lineage::new(&artifacts, &records, through));
            }
            artifacts.clear();
        }
        let finding = self.finding(start.strip_prefix(FINDING).unwrap_or(start)).await?;
        let known = match &finding {
            Some((_, about)) => {
                anyhow::ensure!(!about.is_empty(), Usage(format!("finding {start:?} names no image and no workload")));
                artifacts.extend(self.digests(about).await?);
                true
            }
            None => !start.starts_with(FINDING) && self.artifacts(start, &mut artifacts).await?,
        };
        if !known {
            return Err(Usage(format!(
                "no record knows {start:?}; expected an image's digest (sha256:…), a commit, a workload, a key, a session or \
                 a finding"
            ))
            .into());
        }
        if artifacts.is_empty() {
            eprintln!(
                "no record says which image {start:?} is of: it was named by a tag, or its requests are not recorded"
            );
        }
        let mut records = self.records(&artifacts).await?;
        if let Some((row, _)) = finding {
            // In front: of records with one uid and time the first is kept.
            records.findings.insert(0, row);
        }
        Ok(Lineage::new(&artifacts, &records, through))
    }

    /// The images of each subject with their standing, at most [`IMAGES_MAX`] each; none for a subject that is about none,
    /// and an unknown one for a workload whose image no record names.
    ///
    /// **Errors**: what the lake says.
    pub async fn images(&self, subjects: &[Subject]) -> anyhow::Result<Vec<Vec<Image>>> {
        let mut digests = self.ran(subjects).await?;
        digests.iter_mut().for_each(|found| {
            while found.len() > IMAGES_MAX {
                found.pop_last();
            }
        });
        let all: BTreeSet<String> = digests.iter().flatten().cloned().collect();
        let signing = self.verifications(&all.into_iter().collect::<Vec<_>>()).await?;
        let images = subjects.iter().zip(digests).map(|(subject, digests)| match digests.is_empty() {
            true if subject.is_empty() => Vec::new(),
            true => vec![Image::unknown()],
            false => digests.iter().map(|digest| standing(digest, &signing)).collect(),
        });
        Ok(images.collect())
    }

    /// The digests that each subject names, else those that its workloads ran by the newest record that names any.
    async fn ran(&self, subjects: &[Subject]) -> anyhow::Result<Vec<BTreeSet<String>>> {
        let unnamed = subjects.iter().filter(|subject| subject.digests.is_empty());
        let pods: BTreeSet<&Pod> = unnamed.flat_map(|subject| &subject.pods).take(NAMED_MAX).collect();
        let rows = self.of_pods(pods.iter().copied()).await?;
        let newest = |pod: &Pod| {
            let of_pod = rows.iter().filter(|row| lineage::pods(row).iter().any(|other| other.is(pod)));
            of_pod.map(lineage::named_digests).find(|digests| !digests.is_empty()).unwrap_or_default()
        };
        let of = |subject: &Subject| match subject.digests.is_empty() {
            true => subject.pods.iter().flat_map(newest).collect(),
            false => subject.digests.clone(),
        };
        Ok(subjects.iter().map(of).collect())
    }

    /// The digests that a subject belongs to.
    async fn digests(&self, subject: &Subject) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.ran(std::slice::from_ref(subject)).await?.pop().unwrap_or_default())
    }

    /// All records of some artifacts.
    async fn records(&self, artifacts: &BTreeSet<String>) -> anyhow::Result<Records> {
        let digests: Vec<String> = artifacts.iter().cloned().collect();
        let mut records = Records::default();
        let (mut activity, mut keys, mut inference, mut findings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        {
            let mut keep = |stage: Stage, found: questions::Found, into: &mut Vec<Row>| {
                if found.is_limited {
                    records.limited.insert(stage, found.rows.len());
                }
                into.extend(found.rows);
            };
            let columns = ["artifact.uid"];
            keep(Stage::Signature, self.among("artifact_signing", &columns, &digests).await?, &mut records.signing);
            keep(Stage::Sbom, self.naming("software_info", &digests, "").await?, &mut records.inventory);
            keep(Stage::Admission, self.naming("api_activity", &digests, "").await?, &mut activity);
            let columns = ["artifact.uid", "tee_evidence.image.uid"];
            keep(Stage::KeyRelease, self.among("key_release", &columns, &digests).await?, &mut keys);
            let pods: BTreeSet<Pod> = activity.iter().flat_map(lineage::pods).take(NAMED_MAX).collect();
            let names = questions::names(pods.iter());
            if self.has("api_activity", "metadata.log_name") {
                let audited = self.naming("api_activity", &names, "AND \"metadata.log_name\" = 'audit'").await?;
                keep(Stage::Workload, audited, &mut activity);
            }
            let sessions: BTreeSet<String> = keys.iter().flat_map(lineage::sessions).take(2 * NAMED_MAX).collect();
            let running: Vec<String> = names.iter().cloned().chain(sessions).collect();
            for table in ["api_activity", "http_activity", "base_event"] {
                let answered = self.naming(table, &running, "AND contains(raw_data, 'gen_ai.')").await?;
                keep(Stage::Inference, answered, &mut inference);
            }
            let named = [digests, names].concat();
            keep(Stage::Finding, self.naming("detection_finding", &named, "").await?, &mut findings);
        }
        Ok(Records { activity, keys, inference, findings, ..records })
    }
}
