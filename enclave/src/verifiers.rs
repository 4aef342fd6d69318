//! The kinds of evidence that a broker takes, each with its verifier.

use crate::evidence::nitro::{DOCUMENT_BYTES_MAX, Nitro};
use crate::evidence::token::Tokens;
use crate::evidence::{Expected, Platform, Verification, sample};
use crate::reason::{Reason, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What is configured; whatever is not there is refused.
#[derive(Clone, Default)]
pub struct Verifiers {
    /// AWS Nitro, for one root.
    pub nitro: Option<Nitro>,
    /// Tokens, one verifier a service.
    pub tokens: Vec<Tokens>,
    /// Whether samples are looked at. They are simulated always.
    pub sample: bool,
}

impl Verifiers {
    /// The kind of evidence that a request names, if it is taken here.
    ///
    /// **Errors**: `Platform Not Allowed`.
    pub fn platform(&self, name: &str) -> Result<Platform, Refusal> {
        let known = [Platform::Nitro, Platform::AzureMaa, Platform::ConfidentialSpace, Platform::Sample];
        let known = known.into_iter().find(|platform| platform.as_str() == name && self.takes(*platform));
        known.ok_or_else(|| Refusal::new(Reason::PlatformNotAllowed, format!("evidence of {name:?} is not taken here")))
    }

    fn takes(&self, platform: Platform) -> bool {
        match platform {
            Platform::Nitro => self.nitro.is_some(),
            Platform::Sample => self.sample,
            Platform::AzureMaa | Platform::ConfidentialSpace => self.token(platform).is_some(),
        }
    }

    fn token(&self, platform: Platform) -> Option<&Tokens> {
        self.tokens.iter().find(|tokens| tokens.platform() == platform)
    }

    /// Verifies evidence as the broker's protocol carries it: `{"document": base64}` of Nitro, `{"token": text}` of the
    /// services, and a sample's own form. A token and a sample bind the public key by the challenge, which is a digest over
    /// both.
    pub fn verify(&self, platform: Platform, evidence: &Value, expected: &Expected<'_>) -> Verification {
        let text = |name: &str| evidence.get(name).and_then(Value::as_str);
        match (platform, &self.nitro, self.token(platform)) {
            (Platform::Nitro, Some(nitro), _) => match text("document").map(decode) {
                Some(Ok(document)) => nitro.verify(&document, expected),
                Some(Err(refusal)) => refused(refusal),
                None => refused(Refusal::new(Reason::MalformedDocument, "the evidence has no document")),
            },
            (Platform::AzureMaa | Platform::ConfidentialSpace, _, Some(tokens)) => match text("token") {
                Some(token) => tokens.verify(token, expected),
                None => refused(Refusal::new(Reason::MalformedDocument, "the evidence has no token")),
            },
            (Platform::Sample, ..) if self.sample => sample::verify(evidence, expected),
            _ => refused(Refusal::new(
                Reason::PlatformNotAllowed,
                format!("no evidence of {} is taken", platform.as_str()),
            )),
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    if text.len() > DOCUMENT_BYTES_MAX * 2 {
        return Err(Refusal::new(Reason::LimitExceeded, format!("a document of {} bytes in base64", text.len())));
    }
    STANDARD.decode(text).map_err(|_| Refusal::new(Reason::MalformedDocument, "the document is no base64"))
}

fn refused(refusal: Refusal) -> Verification {
    Verification::run(|trail| {
        trail.step("document");
        Err(refusal)
    })
}
