//! Sysmon's `Hashes`: `SHA1=…,MD5=…,SHA256=…,IMPHASH=…` as OCSF fingerprints.

use super::Made;

/// OCSF 1.8.0, object fingerprint, `algorithm_id`.
fn algorithm_id(name: &str) -> &'static str {
    match name {
        "MD5" => "1",
        "SHA1" => "2",
        "SHA256" => "3",
        "SHA512" => "4",
        _ => "99",
    }
}

/// A list of fingerprints.
pub fn sysmon(texts: &[&str]) -> Made {
    let pairs = texts.iter().flat_map(|t| t.split(',')).filter_map(|pair| pair.trim().split_once('='));
    let hash = |(name, value): (&str, &str)| {
        let id = algorithm_id(name);
        let algorithm = match id {
            "1" => "MD5",
            "2" => "SHA-1",
            "3" => "SHA-256",
            "4" => "SHA-512",
            _ => name,
        };
        vec![("algorithm_id", id.to_owned()), ("algorithm", algorithm.to_owned()), ("value", value.to_owned())]
    };
    let hashes: Vec<_> = pairs.map(hash).collect();
    if hashes.is_empty() { Made::Nothing } else { Made::Objects(hashes) }
}
