//! Claims of Microsoft Azure Attestation ("Claim sets" in its documentation), for virtual machines on AMD SEV-SNP and Intel
//! TDX and for SGX enclaves. Tokens of guest attestation hold the machine's claims under `x-ms-isolation-tee`.
//!
//! The challenge is what the hardware's report or the machine's vTPM quote binds: the report data, or the nonce of the
//! client's payload. The top-level claim `nonce` is an echo of the request to the service and binds nothing.

use super::super::{Claims, Measurement};
use super::{at, base64_of_any_form, text};
use crate::reason::{Reason, Refusal};
use serde_json::{Map, Value};

/// What the kinds of hardware call the same things.
struct Names {
    kind: &'static str,
    debug: &'static str,
    report_data: &'static str,
    measurements: &'static [&'static str],
    /// Whether the service says that the firmware is Azure's.
    has_compliance: bool,
}

const KINDS: &[Names] = &[
    Names {
        kind: "sevsnpvm",
        debug: "x-ms-sevsnpvm-is-debuggable",
        report_data: "x-ms-sevsnpvm-reportdata",
        measurements: &["x-ms-sevsnpvm-launchmeasurement", "x-ms-sevsnpvm-hostdata"],
        has_compliance: true,
    },
    Names {
        kind: "tdxvm",
        debug: "tdx_td_attributes_debug",
        report_data: "tdx_report_data",
        measurements: &["tdx_mrtd", "tdx_rtmr0", "tdx_rtmr1", "tdx_rtmr2", "tdx_rtmr3"],
        has_compliance: true,
    },
    Names {
        kind: "sgx",
        debug: "x-ms-sgx-is-debuggable",
        report_data: "x-ms-sgx-report-data",
        measurements: &["x-ms-sgx-mrenclave", "x-ms-sgx-mrsigner"],
        has_compliance: false,
    },
];

/// Debuggers of a virtual machine besides the hardware's own.
const MACHINE_DEBUG: &[&str] = &[
    "x-ms-azurevm-bootdebug-enabled",
    "x-ms-azurevm-hypervisordebug-enabled",
    "x-ms-azurevm-kerneldebug-enabled",
    "x-ms-azurevm-osdebug-enabled",
];
const COMPLIANT: &[&str] = &["azure-compliant-cvm", "azure-compliant-uvm"];
/// Bytes of report data; a shorter challenge is filled up with zeros.
const REPORT_DATA_BYTES: usize = 64;
/// Bytes of the challenge: SHA-384.
const NONCE_BYTES: usize = 48;

/// The claims of the hardware, and what they are called.
fn hardware(claims: &Map<String, Value>) -> Option<(&Map<String, Value>, &'static Names)> {
    let inner = claims.get("x-ms-isolation-tee").map_or(Some(claims), Value::as_object)?;
    let kind = inner.get("x-ms-attestation-type")?.as_str()?;
    Some((inner, KINDS.iter().find(|names| names.kind == kind)?))
}

/// Reads what is there; whether it is enough is for the checks.
pub(super) fn read(claims: &Map<String, Value>, into: &mut Claims) -> Result<(), Refusal> {
    into.version = text(claims, "x-ms-ver")?;
    into.uid = text(claims, "x-ms-azurevm-vmid")?;
    let Some((inner, names)) = hardware(claims) else { return Ok(()) };
    into.hw_model = Some(names.kind.to_owned());
    for name in names.measurements {
        let Some(hex) = text(inner, name)? else { continue };
        let value =
            hex::decode(&hex).map_err(|_| Refusal::new(Reason::MalformedDocument, format!("{name} is no hex")))?;
        let short = name.rsplit(['-', '_']).next().unwrap_or(name);
        into.measurements.push(Measurement { name: short.to_owned(), index: None, value });
    }
    // No word on debugging counts as debugging.
    let machine = MACHINE_DEBUG.iter().any(|name| claims.get(*name).is_some_and(|value| *value != Value::Bool(false)));
    into.debug = machine || inner.get(names.debug) != Some(&Value::Bool(false));
    into.nonce = nonce(claims, inner, names)?;
    Ok(())
}

fn nonce(claims: &Map<String, Value>, inner: &Map<String, Value>, names: &Names) -> Result<Option<Vec<u8>>, Refusal> {
    let malformed = |name: &str| Refusal::new(Reason::MalformedDocument, format!("{name} cannot be decoded"));
    // In a guest's token the report data is the vTPM's key's, and the challenge is what that key has quoted.
    if let Some(nonce) = at(claims, &["x-ms-runtime", "client-payload", "nonce"]) {
        let nonce = nonce.as_str().and_then(base64_of_any_form);
        return nonce.map(Some).ok_or_else(|| malformed("the nonce of the client's payload"));
    }
    let Some(hex) = text(inner, names.report_data)? else { return Ok(None) };
    let mut data = hex::decode(hex).map_err(|_| malformed(names.report_data))?;
    if data.len() == REPORT_DATA_BYTES && data[NONCE_BYTES..].iter().all(|byte| *byte == 0) {
        data.truncate(NONCE_BYTES);
    }
    Ok(Some(data))
}

/// A kind of hardware that is known, with firmware that the service knows.
pub(super) fn check_platform(claims: &Map<String, Value>) -> Result<(), Refusal> {
    let refuse = |detail: String| Err(Refusal::new(Reason::PlatformNotAllowed, detail));
    let Some((inner, names)) = hardware(claims) else {
        return refuse("the token is of no hardware that is known: sevsnpvm, tdxvm or sgx".to_owned());
    };
    let compliance = inner.get("x-ms-compliance-status").and_then(Value::as_str);
    if names.has_compliance && !compliance.is_some_and(|status| COMPLIANT.contains(&status)) {
        return refuse(format!("the compliance status is {compliance:?}, expected one of {COMPLIANT:?}"));
    }
    Ok(())
}
