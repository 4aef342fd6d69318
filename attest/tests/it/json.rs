//! The bounds of JSON.

use proptest::prelude::*;
use tarn_attest::json::{JsonError, Limits, check, read};

const LIMITS: Limits = Limits { bytes_max: 1000, depth_max: 4, values_max: 20 };

#[test]
fn bounds_hold_at_their_edges() {
    let at = |text: &str| check(text.as_bytes(), LIMITS);
    assert!(at("[[[[]]]]").is_ok());
    assert!(matches!(at("[[[[[]]]]]"), Err(JsonError::TooDeep { max: 4 })));
    assert!(matches!(at(r#"{"a":{"a":{"a":{"a":{}}}}}"#), Err(JsonError::TooDeep { max: 4 })));
    let list = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    assert!(at(&list(19)).is_ok());
    assert!(matches!(at(&list(20)), Err(JsonError::TooMany { max: 20 })));
    assert!(at(&format!("\"{}\"", "x".repeat(998))).is_ok());
    assert!(matches!(at(&format!("\"{}\"", "x".repeat(999))), Err(JsonError::TooLarge { bytes: 1001, max: 1000 })));
}

#[test]
fn a_key_twice_is_refused_however_it_is_written() {
    for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"b":{"a":1,"c":2,"a":3}}]"#] {
        let Err(JsonError::DuplicateKey { key }) = check(text.as_bytes(), LIMITS) else { panic!("{text}") };
        assert_eq!(key, "a");
    }
    assert!(check(br#"[{"a":1},{"a":1}]"#, LIMITS).is_ok());
}

#[test]
fn what_is_no_json_and_what_is_of_another_shape() {
    for text in ["", "{", "nul", "{} {}", "{\"a\":1}x", "\u{feff}{}"] {
        assert!(matches!(check(text.as_bytes(), LIMITS), Err(JsonError::Syntax(_))), "{text:?}");
    }
    assert!(matches!(check(b"\"\xff\"", LIMITS), Err(JsonError::Syntax(_))));
    assert!(matches!(read::<u8>(b"256", LIMITS), Err(JsonError::Shape(_))));
    assert_eq!(read::<u8>(b"255", LIMITS).unwrap(), 255);
}

/// Found by the fuzz target `attest_summary`.
#[test]
fn a_reason_does_nothing_to_a_terminal() {
    #[derive(Debug, serde::Deserialize)]
    enum Known {}
    let reason = read::<Known>("\"\\u001b[31m\u{7f}\"".as_bytes(), LIMITS).unwrap_err().to_string();
    assert!(reason.contains("\\u{1b}[31m\\u{7f}") && !reason.contains(char::is_control), "{reason:?}");
}

proptest! {
    /// What passes is what serde_json reads, but for keys that are there twice; and nothing panics.
    #[test]
    fn texts_are_judged_as_serde_json_judges_them(text in r#"[\[\]{}",:01a ]{0,24}|\{("[ab]":[01\[\]]{1,2},?){0,4}\}|[\x00-\xff]{0,40}"#) {
        let limits = Limits { bytes_max: 1000, depth_max: 100, values_max: 10_000 };
        let read = serde_json::from_slice::<serde_json::Value>(text.as_bytes());
        match check(text.as_bytes(), limits) {
            Ok(()) => prop_assert!(read.is_ok(), "{text}"),
            Err(JsonError::DuplicateKey { .. }) => {}
            Err(error) => prop_assert!(read.is_err(), "{text}: {error}"),
        }
    }
}
