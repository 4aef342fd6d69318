//! A ledger's key in AWS KMS: asymmetric, of the spec `ECC_NIST_EDWARDS25519`, which never leaves it. Specification: AWS
//! KMS API reference, `GetPublicKey` and `Sign` with `ED25519_SHA_512` over the message itself.
//!
//! Who asks, where, and through what is the SDK's to find out: the environment, profiles, the machine's or pod's role.

use super::key::{KeyError, Signer};

/// What `--ledger-key` begins with for a key in AWS KMS.
const SCHEME: &str = "awskms:///";
/// Longest id of a key in KMS: that of `KeyId`.
const KEY_ID_BYTES_MAX: usize = 2048;

/// A key of AWS KMS, by the name that notes have it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKey {
    /// Its ARN, its id, or an alias of it (`alias/evidence`).
    pub key_id: String,
    /// The ledger's origin, such as `example.com/evidence`. KMS knows nothing of it.
    pub name: String,
}

impl KmsKey {
    /// Whether a text is meant to be one.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("awskms:")
    }

    /// Reads `awskms:///KEY?name=NAME`.
    ///
    /// **Errors**: what is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let malformed =
            || KeyError::Malformed { expected: "awskms:///KEY?name=NAME, KEY being an ARN, an id or an alias" };
        let (key_id, name) =
            text.strip_prefix(SCHEME).and_then(|rest| rest.split_once("?name=")).ok_or_else(malformed)?;
        let is_id = |c: char| c.is_ascii_alphanumeric() || ":/_-.".contains(c);
        if key_id.is_empty() || key_id.len() > KEY_ID_BYTES_MAX || !key_id.chars().all(is_id) || name.is_empty() {
            return Err(malformed());
        }
        Ok(Self { key_id: key_id.to_owned(), name: name.to_owned() })
    }

    /// The region of its ARN.
    #[cfg(feature = "kms")]
    fn region(&self) -> Option<String> {
        let mut parts = self.key_id.split(':');
        let is_arn = parts.next() == Some("arn") && parts.nth(1) == Some("kms");
        parts.next().filter(|region| is_arn && !region.is_empty()).map(str::to_owned)
    }

    /// What signs with it. KMS is asked for its public key.
    ///
    /// **Errors**: KMS refuses or is not reached, and a key that is none for this.
    #[cfg(feature = "kms")]
    pub async fn signer(&self) -> Result<Signer, KeyError> {
        sdk::signer(self).await
    }

    /// What signs with it.
    ///
    /// **Errors**: there is no KMS in this build.
    #[cfg(not(feature = "kms"))]
    #[allow(clippy::unused_async)]
    pub async fn signer(&self) -> Result<Signer, KeyError> {
        Err(KeyError::Service("this build has no AWS KMS: it is the feature kms".to_owned()))
    }
}

#[cfg(feature = "kms")]
mod sdk {
    use super::KmsKey;
    use crate::ledger::key::{KeyError, KeyService, Signer};
    use async_trait::async_trait;
    use aws_config::timeout::TimeoutConfig;
    use aws_config::{BehaviorVersion, Region};
    use aws_sdk_kms::Client;
    use aws_sdk_kms::error::DisplayErrorContext;
    use aws_sdk_kms::primitives::Blob;
    use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
    use std::sync::Arc;
    use std::time::Duration;

    /// For a question, with all that the SDK tries again.
    const ANSWER_MAX: Duration = Duration::from_secs(20);
    /// What stands before the point in an Ed25519 key's SubjectPublicKeyInfo (RFC 8410, section 4).
    const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

    struct AwsKms {
        client: Client,
        key_id: String,
    }

    pub(super) async fn signer(key: &KmsKey) -> Result<Signer, KeyError> {
        let timeouts = TimeoutConfig::builder().operation_timeout(ANSWER_MAX).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
        if let Some(region) = key.region() {
            loader = loader.region(Region::new(region));
        }
        let client = Client::new(&loader.load().await);
        let answer = client.get_public_key().key_id(&key.key_id).send().await;
        let answer = answer.map_err(|error| failed("GetPublicKey", &error))?;
        let wrong = |what: String| KeyError::Service(format!("{}: {what}", key.key_id));
        if answer.key_usage != Some(KeyUsageType::SignVerify) {
            return Err(wrong("expected a key to sign and verify with".to_owned()));
        }
        let spec = answer.key_spec.as_ref().map(KeySpec::as_str).unwrap_or_default();
        let point = answer.public_key.as_ref().and_then(|key| key.as_ref().strip_prefix(&SPKI)?.try_into().ok());
        let (KeySpec::EccNistEdwards25519, Some(point)) = (KeySpec::from(spec), point) else {
            return Err(wrong(format!("expected a key of the spec ECC_NIST_EDWARDS25519, got {spec}")));
        };
        Signer::of_service(&key.name, &point, Arc::new(AwsKms { client, key_id: key.key_id.clone() }))
    }

    #[async_trait]
    impl KeyService for AwsKms {
        async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
            let request = self.client.sign().key_id(&self.key_id).message(Blob::new(message));
            let request = request.message_type(MessageType::Raw).signing_algorithm(SigningAlgorithmSpec::Ed25519Sha512);
            let answer = request.send().await.map_err(|error| failed("Sign", &error))?;
            let none = || KeyError::Service("KMS answered Sign without a signature".to_owned());
            Ok(answer.signature.ok_or_else(none)?.into_inner())
        }
    }

    fn failed<E: std::error::Error>(what: &str, error: &E) -> KeyError {
        KeyError::Service(format!("KMS, {what}: {}", DisplayErrorContext(error)))
    }
}
