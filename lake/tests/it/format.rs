//! The version on disk.

use crate::events::{lake_in, number};
use tarn_lake::{Lake, LakeError, StoreOptions};

#[tokio::test]
async fn a_newer_format_is_refused_and_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    lake_in(folder.path()).await;
    let file = folder.path().join("tarn.json");
    let open = || async { Lake::open(folder.path().to_str().unwrap(), &StoreOptions::default()).await };
    open().await.unwrap();
    std::fs::write(&file, r#"{"format": 2, "something": "else"}"#).unwrap();
    let error = open().await.unwrap_err();
    assert!(matches!(error, LakeError::NewerFormat { found: 2, supported: 1, .. }), "{error}");
    std::fs::write(&file, "{").unwrap();
    assert!(matches!(open().await.unwrap_err(), LakeError::Damaged { .. }));
}

/// `tests/fixtures/format-1` was written by the first release that had this format.
#[tokio::test]
async fn what_earlier_releases_wrote_opens_and_grows() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture, folder.path());
    let lake = Lake::open(folder.path().to_str().unwrap(), &StoreOptions::default()).await.unwrap();
    let alice = "SELECT count(*) FROM api_activity WHERE actor.user.name = 'alice'";
    assert_eq!(number(&lake, alice).await, 2);
    crate::events::small(&lake).await;
    assert_eq!(number(&lake, alice).await, 4);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}
