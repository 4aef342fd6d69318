#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn event(line: &str) -> Value {
    let mut block = Block::default();
    super::line(line, &mut || 1, &mut block).unwrap_or_else(|e| panic!("{line}: {e}"));
    serde_json::from_str(block.json(&block.records[0])).unwrap()
}

fn has(line: &str, expected: Value) {
    let event = event(line);
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&event[key], value, "{key} of {event:#}");
    }
}

#[test]
fn headers_of_all_forms() {
    has(
        r#"<34>1 2026-03-17T10:30:00.003Z web1 su - ID47 [a@1 k="v \"q\" \]x" l="w"][b] FAILED SU (to root) eve on pts/8"#,
        json!({ "syslog_format": "rfc5424", "timestamp": "2026-03-17T10:30:00.003Z", "hostname": "web1", "appname": "su", "procid": null,
            "msgid": "ID47", "facility": 4, "severity": 2, "structured_data": { "a@1": { "k": "v \"q\" ]x", "l": "w" }, "b": {} },
            "event": "failed", "user": "root", "by": "eve", "tty": "pts/8" }),
    );
    has(
        "<165>1 2026-03-17T10:30:00Z - app 12 - - \u{feff}hello",
        json!({ "hostname": null, "appname": "app", "message": "hello" }),
    );
    has(
        "<13>Mar  7 10:30:00 web1 kernel: [ 1.2] x: y",
        json!({ "syslog_format": "rfc3164", "timestamp": "Mar  7 10:30:00", "appname": "kernel", "message": "[ 1.2] x: y" }),
    );
    has("Mar 17 2026 10:30:00 fw1 a[1]: m", json!({ "timestamp": "Mar 17 2026 10:30:00", "procid": "1" }));
    has(
        "2026-03-17T10:30:00.123456+01:00 web1 CRON[77]: (root) CMD (run)",
        json!({ "syslog_format": "iso", "appname": "CRON", "procid": "77" }),
    );
    has(
        "Mar 17 10:30:00 web1 last message repeated 3 times",
        json!({ "appname": null, "message": "last message repeated 3 times" }),
    );
    has("Mar 17 10:30:00 sshd[5]: hi", json!({ "hostname": null, "appname": "sshd" }));
    for line in
        ["", "hello world", "<999>Mar 17 10:30:00 a b: c", "Mar 17", "2026-03-17T10:30:00Z", "{\"a\":1}", "<1>1 x"]
    {
        assert!(!looks_like(line), "{line}");
    }
}

#[test]
fn messages_are_understood() {
    let says =
        |app: &str, message: &str, expected: Value| has(&format!("Mar 17 10:30:00 web1 {app}[9]: {message}"), expected);
    let from =
        |event: &str, user: &str| json!({ "event": event, "user": user, "src": "10.0.0.7", "src_port": "50022" });
    says(
        "sshd",
        "Accepted publickey for alice from 10.0.0.7 port 50022 ssh2: ED25519 SHA256:abc/def",
        from("accepted", "alice"),
    );
    says(
        "sshd",
        "Accepted publickey for alice from 10.0.0.7 port 50022 ssh2: ED25519 SHA256:abc/def",
        json!({ "method": "publickey", "protocol": "ssh2", "fingerprint": "SHA256:abc/def" }),
    );
    says(
        "sshd-session",
        "Failed password for invalid user a from b from 10.0.0.7 port 50022 ssh2",
        json!({ "event": "failed", "user": "a from b", "reason": "invalid user", "src": "10.0.0.7" }),
    );
    says(
        "sshd",
        "Invalid user  from 10.0.0.7 port 50022",
        json!({ "event": "invalid_user", "user": null, "src": "10.0.0.7" }),
    );
    says("sshd", "Invalid user x y from 10.0.0.7 port 50022", from("invalid_user", "x y"));
    says(
        "sshd",
        "error: maximum authentication attempts exceeded for root from 10.0.0.7 port 50022 ssh2 [preauth]",
        from("failed", "root"),
    );
    says("sshd", "Disconnected from authenticating user root 10.0.0.7 port 50022 [preauth]", from("abandoned", "root"));
    says("sshd", "Connection closed by invalid user x 10.0.0.7 port 50022 [preauth]", from("abandoned", "x"));
    says(
        "sshd",
        "Connection closed by 10.0.0.7 port 50022",
        json!({ "event": "closed", "src": "10.0.0.7", "user": null }),
    );
    says(
        "sshd",
        "Received disconnect from 10.0.0.7 port 50022:11: disconnected by user",
        json!({ "event": "disconnected", "src_port": "50022", "reason": "disconnected by user" }),
    );
    says(
        "sshd",
        "User bob from 10.0.0.7 not allowed because not listed in AllowUsers",
        json!({ "event": "denied", "user": "bob", "reason": "not listed in AllowUsers" }),
    );
    says("sshd", "Server listening on 0.0.0.0 port 22.", json!({ "event": null }));
    says(
        "sshd",
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.7  user=root",
        json!({ "event": "failed", "user": "root", "src": "10.0.0.7", "service": "sshd" }),
    );
    says(
        "sudo",
        "pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)",
        json!({ "event": "session_opened", "user": "root", "by": "alice", "service": "sudo" }),
    );
    says(
        "sudo",
        "   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/sh -c a ; b=c",
        json!({ "event": "command", "user": "alice", "USER": "root", "TTY": "pts/0", "PWD": "/home/alice", "COMMAND": "/bin/sh -c a ; b=c" }),
    );
    says(
        "sudo",
        "eve : 3 incorrect password attempts ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/id",
        json!({ "event": "failed", "user": "eve", "reason": "3 incorrect password attempts", "COMMAND": "/bin/id" }),
    );
    says(
        "sudo",
        "eve : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/id",
        json!({ "event": "denied" }),
    );
    says(
        "su",
        "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.7  user=a user=b  user=c",
        json!({ "event": "failed", "count": "2", "user": "a user=b  user=c", "src": "10.0.0.7", "reason": "PAM 2 more authentication failures" }),
    );
    says(
        "sshd",
        "message repeated 5 times: [ Failed password for root from 10.0.0.7 port 50022 ssh2]",
        from("failed", "root"),
    );
    says(
        "sshd",
        "message repeated 5 times: [ Failed password for root from 10.0.0.7 port 50022 ssh2]",
        json!({ "count": "5", "protocol": "ssh2" }),
    );
    says("sshd", "message repeated x times: [ Failed]", json!({ "count": null, "event": null }));
    says(
        "su",
        "(to root) alice on pts/2",
        json!({ "event": "accepted", "user": "root", "by": "alice", "tty": "pts/2" }),
    );
    says("su", "FAILED su for root by eve", json!({ "event": "failed", "user": "root", "by": "eve" }));
    says("su", "+ /dev/pts/0 alice:root", json!({ "event": "accepted", "user": "root", "by": "alice" }));
    says(
        "useradd",
        "new user: name=eve, UID=0, GID=0, home=/root, shell=/bin/bash, from=/dev/pts/1",
        json!({ "event": "user_added", "user": "eve", "UID": "0", "shell": "/bin/bash" }),
    );
    for (message, event, by) in [
        ("add 'eve' to group 'wheel'", "member_added", None),
        ("add 'eve' to shadow group 'wheel'", "member_added", None),
        ("delete 'eve' from group 'wheel'", "member_removed", None),
        ("user eve added by root to group wheel", "member_added", Some("root")),
        ("user eve removed by root from group wheel", "member_removed", Some("root")),
    ] {
        says("gpasswd", message, json!({ "event": event, "user": "eve", "group": "wheel", "by": by }));
    }
    says("usermod", "add 'eve' to the list", json!({ "event": null }));
    says("userdel", "delete user 'eve'", json!({ "event": "user_deleted", "user": "eve" }));
    says(
        "passwd",
        "pam_unix(passwd:chauthtok): password changed for alice",
        json!({ "event": "password_changed", "user": "alice" }),
    );
}

#[test]
fn neither_a_directory_nor_an_argument_hides_what_sudo_ran() {
    let says = |message: &str, expected: Value| has(&format!("Mar 17 10:30:00 web1 sudo[9]: {message}"), expected);
    says(
        "eve : TTY=pts/0 ; PWD=/srv/a ; b ; USER=root ; COMMAND=/bin/id",
        json!({ "event": "command", "reason": null, "PWD": "/srv/a ; b", "USER": "root", "COMMAND": "/bin/id" }),
    );
    says(
        "eve : TTY=pts/0 ; PWD=/srv/3 incorrect password attempts ; TTY=pts/9 ; USER=bob ; USER=root ; COMMAND=/bin/id",
        json!({ "event": "command", "TTY": "pts/0", "USER": "root" }),
    );
    // A key in a directory's name lengthens the command, one in an argument stays there.
    says(
        "eve : TTY=pts/0 ; PWD=/srv ; USER=root ; COMMAND=/bin/true ; USER=root ; COMMAND=/bin/sh",
        json!({ "PWD": "/srv", "COMMAND": "/bin/true ; USER=root ; COMMAND=/bin/sh" }),
    );
    says(
        "eve : PWD=/ ; USER=root ; GROUP=adm ; TSID=000001 ; ENV=A=1 ; TTY=x ; COMMAND=list",
        json!({ "event": "command", "TTY": null, "GROUP": "adm", "TSID": "000001", "ENV": "A=1 ; TTY=x", "COMMAND": "list" }),
    );
    // A refusal stays one, whatever its reason quotes.
    says(
        "eve : sorry, you may not set X= ; TTY=pts/0 ; PWD=/ ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/id",
        json!({ "event": "denied", "COMMAND": "/bin/id" }),
    );
    says("eve : (command continued) -x ; y", json!({ "event": null, "user": null }));
}

proptest! {
    #[test]
    fn no_line_panics_and_records_are_json(
        head in prop_oneof!["Mar 17 10:30:00 h ", "<34>1 2026-03-17T10:30:00Z h a 1 - ", "2026-03-17T10:30:00Z h ", ".{0,24}"],
        app in prop_oneof!["sshd\\[1\\]: ", "sudo: ", "su: ", "useradd: ", "pam: ", "\\[x y=\"", ".{0,8}"],
        words in prop::collection::vec(prop_oneof![
            Just("Failed"), Just("Accepted"), Just("for"), Just("from"), Just("port"), Just("Invalid user"), Just(" : "), Just(" ; "), Just("USER="),
            Just("COMMAND="), Just("pam_unix("), Just("): session opened for user"), Just("by"), Just("new user: name="), Just("é\\\"]"), Just("Connection closed by"),
        ], 0..8),
        tail in ".{0,20}",
    ) {
        let line = format!("{head}{app}{}{tail}", words.join(" ")).replace(['\r', '\n'], " ");
        let mut block = Block::default();
        match super::line(&line, &mut || 1, &mut block) {
            Ok(()) => {
                prop_assert_eq!(block.records.len(), 1);
                let text = block.json(&block.records[0]);
                prop_assert_eq!(crate::json::end_of_value(text.as_bytes(), 0), Ok(text.len()));
                prop_assert_eq!(block.original(&block.records[0]), line);
            }
            Err(_) => prop_assert!(block.records.is_empty()),
        }
    }
}
