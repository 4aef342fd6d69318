//! The local key store: what it keeps, and what it refuses to open.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tarn_enclave::Secret;
use tarn_enclave::keys::kms::{Wrapped, context};
use tarn_enclave::keys::local::{LocalError, LocalStore};
use tarn_enclave::keys::wrapped::{WrappedError, WrappedKeys};
use tarn_enclave::keys::{KeyName, KeyStore as _, StoreError};

struct Place {
    _folder: tempfile::TempDir,
    store: PathBuf,
    wrapping: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let place =
        Place { store: folder.path().join("keys.json"), wrapping: folder.path().join("w.key"), _folder: folder };
    LocalStore::create_wrapping_key(&place.wrapping).unwrap();
    place
}

impl Place {
    fn open(&self) -> Result<LocalStore, LocalError> {
        LocalStore::open(&self.store, &self.wrapping)
    }
}

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

#[tokio::test]
async fn keys_are_kept_sealed_and_come_back() {
    let place = place();
    let key = Secret::new(b"very secret bytes".to_vec());
    place.open().unwrap().add(&name("a/b/c"), &key).unwrap();
    let text = std::fs::read_to_string(&place.store).unwrap();
    assert!(!text.contains("very secret"));
    let store = place.open().unwrap();
    assert_eq!(store.key(&name("a/b/c")).await.unwrap().key.expose(), key.expose());
    assert_eq!(store.key(&name("a/b/d")).await.unwrap_err(), StoreError::NotFound);
    assert_eq!(store.names().collect::<Vec<_>>(), ["a/b/c"]);
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.store), mode(&place.wrapping)), (0o600, 0o600));
}

#[tokio::test]
async fn a_key_opens_under_its_own_name_and_wrapping_key_only() {
    let place = place();
    place.open().unwrap().add(&name("a/b/c"), &Secret::new(vec![1; 32])).unwrap();
    let text = std::fs::read_to_string(&place.store).unwrap();
    std::fs::write(&place.store, text.replace("a/b/c", "a/b/d")).unwrap();
    let moved = place.open().unwrap().key(&name("a/b/d")).await;
    assert!(matches!(moved, Err(StoreError::Failed(_))), "{moved:?}");
    std::fs::write(&place.store, &text).unwrap();
    std::fs::remove_file(&place.wrapping).unwrap();
    LocalStore::create_wrapping_key(&place.wrapping).unwrap();
    assert!(matches!(place.open().unwrap().key(&name("a/b/c")).await, Err(StoreError::Failed(_))));
}

#[test]
fn a_name_keeps_its_key() {
    let place = place();
    let mut store = place.open().unwrap();
    store.add(&name("a/b/c"), &Secret::new(vec![1])).unwrap();
    assert!(matches!(store.add(&name("a/b/c"), &Secret::new(vec![2])), Err(LocalError::Exists(_))));
    assert!(LocalStore::create_wrapping_key(&place.wrapping).is_err(), "nor is a wrapping key made anew");
}

#[test]
fn files_that_others_may_read_and_files_of_another_form_are_refused() {
    let place = place();
    place.open().unwrap().add(&name("a/b/c"), &Secret::new(vec![1])).unwrap();
    for path in [&place.store, &place.wrapping] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(place.open(), Err(LocalError::Mode { mode: 0o640, .. })));
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let good = std::fs::read_to_string(&place.store).unwrap();
    for wrong in ["", "{}", &good.replace("\"version\": 1", "\"version\": 2"), &good.replace("a/b/c", "a/../c")] {
        std::fs::write(&place.store, wrong).unwrap();
        assert!(matches!(place.open(), Err(LocalError::Form { .. })), "{wrong}");
    }
    std::fs::write(&place.store, good).unwrap();
    std::fs::write(&place.wrapping, "00ff").unwrap();
    assert!(matches!(place.open(), Err(LocalError::Form { .. })));
}

#[test]
fn names_have_three_plain_parts() {
    for good in ["a/b/c", "default/key/file.v1", "A-1/_/x"] {
        assert_eq!(good.parse::<KeyName>().unwrap().as_str(), good);
    }
    for wrong in ["", "a", "a/b", "a/b/c/d", "a//c", "a/b/", "../b/c", "a/./c", "a/b/c d", "a/b/ü", "a\\b/b/c"] {
        assert!(wrong.parse::<KeyName>().is_err(), "{wrong}");
    }
}

fn wrapped() -> Wrapped {
    Wrapped { key_id: "alias/models".to_owned(), ciphertext: vec![7; 64], context: context(&name("a/b/c")) }
}

#[test]
fn wrapped_keys_are_kept_once_by_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kms.json");
    WrappedKeys::open(&path).unwrap().add(&name("a/b/c"), wrapped()).unwrap();
    let mut again = WrappedKeys::open(&path).unwrap();
    assert_eq!(again.keys()[&name("a/b/c")], wrapped());
    assert!(matches!(again.add(&name("a/b/c"), wrapped()), Err(WrappedError::Exists(_))));
    let nowhere = folder.path().join("nowhere/kms.json");
    let mut none = WrappedKeys::open(&nowhere).unwrap();
    assert!(matches!(none.add(&name("a/b/c"), wrapped()), Err(WrappedError::File { .. })));
    assert!(none.keys().is_empty(), "what was not written is not there");
}

#[test]
fn wrapped_keys_of_another_form_are_refused_by_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kms.json");
    let entry = |name: &str, ciphertext: &str, context: usize| {
        let context: std::collections::BTreeMap<_, _> = (0..context).map(|n| (n.to_string(), "")).collect();
        serde_json::json!({"version": 1, "keys": {name: {"key_id": "k", "ciphertext": ciphertext, "context": context}}})
            .to_string()
    };
    let long = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, vec![0; 6145]);
    for (text, why) in [
        ("[]".to_owned(), "expected"),
        (r#"{"version": 2, "keys": {}}"#.to_owned(), "version 2, expected 1"),
        (r#"{"version": 1, "keys": {}, "more": 1}"#.to_owned(), "unknown field `more`"),
        (entry("a/b", "AA==", 0), "keys.\"a/b\": \"a/b\" is no key's name"),
        (entry("a/b/c", "*", 0), "keys.\"a/b/c\": ciphertext is no Base64"),
        (entry("a/b/c", "", 0), "ciphertext of 0 bytes, expected 1 to 6144"),
        (entry("a/b/c", &long, 0), "ciphertext of 6145 bytes, expected 1 to 6144"),
        (entry("a/b/c", "AA==", 65), "context of 65 names, expected at most 64"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = WrappedKeys::open(&path).err().unwrap().to_string();
        assert!(error.contains("kms.json: ") && error.contains(why), "{error}");
    }
}
