#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::atomic::definition;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What reaches other machines, other users, packages or the kernel, or destroys: never the program of a listed command.
const FORBIDDEN: &str = "\
    curl wget ssh scp sftp ftp tftp telnet nc ncat netcat socat ping dig nslookup host whois nmap ldapsearch \
    ldapadd openvpn sshpass smbclient sudo su doas pkexec apt apt-get yum dnf pkg brew pip pip3 npm gem \
    docker kubectl aws az gcloud useradd userdel usermod passwd insmod modprobe rmmod mkfs mount umount \
    shutdown reboot halt poweroff iptables ufw at atd make go cpan";
/// Nowhere in a listed command.
const FORBIDDEN_TEXTS: &[&str] = &["http://", "https://", "/dev/tcp/", "/dev/udp/", "--no-preserve-root", "of=/dev/"];

/// The programs that a script calls: the first word of each simple command, and the word after those that run another.
fn programs(script: &str) -> BTreeSet<&str> {
    let mut programs = BTreeSet::new();
    for command in script.split([';', '|', '&', '\n', '(', ')', '`', '{', '}']) {
        for word in command.split_whitespace() {
            match word.trim_matches(['"', '\'']) {
                "if" | "then" | "else" | "do" | "while" | "!" | "time" | "nohup" | "exec" | "xargs" | "env" | "[" => {}
                "-n1" => {}
                word if word.contains('=') && !word.starts_with('-') => {}
                bare => {
                    // A quoted path is an argument of other code.
                    programs.insert(if bare == word { bare.rsplit('/').next().unwrap_or(bare) } else { bare });
                    break;
                }
            }
        }
        let mut words = command.split_whitespace();
        while let Some(word) = words.next() {
            if word == "-exec" || word == "-execdir" {
                programs.extend(words.next());
            }
        }
    }
    programs
}

#[test]
fn programs_are_found() {
    let found = programs("X=1 sudo ls; if curl -s x | /bin/sh; then find . -exec ssh {} \\; ; fi\necho $(wget y)");
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["curl", "echo", "fi", "find", "sh", "ssh", "sudo", "wget", "\\"]
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn the_list_is_in_form() {
    let list = List::shipped().unwrap();
    assert!(list.entries().len() >= 100, "{} tests", list.entries().len());
    let guids: BTreeSet<_> = list.entries().iter().map(|a| &a.guid).collect();
    assert_eq!(guids.len(), list.entries().len(), "a test stands twice");
    for entry in list.entries() {
        assert!(entry.guid.len() == 36 && entry.guid == entry.guid.to_ascii_lowercase(), "{}", entry.guid);
        assert!(entry.digest.len() == DIGITS && entry.digest.bytes().all(|b| b.is_ascii_hexdigit()), "{}", entry.guid);
        assert!((10..=120).contains(&entry.reason.len()), "{}: a reason of one line", entry.guid);
    }
}

/// Where the real tests are, the list is what they are, and none of them does what no listed test may.
#[test]
fn every_listed_test_was_reviewed_as_it_is() {
    let data = std::env::var_os("TARN_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")), PathBuf::from);
    let atomics = data.join("atomics");
    if !atomics.is_dir() {
        eprintln!("skipped: no {}", atomics.display());
        return;
    }
    let tests = definition::read(&atomics).unwrap();
    let list = List::shipped().unwrap();
    for entry in list.entries() {
        let test = tests.iter().find(|t| t.guid == entry.guid).unwrap_or_else(|| panic!("no test {}", entry.guid));
        let told = format!("{} {}", test.technique, test.name);
        assert_eq!(list.check(test), Ok(entry), "{told}");
        assert!(test.platforms.iter().any(|p| p == "linux"), "{told}");
        assert!(["sh", "bash"].contains(&test.executor.name.as_str()), "{told}");
        assert!(!test.executor.elevation_required, "{told}");
        let mut scripts = vec![test.executor.command.as_str()];
        scripts.extend(test.executor.cleanup_command.as_deref());
        for dependency in &test.dependencies {
            scripts.push(&dependency.prereq_command);
            if entry.prepare {
                scripts.push(&dependency.get_prereq_command);
            }
        }
        for script in scripts {
            let script = crate::atomic::inputs::fill(test, script, std::path::Path::new("/atomics")).unwrap();
            let bad: Vec<_> = programs(&script).into_iter().filter(|p| FORBIDDEN.split(' ').any(|f| f == *p)).collect();
            assert!(bad.is_empty(), "{told}: {bad:?}");
            let bad = FORBIDDEN_TEXTS.iter().find(|text| script.contains(**text));
            assert!(bad.is_none(), "{told}: {bad:?}");
        }
    }
}

const TEST: &str = "attack_technique: T9\natomic_tests:\n- name: x\n  auto_generated_guid: g\n  input_arguments:\n    f: { default: a }\n  dependencies:\n  - { prereq_command: p, get_prereq_command: q }\n  executor: { name: sh, command: c, cleanup_command: d }\n";

#[test]
fn a_test_that_is_another_than_was_reviewed_is_refused() {
    let test = |text: &str| definition::parse(text).unwrap().remove(0);
    let reviewed = digest(&test(TEST));
    let entry = format!("- {{ technique: T9, guid: g, digest: '{reviewed}', reason: invented }}");
    let list = List::parse(&entry).unwrap();
    assert!(list.check(&test(TEST)).is_ok());
    for (from, to) in [
        ("command: c,", "command: c2,"),
        ("cleanup_command: d", "cleanup_command: d2"),
        ("name: sh", "name: bash"),
        ("default: a", "default: b"),
        ("f: {", "g: {"),
        ("prereq_command: p", "prereq_command: p2"),
        ("get_prereq_command: q", "get_prereq_command: q2"),
    ] {
        let changed = list.check(&test(&TEST.replace(from, to)));
        assert!(matches!(changed, Err(Refused::Changed { .. })), "{from} → {to}");
    }
    for (from, to) in [("guid: g", "guid: h"), ("technique: T9", "technique: T8")] {
        assert_eq!(list.check(&test(&TEST.replace(from, to))), Err(Refused::Unlisted));
    }
    assert!(List::parse("- { guid: g, unknown: 1 }").is_err());
}
