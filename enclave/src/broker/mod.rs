//! The key broker. The order of a release is fixed: the challenge is used up, the evidence verified, the policies asked, the
//! key fetched, the record kept; and only when the recorder says that it is kept is the key encrypted to the attested public
//! key. No proof, no key.
//!
//! The protocol is that of Confidential Containers' Key Broker Service, version 0.4.0 ([`protocol`]).

mod decision;
mod ids;
pub mod protocol;
mod record;
mod session;

pub use protocol::router;
pub use record::{Activity, Attempt, PolicyVerdict, Recorder, RecorderError};

use crate::keys::KeyStore;
use crate::policy::Policies;
use crate::verifiers::Verifiers;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ids::TokenKey;
use session::Sessions;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The version that clients must name, exactly.
pub const PROTOCOL_VERSION: &str = "0.4.0";

/// One kind of evidence that passed for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// What policies ask for, such as a predicate type.
    pub kind: String,
    /// `metadata.uid` of its record.
    pub uid: String,
}

/// Which evidence passed for an image: from the lake, in the wiring.
#[async_trait]
pub trait Provenance: Send + Sync {
    /// What passed for a digest, as `algorithm:hex`; nothing, where nothing did.
    ///
    /// **Errors**: it cannot be known, in words.
    async fn passed(&self, digest: &str) -> Result<Vec<Passed>, String>;
}

/// No evidence of any image.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProvenance;

#[async_trait]
impl Provenance for NoProvenance {
    async fn passed(&self, _: &str) -> Result<Vec<Passed>, String> {
        Ok(Vec::new())
    }
}

/// Bounds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at a time; one more is refused.
    pub sessions_max: usize,
    /// How long a session lasts, from its challenge.
    pub session_lifetime: TimeDelta,
    /// Requests at a time; one more waits.
    pub requests_max: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// How old evidence may be.
    pub age_max: TimeDelta,
    /// How far another machine's clock may be ahead.
    pub skew_max: TimeDelta,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 10_000,
            session_lifetime: TimeDelta::minutes(5),
            requests_max: 256,
            body_bytes_max: 256 << 10,
            age_max: TimeDelta::minutes(5),
            skew_max: TimeDelta::minutes(1),
        }
    }
}

/// What says the time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What a broker is made of.
pub struct Parts {
    /// The kinds of evidence that are taken.
    pub verifiers: Verifiers,
    /// Who may have which key.
    pub policies: Policies,
    /// The keys.
    pub keys: Arc<dyn KeyStore>,
    /// Evidence of images.
    pub provenance: Arc<dyn Provenance>,
    /// Keeps records.
    pub recorder: Arc<dyn Recorder>,
    /// Says the time.
    pub clock: Clock,
    /// Bounds.
    pub limits: Limits,
}

/// A broker.
pub struct Broker {
    parts: Parts,
    sessions: Sessions,
    requests: Arc<Semaphore>,
    token_key: TokenKey,
}

/// No randomness to start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness;

impl Broker {
    /// A broker, with no sessions yet.
    ///
    /// **Errors**: no randomness for the key of its tokens.
    pub fn new(parts: Parts) -> Result<Self, NoRandomness> {
        let Limits { sessions_max, session_lifetime, requests_max, .. } = parts.limits;
        Ok(Self {
            sessions: Sessions::new(sessions_max, session_lifetime),
            requests: Arc::new(Semaphore::new(requests_max)),
            token_key: TokenKey::generate()?,
            parts,
        })
    }

    fn now(&self) -> DateTime<Utc> {
        (self.parts.clock)()
    }
}

/// `sha256:hex`.
pub(crate) fn hex_uid(digest: &[u8; 32]) -> String {
    format!("sha256:{}", hex::encode(digest))
}
