//! The local key store: what it keeps, and what it refuses to open.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tarn_enclave::Secret;
use tarn_enclave::keys::local::{LocalError, LocalStore};
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
