//! Claims of Google Cloud's Confidential Space ("Attestation token claims" in its documentation).

use super::super::{Claims, Expected};
use super::{at, text};
use crate::reason::{Reason, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Hardware whose memory is encrypted; a shielded machine's is not.
const HARDWARE: &[&str] = &["GCP_AMD_SEV", "GCP_AMD_SEV_ES", "GCP_AMD_SEV_SNP", "GCP_INTEL_TDX"];
/// Nonces of a token, as the service allows.
const NONCES_MAX: usize = 6;

/// Reads what is there; whether it is enough is for the checks.
pub(super) fn read(claims: &Map<String, Value>, into: &mut Claims) -> Result<(), Refusal> {
    let container = at(claims, &["submods", "container"]).and_then(Value::as_object);
    let empty = Map::new();
    let container = container.unwrap_or(&empty);
    into.uid = text(claims, "sub")?;
    into.hw_model = text(claims, "hwmodel")?;
    into.image_digest = text(container, "image_digest")?;
    into.image_name = text(container, "image_reference")?;
    into.identity = first(claims.get("google_service_accounts"));
    into.version = first(claims.get("swversion"));
    into.debug = text(claims, "dbgstat")?.as_deref() != Some("disabled-since-boot");
    // `eat_nonce` may hold several, of which one is ours: which one is decided when it is known what was expected.
    into.nonce = nonces(claims)?.first().and_then(|nonce| URL_SAFE_NO_PAD.decode(nonce).ok());
    Ok(())
}

fn first(value: Option<&Value>) -> Option<String> {
    value?.as_array()?.first()?.as_str().map(str::to_owned)
}

fn nonces(claims: &Map<String, Value>) -> Result<Vec<&str>, Refusal> {
    match claims.get("eat_nonce") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(many)) if many.len() <= NONCES_MAX => {
            let texts: Option<Vec<_>> = many.iter().map(Value::as_str).collect();
            texts.ok_or_else(|| Refusal::new(Reason::MalformedDocument, "eat_nonce holds what is no text"))
        }
        Some(Value::Array(many)) => {
            let detail = format!("eat_nonce has {} items, at most {NONCES_MAX} are read", many.len());
            Err(Refusal::new(Reason::LimitExceeded, detail))
        }
        Some(_) => Err(Refusal::new(Reason::MalformedDocument, "eat_nonce is no text and no list")),
    }
}

/// A nonce must have 10 to 74 bytes, so the challenge is there in base64url without padding: 64 for SHA-384.
pub(super) fn check_nonce(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), Refusal> {
    let Some(challenge) = expected.nonce else { return Ok(()) };
    let challenge = URL_SAFE_NO_PAD.encode(challenge);
    let nonces = nonces(claims)?;
    if nonces.contains(&challenge.as_str()) {
        return Ok(());
    }
    let detail =
        if nonces.is_empty() { "the token answers no challenge" } else { "the token answers another challenge" };
    Err(Refusal::new(Reason::NonceMismatch, detail))
}

/// Hardware that encrypts memory, a system that Google has hardened and booted securely, and a container that is named by
/// its digest.
pub(super) fn check_platform(claims: &Map<String, Value>) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal::new(Reason::PlatformNotAllowed, detail));
    let found = |name: &str| claims.get(name).and_then(Value::as_str);
    if !found("hwmodel").is_some_and(|model| HARDWARE.contains(&model)) {
        return refuse(format!("the hardware is {:?}, expected one of {HARDWARE:?}", found("hwmodel")));
    }
    if found("swname") != Some("CONFIDENTIAL_SPACE") {
        return refuse(format!("the system is {:?}, expected CONFIDENTIAL_SPACE", found("swname")));
    }
    if claims.get("secboot") != Some(&Value::Bool(true)) {
        return refuse("the machine has not booted securely".to_owned());
    }
    let digest = at(claims, &["submods", "container", "image_digest"]).and_then(Value::as_str);
    let hex = digest.and_then(|digest| digest.strip_prefix("sha256:"));
    if !hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))) {
        let detail = format!("the container's digest is {digest:?}, expected sha256:hex");
        return Err(Refusal::new(Reason::MeasurementMissing, detail));
    }
    Ok(())
}
