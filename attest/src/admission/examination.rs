//! What a policy says of an image, with the records of how it came to say so.

use super::decision::{Unattested, Verdict};
use super::reference::Reference;
use super::summary::Summarizer;
use crate::attestation::Attestation;
use crate::digest::Digest;
use crate::ledger::{Entry, RAW_BYTES_MAX};
use crate::oci::{Attached, Examined};
use crate::ocsf::{self, Activity, ArtifactType, Evidence, Named};
use crate::policies::TrustPolicy;
use crate::record::Record;
use crate::verified::{Verification, Verified};
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
            let document = attached.document();
            let evidence = self.verified(attached, document.as_deref(), verification);
            // Attached twice, it is one document with one record.
            if documents.iter().any(|document| document.uid == evidence.uid) {
                continue;
            }
            documents.push(Document {
                uid: evidence.uid.clone(),
                digest: attached.digest.clone(),
                passed: verification.verified().is_some(),
            });
            // Whoever may attach may attach much: the record is kept all the same, by the document's digest.
            let raw = document.filter(|bytes| bytes.len() <= RAW_BYTES_MAX);
            entries.push(entry(&evidence, raw.map(|bytes| bytes.into_owned().into()))?);
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

    fn verified(
        &self,
        attached: &Attached,
        document: Option<&[u8]>,
        verification: &Verification<Attestation>,
    ) -> Evidence {
        let uri = format!("oci://{}@{}", self.image.name, attached.manifest);
        let mut record = verification.record().clone();
        if let Some(document) = document {
            // Of all that it was verified by, which is more than what is signed where that lies beside it.
            record.digests.document = Some(Digest::sha256(document));
        }
        let attestation = verification.verified().map(Verified::get);
        self.record(Activity::Verify, &record, attestation, Some(&uri), &[])
    }

    fn record(
        &self,
        activity: Activity,
        record: &Record,
        attestation: Option<&Attestation>,
        document_uri: Option<&str>,
        evidence_uids: &[String],
    ) -> Evidence {
        ocsf::Verdict {
            activity,
            time: self.now,
            artifact: &self.named(),
            record,
            attestation,
            by: self.policy.by(),
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
        let attestation = verification.verified().map(Verified::get);
        let uids: Vec<String> = passed.iter().map(|document| document.uid.clone()).collect();
        let evidence = self.record(Activity::Attest, verification.record(), attestation, None, &uids);
        let summary = Document { uid: evidence.uid.clone(), digest: Digest::sha256(&envelope), passed: true };
        Ok((summary, entry(&evidence, Some(envelope.into()))?))
    }
}

fn entry(evidence: &Evidence, raw: Option<bytes::Bytes>) -> Result<Entry, String> {
    let record = evidence.to_canonical().map_err(|e| e.to_string())?;
    Entry::from_canonical(&evidence.uid, record.into(), raw).map_err(|e| e.to_string())
}
