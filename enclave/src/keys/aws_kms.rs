//! KMS itself, by its SDK. Region, credentials and endpoint are what the SDK finds, as for all of AWS's tools:
//! `AWS_REGION`, `AWS_ACCESS_KEY_ID` and the like, profiles, the roles of containers and machines; `AWS_ENDPOINT_URL_KMS`.

use super::kms::{Answer, Decrypt, Wrapped};
use crate::secret::Secret;
use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::operation::RequestId as _;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeyEncryptionMechanism, RecipientInfo};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an operation may take, tries and all.
const DEADLINE: Duration = Duration::from_secs(10);

/// A client of KMS.
pub struct AwsKms(aws_sdk_kms::Client);

impl AwsKms {
    /// A client as the environment has it configured. Nothing is sent yet.
    pub async fn from_environment() -> Self {
        let timeout = TimeoutConfig::builder().operation_timeout(DEADLINE).build();
        let config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeout).load().await;
        Self(aws_sdk_kms::Client::new(&config))
    }

    /// A new key of 32 bytes in the clear, and as it is wrapped (`GenerateDataKey`).
    ///
    /// **Errors**: KMS refused, or is away.
    pub async fn data_key(&self, key_id: &str, context: BTreeMap<String, String>) -> Result<(Secret, Wrapped), String> {
        let request = self.0.generate_data_key().key_id(key_id).key_spec(DataKeySpec::Aes256);
        let request = context.iter().fold(request, |request, (name, value)| request.encryption_context(name, value));
        let answer = request.send().await.map_err(|error| format!("KMS: {}", DisplayErrorContext(error)))?;
        let (Some(plaintext), Some(ciphertext)) = (answer.plaintext, answer.ciphertext_blob) else {
            return Err("KMS answered without a key".to_owned());
        };
        // The key that was used, where an alias was named: what unwraps stays the same when the alias moves on.
        let key_id = answer.key_id.unwrap_or_else(|| key_id.to_owned());
        Ok((Secret::new(plaintext.into_inner()), Wrapped { key_id, ciphertext: ciphertext.into_inner(), context }))
    }
}

#[async_trait]
impl Decrypt for AwsKms {
    async fn decrypt(&self, wrapped: &Wrapped, document: Vec<u8>) -> Result<Answer, String> {
        let recipient = RecipientInfo::builder()
            .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
            .attestation_document(Blob::new(document))
            .build();
        let request = self.0.decrypt().key_id(&wrapped.key_id).ciphertext_blob(Blob::new(wrapped.ciphertext.clone()));
        let context = wrapped.context.iter();
        let request = context.fold(request, |request, (name, value)| request.encryption_context(name, value));
        let answer = request.recipient(recipient).send().await;
        let answer = answer.map_err(|error| format!("KMS: {}", DisplayErrorContext(error)))?;
        let request_uid = answer.request_id().map(str::to_owned);
        let ciphertext = answer.ciphertext_for_recipient.ok_or("KMS answered without CiphertextForRecipient")?;
        Ok(Answer { ciphertext: ciphertext.into_inner(), request_uid })
    }
}
