//! What earlier releases wrote opens and grows; what later ones write is refused.

use super::{append, open, read};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_lake::log::files::{Disk, Memory};
use tarn_lake::log::{Log, LogError};

const FORMAT: u32 = 1;
const FIRST: &str = "00000000000000000003.seg";

/// Where a log of that format is kept; the first release that had the format wrote it.
fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/log-{format}"))
}

/// Frames 3 to 6: two in each segment, the last one empty; the first segment was cut.
fn expected() -> Vec<(u64, String)> {
    (3..=6).map(|n| (n, if n == 6 { String::new() } else { format!("frame {n}, ").repeat(6) })).collect()
}

/// A new format's fixture, with `TARN_BLESS=1`; one that is there is not written again.
fn write_fixture(folder: &Path) {
    let log = open(Arc::new(Disk::new(folder))).unwrap();
    for n in 1..=2 {
        append(&log, &format!("frame {n}, ").repeat(6)).unwrap();
    }
    for (_, text) in expected() {
        append(&log, &text).unwrap();
    }
    log.cut(2).unwrap();
    log.close();
    fs::remove_file(folder.join("lock")).unwrap();
}

#[test]
fn what_earlier_releases_wrote_opens_and_grows() {
    for format in 1..=FORMAT {
        let fixture = fixture(format);
        if !fixture.exists() && std::env::var_os("TARN_BLESS").is_some() {
            write_fixture(&fixture);
        }
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(&fixture).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let log = open(Arc::new(Disk::new(folder.path()))).unwrap();
        assert_eq!((log.first(), log.last(), log.torn_bytes()), (3, 6, 0));
        assert_eq!(log.writer().as_bytes(), &fs::read(fixture.join(FIRST)).unwrap()[16..32]);
        assert_eq!(read(&log, 0).unwrap(), expected());
        assert_eq!(append(&log, "more").unwrap(), 7);
        log.close();
        let log = open(Arc::new(Disk::new(folder.path()))).unwrap();
        assert_eq!(read(&log, 6).unwrap(), [(7, "more".to_owned())]);
    }
}

#[test]
fn a_new_log_has_the_newest_format_and_a_newer_one_is_refused() {
    let memory = Memory::new(1, usize::MAX);
    let log: Log<()> = open(memory.process()).unwrap();
    log.close();
    let name = "00000000000000000001.seg";
    let mut bytes = memory.bytes(name).unwrap();
    assert_eq!(bytes[..12], [&b"TARNSEG\0"[..], &FORMAT.to_le_bytes()].concat());
    bytes[8] += 1;
    memory.put(name, &bytes);
    let error = open(memory.process()).unwrap_err();
    let expected = (FORMAT + 1, FORMAT);
    assert!(matches!(&error, LogError::NewerFormat { found, supported, .. } if (*found, *supported) == expected));
    assert!(error.to_string().contains("use a newer tarn"), "{error}");
}
