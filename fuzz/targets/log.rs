//! The durable log: a segment of any bytes; frames with any fields and sound CRCs; or sound segments with changed bytes.
#![no_main]
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use tarn_lake::log::files::Memory;
use tarn_lake::log::{Log, LogError, LogOptions};

const HEAD_BYTES: usize = 44;
const OPTIONS: LogOptions =
    LogOptions { segment_bytes: 400, bytes_max: 1 << 30, frame_bytes_max: 1 << 20, sync_wait: Duration::ZERO };

fuzz_target!(|data: &[u8]| {
    let mut segments = sound();
    match data.split_first() {
        Some((kind, rest)) if kind % 3 == 1 => {
            let (_, last) = segments.last_mut().unwrap();
            frames(last, rest);
        }
        Some((kind, rest)) if kind % 3 == 2 => change(&mut segments, rest),
        // A segment's own beginning is one of these.
        _ => segments = vec![(name(u64_at(data, 32).unwrap_or(1)), data.to_vec())],
    }
    let memory = Memory::new(0, usize::MAX);
    for (name, bytes) in &segments {
        memory.put(name, bytes);
    }
    let given: usize = segments.iter().map(|(_, bytes)| bytes.len()).sum();
    let log: Log<()> = match Log::open_in(memory.process(), OPTIONS, |_, ()| {}) {
        Ok(log) => log,
        Err(LogError::Damaged { .. } | LogError::NewerFormat { .. } | LogError::Foreign { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let (mut next, mut read, mut whole) = (log.first(), 0, true);
    for frame in log.read_after(0).unwrap() {
        match frame {
            Ok((sequence, payload)) => {
                assert_eq!(sequence, next);
                (next, read) = (next + 1, read + payload.len());
            }
            Err(LogError::Damaged { .. }) => whole = false,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(read <= given);
    // What opened goes on, and opens again as it was.
    let sequence = log.append_blocking(vec![Bytes::from_static(b"more")], ()).unwrap();
    assert!(!whole || sequence == next);
    log.close();
    let log: Log<()> = Log::open_in(memory.process(), OPTIONS, |_, ()| {}).unwrap();
    assert_eq!((log.last(), log.torn_bytes()), (sequence, 0));
    log.close();
});

fn name(first: u64) -> String {
    format!("{first:020}.seg")
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().unwrap()))
}

/// Segments of a few frames each.
fn sound() -> Vec<(String, Vec<u8>)> {
    let memory = Memory::new(0, usize::MAX);
    let log: Log<()> = Log::open_in(memory.process(), OPTIONS, |_, ()| {}).unwrap();
    for n in 0..9 {
        log.append_blocking(vec![vec![n; 20 * usize::from(n)].into()], ()).unwrap();
    }
    log.close();
    (1..=9).filter_map(|first| Some((name(first), memory.bytes(&name(first))?))).collect()
}

/// Puts other frames into a segment: for each four bytes of the input one, which may claim another length, sequence or
/// synced sequence than it has.
fn frames(segment: &mut Vec<u8>, data: &[u8]) {
    let salt = u32::from_le_bytes(segment[12..16].try_into().unwrap());
    let mut sequence = u64_at(segment, 32).unwrap();
    let mut synced = sequence - 1;
    segment.truncate(HEAD_BYTES);
    for [length, claimed, ahead, behind] in data.as_chunks::<4>().0 {
        let payload = vec![*claimed; usize::from(*length)];
        // Mostly what it is.
        let length = if *claimed > 240 { u32::from(*claimed) << 20 } else { u32::from(*length) };
        let jump = if *ahead > 240 { u64::from(*ahead) } else { 0 };
        if behind % 2 == 0 {
            synced = sequence - 1;
        }
        let claims = if *behind > 240 { synced.wrapping_sub(u64::from(*behind)) } else { synced };
        let fields = [&length.to_le_bytes()[..], &crc32fast::hash(&payload).to_le_bytes()].concat();
        let head = [&fields[..], &(sequence + jump).to_le_bytes(), &claims.to_le_bytes()].concat();
        let mut crc = crc32fast::Hasher::new_with_initial(salt);
        crc.update(&head);
        segment.extend(head);
        segment.extend(crc.finalize().to_le_bytes());
        segment.extend(payload);
        sequence += 1;
    }
}

/// Changes a byte for each four of the input, and cuts a segment by the rest.
fn change(segments: &mut [(String, Vec<u8>)], data: &[u8]) {
    let (changes, rest) = data.as_chunks::<4>();
    for [segment, high, low, value] in changes {
        let index = usize::from(*segment) % segments.len();
        let bytes = &mut segments[index].1;
        let at = usize::from(u16::from_be_bytes([*high, *low]));
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = *value;
        }
    }
    if let [segment, length, ..] = rest {
        let index = usize::from(*segment) % segments.len();
        segments[index].1.truncate(usize::from(*length));
    }
}
