//! Lines of syslog and auditd: no line is lost, and where a block ends changes no record.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use tarn_fuzz::container::{Read, SMALL, blocks, cut, read};
use tarn_ingest::container::Limits;

/// The container reads this many bytes before it knows the format.
const FIRST_READ: usize = 64 << 10;
/// Reading so much in small blocks takes long: one input in so many is.
const LONG_EVERY: usize = 16;
/// Lines before the input's: audit events that are over, or none.
const LINES_BEFORE: usize = 8;
const SYSLOG: &str = "Mar 17 10:30:00 web1 cron[1]: x\n";
const AUDITD: &str = "type=USER_LOGIN msg=audit(1.0:1): pid=1 res=success\n";
/// What lines have that are joined with others (audit records, containers' lines), or are no records: ausearch's separators, and
/// flow logs' headers, which name fields.
const NOT_ONE_RECORD: [&str; 12] = [
    "audit(",
    "----",
    "time->",
    " stdout ",
    " stderr ",
    "srcaddr",
    "dstaddr",
    "interface-id",
    "log-status",
    "tcp-flags",
    "flow-direction",
    "tgw-id",
];

fuzz_target!(|data: &[u8]| {
    let _ = blocks(data, SMALL);
    let Ok(whole) = read(data, Limits::default()) else { return };
    for (_, original) in &whole.records {
        assert!(!original.trim().is_empty());
    }
    for line in [SYSLOG, AUDITD] {
        let short = after(line, line.repeat(LINES_BEFORE), data, Limits::default());
        if cut(data).is_multiple_of(LONG_EVERY) {
            let room = FIRST_READ - cut(data);
            let padding = line.repeat(room / line.len()) + &"\n".repeat(room % line.len());
            let long = after(line, padding, data, Limits { block_bytes: 16, ..Limits::default() });
            assert_eq!(short, long, "another block size gives other records");
        }
        let plain = |text: &str| !NOT_ONE_RECORD.iter().any(|mark| text.contains(mark));
        if line == SYSLOG && std::str::from_utf8(data).is_ok_and(plain) {
            let lines =
                data.split(|b| *b == b'\n').filter(|l| !l.strip_suffix(b"\r").unwrap_or(l).trim_ascii().is_empty());
            assert_eq!(short.records.len() + short.dead.len(), lines.count(), "a line is lost");
        }
    }
});

/// What `data` gives behind lines that say the format.
fn after(line: &str, mut start: String, data: &[u8], limits: Limits) -> Read {
    let before = start.matches(line).count();
    let mut bytes = std::mem::take(&mut start).into_bytes();
    bytes.extend(data);
    let mut read = read(&bytes, limits).unwrap();
    read.records.drain(..before);
    read
}
