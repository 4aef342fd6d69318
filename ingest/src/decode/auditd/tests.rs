#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn decode(log: &str) -> Block {
    let (mut decoder, mut block, mut count) = (Decoder::default(), Block::default(), 0);
    let mut number = || {
        count += 1;
        count
    };
    for line in log.lines().filter(|line| !is_separator(line)) {
        match header(line) {
            Some(header) => decoder.line(line, header, &mut number, &mut block),
            None => {
                let (bytes, reason) = (line.as_bytes().to_vec(), crate::dead_letter::Reason::UnknownLine);
                block.dead.push(crate::DeadLetter { number: number(), offset: None, bytes, reason });
            }
        }
    }
    decoder.finish(&mut block);
    block
}

fn events(log: &str) -> Vec<Value> {
    let block = decode(log);
    assert!(block.dead.is_empty(), "{:?}", block.dead);
    block.records.iter().map(|r| serde_json::from_str(block.json(r)).unwrap()).collect()
}

fn has(event: &Value, expected: Value) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&event[key], value, "{key} of {event:#}");
    }
}

const EXECVE: &str = "\
type=SYSCALL msg=audit(1700000000.123:4242): arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55e0 a2=5600 a3=8 items=2 ppid=900 pid=901 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm=\"find\" exe=\"/usr/bin/find\" subj=unconfined key=6B310173757370\n\
type=EXECVE msg=audit(1700000000.123:4242): argc=4 a0=\"find\" a1=2F746D702F6D7920646972 a2=\"-name\" a3=\"*.key\"\n\
type=CWD msg=audit(1700000000.123:4242): cwd=\"/root\"\n\
type=PATH msg=audit(1700000000.123:4242): item=0 name=\"/usr/bin/find\" inode=17 dev=fd:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0\n\
type=PATH msg=audit(1700000000.123:4242): item=1 name=\"/lib64/ld-linux-x86-64.so.2\" inode=18 dev=fd:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL\n\
type=PROCTITLE msg=audit(1700000000.123:4242): proctitle=66696E64002F746D702F6D7920646972002D6E616D65002A2E6B6579";

#[test]
fn records_of_one_serial_are_one_event() {
    let found = events(EXECVE);
    assert_eq!(found.len(), 1);
    has(
        &found[0],
        json!({
            "type": ["SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"], "record_type": "SYSCALL", "SYSCALL": "execve", "ARCH": "x86_64",
            "a0": "find", "a1": "/tmp/my dir", "a3": "*.key", "syscall_a0": "55d0", "syscall_a3": "8", "argc": "4",
            "cmdline": "find /tmp/my dir -name *.key", "proctitle": "find /tmp/my dir -name *.key", "key": ["k1", "susp"],
            "name": ["/usr/bin/find", "/lib64/ld-linux-x86-64.so.2"], "cap_fp": ["0", null], "item": ["0", "1"],
            "timestamp": "1700000000.123", "serial": "4242", "audit_id": "1700000000.123:4242", "target": null,
        }),
    );
    let block = decode(EXECVE);
    assert_eq!(block.original(&block.records[0]), EXECVE);
}

#[test]
fn events_interleave_and_lines_come_out_of_order() {
    let other = EXECVE.replace(":4242)", ":4243)").replace("find", "grep");
    let mut lines: Vec<&str> = EXECVE.lines().zip(other.lines()).flat_map(|(a, b)| [b, a]).collect();
    lines.swap(3, 8);
    let found = events(&lines.join("\n"));
    assert_eq!(found.len(), 2);
    for event in &found {
        assert_eq!(event["type"].as_array().unwrap().len(), 5);
    }
}

#[test]
fn an_event_ends_by_its_end_or_by_time() {
    let log = "type=SYSCALL msg=audit(10.000:1): arch=c000003e syscall=2 pid=1\n\
               type=EOE msg=audit(10.000:1): \n\
               type=USER_LOGIN msg=audit(10.100:2): pid=7 uid=0 auid=1000 ses=1 msg='op=login id=1000 exe=\"/usr/sbin/sshd\" hostname=10.0.0.7 addr=10.0.0.7 terminal=ssh res=success'\n\
               type=SYSCALL msg=audit(11.000:3): arch=c00000b7 syscall=221 pid=2\n\
               type=SYSCALL msg=audit(14.000:4): arch=c000003e syscall=175 pid=3\n\
               type=PATH msg=audit(11.000:3): item=0 name=\"late\" nametype=NORMAL";
    let found = events(log);
    let types: Vec<&Value> = found.iter().map(|e| &e["type"]).collect();
    assert_eq!(types, [&json!("SYSCALL"), &json!("USER_LOGIN"), &json!("SYSCALL"), &json!("SYSCALL"), &json!("PATH")]);
    assert_eq!(
        (&found[0]["SYSCALL"], &found[2]["SYSCALL"], &found[3]["SYSCALL"]),
        (&json!("open"), &json!("execve"), &json!("init_module"))
    );
    has(
        &found[1],
        json!({ "op": "login", "id": "1000", "addr": "10.0.0.7", "res": "success", "exe": "/usr/sbin/sshd", "pid": "7" }),
    );
}

#[test]
fn other_forms_are_read() {
    let enriched = "node=web1 type=SYSCALL msg=audit(10.5:9): arch=c000003e syscall=42 success=yes a0=3 auid=1000 uid=33 comm=\"nc\" exe=\"/bin/nc\" key=\"net\"\u{1d}ARCH=x86_64 SYSCALL=connect AUID=\"alice\" UID=\"www-data\"\n\
                    node=web1 type=SOCKADDR msg=audit(10.5:9): saddr=02001F90C0A801020000000000000000\u{1d}SADDR={ saddr_fam=inet laddr=192.168.1.2 lport=8080 }";
    has(
        &events(enriched)[0],
        json!({
            "node": "web1", "SYSCALL": "connect", "UID": "www-data", "AUID": "alice", "a0": "3", "saddr": "02001F90C0A801020000000000000000",
            "saddr_fam": "inet", "laddr": "192.168.1.2", "lport": "8080", "initiated": "true",
        }),
    );
    let kernel = "[   12.5] audit: type=1400 audit(10.6:10): apparmor=\"DENIED\" operation=\"open\" profile=\"/usr/sbin/cupsd\" name=\"/etc/x\" pid=4 comm=\"cupsd\"";
    has(&events(kernel)[0], json!({ "type": "AVC", "apparmor": "DENIED", "name": "/etc/x" }));
    let selinux = "type=AVC msg=audit(10.7:11): avc:  denied  { read write } for  pid=5 comm=\"httpd\" name=\"shadow\" dev=\"dm-0\" ino=5 scontext=a:b:c tcontext=d:e:f tclass=file permissive=0";
    has(
        &events(selinux)[0],
        json!({ "seresult": "denied", "seperms": "read,write", "comm": "httpd", "tclass": "file" }),
    );
    let user_avc = "type=USER_AVC msg=audit(10.7:12): pid=1 uid=0 msg='avc:  denied  { start } for auid=1000 path=\"/x.service\" exe=\"/usr/lib/systemd/systemd\" hostname=? addr=?'";
    has(&events(user_avc)[0], json!({ "pid": "1", "seresult": "denied", "path": "/x.service", "addr": "?" }));
    let ausearch = "----\ntime->Tue Nov 14 22:13:20 2023\ntype=PROCTITLE msg=audit(11/14/2023 22:13:20.123:4242) : proctitle=dd if=/dev/zero\ntype=EXECVE msg=audit(11/14/2023 22:13:20.123:4242) : argc=2 a0=dd a1=if=/dev/zero\ntype=SYSCALL msg=audit(11/14/2023 22:13:20.123:4242) : arch=x86_64 syscall=execve success=yes comm=dd exe=/usr/bin/dd key=(null)";
    has(
        &events(ausearch)[0],
        json!({ "timestamp": "2023-11-14 22:13:20.123", "a0": "dd", "SYSCALL": "execve", "ARCH": "x86_64", "proctitle": "dd if=/dev/zero" }),
    );
    let relayed = "<13>Nov 14 22:13:20 web2 audispd: type=USER_CMD msg=audit(10.8:13): pid=9 uid=1000 msg='cwd=\"/home/a\" cmd=636174202F6574632F736861646F77 terminal=pts/0 res=success'";
    has(&events(relayed)[0], json!({ "node": "web2", "cmd": "cat /etc/shadow", "type": "USER_CMD" }));
    let words = "type=ADD_USER msg=audit(10.9:14): pid=9 uid=0 auid=0 ses=1 msg='op=adding user acct=\"eve\" exe=\"/usr/sbin/useradd\" res=success'";
    has(&events(words)[0], json!({ "op": "adding user", "acct": "eve", "res": "success" }));
}

#[test]
fn interpreted_values_keep_their_spaces() {
    let event =
        |kind: &str, body: &str| events(&format!("type={kind} msg=audit(11/14/2023 22:13:20.1:7) : {body} ")).remove(0);
    has(
        &event("EXECVE", "argc=4 a0=sh a1=-c a2=ls a9=1, | wc a3=\"x\" y a4=z"),
        json!({ "a0": "sh", "a1": "-c", "a2": "ls a9=1, | wc", "a3": "\"x\" y a4=z", "argc": "4" }),
    );
    has(
        &event("EXECVE", "a7=in the a8_len=9 a8[0]=mid dle a8[1]= of a9=it"),
        json!({ "a7": "in the", "a8": "mid dle of", "a8_len": "9", "a9": "it" }),
    );
    has(&event("PROCTITLE", "proctitle=ls -l  x"), json!({ "proctitle": "ls -l  x" }));
    has(&event("CWD", "cwd=/srv/my dir"), json!({ "cwd": "/srv/my dir" }));
    has(
        &event("SYSCALL", "syscall=connect success=no exit=EINPROGRESS(Operation now in progress) a0=0x3 comm=nc"),
        json!({ "exit": "EINPROGRESS(Operation now in progress)", "a0": "0x3", "comm": "nc", "text": null }),
    );
    has(&event("SYSCALL", "exit=3 comm=(x)"), json!({ "exit": "3", "comm": "(x)" }));
}

#[test]
fn the_file_that_a_call_is_about_is_named() {
    let event = |paths: &str| {
        let mut log =
            "type=SYSCALL msg=audit(10.1:1): arch=c000003e syscall=82\ntype=CWD msg=audit(10.1:1): cwd=\"/home/a\"\n"
                .to_owned();
        for (i, path) in paths.lines().enumerate() {
            log.push_str(&format!("type=PATH msg=audit(10.1:1): item={i} {path}\n"));
        }
        events(&log).remove(0)
    };
    has(
        &event("name=\"/tmp\" nametype=PARENT\nname=\"/tmp/x\" nametype=CREATE"),
        json!({ "target": "/tmp/x", "target_action": "CREATE" }),
    );
    has(&event("name=\"../b/c\" nametype=NORMAL"), json!({ "target": "/home/b/c", "target_action": "NORMAL" }));
    has(
        &event("name=\"/srv/\" nametype=PARENT\nname=\"f\" nametype=DELETE"),
        json!({ "target": "/srv/f", "target_action": "DELETE" }),
    );
    let renamed = event(
        "name=\"/a\" nametype=PARENT\nname=\"/b\" nametype=PARENT\nname=\"/a/x\" nametype=DELETE\nname=\"/b/y\" nametype=CREATE",
    );
    has(&renamed, json!({ "target": "/b/y", "target_from": "/a/x", "target_action": "RENAME" }));
}

#[test]
fn long_arguments_and_addresses() {
    let pieces = "type=EXECVE msg=audit(1.0:1): argc=3 a0=\"sh\" a1_len=12 a1[0]=\"abcdef\"\ntype=EXECVE msg=audit(1.0:1): a1[1]=676869 a2=\"-x\"";
    has(&events(pieces)[0], json!({ "a1": "abcdefghi", "a1_len": "12", "cmdline": "sh abcdefghi -x" }));
    let address = |hex: &str| encoded::socket_address(hex).unwrap();
    assert_eq!(address("0A000035000000002001048600000000000000000000888800000000").address.unwrap(), "2001:486::8888");
    assert_eq!(address("01002F6465762F6C6F67").path.unwrap(), "/dev/log");
    assert_eq!(address("0100002F746D702F2E5831312D756E69782F5830").path.unwrap(), "@/tmp/.X11-unix/X0");
    assert_eq!(address("100000000000000000000000").family, "netlink");
    assert!(encoded::socket_address("0").is_none());
    assert_eq!(address("0200").address, None);
}

#[test]
fn a_large_event_costs_no_more_than_its_length() {
    let mut log = String::new();
    for part in 0..1_000_u32 {
        log.push_str("type=EXECVE msg=audit(1.0:1):");
        (0..100).for_each(|i| log.push_str(&format!(" a{0}=\"w{0}\"", 100 * part + i)));
        log.push('\n');
    }
    // As many values of one field, and as many fields of paths.
    for i in 0..20_000 {
        log.push_str(&format!("type=X msg=audit(1.0:1): v={i}\ntype=PATH msg=audit(1.0:1): name=\"/{i}\" n{i}=1\n"));
    }
    let events = events(&log);
    assert_eq!(events.len(), 1);
    let length = |name: &str| events[0][name].as_array().map_or(1, Vec::len);
    assert_eq!((&events[0]["a99999"], length("v"), length("name")), (&"w99999".into(), 20_000, 20_000));
    assert_eq!((length("n0"), length("n19999")), (20_000, 1));
}

#[test]
fn numbers_stay_when_the_log_grows() {
    let log = format!("{EXECVE}\nstray\n{}", EXECVE.replace("4242", "4243"));
    let numbers = |log: &str| {
        let block = decode(log);
        let records: Vec<(u64, String)> =
            block.records.iter().map(|r| (r.number, block.original(r).to_owned())).collect();
        (records, block.dead.iter().map(|d| d.number).collect::<Vec<_>>())
    };
    let (whole, dead) = numbers(&log);
    assert_eq!((whole[0].0, &dead[..], whole[1].0), (1, &[2][..], 3));
    let lines: Vec<&str> = log.lines().collect();
    for cut in 1..lines.len() {
        for (number, text) in numbers(&lines[..cut].join("\n")).0 {
            assert!(whole.iter().any(|(n, t)| *n == number && t.starts_with(&text)), "{number} at {cut}");
        }
    }
}

#[test]
fn memory_is_bounded() {
    let (mut decoder, mut block, mut count) = (Decoder::default(), Block::default(), 0);
    for serial in 0..20_000 {
        let line = format!("type=SYSCALL msg=audit(10.0:{serial}): arch=c000003e syscall=0 x=\"{}\"", "y".repeat(500));
        let mut number = || {
            count += 1;
            count
        };
        decoder.line(&line, header(&line).unwrap(), &mut number, &mut block);
        assert!(decoder.waiting.len() <= WAITING_MAX + 1);
    }
    let one = format!("type=PATH msg=audit(10.0:30000): name=\"{}\"", "z".repeat(1 << 20));
    for _ in 0..40 {
        let mut number = || {
            count += 1;
            count
        };
        decoder.line(&one, header(&one).unwrap(), &mut number, &mut block);
        assert!(decoder.bytes <= WAITING_BYTES_MAX + one.len());
    }
    decoder.finish(&mut block);
    assert_eq!(decoder.bytes, 0);
}

/// Lines that are nearly audit records.
fn line() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just("SYSCALL"),
        Just("EXECVE"),
        Just("PATH"),
        Just("AVC"),
        Just("USER_AVC"),
        Just("EOE"),
        Just("1327"),
        Just("PROCTITLE"),
        Just("SOCKADDR")
    ];
    let body = prop_oneof![
        "[a-z0-9]{1,3}=[0-9A-F\"'{}() ,]{0,12} .{0,20}",
        "(msg='|saddr=\\{|avc:|a[0-9]\\[|=|proctitle=)[^\n]{0,30}",
        "[^\n]{0,40}",
    ];
    prop_oneof![
        (kind, 0..4_u32, body)
            .prop_map(|(kind, serial, body)| format!("type={kind} msg=audit(10.{serial}:{serial}): {body}")),
        "[^\n]{0,60}",
        "(type=|audit\\(|node=)[^\n]{0,40}",
    ]
}

proptest! {
    #[test]
    fn every_line_is_in_a_record_or_a_dead_letter(lines in prop::collection::vec(line(), 0..40)) {
        let lines: Vec<String> = lines.into_iter().map(|l| l.replace(['\r', '\n'], " ")).collect();
        let (mut decoder, mut block, mut count) = (Decoder::default(), Block::default(), 0_u64);
        let mut dead = 0;
        for line in &lines {
            match header(line) {
                Some(header) => decoder.line(line, header, &mut || { count += 1; count }, &mut block),
                None => dead += 1,
            }
        }
        decoder.finish(&mut block);
        let joined: usize = block.records.iter().map(|r| block.original(r).split('\n').count()).sum();
        prop_assert_eq!(joined + dead, lines.len());
        for record in &block.records {
            let text = block.json(record);
            prop_assert_eq!(crate::json::end_of_value(text.as_bytes(), 0), Ok(text.len()));
            prop_assert!(serde_json::from_str::<Value>(text).unwrap()["record_type"].is_string());
        }
    }
}
