//! The keys of a token's issuer, each with the one algorithm that it is good for: a token does not choose.

use crate::json;
use crate::reason::{Reason, Refusal};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use std::collections::HashMap;
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;

/// Bytes of a key set: issuers' sets are some tens of kilobytes, with their certificates.
pub const JWKS_BYTES_MAX: usize = 512 << 10;
/// Keys of a set.
const KEYS_MAX: usize = 64;
/// Keys that software in this crate made are named so; no set of a hardware issuer may hold one.
pub(crate) const SIMULATED_KID: &str = "tarn-simulated-";
/// Bits of an RSA key.
const RSA_BITS_MIN: usize = 2048;

/// A key set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// No JWKS (RFC 7517) within the bounds.
    #[error("no JSON Web Key Set: {0}")]
    Form(#[source] Refusal),
    /// More keys than are read.
    #[error("{0} keys, at most {KEYS_MAX} are read")]
    TooMany(usize),
    /// No key that signs tokens.
    #[error("the set has no key that is usable: RSA of 2048 bits or more, P-256 or P-384, with a kid")]
    Empty,
    /// Two keys of one name.
    #[error("the kid {0:?} is there twice")]
    Duplicate(String),
    /// A key of a simulated issuer.
    #[error("the key {0:?} is a simulated one: it vouches for no hardware")]
    Simulated(String),
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// Keys of an issuer that vouches for hardware, such as Microsoft's or Google's, given by whoever runs the verifier. A
/// rotation is another set.
#[derive(Clone)]
pub struct HardwareKeys(pub(super) HashMap<String, Key>);

impl HardwareKeys {
    /// Keys from a JWKS. Keys with their numbers (`n` and `e`, `x` and `y`) and keys with a certificate only (`x5c`, as of
    /// Azure) are read; keys for encryption and of other kinds are left out.
    ///
    /// **Errors**: no set, a key twice, none that is usable, or one of a simulated issuer.
    pub fn from_jwks(text: &[u8]) -> Result<Self, KeysError> {
        let keys = read(text)?;
        match keys.keys().find(|kid| kid.starts_with(SIMULATED_KID)) {
            Some(kid) => Err(KeysError::Simulated(kid.clone())),
            None => Ok(Self(keys)),
        }
    }
}

/// Keys of a simulated issuer: a type that verifiers of hardware do not take.
#[derive(Clone)]
pub struct SimulatedKeys(pub(super) HashMap<String, Key>);

impl SimulatedKeys {
    /// Keys from the JWKS of a simulated issuer.
    ///
    /// **Errors**: as of [`HardwareKeys::from_jwks`], and keys that are not named as simulated ones.
    pub fn from_jwks(text: &[u8]) -> Result<Self, KeysError> {
        let keys = read(text)?;
        if keys.keys().all(|kid| kid.starts_with(SIMULATED_KID)) { Ok(Self(keys)) } else { Err(KeysError::Empty) }
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    x5c: Option<Vec<String>>,
}

fn read(text: &[u8]) -> Result<HashMap<String, Key>, KeysError> {
    let set: Jwks = json::read(text, JWKS_BYTES_MAX).map_err(KeysError::Form)?;
    if set.keys.len() > KEYS_MAX {
        return Err(KeysError::TooMany(set.keys.len()));
    }
    let mut keys = HashMap::new();
    for jwk in set.keys {
        let jwk: Jwk = json::shaped(jwk).map_err(KeysError::Form)?;
        let Some(kid) = jwk.kid.clone() else { continue };
        let Some(key) = key(&jwk) else { continue };
        if keys.insert(kid.clone(), key).is_some() {
            return Err(KeysError::Duplicate(kid));
        }
    }
    if keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
}

fn key(jwk: &Jwk) -> Option<Key> {
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let (default, others): (Algorithm, &[Algorithm]) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (
            Algorithm::RS256,
            &[Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512],
        ),
        ("EC", Some("P-256")) => (Algorithm::ES256, &[]),
        ("EC", Some("P-384")) => (Algorithm::ES384, &[]),
        _ => return None,
    };
    let named = jwk.alg.as_deref().map_or(Some(default), |name| name.parse().ok());
    let algorithm = named.filter(|named| *named == default || others.contains(named))?;
    let decoding = match (&jwk.n, &jwk.e, &jwk.x, &jwk.y, &jwk.x5c) {
        (Some(n), Some(e), None, None, _) if jwk.kty == "RSA" => rsa_of_numbers(n, e)?,
        (None, None, Some(x), Some(y), _) if jwk.kty == "EC" => DecodingKey::from_ec_components(x, y).ok()?,
        (None, None, None, None, Some(chain)) if jwk.kty == "RSA" => rsa_of_certificate(chain.first()?)?,
        _ => return None,
    };
    Some(Key { algorithm, decoding })
}

fn rsa_of_numbers(n: &str, e: &str) -> Option<DecodingKey> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let long = URL_SAFE_NO_PAD.decode(n).ok()?.iter().skip_while(|byte| **byte == 0).count() * 8 >= RSA_BITS_MIN;
    long.then(|| DecodingKey::from_rsa_components(n, e).ok()).flatten()
}

fn rsa_of_certificate(text: &str) -> Option<DecodingKey> {
    let der = STANDARD.decode(text).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let info = certificate.public_key();
    let long =
        matches!(info.parsed(), Ok(x509_parser::public_key::PublicKey::RSA(rsa)) if rsa.key_size() >= RSA_BITS_MIN);
    (long && info.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION)
        .then(|| DecodingKey::from_rsa_der(&info.subject_public_key.data))
}

/// The key of a token's header.
pub(super) fn find<'k>(keys: &'k HashMap<String, Key>, kid: Option<&str>) -> Result<&'k Key, Refusal> {
    let unknown = |detail: String| Refusal::new(Reason::KeyUnknown, detail);
    let kid = kid.ok_or_else(|| unknown("the token names no key".to_owned()))?;
    keys.get(kid).ok_or_else(|| unknown(format!("the key {kid:?} is none of the issuer's {} keys", keys.len())))
}

/// The JWKS of one RSA key.
pub(crate) fn jwks_of(kid: &str, public: &aws_lc_rs::rsa::KeyPair) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let public = public.public_key();
    let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
    let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
    serde_json::json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e}]}).to_string()
}
