//! A stand-in for AWS KMS that answers `Decrypt` with `Recipient`: it looks at the attestation document as a key's policy
//! in KMS does, and encrypts to the document's public key.

use super::SimulatedRoot;
use crate::evidence::Expected;
use crate::evidence::nitro::Nitro;
use crate::keys::cms::{AES_256_CBC, DATA, ENVELOPED_DATA, OAEP_SHA256, RSAES_OAEP};
use crate::keys::kms::{Answer, Decrypt, Wrapped};
use crate::secret::Secret;
use async_trait::async_trait;
use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use chrono::{DateTime, TimeDelta, Utc};
use cms::cert::x509::der::asn1::{OctetString, SetOfVec};
use cms::cert::x509::der::{Any, AnyRef, Decode as _, Encode as _};
use cms::cert::x509::ext::pkix::SubjectKeyIdentifier;
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::enveloped_data::{
    EncryptedContentInfo, EnvelopedData, KeyTransRecipientInfo, RecipientIdentifier, RecipientInfo, RecipientInfos,
};
use std::collections::BTreeMap;

/// The stand-in. What it has wrapped is a name of what it keeps.
pub struct SimulatedKms {
    nitro: Nitro,
    /// The PCR0 that the keys' policy asks for.
    pcr0: Vec<u8>,
    plaintexts: BTreeMap<Vec<u8>, Secret>,
    now: DateTime<Utc>,
}

impl SimulatedKms {
    /// One that keeps these plaintexts, by their ciphertexts, for enclaves of one image. `now` is its time.
    pub fn new(root: &SimulatedRoot, pcr0: Vec<u8>, plaintexts: BTreeMap<Vec<u8>, Secret>, now: DateTime<Utc>) -> Self {
        Self { nitro: Nitro::simulated(root), pcr0, plaintexts, now }
    }

    fn answer(&self, wrapped: &Wrapped, document: &[u8]) -> Result<Vec<u8>, String> {
        let age_max = TimeDelta::minutes(5);
        let expected =
            Expected { nonce: None, public_key: None, now: self.now, age_max, skew_max: TimeDelta::minutes(1) };
        let attested = self.nitro.verify(document, &expected).attested().map_err(|refusal| refusal.to_string())?;
        let claims = attested.claims();
        if claims.measurements.first().is_none_or(|measurement| measurement.value != self.pcr0) {
            return Err("AccessDeniedException".to_owned());
        }
        let public = claims.public_key.as_deref().ok_or("ValidationException: no public key")?;
        let plaintext = self.plaintexts.get(&wrapped.ciphertext).ok_or("InvalidCiphertextException")?;
        envelope(public, plaintext).ok_or_else(|| "KMSInternalException".to_owned())
    }
}

#[async_trait]
impl Decrypt for SimulatedKms {
    async fn decrypt(&self, wrapped: &Wrapped, document: Vec<u8>) -> Result<Answer, String> {
        let request_uid = Some(uuid::Uuid::new_v4().to_string());
        Ok(Answer { ciphertext: self.answer(wrapped, &document)?, request_uid })
    }
}

/// Enveloped data for an RSA key, as KMS makes it but of definite length.
fn envelope(public: &[u8], plaintext: &Secret) -> Option<Vec<u8>> {
    let content_key = Secret::random(32)?;
    let iv: [u8; 16] = Secret::random(16)?.expose().try_into().ok()?;
    let cipher = UnboundCipherKey::new(&AES_256, content_key.expose()).ok()?;
    let mut content = plaintext.expose().to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    PaddedBlockEncryptingKey::cbc_pkcs7(cipher).ok()?.less_safe_encrypt(&mut content, context).ok()?;
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(public).ok()?).ok()?;
    let mut encrypted_key = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key.expose(), &mut encrypted_key, None).ok()?;

    let parameters: Any = AnyRef::from_der(OAEP_SHA256).ok()?.into();
    let recipient = KeyTransRecipientInfo {
        version: CmsVersion::V2,
        rid: RecipientIdentifier::SubjectKeyIdentifier(SubjectKeyIdentifier(octets(&crate::evidence::sha256(public))?)),
        key_enc_alg: AlgorithmIdentifierOwned { oid: RSAES_OAEP, parameters: Some(parameters) },
        enc_key: octets(&encrypted_key)?,
    };
    let data = EnvelopedData {
        version: CmsVersion::V2,
        originator_info: None,
        recip_infos: RecipientInfos(SetOfVec::try_from(vec![RecipientInfo::Ktri(recipient)]).ok()?),
        encrypted_content: EncryptedContentInfo {
            content_type: DATA,
            content_enc_alg: AlgorithmIdentifierOwned {
                oid: AES_256_CBC,
                parameters: Some(Any::encode_from(&octets(&iv)?).ok()?),
            },
            encrypted_content: Some(octets(&content)?),
        },
        unprotected_attrs: None,
    };
    ContentInfo { content_type: ENVELOPED_DATA, content: Any::encode_from(&data).ok()? }.to_der().ok()
}

fn octets(bytes: &[u8]) -> Option<OctetString> {
    OctetString::new(bytes).ok()
}
