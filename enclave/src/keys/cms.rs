//! What AWS KMS answers to an enclave: `CiphertextForRecipient`, CMS enveloped data (RFC 5652) in BER of indefinite length,
//! with a content key by RSAES-OAEP-SHA-256 and the content by AES-256-CBC.
//!
//! CBC authenticates nothing: what is opened is as good as the connection to KMS that it came over.

use crate::secret::Secret;
use aws_lc_rs::cipher::{AES_256, AES_CBC_IV_LEN, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey};
use cms::cert::x509::der::asn1::{ObjectIdentifier, OctetString};
use cms::cert::x509::der::{AnyRef, Decode as _, Encode as _};
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::content_info::ContentInfo;
use cms::enveloped_data::{EnvelopedData, RecipientInfo};

/// Bytes of an answer: KMS decrypts at most 4 KiB.
pub const ANSWER_BYTES_MAX: usize = 32 << 10;
/// Values in each other: a real answer has eleven levels.
const DEPTH_MAX: usize = 24;

pub(crate) const ENVELOPED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.3");
pub(crate) const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
pub(crate) const RSAES_OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");
pub(crate) const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
/// RSASSA-OAEP-params of SHA-256 with MGF1 over SHA-256, empty label (RFC 8017 appendix A.2.1).
pub(crate) const OAEP_SHA256: &[u8] = b"\x30\x2f\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";

/// Why an answer cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    /// Longer than what is read.
    #[error("{0} bytes, at most {ANSWER_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Deeper than what is read.
    #[error("nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// No enveloped data in BER.
    #[error("no CMS enveloped data: {0}")]
    Malformed(String),
    /// Another algorithm.
    #[error("{what} is by {found}, expected {expected}")]
    Algorithm {
        /// Of what.
        what: &'static str,
        /// Its identifier.
        found: String,
        /// What is opened.
        expected: &'static str,
    },
    /// Not for this key, or changed.
    #[error("the answer is not for this key, or was changed")]
    Crypto,
}

fn malformed(detail: impl std::fmt::Display) -> CmsError {
    CmsError::Malformed(detail.to_string().chars().take(200).collect())
}

/// An answer that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enveloped {
    encrypted_key: Vec<u8>,
    iv: [u8; AES_CBC_IV_LEN],
    ciphertext: Vec<u8>,
}

impl Enveloped {
    /// Reads an answer: one recipient, and the algorithms of KMS.
    ///
    /// **Errors**: over the bounds, no such form, trailing bytes, or another algorithm.
    pub fn read(bytes: &[u8]) -> Result<Self, CmsError> {
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(CmsError::TooLarge(bytes.len()));
        }
        check_depth(bytes)?;
        let info = ContentInfo::from_ber(bytes).map_err(malformed)?;
        if info.content_type != ENVELOPED_DATA {
            return Err(malformed(format!("the content is {}", info.content_type)));
        }
        let inner = info.content.to_der().map_err(malformed)?;
        let data = EnvelopedData::from_ber(&inner).map_err(malformed)?;
        let mut recipients = data.recip_infos.0.iter();
        let (Some(RecipientInfo::Ktri(recipient)), None) = (recipients.next(), recipients.next()) else {
            return Err(malformed("expected one recipient, by key transport"));
        };
        check_oaep(&recipient.key_enc_alg)?;
        let content = data.encrypted_content;
        let algorithm = &content.content_enc_alg;
        if algorithm.oid != AES_256_CBC {
            return Err(other("the content", algorithm.oid, "AES-256-CBC"));
        }
        let iv = algorithm.parameters.as_ref().and_then(|iv| iv.decode_as::<OctetString>().ok());
        let iv = iv.and_then(|iv| iv.as_bytes().try_into().ok()).ok_or_else(|| malformed("the IV has not 16 bytes"))?;
        let ciphertext = content.encrypted_content.ok_or_else(|| malformed("there is no content"))?;
        let encrypted_key = recipient.enc_key.as_bytes().to_vec();
        Ok(Self { encrypted_key, iv, ciphertext: ciphertext.as_bytes().to_vec() })
    }

    /// Opens it.
    ///
    /// **Errors**: not for this key, or changed.
    pub fn open(&self, key: &OaepPrivateDecryptingKey) -> Result<Secret, CmsError> {
        let crypto = |_| CmsError::Crypto;
        let mut content_key = Secret::new(vec![0; key.min_output_size()]);
        let opened = key.decrypt(&OAEP_SHA256_MGF1SHA256, &self.encrypted_key, content_key.expose_mut(), None);
        let bytes = opened.map_err(crypto)?.len();
        content_key.expose_mut().truncate(bytes);
        let cipher = UnboundCipherKey::new(&AES_256, content_key.expose()).map_err(crypto)?;
        let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(cipher).map_err(crypto)?;
        let mut content = Secret::new(self.ciphertext.clone());
        let iv = DecryptionContext::Iv128(FixedLength::from(self.iv));
        let bytes = cipher.decrypt(content.expose_mut(), iv).map_err(crypto)?.len();
        content.expose_mut().truncate(bytes);
        Ok(content)
    }
}

fn other(what: &'static str, found: ObjectIdentifier, expected: &'static str) -> CmsError {
    CmsError::Algorithm { what, found: found.to_string(), expected }
}

fn check_oaep(algorithm: &AlgorithmIdentifierOwned) -> Result<(), CmsError> {
    let expected = "RSAES-OAEP with SHA-256";
    let parameters = algorithm.parameters.as_ref().map(|parameters| parameters.to_der());
    let given = AnyRef::from_der(OAEP_SHA256).and_then(|parameters| parameters.to_der());
    match (parameters, given) {
        (Some(Ok(found)), Ok(given)) if algorithm.oid == RSAES_OAEP && found == given => Ok(()),
        _ => Err(other("the key", algorithm.oid, expected)),
    }
}

/// Walks the values of BER (X.690) without building any, so that nesting is bounded before a reader recurses into it.
fn check_depth(bytes: &[u8]) -> Result<(), CmsError> {
    let cut = || malformed("it ends within a value");
    // Where each open value ends; `None` is at its end-of-contents octets.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut at = 0;
    loop {
        while open.last().is_some_and(|end| end.is_some_and(|end| end <= at)) {
            open.pop();
        }
        if at == bytes.len() {
            return if open.is_empty() { Ok(()) } else { Err(cut()) };
        }
        if open.is_empty() && at > 0 {
            return Err(malformed(format!("{} bytes after the end", bytes.len() - at)));
        }
        let (tag, header, length) = header(&bytes[at..]).ok_or_else(cut)?;
        at += header;
        let constructed = tag & 0x20 != 0;
        match length {
            Some(0) if tag == 0 && open.last() == Some(&None) => {
                open.pop();
            }
            None if !constructed => return Err(malformed("a plain value of indefinite length")),
            Some(length) if !constructed => {
                at = at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(cut)?
            }
            Some(length) => {
                let end = at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(cut)?;
                open.push(Some(end));
            }
            None => open.push(None),
        }
        if open.len() > DEPTH_MAX {
            return Err(CmsError::TooDeep);
        }
    }
}

/// Tag, bytes of tag and length, and the length. Tags above 30 are in none of these documents.
fn header(bytes: &[u8]) -> Option<(u8, usize, Option<usize>)> {
    let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
    if tag & 0x1f == 0x1f {
        return None;
    }
    match first {
        0x80 => Some((tag, 2, None)),
        0..0x80 => Some((tag, 2, Some(usize::from(first)))),
        _ => {
            let count = usize::from(first & 0x7f);
            let digits = bytes.get(2..2 + count).filter(|digits| digits.len() <= 4)?;
            let length = digits.iter().fold(0_usize, |length, digit| (length << 8) | usize::from(*digit));
            Some((tag, 2 + count, Some(length)))
        }
    }
}
