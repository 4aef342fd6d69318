//! Sysmon's three fields of a code signature as one OCSF digital signature.

use super::Made;

/// A list of one signature, from `Signed`, `Signature` (whose it is) and `SignatureStatus`.
pub fn sysmon_signature(texts: &[&str]) -> Made {
    let [signed, signer, status] = [0, 1, 2].map(|i| texts.get(i).copied().unwrap_or(""));
    if [signed, signer, status].iter().all(|t| t.is_empty()) {
        return Made::Nothing;
    }
    // OCSF 1.8.0, object digital_signature: 4 is Authenticode.
    let mut object = vec![("algorithm_id", if signed.eq_ignore_ascii_case("true") { "4" } else { "0" }.to_owned())];
    if !signer.is_empty() && signer != "-" {
        object.push(("developer_uid", signer.to_owned()));
    }
    if !status.is_empty() {
        let (id, caption) = match status {
            "Valid" => ("1", "Valid"),
            "Expired" => ("2", "Expired"),
            "Revoked" => ("3", "Revoked"),
            "Unavailable" => ("0", "Unknown"),
            other => ("99", other),
        };
        object.extend([("state_id", id.to_owned()), ("state", caption.to_owned())]);
    }
    Made::Objects(vec![object])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_fields_are_one_signature() {
        let expected =
            vec![("algorithm_id", "4"), ("developer_uid", "Example Ltd"), ("state_id", "1"), ("state", "Valid")];
        let expected = expected.into_iter().map(|(k, v)| (k, v.to_owned())).collect();
        assert_eq!(sysmon_signature(&["true", "Example Ltd", "Valid"]), Made::Objects(vec![expected]));
        assert_eq!(sysmon_signature(&["", "", ""]), Made::Nothing);
    }
}
