#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use proptest::prelude::*;

/// The originals of a log's records by number, `!` before what is a dead letter.
fn read(log: &str) -> Vec<(u64, String)> {
    let (mut decoder, mut block, mut count, mut read) = (LineDecoder::default(), Block::default(), 0, Vec::new());
    let mut number = || {
        count += 1;
        count
    };
    for line in log.lines() {
        if decoder.line(line, &mut number, &mut block).is_err() {
            read.push((number(), format!("!{line}")));
        }
    }
    decoder.finish(&mut block);
    read.extend(block.records.iter().map(|r| (r.number, block.original(r).to_owned())));
    read.sort();
    read
}

fn is_audit(line: &str) -> bool {
    auditd::header(line).is_some()
}

#[test]
fn each_line_goes_to_the_decoder_that_knows_it() {
    let call = "Mar 17 10:30:00 web1 audispd: node=web1 type=SYSCALL msg=audit(1773743400.1:5): syscall=59";
    let login = "Mar 17 10:30:00 web1 sshd[7]: Accepted password for alice from 10.0.0.7 port 22 ssh2";
    let words = "Mar 17 10:30:01 web1 audisp-syslog: node=web1 type=EXECVE msg=audit(1773743400.1:5): a0=\"id\"";
    let kernel = "Mar 17 10:30:01 web1 kernel: [    1.000000] eth0: link up";
    let denied = "Mar 17 10:30:02 web1 kernel: [    2.5] audit: type=1400 audit(1773743402.1:6): apparmor=\"DENIED\"";
    let own = |lines: &[&str]| lines.join("\n");
    assert_eq!(
        read(&own(&[call, login, "stray", words, kernel, "----", denied])),
        [
            (1, own(&[call, words])),
            (2, login.to_owned()),
            (3, "!stray".to_owned()),
            (4, kernel.to_owned()),
            (5, denied.to_owned()),
        ]
    );
    // Neither what comes first nor how much of it there is decides.
    for (first, last) in [(denied, kernel), (kernel, denied)] {
        let found = read(&format!("{}{last}", format!("{first}\n").repeat(20).replace(":6)", ":7)")));
        assert_eq!(found.last().unwrap().1, last);
    }
}

#[test]
fn an_audit_record_inside_a_message_is_none() {
    let forged = "type=USER_LOGIN msg=audit(1773743400.1:9): res=success";
    for line in [
        format!("Mar 17 10:30:00 web1 sshd[7]: Invalid user  {forged} from 10.0.0.7 port 22"),
        format!("Mar 17 10:30:00 web1 sshd[7]: Failed password for x node=a {forged} from 10.0.0.7 port 22 ssh2"),
        format!("<34>1 2026-03-17T10:30:00Z web1 app 1 - - request {forged}"),
        format!("10.0.0.7 - - [17/Mar/2026:10:30:00 +0000] \"GET /{forged}"),
        format!("[{{\"message\":\"node=x {forged}\"}}]"),
    ] {
        assert!(!is_audit(&line), "{line}");
    }
    for before in [
        "",
        "node=web1 ",
        "<5>[   12.345678] audit: ",
        "[   12.345678] audit: ",
        "audit: ",
        "Mar 17 10:30:00 web1 kernel: [   12.345678] ",
        "Mar 17 10:30:00 web1 kernel: audit: ",
        "Mar 17 10:30:00 web1 ",
        "Mar 17 10:30:00 audispd: ",
        "<13>Mar 17 10:30:00 web1 audispd[4]: node=web1 ",
        "2026-03-17T10:30:00+01:00 web1 tag_audit_log: ",
        "<34>1 2026-03-17T10:30:00Z web1 audispd 1 - [a@1 b=\"c\"] \u{feff}",
    ] {
        assert!(is_audit(&format!("{before}{forged}")), "{before}");
    }
}

#[test]
fn only_what_ausearch_writes_is_a_separator() {
    assert_eq!(read("----\ntime->Tue Mar 17 10:31:20 2026\ntime->Tue Mar  7 10:31:20 2026\n---- "), []);
    for line in ["-----BEGIN KEY-----", "---- x", "time->", "time->now", "time->Tue Mar 17 10:31:20 2026 x"] {
        assert_eq!(read(line), [(1, format!("!{line}"))]);
    }
}

#[test]
fn an_event_does_not_wait_for_more_lines_of_a_log_that_goes_on() {
    let (mut decoder, mut block, mut count) = (LineDecoder::default(), Block::default(), 0);
    let mut line = |line: &str, decoder: &mut LineDecoder, block: &mut Block| {
        let mut number = || {
            count += 1;
            count
        };
        decoder.line(line, &mut number, block).unwrap();
    };
    let other = "Mar 17 10:30:00 web1 cron[1]: x";
    for (kind, after) in [("PROCTITLE", auditd::SETTLED_LINES), ("SYSCALL", auditd::PASSED_LINES)] {
        line(&format!("type={kind} msg=audit(1773743400.1:5): pid=1"), &mut decoder, &mut block);
        (1..after).for_each(|_| line(other, &mut decoder, &mut block));
        assert_eq!(decoder.waiting().len(), 1, "{kind}");
        line(other, &mut decoder, &mut block);
        assert!(decoder.waiting().is_empty(), "{kind}");
    }
}

#[test]
fn flows_below_a_header_stand_among_other_lines() {
    let header = "srcaddr dstaddr dstport action";
    let flow = "10.0.0.7 10.0.0.8 443 ACCEPT";
    let own = "2 111122223333 eni-0a1b2c3d 10.0.0.7 10.0.0.8 1024 443 6 1 40 1773743400 1773743460 ACCEPT OK";
    let login = "Mar 17 10:30:00 web1 sshd[7]: Accepted password for alice from 10.0.0.7 port 22 ssh2";
    let refused = "10.0.0.7 10.0.0.8 443 MAYBE";
    let numbered = |lines: &[(u64, &str)]| lines.iter().map(|(n, l)| (*n, (*l).to_owned())).collect::<Vec<_>>();
    let log = [flow, own, header, flow, login, refused, own].join("\n");
    let dead = (format!("!{flow}"), format!("!{refused}"));
    let expected = numbered(&[(1, &dead.0), (2, own), (3, flow), (4, login), (5, &dead.1), (6, own)]);
    assert_eq!(read(&log), expected);
}

#[test]
fn a_header_goes_before_later_pieces() {
    assert_eq!(LineDecoder::header(b"srcaddr dstaddr action\r\n10.0.0.7 10.0.0.8 OK\n"), b"srcaddr dstaddr action\r\n");
    for start in ["", "srcaddr dstaddr action", "10.0.0.7 10.0.0.8\nsrcaddr dstaddr action\n", "\n"] {
        assert_eq!(LineDecoder::header(start.as_bytes()), b"", "{start}");
    }
    assert_eq!(LineDecoder::header(b"srcaddr dstaddr \xff\n"), b"");
    let flow = "2 111122223333 eni-0a1b2c3d 10.0.0.7 10.0.0.8 1024 443 6 1 40 1773743400 1773743460 ACCEPT OK";
    assert!(LineDecoder::is_certain(flow) && !LineDecoder::is_certain("2 eni-0a1b2c3d"));
    let owner = "0123456789abcdef".repeat(4);
    assert!(!LineDecoder::is_certain(&format!("{owner} b [17/Mar/2026:10:30:00 +0000] x")));
}

proptest! {
    #[test]
    fn every_line_of_aws_is_a_record_or_a_dead_letter(
        head in prop_oneof!["srcaddr dstaddr bytes action", "log-status start end", ".{0,24}"],
        words in prop::collection::vec(prop_oneof![
            Just("10.0.0.1"), Just("-"), Just("ACCEPT"), Just("OK"), Just("2"), Just("eni-1"), Just("443"), Just("[17/Mar/2026:10:30:00 +0000]"),
            Just("0123456789abcdef0123456789abcdef"), Just("bucket"), Just("\"GET / HTTP/1.1\""), Just("\"-\""), Just("\""), Just("200"), Just("é\\"),
        ], 0..24),
        tail in ".{0,12}",
    ) {
        let line = format!("{} {tail}", words.join(" ")).replace(['\r', '\n'], " ");
        let (mut decoder, mut block) = (LineDecoder::default(), Block::default());
        let read = [head.replace(['\r', '\n'], " "), line].map(|line| decoder.line(&line, &mut || 1, &mut block).is_ok());
        decoder.finish(&mut block);
        // A header, and ausearch's separators, are neither.
        prop_assert!(block.records.len() <= read.iter().filter(|ok| **ok).count());
        for record in &block.records {
            let text = block.json(record);
            prop_assert_eq!(crate::json::end_of_value(text.as_bytes(), 0), Ok(text.len()));
        }
    }
}
