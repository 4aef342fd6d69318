//! From a finding to what it is about.

use super::Questions;
use serde_json::{Value, json};
use tarn_attest::lineage::{NAMED_MAX, Pod, Row, Subject, named_digests, pods, subject};

/// Records of a finding's making and changes that are looked at.
const TABLE: &str = "detection_finding";

impl Questions {
    /// The newest record of a finding, and what it is about: what its evidence names, else what the events name that it
    /// stands on, which then are its record's `resources`. None where no record has that uid.
    ///
    /// **Errors**: what the lake says.
    pub async fn finding(&self, uid: &str) -> anyhow::Result<Option<(Row, Subject)>> {
        let found = self.among(TABLE, &["finding_info.uid", "metadata.uid"], &[uid.to_owned()]).await?;
        let Some(mut row) = found.rows.into_iter().next() else { return Ok(None) };
        let mut about = subject(&row);
        if about.is_empty() {
            about = self.of_events(&row).await?;
            let pods =
                about.pods.iter().map(|pod| json!({"namespace": pod.namespace, "name": pod.name, "uid": pod.uid}));
            let images = about.digests.iter().map(|digest| json!({"uid": digest}));
            row.insert("resources".to_owned(), pods.chain(images).collect());
        }
        Ok(Some((row, about)))
    }

    /// What the events of a finding are about.
    async fn of_events(&self, finding: &Row) -> anyhow::Result<Subject> {
        let related = finding.get("finding_info").and_then(|info| info.get("related_events")).and_then(Value::as_array);
        let uids = related.into_iter().flatten().filter_map(|event| event.get("uid")?.as_str());
        let uids: Vec<String> = uids.take(NAMED_MAX).map(str::to_owned).collect();
        let mut about = Subject::default();
        for table in self.tables().filter(|table| *table != TABLE) {
            for event in self.among(table, &["metadata.uid"], &uids).await?.rows {
                about.digests.extend(named_digests(&event));
                about.pods.extend(pods(&event).into_iter().filter(|pod| !pod.namespace.is_empty()));
                let evidence = Row::from_iter([("evidences".to_owned(), Value::Object(event))]);
                about.pods.extend(subject(&evidence).pods);
            }
        }
        bound(&mut about);
        Ok(about)
    }
}

fn bound(about: &mut Subject) {
    about.digests = std::mem::take(&mut about.digests).into_iter().take(NAMED_MAX).collect();
    let pods: std::collections::BTreeSet<Pod> = std::mem::take(&mut about.pods).into_iter().take(NAMED_MAX).collect();
    about.pods = pods;
}
