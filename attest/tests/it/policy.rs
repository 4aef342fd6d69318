//! Identities, digests, and the list of reasons.

use tarn_attest::Reason;
use tarn_attest::digest::{Algorithm, Digest, DigestError};
use tarn_attest::policy::{Identity, Issuer, PolicyError, PublicKey};

#[test]
fn a_pattern_must_match_all_of_an_identity() {
    let identity = Identity::pattern(r"https://github\.com/tarn/.*@refs/tags/v\d+").unwrap();
    assert!(identity.matches("https://github.com/tarn/tarn/.github/workflows/release.yml@refs/tags/v1"));
    for other in [
        "https://github.com/tarn/tarn/.github/workflows/release.yml@refs/tags/v1-evil",
        "x https://github.com/tarn/a@refs/tags/v1",
        "https://github.com/tarn/a@refs/tags/v1\nmore",
        "https://githubXcom/tarn/a@refs/tags/v1",
    ] {
        assert!(!identity.matches(other), "{other}");
    }
    let alternatives = Identity::pattern("a|b").unwrap();
    assert!(alternatives.matches("a") && alternatives.matches("b"));
    assert!(!alternatives.matches("ax") && !alternatives.matches("xb"));
}

#[test]
fn what_names_nobody_is_no_policy() {
    assert!(matches!(Identity::exact(""), Err(PolicyError::Empty("identity"))));
    assert!(matches!(Identity::pattern(""), Err(PolicyError::Empty("identity"))));
    assert!(matches!(Issuer::exact(""), Err(PolicyError::Empty("issuer"))));
    // Closes the group that anchors it.
    assert!(matches!(Identity::pattern("a)|(?:.*"), Err(PolicyError::Pattern { .. })));
    for bytes in [&b""[..], b"-----BEGIN PUBLIC KEY-----", b"\xff\xfe", &[0; 70_000]] {
        assert!(matches!(PublicKey::read(bytes), Err(PolicyError::Key(_))));
    }
}

#[test]
fn digests_print_and_read() {
    let digest = Digest::sha256(b"");
    assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    assert_eq!(digest.to_string().to_uppercase().parse::<Digest>().unwrap(), digest);
    assert!(matches!("sha256".parse::<Digest>(), Err(DigestError::Form(_))));
    assert!(matches!("md6:00".parse::<Digest>(), Err(DigestError::Algorithm(_))));
    for value in ["", "00", "zz", &"0".repeat(63), &"0".repeat(65), &"0".repeat(128)] {
        assert!(matches!(format!("sha256:{value}").parse::<Digest>(), Err(DigestError::Value { .. })), "{value}");
    }
    for (name, algorithm) in [
        ("SHA-256", Algorithm::Sha256),
        ("SHA3-512", Algorithm::Sha3_512),
        ("BLAKE2b-256", Algorithm::Blake2b256),
        ("SHA1", Algorithm::Sha1),
        ("gitCommit", Algorithm::GitCommit),
    ] {
        assert_eq!(Algorithm::named(name), Some(algorithm), "{name}");
    }
}

/// A page that does not know a reason, or knows one that is gone, misleads whoever writes a rule.
#[test]
fn the_page_lists_every_reason() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/attest.md")).unwrap();
    let listed: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `").and_then(|rest| rest.split_once("` |")))
        .map(|(name, _)| name)
        .filter(|name| name.contains('_') || *name == "unclassified")
        .collect();
    let reasons: Vec<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(listed, reasons);
}
