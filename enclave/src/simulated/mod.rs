//! Roots of trust that vouch for nothing: for tests, and for machines without a trusted execution environment.
//!
//! A [`SimulatedRoot`] is a type of its own. Verifiers of hardware take none, its text is no certificate that they would
//! load, and a certificate of one is refused by its subject. What is verified against one says `simulated` in every record.

mod issuer;
mod kms;
mod nsm;

pub use issuer::TokenIssuer;
pub use kms::SimulatedKms;
pub use nsm::{NsmRequest, SoftwareNsm};

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::time::Duration;

/// In the subject of every simulated root.
const NAME: &str = "Tarn simulated root of trust";
/// Before the certificate in a root's text.
const ROOT_LABEL: &str = "tarn-simulated-root";
/// Before the key in an authority's text.
const KEY_LABEL: &str = "tarn-simulated-key";
/// Texts are under a kilobyte.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Why nothing could be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// Certificates or keys could not be made.
    #[error("the certificate or key could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A signature could not be made.
    #[error("the document could not be signed")]
    Signature,
    /// A document could not be encoded.
    #[error("the document could not be encoded: {0}")]
    Encoding(String),
    /// A text that is no simulated root, or no simulated authority.
    #[error("expected a text that begins with {expected:?}")]
    Text {
        /// Its first word.
        expected: &'static str,
    },
}

/// The certificate of a simulated root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedRoot(CertificateDer<'static>);

impl SimulatedRoot {
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.0
    }

    /// Whether a certificate's subject is that of a simulated root.
    pub(crate) fn is_name(subject: &str) -> bool {
        subject.to_ascii_lowercase().contains(&NAME.to_ascii_lowercase())
    }

    /// One line, which is no PEM.
    pub fn to_text(&self) -> String {
        format!("{ROOT_LABEL}:{}\n", hex::encode(&self.0))
    }

    /// A root from its text.
    ///
    /// **Errors**: another text.
    pub fn from_text(text: &str) -> Result<Self, SimulationError> {
        let der = labelled(text, ROOT_LABEL)?;
        let root = CertificateDer::from(der);
        let named = x509_parser::parse_x509_certificate(&root)
            .is_ok_and(|(rest, certificate)| rest.is_empty() && Self::is_name(&certificate.subject().to_string()));
        if named { Ok(Self(root.into_owned())) } else { Err(SimulationError::Text { expected: ROOT_LABEL }) }
    }
}

fn labelled(text: &str, label: &'static str) -> Result<Vec<u8>, SimulationError> {
    let wrong = SimulationError::Text { expected: label };
    let value = text.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix(':'));
    value.filter(|value| value.len() <= TEXT_BYTES_MAX).and_then(|value| hex::decode(value.trim()).ok()).ok_or(wrong)
}

/// A root with its key: whoever has it can have software attested as if it were an enclave.
pub struct SimulatedAuthority {
    root: SimulatedRoot,
    key: KeyPair,
}

impl SimulatedAuthority {
    /// A new one, valid for ten years from a day before `now`.
    ///
    /// **Errors**: the key or the certificate could not be made.
    pub fn generate(now: DateTime<Utc>) -> Result<Self, SimulationError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let params = authority(NAME, now - TimeDelta::days(1), now + TimeDelta::days(3650));
        let root = SimulatedRoot(params.self_signed(&key)?.der().clone());
        Ok(Self { root, key })
    }

    /// Its certificate.
    pub fn root(&self) -> &SimulatedRoot {
        &self.root
    }

    /// Its certificate and its key, two lines: to be kept where only the simulated enclave reads it.
    pub fn to_text(&self) -> String {
        format!("{}{KEY_LABEL}:{}\n", self.root.to_text(), hex::encode(self.key.serialized_der()))
    }

    /// An authority from its text.
    ///
    /// **Errors**: another text.
    pub fn from_text(text: &str) -> Result<Self, SimulationError> {
        let root = SimulatedRoot::from_text(text)?;
        let der = PrivatePkcs8KeyDer::from(labelled(text, KEY_LABEL)?);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P384_SHA384)?;
        Ok(Self { root, key })
    }

    /// Software that signs as a Nitro Secure Module, with certificates from `not_before` for three hours.
    ///
    /// **Errors**: its certificates could not be made.
    pub fn nsm(&self, module_id: &str, not_before: DateTime<Utc>) -> Result<SoftwareNsm, SimulationError> {
        let not_after = not_before + TimeDelta::hours(3);
        let issuer = Issuer::new(authority(NAME, not_before, not_after), &self.key);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let params = authority("Tarn simulated instance", not_before, not_after);
        let instance = params.signed_by(&key, &issuer)?.der().to_vec();
        SoftwareNsm::new(module_id, (not_before, not_after), self.root.0.to_vec(), (instance, params, key))
    }
}

fn authority(name: &str, not_before: DateTime<Utc>, not_after: DateTime<Utc>) -> CertificateParams {
    let mut params = named(name, not_before, not_after);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn named(name: &str, not_before: DateTime<Utc>, not_after: DateTime<Utc>) -> CertificateParams {
    let epoch = date_time_ymd(1970, 1, 1);
    let after_epoch = |time: DateTime<Utc>| Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default());
    let mut params = CertificateParams::default();
    params.not_before = epoch + after_epoch(not_before);
    params.not_after = epoch + after_epoch(not_after);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
