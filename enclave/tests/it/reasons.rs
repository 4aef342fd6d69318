//! Reasons are those of the extension, one to one.

use std::collections::BTreeSet;
use tarn_enclave::{Reason, Refusal};

#[test]
fn each_reason_has_an_id_and_a_caption_of_its_own() {
    let ids: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.id()).collect();
    let captions: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.caption()).collect();
    assert_eq!((ids.len(), captions.len()), (Reason::ALL.len(), Reason::ALL.len()));
}

#[test]
fn they_are_those_of_the_extension() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema-ocsf/extensions/trust/dictionary.json");
    let Ok(text) = std::fs::read_to_string(path) else { return println!("skipped: no extension `trust` here yet") };
    let dictionary: serde_json::Value = serde_json::from_str(&text).unwrap();
    let known = &dictionary["attributes"]["trust_reason_id"]["enum"];
    for reason in Reason::ALL {
        assert_eq!(known[reason.id().to_string()]["caption"], reason.caption(), "{reason:?}");
    }
}

#[test]
fn a_detail_does_nothing_to_a_terminal() {
    let detail = Refusal::new(Reason::MalformedDocument, format!("a\u{1b}[31mb\u{202e}c{}", "x".repeat(9000))).detail;
    assert!(detail.starts_with("a\\u{1b}[31mb\\u{202e}c"), "{detail}");
    assert_eq!(detail.chars().count(), 300);
}
