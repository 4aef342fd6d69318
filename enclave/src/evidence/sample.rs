//! The sample: no trusted execution environment, and nothing signed. Its form is that of the sample attester of
//! Confidential Containers, so that the broker's exchange can be tried anywhere. Always simulated.

use super::{Assurance, Claims, Expected, Platform, Verification, check_nonce};
use crate::json;
use crate::reason::{Reason, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Sample {
    svn: String,
    #[serde(default)]
    report_data: String,
}

/// Looks at a sample: `svn` and `report_data`, in base64. Steps: `document`, `nonce`.
pub fn verify(evidence: &Value, expected: &Expected<'_>) -> Verification {
    Verification::run(|trail| {
        trail.step("document");
        let text = evidence.to_string();
        let mut claims = Claims::new(Platform::Sample, Assurance::Simulated, text.as_bytes(), text.as_bytes());
        let sample: Sample = json::shaped(evidence.clone())?;
        let report_data = STANDARD.decode(&sample.report_data);
        claims.nonce =
            Some(report_data.map_err(|_| Refusal::new(Reason::MalformedDocument, "report_data is no base64"))?);
        claims.version = Some(sample.svn.chars().take(64).collect());
        trail.claims = Some(claims.clone());
        trail.step("nonce");
        check_nonce(claims.nonce.as_deref(), expected)
    })
}
