//! What sshd, sudo, su, PAM and the account tools say, as fields beside the message.
//!
//! `event` says in one word what happened: accepted, failed, invalid_user, denied, disconnected, closed, abandoned,
//! session_opened, session_closed, command, user_added, user_deleted, group_added, group_deleted, member_added,
//! member_removed, password_changed. The others: `user` (whom it is about), `by` (who did it), `group`, `src` and
//! `src_port`, `method`, `protocol`, `fingerprint`, `service` (PAM's), `reason`, `count` (how often it came), and sudo's own
//! `TTY`, `PWD`, `USER`, `COMMAND`. A message of other words has none.
//! Sources: OpenSSH's `auth.c` and `packet.c`, sudo's `eventlog.c`, util-linux's and shadow's tools, Linux-PAM, rsyslog's
//! `$RepeatedMsgReduction`.

/// Reads a program's message.
pub fn read(app: &str, message: &str, field: &mut impl FnMut(&str, &str)) {
    let app = app.split('(').next().unwrap_or(app).rsplit('/').next().unwrap_or(app);
    let message = message.trim_start();
    let (repeats, message) = repeated(message).map_or((None, message), |(count, m)| (Some(count), m.trim_start()));
    let more = message.strip_prefix("PAM ").and_then(|t| t.split_once(" more authentication failure"));
    field("count", repeats.or(more.map(|(count, _)| count)).unwrap_or(""));
    if more.is_some() {
        return pam_failure(message, field);
    }
    if message.starts_with("pam_") && message.contains("): ") {
        return pam(message, field);
    }
    match app {
        "sshd" | "sshd-session" | "sshd-auth" | "dropbear" => sshd(message, field),
        "sudo" => sudo(message, field),
        "su" | "su-l" | "runuser" => su(message, field),
        "useradd" | "userdel" | "usermod" | "groupadd" | "groupdel" | "groupmems" | "gpasswd" | "adduser"
        | "newusers" => account(message, field),
        _ => {}
    }
}

/// `message repeated 5 times: [ Failed password …]`: the count and the message.
fn repeated(message: &str) -> Option<(&str, &str)> {
    let (count, rest) = message.strip_prefix("message repeated ")?.split_once(" times: [")?;
    let number = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    // rsyslog cuts a long message, and with it the bracket.
    number.then(|| (count, rest.strip_suffix(']').unwrap_or(rest)))
}

/// The word at the start, and the rest.
fn word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn sshd(message: &str, field: &mut impl FnMut(&str, &str)) {
    let text = message.strip_prefix("error: ").unwrap_or(message);
    // Who leaves before logging in did not log off.
    let (text, left) = text.strip_suffix(" [preauth]").map_or((text, None), |t| (t, Some("abandoned")));
    let (first, rest) = word(text);
    match first {
        "Accepted" | "Failed" | "Postponed" | "Partial" => {
            let Some((method, rest)) = rest.split_once(" for ") else { return };
            let Some((user, rest)) = user_from(rest, field) else { return };
            field(
                "event",
                match first {
                    "Accepted" => "accepted",
                    "Failed" => "failed",
                    _ => "postponed",
                },
            );
            field("method", method);
            field("user", user);
            peer(rest, field);
        }
        "Invalid" | "Illegal" if rest.starts_with("user ") => {
            let Some((user, rest)) = rest["user ".len()..].rsplit_once("from ") else { return };
            field("event", "invalid_user");
            field("user", user.trim_end());
            peer(rest, field);
        }
        "maximum" => {
            let Some((_, rest)) = rest.split_once("exceeded for ") else { return };
            let Some((user, rest)) = user_from(rest, field) else { return };
            field("event", "failed");
            field("reason", "maximum authentication attempts exceeded");
            field("user", user);
            peer(rest, field);
        }
        "User" => {
            let Some((user, rest)) = rest.split_once(" from ") else { return };
            let Some((source, why)) = rest.split_once(" not allowed because ") else { return };
            field("event", "denied");
            field("user", user);
            field("reason", why);
            peer(source, field);
        }
        "Received" => {
            let Some(rest) = rest.strip_prefix("disconnect from ") else { return };
            field("event", left.unwrap_or("disconnected"));
            peer(rest, field);
            if let Some((_, reason)) = rest.split_once(": ") {
                field("reason", reason);
            }
        }
        "Disconnected" | "Disconnecting" => {
            let rest = rest.strip_prefix("from ").unwrap_or(rest);
            field("event", left.unwrap_or("disconnected"));
            leaving(rest, field);
        }
        "Connection" => {
            let Some(rest) = rest.strip_prefix("closed by ").or_else(|| rest.strip_prefix("reset by ")) else { return };
            field("event", left.unwrap_or("closed"));
            leaving(rest, field);
        }
        _ => {}
    }
}

/// `[invalid user ]NAME from …`: a name may hold spaces, and " from " too: the last one counts.
fn user_from<'a>(text: &'a str, field: &mut impl FnMut(&str, &str)) -> Option<(&'a str, &'a str)> {
    let (user, rest) = text.rsplit_once(" from ")?;
    let known = user.strip_prefix("invalid user ").or_else(|| user.strip_prefix("illegal user "));
    if known.is_some() {
        field("reason", "invalid user");
    }
    Some((known.unwrap_or(user), rest))
}

/// `[authenticating user|invalid user|user] NAME ADDRESS port N`, or without a name.
fn leaving(text: &str, field: &mut impl FnMut(&str, &str)) {
    let named = ["authenticating user ", "invalid user ", "user "].iter().find_map(|p| text.strip_prefix(p));
    match named.and_then(|t| t.rsplit_once(" port ").and_then(|(t, port)| Some((t.rsplit_once(' ')?, port)))) {
        Some(((user, address), port)) => {
            field("user", user);
            field("src", address);
            field("src_port", digits(port));
        }
        None => peer(text, field),
    }
}

/// `ADDRESS [port N] [ssh2][: KEYTYPE FINGERPRINT]`.
fn peer(text: &str, field: &mut impl FnMut(&str, &str)) {
    let (address, rest) = word(text);
    field("src", address.trim_end_matches([':', ',']));
    let Some(rest) = rest.strip_prefix("port ") else { return };
    let port = digits(rest);
    field("src_port", port);
    let (protocol, key) = word(rest[port.len()..].trim_start());
    if protocol.starts_with("ssh") {
        field("protocol", protocol.trim_end_matches(':'));
        let fingerprint = key.split(' ').find(|w| w.starts_with("SHA256:") || w.starts_with("MD5:"));
        field("fingerprint", fingerprint.unwrap_or(""));
    }
}

fn digits(text: &str) -> &str {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// Where the value at a text's start ends; none is at the text's end.
type End = fn(&str) -> Option<usize>;

/// `alice : [reason ; ]TTY=pts/0 ; PWD=/ ; USER=root ; [ENV=… ; ]COMMAND=/bin/id -u`.
///
/// Who calls sudo chooses the directory, the command and its environment, and each of them may hold ` ; ` and a key.
/// So a refusal is told by what stands first, where sudo's own reason does: no directory's name makes one of a command
/// that was executed. `COMMAND` begins at its first key and goes to the end: no argument hides what is before it, and
/// where a directory's name holds the key, all of the command is still in it. A directory goes to the last ` ; USER=`.
fn sudo(message: &str, field: &mut impl FnMut(&str, &str)) {
    let Some((user, rest)) = message.split_once(" : ") else { return };
    let keyed =
        |text: &str| ["HOST=", "TTY=", "CHROOT=", "PWD=", "USER=", "COMMAND="].iter().any(|k| text.starts_with(k));
    let (reason, rest) = if keyed(rest) {
        ("", rest)
    } else {
        let Some((at, _)) = rest.match_indices(" ; ").find(|(at, mark)| keyed(&rest[at + mark.len()..])) else {
            return;
        };
        (&rest[..at], &rest[at + " ; ".len()..])
    };
    field("user", user.trim());
    field(
        "event",
        if reason.is_empty() {
            "command"
        } else if ["incorrect password", "authentication", "password is required"].iter().any(|w| reason.contains(w)) {
            "failed"
        } else {
            "denied"
        },
    );
    field("reason", reason);
    let (mut rest, command) = match rest.strip_prefix("COMMAND=") {
        Some(command) => ("", Some(command)),
        None => rest.split_once(" ; COMMAND=").map_or((rest, None), |(before, command)| (before, Some(command))),
    };
    let word: End = |text| text.find(" ; ");
    let ends: [(&str, End); 8] = [
        ("HOST", word),
        ("TTY", word),
        ("CHROOT", |text| text.find(" ; PWD=")),
        ("PWD", |text| text.rfind(" ; USER=")),
        ("USER", word),
        ("GROUP", word),
        ("TSID", word),
        ("ENV", |_| None),
    ];
    for (key, end) in ends {
        let Some(text) = rest.strip_prefix(key).and_then(|t| t.strip_prefix('=')) else { continue };
        let end = end(text);
        field(key, &text[..end.unwrap_or(text.len())]);
        rest = end.map_or("", |end| &text[end + " ; ".len()..]);
    }
    field("COMMAND", command.unwrap_or(""));
}

fn su(message: &str, field: &mut impl FnMut(&str, &str)) {
    let (event, text) = match message.strip_prefix("FAILED ") {
        Some(rest) => ("failed", rest),
        None => ("accepted", message),
    };
    let text = text.strip_prefix("Successful ").unwrap_or(text);
    let text = text.strip_prefix("SU ").or_else(|| text.strip_prefix("su ")).unwrap_or(text);
    let (user, by, tty) = if let Some((user, rest)) = text.strip_prefix("(to ").and_then(|t| t.split_once(") ")) {
        let (by, tty) = rest.split_once(" on ").unwrap_or((rest, ""));
        (user, by, tty)
    } else if let Some((user, by)) = text.strip_prefix("for ").and_then(|t| t.split_once(" by ")) {
        (user, by, "")
    } else if let Some((event_mark, rest)) = text.split_once(' ').filter(|(m, _)| matches!(*m, "+" | "-")) {
        // shadow: `+ /dev/pts/0 alice:root`.
        let Some((tty, (by, user))) = rest.split_once(' ').and_then(|(tty, who)| Some((tty, who.split_once(':')?)))
        else {
            return;
        };
        field("event", if event_mark == "+" { "accepted" } else { "failed" });
        field("user", user);
        field("by", by);
        field("tty", tty);
        return;
    } else {
        return;
    };
    field("event", event);
    field("user", user);
    field("by", by);
    field("tty", tty);
}

/// `pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)` and the like.
fn pam(message: &str, field: &mut impl FnMut(&str, &str)) {
    let Some((module, text)) = message.split_once("): ") else { return };
    let service = module.split_once('(').map_or("", |(_, s)| s.split(':').next().unwrap_or(s));
    let name = |text: &str| text.split('(').next().unwrap_or(text).trim().to_owned();
    if let Some(rest) = text.strip_prefix("session opened for user ") {
        let (user, by) = rest.split_once(" by ").unwrap_or((rest, ""));
        field("event", "session_opened");
        field("user", &name(user));
        field("by", &name(by));
    } else if let Some(user) = text.strip_prefix("session closed for user ") {
        field("event", "session_closed");
        field("user", &name(user));
    } else if let Some(user) = text.strip_prefix("password changed for ") {
        field("event", "password_changed");
        field("user", user.trim());
    } else if text.contains("authentication failure") {
        pam_failure(text, field);
    } else {
        return;
    }
    field("service", service);
}

/// `authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.7  user=root`. The name, whatever it holds,
/// is the last.
fn pam_failure(text: &str, field: &mut impl FnMut(&str, &str)) {
    let (reason, pairs) = text.split_once("; ").unwrap_or((text, ""));
    field("event", "failed");
    field("reason", reason);
    let (pairs, user) = pairs.split_once("  user=").unwrap_or((pairs, ""));
    field("user", user);
    for (key, value) in pairs.split(' ').filter_map(|pair| pair.split_once('=')) {
        match key {
            "user" if user.is_empty() => field("user", value),
            "ruser" => field("by", value),
            "rhost" => field("src", value),
            "tty" | "uid" | "euid" | "logname" => field(key, value),
            _ => {}
        }
    }
}

/// shadow's tools: `new user: name=alice, UID=1001, GID=1001, home=/home/alice, shell=/bin/bash`, `delete user 'alice'`,
/// `add 'alice' to group 'ops'`, `user alice added by root to group ops`.
fn account(message: &str, field: &mut impl FnMut(&str, &str)) {
    let quoted = |text: &str| text.trim().trim_matches(['\'', '`', '"']).to_owned();
    if let Some((event, pairs)) = message.split_once(": ").and_then(|(what, pairs)| match what {
        "new user" => Some(("user_added", pairs)),
        "new group" => Some(("group_added", pairs)),
        _ => None,
    }) {
        field("event", event);
        for (key, value) in pairs.split(", ").filter_map(|p| p.split_once('=')) {
            match key {
                "name" => field(if event == "user_added" { "user" } else { "group" }, value),
                "UID" | "GID" | "home" | "shell" | "from" => field(key, value),
                _ => {}
            }
        }
    } else if let Some((event, user, by, group)) = member(message) {
        field("event", event);
        field("user", &quoted(user));
        field("by", by);
        field("group", &quoted(group));
    } else if let Some(user) = message.strip_prefix("delete user ") {
        field("event", "user_deleted");
        field("user", &quoted(user));
    } else if let Some(group) = message
        .strip_prefix("removed group ")
        .or_else(|| message.strip_prefix("group '").filter(|m| m.ends_with(" removed")))
    {
        field("event", "group_deleted");
        field("group", &quoted(group.split(" owned").next().unwrap_or(group).trim_end_matches(" removed")));
    }
}

/// Whom a group gets or loses: event, user, by whom where that is told, group.
fn member(message: &str) -> Option<(&'static str, &str, &str, &str)> {
    if let Some((user, group)) = message.strip_prefix("add ").and_then(|t| t.split_once(" to ")) {
        Some(("member_added", user, "", after_group(group)?))
    } else if let Some((user, group)) = message.strip_prefix("delete ").and_then(|t| t.split_once(" from ")) {
        Some(("member_removed", user, "", after_group(group)?))
    } else {
        let (user, rest) = message.strip_prefix("user ")?.split_once(' ')?;
        let (event, by, group) = match rest.strip_prefix("added by ").and_then(|t| t.split_once(" to ")) {
            Some((by, group)) => ("member_added", by, group),
            None => rest.strip_prefix("removed by ")?.split_once(" from ").map(|(by, g)| ("member_removed", by, g))?,
        };
        Some((event, user, by, after_group(group)?))
    }
}

/// The name in `group 'ops'`, `shadow group 'ops'`.
fn after_group(text: &str) -> Option<&str> {
    text.strip_prefix("shadow ").unwrap_or(text).strip_prefix("group ")
}
