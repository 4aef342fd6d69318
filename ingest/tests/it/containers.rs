//! Containers: how records are set apart, and what happens to bytes that are none.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Write};
use tarn_ingest::container::{Blocks, Limits, first_record};

/// Records and reasons of dead letters, by number; read in small blocks and in large ones, which must not differ.
fn read(bytes: &[u8], limits: Limits) -> (Vec<String>, Vec<(u64, String)>) {
    let mut results = Vec::new();
    for block_bytes in [1, 64, 1 << 20] {
        let mut blocks = Blocks::open(Cursor::new(bytes.to_vec()), Limits { block_bytes, ..limits }).unwrap();
        let (mut records, mut dead, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(block) = blocks.next_block().unwrap() {
            for record in &block.records {
                numbers.push(record.number);
                records.push(block.json(record).to_owned());
            }
            numbers.extend(block.dead.iter().map(|d| d.number));
            dead.extend(block.dead.into_iter().map(|d| (d.number, d.reason.to_string())));
        }
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "numbers without gaps: {numbers:?}");
        results.push((records, dead));
    }
    assert!(results.windows(2).all(|w| w[0] == w[1]), "{results:?}");
    results.remove(0)
}

fn check(bytes: &[u8], records: &[&str], dead: &[(u64, &str)]) {
    let (found, letters) = read(bytes, Limits::default());
    assert_eq!(found, records, "{}", String::from_utf8_lossy(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(first_record(text).as_deref(), records.first().copied(), "{text}");
    }
    let short: Vec<(u64, &str)> = letters.iter().map(|(n, reason)| (*n, reason.as_str())).collect();
    assert_eq!(short.len(), dead.len(), "{short:?}");
    for ((n, reason), (expected, part)) in short.iter().zip(dead) {
        assert!(n == expected && reason.contains(part), "{short:?}");
    }
}

const A: &str = r#"{"a":1}"#;
const B: &str = r#"{"b":"x"}"#;

#[test]
fn json_however_it_is_set_apart() {
    for text in [
        "{\"a\":1}\n{\"b\":\"x\"}\n",
        "{\"a\":1}\n{\"b\":\"x\"}",
        "{\"a\":1}{\"b\":\"x\"}",
        "\u{feff}{\"a\":1}\r\n\r\n{\"b\":\"x\"}\r\n",
        "[{\"a\":1},\n{\"b\":\"x\"}]",
        "[{\"a\":1}]\n[{\"b\":\"x\"}]\n",
        "{\"Records\":[{\"a\":1},{\"b\":\"x\"}]}",
        "{\"records\": [{\"a\":1}, {\"b\":\"x\"}], \"n\": 2}",
        "{\"Records\":[{\"a\":1},{\"b\":\"x\"}],\"n\":\"} {\",\"m\":{\"a\":[1]}}\n",
        "{\"n\":2,\"Records\":[{\"a\":1},{\"b\":\"x\"}]}",
        "{\"kind\":\"EventList\",\"metadata\":{},\"items\":[{\"a\":1},{\"b\":\"x\"}]}",
    ] {
        check(text.as_bytes(), &[A, B], &[]);
    }
    check(b"", &[], &[]);
    check(b" \n\n", &[], &[]);
    check(b"[]", &[], &[]);
    check(br#"{"Records":[]}"#, &[], &[]);
    check(br#"{"records":[],"n":1}"#, &[r#"{"records":[],"n":1}"#], &[]);
    check(br#"{"records":[1],"n":1}"#, &[r#"{"records":[1],"n":1}"#], &[]);
    // `items` of something else is its own.
    check(br#"{"kind":"Pod","items":[{"a":1}]}"#, &[r#"{"kind":"Pod","items":[{"a":1}]}"#], &[]);
}

#[test]
fn pages_and_deliveries_give_their_records() {
    const HOOK: &str = r#""eventType":"com.okta.event_hook","source":"https://example.okta.com""#;
    for text in [
        r#"{"value":[{"a":1},{"b":"x"}]}"#,
        r#"{"value":[{"a":1},{"b":"x"}],"nextLink":"https://management.azure.com/x?$skipToken=1"}"#,
        r#"{"@odata.context":"c","@odata.nextLink":"n","value":[{"a":1},{"b":"x"}]}"#,
        r#"{"value":[{"a":1}],"nextLink":"n"}{"value":[{"b":"x"}]}"#,
        r#"{"kind":"admin#reports#activities","etag":"e","items":[{"a":1},{"b":"x"}]}"#,
        r#"{"items":[{"a":1},{"b":"x"}],"kind":"admin#reports#activities","nextPageToken":"t"}"#,
        r#"{"apiVersion":"v1","items":[{"a":1},{"b":"x"}],"kind":"List","metadata":{"resourceVersion":""}}"#,
        &format!(r#"{{{HOOK},"data":{{"events":[{{"a":1}},{{"b":"x"}}]}},"eventId":"1"}}"#),
        &format!(r#"{{"data":{{"n":1,"events":[{{"a":1}},{{"b":"x"}}]}},{HOOK}}}"#),
    ] {
        check(text.as_bytes(), &[A, B], &[]);
        check(format!("[{text}]").as_bytes(), &[A, B], &[]);
    }
    check(br#"{"@odata.context":"c","value":[]}{"kind":"admin#reports#activities","items":[]}"#, &[], &[]);
    // Records that have a member of such a name, and pages whose array holds something else, are themselves.
    for text in [
        r#"{"value":[{"a":1}],"name":"n"}"#,
        r#"{"value":{"a":1}}"#,
        r#"{"value":[{"a":1},2]}"#,
        r#"{"value":"x","nextLink":"n"}"#,
        r#"{"nextLink":"n"}"#,
        r#"{"items":[{"a":1}]}"#,
        r#"{"kind":"cart","items":[{"a":1}]}"#,
        r#"{"items":[{"a":1}],"kind":"PriceList","shop":"s"}"#,
        r#"{"kind":"admin#reports#activity","items":[{"a":1}],"actor":{}}"#,
        r#"{"kind":"admin#reports#activities","items":{"a":1}}"#,
        r#"{"data":{"events":[{"a":1}]}}"#,
        r#"{"eventType":"com.okta.other","data":{"events":[{"a":1}]}}"#,
        &format!(r#"{{{HOOK},"data":[{{"events":[{{"a":1}}]}}]}}"#),
        &format!(r#"{{{HOOK},"data":{{"events":{{"a":1}}}}}}"#),
        &format!("{{{HOOK}}}"),
    ] {
        check(text.as_bytes(), &[text], &[]);
    }
    // Cut off, or broken.
    let started = r#"{"@odata.context":"c","value":[{"a":1},{"b":"x"}"#;
    check(started.as_bytes(), &[A, B], &[]);
    check(format!("{started},{{\"c\":").as_bytes(), &[A, B], &[(3, "ends inside a record")]);
    check(br#"{"value":[{"a":1},{"b":"#, &[], &[(1, "ends inside a record")]);
    check(b"{\"value\":[{\"a\":1},oops]}\n{\"b\":\"x\"}\n", &[B], &[(1, "broken JSON")]);
}

#[test]
fn exports_give_what_they_wrap() {
    for text in [
        r#"{"_index":"i","_id":"1","_source":{"a":1}}{"_index":"i","_id":"2","_source":{"b":"x"}}"#,
        r#"{"took":1,"hits":{"total":2,"hits":[{"_index":"i","_source":{"a":1}},{"_index":"i","_source":{"b":"x"}}]}}"#,
        r#"{"preview":false,"result":{"a":1}}{"preview":false,"lastrow":true,"result":{"b":"x"}}"#,
        r#"{"Events":[{"EventId":"1","CloudTrailEvent":"{\"a\":1}"},{"EventId":"2","CloudTrailEvent":"{\"b\":\"x\"}"}]}"#,
        r#"{"events":[{"timestamp":1,"message":"{\"a\":1}"},{"timestamp":2,"message":"{\"b\":\"x\"}"}],"nextToken":"t"}"#,
    ] {
        check(text.as_bytes(), &[A, B], &[]);
    }
    // An event with members of these names is its own.
    for text in [r#"{"result":{"a":1}}"#, r#"{"events":[{"a":1}],"user":"u"}"#, r#"{"_source":{"a":1},"b":2}"#] {
        check(text.as_bytes(), &[text], &[]);
    }
}

#[test]
fn what_is_no_record_is_a_dead_letter_and_the_rest_goes_on() {
    check(b"{\"a\":1}\n{\"b\": oops}\n{\"b\":\"x\"}\n", &[A, B], &[(2, "broken JSON")]);
    check(b"{\"a\":1}\n42\n{\"b\":\"x\"}\n", &[A, B], &[(2, "no object")]);
    check(b"{\"a\":1}\n{\"b\":\"\xff\"}\n{\"b\":\"x\"}\n", &[A, B], &[(2, "UTF-8")]);
    check(b"{\"a\":1}\n{\"b\":", &[A], &[(2, "ends inside a record")]);
    // Far beyond the first block, a line with the same indentation is where it goes on.
    let many = "  {\"a\":1},\n".repeat(10_000);
    let (records, dead) = read(format!("[\n{many}  {{\"b\": oops}},\n  {B}\n]").as_bytes(), Limits::default());
    assert_eq!((records.len(), records.last().map(String::as_str), dead.len()), (10_001, Some(B), 1));
}

#[test]
fn envelopes_of_any_length_give_their_records() {
    let many = [A; 700_000].join(",");
    let tail = [B; 700_000].join(",");
    for (envelope, cut) in [
        (format!("{{\"v\":[1,{{}}],\"Records\":[{many}]}}\n"), false),
        (format!("{{\"Records\":[{many}],\"tail\":[{tail}]}}\n"), false),
        (format!("{{\"kind\":\"EventList\",\"items\":[{many}]}}\n"), false),
        (format!("{{\"v\":1,\"Records\":[{many},{{\"a\":"), true),
        (format!("{{\"apiVersion\":\"v1\",\"items\":[{many}],\"kind\":\"List\",\"metadata\":{{}}}}"), false),
        (format!("{{\"value\":[{many}],\"nextLink\":\"{{[\"}}\n"), false),
        (format!("{{\"@odata.context\":\"c\",\"value\":[{many},{{\"a\":"), true),
        (format!("{{\"kind\":\"admin#reports#activities\",\"items\":[{many}],\"nextPageToken\":\"t\"}}"), false),
    ] {
        let mut blocks = Blocks::open(Cursor::new(envelope.into_bytes()), Limits::default()).unwrap();
        let (mut records, mut dead) = (0, 0);
        while let Some(block) = blocks.next_block().unwrap() {
            assert!(block.records.iter().all(|r| block.json(r) == A));
            (records, dead) = (records + block.records.len(), dead + block.dead.len());
        }
        assert_eq!((records, dead), (700_000, usize::from(cut)));
    }
}

#[test]
fn headers_of_evtx_dump_are_no_records() {
    let a = "{\n  \"a\": {\n    \"b\": 1\n  }\n}";
    check(format!("Record 1\n{a}\nRecord 2\n{B}\n").as_bytes(), &[a, B], &[]);
    check(format!("\u{feff}Record 18446744073709551615\r\n{A}\r\nRecord 2\r\n{B}\r\n").as_bytes(), &[A, B], &[]);
    // Cut off anywhere in a header, and in a record.
    let whole = format!("Record 1\n{A}\nRecord 23\r\n");
    for cut in format!("Record 1\n{A}").len()..=whole.len() {
        check(&whole.as_bytes()[..cut], &[A], &[]);
    }
    check(format!("{whole}{{\"b\":").as_bytes(), &[A], &[(2, "ends inside a record")]);
    check(format!("{whole}{{\"b\": oops}}\nRecord 3\n{B}\n").as_bytes(), &[A, B], &[(2, "broken JSON")]);
    // Only the whole line, and only where the container begins with one.
    check(format!("Record 1\n{A}\nRecord 2 of 3\n{B}\n").as_bytes(), &[A, B], &[(2, "broken JSON")]);
    check(format!("Record 1\n{A} Record 2\n{B}\n").as_bytes(), &[A, B], &[(2, "broken JSON")]);
    check(format!("{A}\nRecord 2\n{B}\n").as_bytes(), &[A, B], &[(2, "broken JSON")]);
    let (records, dead) = read(b"Record 1\nof a diary\n", Limits::default());
    assert_eq!((records.len(), dead.len()), (0, 2));
}

#[test]
fn white_space_before_the_first_record_is_none() {
    check(format!("{}{A}\n{B}", "\n".repeat(200_000)).as_bytes(), &[A, B], &[]);
}

#[test]
fn a_record_over_the_limit_keeps_its_beginning() {
    let limits = Limits { record_bytes_max: 100, dead_letter_bytes_max: 10, ..Limits::default() };
    let long = format!("{A}\n{{\"long\":\"{}\"}}\n{B}\n", "x".repeat(500));
    let (records, dead) = read(long.as_bytes(), limits);
    assert_eq!(records, [A, B]);
    assert!(dead.len() == 1 && dead[0].0 == 2 && dead[0].1.contains("the limit is 100"), "{dead:?}");
}

#[test]
fn compressed_streams_of_several_members() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let two = [gzip("{\"a\":1}\n"), gzip("{\"b\":\"x\"}\n")].concat();
    check(&two, &[A, B], &[]);
    check(&zstd::encode_all(&two[..], 1).unwrap(), &[A, B], &[]);
    let (records, dead) = read(&two[..two.len() - 12], Limits::default());
    assert_eq!(records[0], A);
    assert!(dead.last().unwrap().1.contains("decompress"), "{dead:?}");
}

/// What a container gave, by number, and which of it may go on.
fn numbered(bytes: &[u8]) -> (BTreeMap<u64, Vec<u8>>, BTreeSet<u64>) {
    let mut blocks =
        Blocks::open(Cursor::new(bytes.to_vec()), Limits { block_bytes: 64, ..Limits::default() }).unwrap();
    let (mut all, mut unsettled) = (BTreeMap::new(), BTreeSet::new());
    while let Some(block) = blocks.next_block().unwrap() {
        all.extend(block.records.iter().map(|r| (r.number, block.original(r).as_bytes().to_vec())));
        all.extend(block.dead.iter().map(|d| (d.number, d.bytes.clone())));
        unsettled.extend(&block.unsettled);
    }
    (all, unsettled)
}

#[test]
fn what_is_settled_stays_when_a_container_grows() {
    let audit = |kind: &str, n: u32| format!("type={kind} msg=audit(1773743400.{n:03}:{n}): pid={n} res=1\n");
    let audits =
        [("SYSCALL", 1), ("SYSCALL", 2), ("PATH", 1), ("EOE", 1), ("USER_LOGIN", 3), ("PATH", 2), ("SYSCALL", 4)];
    let (before, after) = audits.split_at(3);
    let lines = |events: &[(&str, u32)]| events.iter().map(|(kind, n)| audit(kind, *n)).collect::<String>();
    let audits = lines(before) + "stray\n" + &lines(after);
    let syslog = "Mar 17 10:30:00 web1 cron[1]: one\nMar 17 10:30:01 web1 cron[1]: two\nstray\n\nMar 17 10:30:02 web1 cron[1]: x";
    let mixed = syslog
        .replacen("cron[1]: two", &audit("SYSCALL", 1).replace('\n', ""), 1)
        .replace("stray", "Mar 17 10:30:03 web1 audispd: node=web1 type=PATH msg=audit(1773743400.001:1): item=1");
    let json = "{\"a\":1}\n{\"a\":oops}\n{\"b\":[1,2]}\n\n{\"c\":\"x\"}\n 45\n{}";
    let pieces = "2026-03-17T10:30:00Z stdout P {\"a\":\n2026-03-17T10:30:00Z stderr F x\n2026-03-17T10:30:01Z stdout F 1}\n\
                  2026-03-17T10:30:02Z stdout P y";
    let headed = "Record 1\n{\"a\":1}\nRecord 2\n{\"a\":oops}\nRecord 3\n{\n \"b\":[1]\n}\nRecord 14\n{}";
    for whole in [audits.as_str(), syslog, mixed.as_str(), json, headed, pieces].map(str::as_bytes) {
        let (grown, _) = numbered(whole);
        // Below a first line there is no telling what the log is.
        let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in first..whole.len() {
            let (read, unsettled) = numbered(&whole[..cut]);
            for (number, bytes) in read.iter().filter(|(n, _)| !unsettled.contains(n)) {
                assert_eq!(Some(bytes), grown.get(number), "{}", String::from_utf8_lossy(&whole[..cut]));
            }
        }
    }
}
