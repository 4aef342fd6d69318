//! Bytes that changed, and files that went: an error that says where, never less than was acknowledged without one.

use super::{append, open, read};
use proptest::prelude::*;
use tarn_lake::log::files::Memory;
use tarn_lake::log::{Damage, LogError};

const FIRST: &str = "00000000000000000001.seg";
const SECOND: &str = "00000000000000000003.seg";

/// Two segments of two frames each, every frame synced for itself.
fn segments() -> [(&'static str, Vec<u8>); 2] {
    let memory = Memory::new(1, usize::MAX);
    let log = open(memory.process()).unwrap();
    for n in 1..=4 {
        append(&log, &format!("{n}").repeat(40)).unwrap();
    }
    log.close();
    [FIRST, SECOND].map(|name| (name, memory.bytes(name).unwrap()))
}

fn all() -> Vec<(u64, String)> {
    (1..=4).map(|n| (n, format!("{n}").repeat(40))).collect()
}

/// What a log of these files has.
fn opened(files: &[(&str, Vec<u8>)]) -> Result<Vec<(u64, String)>, LogError> {
    let memory = Memory::new(1, usize::MAX);
    files.iter().for_each(|(name, bytes)| memory.put(name, bytes));
    read(&open(memory.process())?, 0)
}

#[track_caller]
fn damaged(files: &[(&str, Vec<u8>)], name: &str, at: u64, what: Damage) {
    let error = opened(files).unwrap_err();
    let LogError::Damaged { file, offset, damage } = &error else { panic!("{error}") };
    assert!(file.ends_with(name) && *offset == at && *damage == what, "{error}");
}

#[test]
fn a_torn_end_is_cut_and_a_damaged_middle_is_an_error() {
    let [first, second] = segments();
    assert_eq!(opened(&[first.clone(), second.clone()]).unwrap(), all());
    for length in 44..second.1.len() {
        let frames = opened(&[first.clone(), (SECOND, second.1[..length].to_vec())]).unwrap();
        assert_eq!(frames, all()[..2 + (length - 44) / 68]);
    }
    let zeros = [second.1.clone(), vec![0; 5000]].concat();
    assert_eq!(opened(&[first.clone(), (SECOND, zeros)]).unwrap(), all());
    // The same in a segment that another one follows, and one that is gone.
    let cut = (FIRST, first.1[..100].to_vec());
    damaged(&[cut, second.clone()], FIRST, 44, Damage::Frame { sequence: 1 });
    let short = (FIRST, first.1[..112].to_vec());
    damaged(&[short, second.clone()], FIRST, 112, Damage::End { sequence: 1, next: 3 });
    let headless = (SECOND, second.1[..43].to_vec());
    damaged(&[first.clone(), headless], SECOND, 0, Damage::Head);
    damaged(&[first.clone(), (SECOND, first.1.clone())], SECOND, 0, Damage::Name { first: 1 });
    // A frame of another segment is none of this one's.
    let mixed = (SECOND, [&second.1[..112], &first.1[44..]].concat());
    assert_eq!(opened(&[first, mixed]).unwrap(), all()[..3]);
}

#[test]
fn segments_of_two_logs_do_not_become_one() {
    let ([first, _], [_, other]) = (segments(), segments());
    let error = opened(&[first, other]).unwrap_err();
    assert!(matches!(&error, LogError::Foreign { file, .. } if file.ends_with(SECOND)), "{error}");
}

#[test]
fn files_that_are_not_the_logs_stay() {
    let memory = Memory::new(1, usize::MAX);
    for name in ["1.seg", "+0000000000000000001.seg", "notes.txt", "99999999999999999999.seg"] {
        memory.put(name, b"something");
    }
    memory.put("00000000000000000002.seg.new", b"half a head");
    let log = open(memory.process()).unwrap();
    assert_eq!((log.first(), log.last()), (1, 0));
    assert!(memory.bytes("00000000000000000002.seg.new").is_none());
    assert_eq!(memory.bytes("notes.txt").unwrap(), b"something");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Only a change to the last frame can be taken for an interrupted write.
    #[test]
    fn no_changed_byte_goes_unnoticed(which in 0..2_usize, at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut files = segments();
        let at = at.index(files[which].1.len());
        files[which].1[at] ^= flip;
        match opened(&files) {
            Ok(frames) => {
                prop_assert!(which == 1 && at >= 112, "byte {at} of segment {which}");
                prop_assert_eq!(frames, &all()[..3]);
            }
            Err(LogError::Damaged { file, offset, .. }) => {
                prop_assert!(file.ends_with(files[which].0));
                prop_assert_eq!(offset, if at < 44 { 0 } else { 44 + (at as u64 - 44) / 68 * 68 });
            }
            Err(LogError::NewerFormat { .. }) => prop_assert!((8..12).contains(&at)),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
