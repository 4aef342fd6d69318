//! What is encrypted to an attested key: flattened JWE (RFC 7516 section 7.2.2) as Confidential Containers speak it, by
//! ECDH-ES+A256KW on P-256 or P-521 or by RSA-OAEP-256, with A256GCM.

use crate::reason::{Reason, Refusal};
use crate::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{
    self, Algorithm, ECDH_P256, ECDH_P521, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree,
};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kbs_types::{ProtectedHeader, Response, TeePubKey};
use serde_json::{Map, Value, json};

const ECDH: &str = "ECDH-ES+A256KW";
const RSA_OAEP: &str = "RSA-OAEP-256";
const A256GCM: &str = "A256GCM";
/// Bits of an RSA key.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Bytes of what is encrypted: a resource is a key, or a small file.
pub const PLAINTEXT_BYTES_MAX: usize = 1 << 20;
/// Bytes of a content key, and of the key that wraps it.
const KEY_BYTES: usize = 32;

/// A curve with what JOSE and X.509 call it.
struct Curve {
    name: &'static str,
    algorithm: &'static Algorithm,
    coordinate_bytes: usize,
}

const CURVES: &[Curve] = &[
    Curve { name: "P-256", algorithm: &ECDH_P256, coordinate_bytes: 32 },
    Curve { name: "P-521", algorithm: &ECDH_P521, coordinate_bytes: 66 },
];

enum Kind {
    Ec { curve: &'static Curve, point: ParsedPublicKey },
    Rsa(OaepPublicEncryptingKey),
}

/// A public key to which a resource can be encrypted: read and checked once, when it is attested.
pub struct Recipient {
    kind: Kind,
    der: Vec<u8>,
}

/// What could not be encrypted or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    /// More than is encrypted.
    #[error("{0} bytes, at most {PLAINTEXT_BYTES_MAX} are encrypted")]
    TooLarge(usize),
    /// The library refused, such as for a wrong key or tag.
    #[error("the ciphertext could not be made or opened")]
    Crypto,
    /// An answer for another kind of key.
    #[error("the answer is not for a key of {ECDH} on P-256")]
    Header,
}

impl From<Unspecified> for JweError {
    fn from(_: Unspecified) -> Self {
        Self::Crypto
    }
}

impl Recipient {
    /// Reads a key as clients send it.
    ///
    /// **Errors**: an algorithm that is not taken (RSA1_5 among them), or numbers that are no key of it.
    pub fn new(key: &TeePubKey) -> Result<Self, Refusal> {
        let malformed = |detail: &str| Refusal::new(Reason::MalformedDocument, format!("the public key: {detail}"));
        let number = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed("no base64url"));
        match key {
            TeePubKey::EC { crv, alg, x, y } => {
                let curve = CURVES.iter().find(|curve| curve.name == crv && alg == ECDH);
                let curve = curve.ok_or_else(|| not_allowed(&format!("{alg} on {crv}")))?;
                let point = [vec![4], number(x)?, number(y)?].concat();
                if point.len() != 1 + 2 * curve.coordinate_bytes {
                    return Err(malformed("coordinates of another length than the curve's"));
                }
                let parsed = ParsedPublicKey::try_from(UnparsedPublicKey::new(curve.algorithm, &point));
                let point = parsed.map_err(|_| malformed("no point of the curve"))?;
                let der = spki(curve, point.as_ref());
                Ok(Self { kind: Kind::Ec { curve, point }, der })
            }
            TeePubKey::RSA { alg, k_mod, k_exp } if alg == RSA_OAEP => {
                let parts = PublicKeyComponents { n: number(k_mod)?, e: number(k_exp)? };
                let key: PublicEncryptingKey = parts.try_into().map_err(|_| malformed("no RSA key"))?;
                if !RSA_BITS.contains(&key.key_size_bits()) {
                    return Err(not_allowed(&format!("RSA of {} bits", key.key_size_bits())));
                }
                let der = key.as_der().map_err(|_| malformed("no RSA key"))?.as_ref().to_vec();
                let key = OaepPublicEncryptingKey::new(key).map_err(|_| malformed("no RSA key"))?;
                Ok(Self { kind: Kind::Rsa(key), der })
            }
            TeePubKey::RSA { alg, .. } | TeePubKey::AKP { alg, .. } => Err(not_allowed(alg)),
        }
    }

    /// The key as SubjectPublicKeyInfo in DER (RFC 5280).
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Encrypts to the key.
    ///
    /// **Errors**: too much, or the library refused.
    pub fn encrypt(&self, plaintext: &Secret) -> Result<Response, JweError> {
        if plaintext.expose().len() > PLAINTEXT_BYTES_MAX {
            return Err(JweError::TooLarge(plaintext.expose().len()));
        }
        let content_key = Secret::random(KEY_BYTES).ok_or(JweError::Crypto)?;
        let (protected, encrypted_key) = self.wrap(&content_key)?;
        let aad = protected.generate_aad().map_err(|_| JweError::Crypto)?;
        let iv = Secret::random(NONCE_LEN).ok_or(JweError::Crypto)?.expose().to_vec();
        let mut ciphertext = plaintext.expose().to_vec();
        let nonce = Nonce::try_assume_unique_for_key(&iv)?;
        let tag = cipher(content_key.expose())?.seal_in_place_separate_tag(nonce, Aad::from(&aad), &mut ciphertext)?;
        Ok(Response { protected, encrypted_key, aad: None, iv, ciphertext, tag: tag.as_ref().to_vec() })
    }

    /// The content key for this recipient, and the header that says how.
    fn wrap(&self, content_key: &Secret) -> Result<(ProtectedHeader, Vec<u8>), JweError> {
        let (alg, other_fields, encrypted) = match &self.kind {
            Kind::Rsa(key) => {
                let mut encrypted = vec![0; key.ciphertext_size()];
                let bytes = key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key.expose(), &mut encrypted, None)?.len();
                encrypted.truncate(bytes);
                (RSA_OAEP, Map::new(), encrypted)
            }
            Kind::Ec { curve, point } => {
                let ephemeral = PrivateKey::generate(curve.algorithm)?;
                let kek = agreed(&ephemeral, point.clone())?;
                let mut encrypted = vec![0; KEY_BYTES + 8];
                let bytes = kek.wrap(content_key.expose(), &mut encrypted)?.len();
                encrypted.truncate(bytes);
                let (x, y) = coordinates(&ephemeral, curve)?;
                let mut fields = Map::new();
                // In the order of names, which is how both ends write them again for the additional data.
                fields.insert("epk".to_owned(), json!({"crv": curve.name, "kty": "EC", "x": x, "y": y}));
                (ECDH, fields, encrypted)
            }
        };
        Ok((ProtectedHeader { alg: alg.to_owned(), enc: A256GCM.to_owned(), other_fields }, encrypted))
    }
}

fn not_allowed(what: &str) -> Refusal {
    let detail = format!("the public key is for {what:?}, expected {ECDH} on P-256 or P-521, or {RSA_OAEP}");
    Refusal::new(Reason::AlgorithmNotAllowed, detail)
}

/// SubjectPublicKeyInfo of a point: the algorithm's identifier is the same for all points of a curve (RFC 5480).
fn spki(curve: &Curve, point: &[u8]) -> Vec<u8> {
    let head: &[u8] = match curve.name {
        "P-256" => {
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
        }
        _ => b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00",
    };
    [head, point].concat()
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new)
}

fn coordinates(key: &PrivateKey, curve: &Curve) -> Result<(String, String), JweError> {
    let public = key.compute_public_key()?;
    let (x, y) = public.as_ref()[1..].split_at(curve.coordinate_bytes);
    Ok((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

/// The key that wraps, by Concat KDF (RFC 7518 section 4.6.2) with empty party information.
fn agreed(ours: &PrivateKey, theirs: ParsedPublicKey) -> Result<AesKek, JweError> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or_default().to_be_bytes();
    let info = [&length(ECDH.len()), ECDH.as_bytes(), &length(0), &length(0), &length(KEY_BYTES * 8)].concat();
    agree(ours, theirs, JweError::Crypto, |secret| {
        let sha256 = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256).ok_or(JweError::Crypto)?;
        let mut key = zeroize::Zeroizing::new([0; KEY_BYTES]);
        sskdf_digest(sha256, secret, &info, key.as_mut_slice())?;
        Ok(AesKek::new(&AES_256, key.as_slice())?)
    })
}

/// A workload's key pair, of ECDH-ES+A256KW on P-256: what it has attested, and opens answers with.
pub struct WorkloadKey(PrivateKey);

impl WorkloadKey {
    /// A new one.
    ///
    /// **Errors**: the library refused.
    pub fn generate() -> Result<Self, JweError> {
        Ok(Self(PrivateKey::generate(&ECDH_P256)?))
    }

    /// The public half, as the protocol sends it.
    ///
    /// **Errors**: the library refused.
    pub fn public(&self) -> Result<TeePubKey, JweError> {
        let (x, y) = coordinates(&self.0, &CURVES[0])?;
        Ok(TeePubKey::EC { crv: CURVES[0].name.to_owned(), alg: ECDH.to_owned(), x, y })
    }

    /// The public half as SubjectPublicKeyInfo in DER.
    ///
    /// **Errors**: the library refused.
    pub fn der(&self) -> Result<Vec<u8>, JweError> {
        Ok(spki(&CURVES[0], self.0.compute_public_key()?.as_ref()))
    }

    /// Opens an answer.
    ///
    /// **Errors**: an answer for another kind of key, or for another key, or changed.
    pub fn open(&self, answer: &Response) -> Result<Secret, JweError> {
        let header = &answer.protected;
        let epk = header.other_fields.get("epk").ok_or(JweError::Header)?;
        let field = |name: &str| epk.get(name).and_then(Value::as_str).ok_or(JweError::Header);
        if header.alg != ECDH || header.enc != A256GCM || field("crv")? != CURVES[0].name {
            return Err(JweError::Header);
        }
        let number = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| JweError::Header);
        let point = [vec![4], number(field("x")?)?, number(field("y")?)?].concat();
        let point = agreement::ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, point));
        let kek = agreed(&self.0, point.map_err(|_| JweError::Header)?)?;
        let mut content_key = Secret::new(vec![0; answer.encrypted_key.len()]);
        let bytes = kek.unwrap(&answer.encrypted_key, content_key.expose_mut())?.len();
        let aad = header.generate_aad().map_err(|_| JweError::Header)?;
        let nonce = Nonce::try_assume_unique_for_key(&answer.iv)?;
        let mut sealed = Secret::new([answer.ciphertext.as_slice(), &answer.tag].concat());
        let content_key = content_key.expose().get(..bytes).ok_or(JweError::Crypto)?;
        let opened = cipher(content_key)?.open_in_place(nonce, Aad::from(&aad), sealed.expose_mut())?.len();
        sealed.expose_mut().truncate(opened);
        Ok(sealed)
    }
}
