//! What a policy says of an image, with the records of how it came to say so.

use super::decision::{Unattested, Verdict};
use super::reference::Reference;
use super::summary::Summarizer;
use crate::attestation::Attestation;
use crate::digest::Digest;
use crate::ledger::Entry;
use crate::oci::{Attached, Content, Examined};
use crate::ocsf::{self, Activity, ArtifactType, Evidence, Named};
use crate::policies::TrustPolicy;
use crate::verified::Verification;
use chrono::{DateTime, Utc};

/// What is known of an image.
pub(super) struct Examination {
    pub(super) verdict: Verdict,
    /// The policy's name.
    pub(super) policy: String,
    /// The policy file's digest.
    pub(super) version: String,
    /// The documents, each with its record.
    pub(super) documents: Vec<Document>,
    /// The verification summary that was made of it.
    pub(super) summary: Option<Document>,
}

/// A document, and the record that it has.
pub(super) struct Document {
    /// `metadata.uid` of the record.
    pub(super) uid: String,
    /// The document's digest.
    pub(super) digest: Digest,
    pub(super) passed: bool,
}

/// What an examination asks for.
pub(super) struct Question<'a> {
    pub(super) image: &'a Reference,
    pub(super) digest: &'a Digest,
    pub(super) policy: &'a TrustPolicy,
    pub(super) summarizer: Option<&'a Summarizer>,
    pub(super) now: DateTime<Utc>,
}

impl Question<'_> {
    /// Verifies what is attached. Gives the examination, and what must be recorded before it counts.
    ///
    /// **Errors**: a record or summary that cannot be made, in words.
    pub(super) fn examine(&self, attached: Vec<Attached>) -> Result<(Examination, Vec<Entry>), String> {
        let examined = Examined::of(self.policy, self.digest, attached, self.now);
        let verdict = match examined.problem() {
            None => Verdict::Attested,
            Some(problem) => Verdict::Unattested(Unattested::Failed(problem)),
        };
        let (mut documents, mut entries): (Vec<Document>, _) = (Vec::new(), Vec::new());
        for (attached, verification) in &examined.documents {
            let evidence = self.verified(attached, verification);
            // Attached twice, it is one document with one record.
            if documents.iter().any(|document| document.uid == evidence.uid) {
                continue;
            }
            let raw = match &attached.content {
                Content::Bundle(bytes) | Content::Envelope(bytes, _) | Content::Signature(bytes, _) => Some(bytes),
                Content::Other => None,
            };
            documents.push(Document {
                uid: evidence.uid.clone(),
                digest: attached.digest.clone(),
                passed: verification.verified().is_some(),
            });
            entries.push(entry(&evidence, raw.map(|bytes| bytes.clone().into()))?);
        }
        let summary = match (&verdict, self.summarizer) {
            (Verdict::Attested, Some(summarizer)) => {
                let (summary, recorded) = self.summarized(summarizer, &documents)?;
                entries.push(recorded);
                Some(summary)
            }
            _ => None,
        };
        let (policy, version) = (self.policy.name.clone(), self.policy.version.clone());
        Ok((Examination { verdict, policy, version, documents, summary }, entries))
    }

    fn named(&self) -> Named {
        let (digest, name) = (Some(self.digest.clone()), Some(self.image.name.clone()));
        Named { digest, name, uri: None, kind: ArtifactType::ContainerImage }
    }

    fn verified(&self, attached: &Attached, verification: &Verification<Attestation>) -> Evidence {
        let uri = format!("oci://{}@{}", self.image.name, attached.manifest);
        self.record(Activity::Verify, verification, Some(&uri), &[])
    }

    fn record(
        &self,
        activity: Activity,
        verification: &Verification<Attestation>,
        document_uri: Option<&str>,
        evidence_uids: &[String],
    ) -> Evidence {
        ocsf::Verdict {
            activity,
            time: self.now,
            artifact: &self.named(),
            record: verification.record(),
            attestation: verification.verified().map(|verified| verified.get()),
            policy: self.policy,
            document_uri,
            evidence_uids,
            timed: true,
        }
        .to_ocsf()
    }

    /// A verification summary. It is verified like anybody's: what does not pass here would not pass elsewhere.
    fn summarized(&self, summarizer: &Summarizer, documents: &[Document]) -> Result<(Document, Entry), String> {
        let passed: Vec<&Document> = documents.iter().filter(|document| document.passed).collect();
        let inputs: Vec<&Digest> = passed.iter().map(|document| &document.digest).collect();
        let envelope = summarizer.sign(self, &inputs).map_err(|e| format!("the verification summary: {e}"))?;
        let verification = summarizer.verify(&envelope, self.digest);
        if let Some(reason) = verification.reason() {
            return Err(format!("the verification summary does not verify: {reason}"));
        }
        let uids: Vec<String> = passed.iter().map(|document| document.uid.clone()).collect();
        let evidence = self.record(Activity::Attest, &verification, None, &uids);
        let summary = Document { uid: evidence.uid.clone(), digest: Digest::sha256(&envelope), passed: true };
        Ok((summary, entry(&evidence, Some(envelope.into()))?))
    }
}

fn entry(evidence: &Evidence, raw: Option<bytes::Bytes>) -> Result<Entry, String> {
    let record = evidence.to_canonical().map_err(|e| e.to_string())?;
    Entry::from_canonical(&evidence.uid, record.into(), raw).map_err(|e| e.to_string())
}
