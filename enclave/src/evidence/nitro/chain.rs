//! The certificate chain of a document, from the module's certificate to the given root.

use super::document::Document;
use crate::reason::{Reason, Refusal};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384};

/// id-kp-clientAuth: certificates of Nitro name no extended usage, and one that names another is not for this.
const CLIENT_AUTH: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 2];

/// The key of a certificate whose chain holds.
pub(super) struct Leaf(Vec<u8>);

impl Leaf {
    /// Whether it made an ES384 signature (RFC 9053: r and s, 48 bytes each).
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.0)
            .verify(message, signature)
            .map_err(|_| Refusal::new(Reason::SignatureInvalid, "the signature is not of the certificate's key"))
    }
}

/// Follows the chain, at the document's own time.
pub(super) fn verify(root: &CertificateDer<'_>, document: &Document) -> Result<Leaf, Refusal> {
    let untrusted = |detail: String| Refusal::new(Reason::CertificateUntrusted, detail);
    let certificate = CertificateDer::from(document.certificate.as_slice());
    let intermediates: Vec<_> = document.cabundle.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let anchor = webpki::anchor_from_trusted_cert(root).map_err(|error| untrusted(format!("the root: {error:?}")))?;
    let end = EndEntityCert::try_from(&certificate)
        .map_err(|error| Refusal::new(Reason::MalformedDocument, format!("the certificate: {error:?}")))?;
    let seconds = u64::try_from(document.timestamp.timestamp()).unwrap_or_default();
    end.verify_for_usage(
        &[webpki::aws_lc_rs::ECDSA_P384_SHA384],
        &[anchor],
        &intermediates,
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        KeyUsage::required_if_present(CLIENT_AUTH),
        None,
        None,
    )
    .map_err(|error| Refusal::new(reason(&error), format!("the chain at {}: {error:?}", document.timestamp)))?;
    key(&certificate)
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::CertExpired { .. } => Reason::CertificateExpired,
        Error::CertNotValidYet { .. } => Reason::CertificateNotYetValid,
        _ => Reason::CertificateUntrusted,
    }
}

/// The P-384 point of a certificate that may sign.
fn key(certificate: &[u8]) -> Result<Leaf, Refusal> {
    let (_, parsed): (_, X509Certificate<'_>) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| Refusal::new(Reason::MalformedDocument, "the certificate cannot be read"))?;
    let may_sign = parsed.key_usage().ok().flatten().is_none_or(|usage| usage.value.digital_signature());
    if !may_sign {
        return Err(Refusal::new(Reason::CertificateUntrusted, "the certificate is not for signatures"));
    }
    let info = parsed.public_key();
    let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    if info.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_NIST_EC_P384) {
        return Err(Refusal::new(
            Reason::AlgorithmNotAllowed,
            "the certificate's key is not of P-384, which ES384 asks for",
        ));
    }
    Ok(Leaf(info.subject_public_key.data.to_vec()))
}
