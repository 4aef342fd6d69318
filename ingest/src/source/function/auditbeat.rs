//! Events of Auditbeat's auditd module (Elastic Common Schema), under audit's own names.
//!
//! Auditbeat joins records itself and interprets them as ausearch does; what it has no audit name for keeps its own.

use crate::decode::auditd::event;
use crate::decode::auditd::record::{EventId, Field, Record};
use crate::json::{Kind, Members, at, kind, text};

/// Elastic's names of what SYSCALL and user-space records hold.
const NAMES: &[(&str, &str)] = &[
    ("process.pid", "pid"),
    ("process.ppid", "ppid"),
    ("process.parent.pid", "ppid"),
    ("process.executable", "exe"),
    ("process.name", "comm"),
    ("process.title", "proctitle"),
    ("process.working_directory", "cwd"),
    ("user.id", "uid"),
    ("user.name", "UID"),
    ("user.audit.id", "auid"),
    ("user.audit.name", "AUID"),
    ("user.effective.id", "euid"),
    ("user.effective.name", "EUID"),
    ("user.filesystem.id", "fsuid"),
    ("user.saved.id", "suid"),
    ("user.group.id", "gid"),
    ("user.group.name", "GID"),
    ("auditd.session", "ses"),
    ("auditd.result", "res"),
    ("source.ip", "addr"),
    ("destination.ip", "laddr"),
    ("destination.port", "lport"),
    ("destination.path", "path"),
    ("tags", "key"),
];

/// The event as the audit decoder gives it.
pub fn auditbeat(json: &str) -> Option<String> {
    let auditd = at(json, "auditd")?;
    let kind_name = text(at(auditd, "message_type")?).to_uppercase();
    let node = at(json, "host.hostname")
        .or_else(|| at(json, "host.name"))
        .or_else(|| at(json, "agent.hostname"))
        .map(|n| text(n).into_owned());
    let serial = at(auditd, "sequence").map_or_else(String::new, |s| text(s).into_owned());
    let id = EventId { node, time: text(at(json, "@timestamp")?).into_owned(), serial };
    let mut fields = Vec::new();
    for (path, name) in NAMES {
        if let Some(raw) = at(json, path).filter(|r| kind(r) != Kind::Null) {
            fields.extend(values(raw).into_iter().map(|value| Field { name: (*name).to_owned(), value }));
        }
    }
    let data = at(auditd, "data").unwrap_or("{}");
    // `res` of a system call is audit's `success`.
    if kind_name == "SYSCALL" {
        for field in fields.iter_mut().filter(|f| f.name == "res") {
            field.name = "success".into();
            field.value = if field.value == "success" { "yes".into() } else { "no".into() };
        }
    }
    let (mut sockets, mut words) = (Vec::new(), Vec::new());
    for (key, raw) in Members::of(data) {
        match kind(raw) {
            Kind::Object if key == "socket" => sockets = socket(raw),
            Kind::Object | Kind::Null => {}
            _ if key == "argc" => words.push(Field { name: key.to_owned(), value: text(raw).into_owned() }),
            _ => fields.extend(values(raw).into_iter().map(|value| Field { name: key.to_owned(), value })),
        }
    }
    let mut records = vec![Record { id: id.clone(), kind: kind_name, fields }];
    if let Some(arguments) = at(json, "process.args") {
        words
            .extend(values(arguments).into_iter().enumerate().map(|(i, value)| Field { name: format!("a{i}"), value }));
        records.push(Record { id: id.clone(), kind: "EXECVE".into(), fields: words });
    }
    if !sockets.is_empty() {
        records.push(Record { id: id.clone(), kind: "SOCKADDR".into(), fields: sockets });
    }
    for (_, path) in Members::of(at(auditd, "paths").unwrap_or("[]")) {
        let fields =
            Members::of(path).map(|(k, v)| Field { name: k.to_owned(), value: text(v).into_owned() }).collect();
        records.push(Record { id: id.clone(), kind: "PATH".into(), fields });
    }
    Some(event::json(&id, &records))
}

fn values(raw: &str) -> Vec<String> {
    match kind(raw) {
        Kind::Array => Members::of(raw).map(|(_, v)| text(v).into_owned()).collect(),
        _ => vec![text(raw).into_owned()],
    }
}

fn socket(raw: &str) -> Vec<Field> {
    let names = [("family", "saddr_fam"), ("addr", "laddr"), ("port", "lport"), ("path", "path"), ("saddr", "saddr")];
    let field = |(key, name): (&str, &str)| {
        let value = text(at(raw, key)?).into_owned();
        let value = match value.as_str() {
            "ipv4" => "inet".to_owned(),
            "ipv6" => "inet6".to_owned(),
            "unix" => "local".to_owned(),
            _ => value,
        };
        Some(Field { name: name.to_owned(), value })
    };
    names.into_iter().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_those_of_audit() {
        let json = r#"{"@timestamp":"2026-03-17T10:30:00.123Z","host":{"name":"h"},"event":{"module":"auditd"},"user":{"id":"0","name":"root","audit":{"id":"1000"}},"process":{"pid":7,"parent":{"pid":1},"name":"tar","executable":"/bin/tar","args":["tar","-c","x y"],"working_directory":"/"},"auditd":{"message_type":"syscall","sequence":9,"result":"success","session":"2","data":{"arch":"x86_64","syscall":"execve","exit":"0","tty":"pts0","a0":"55d0","argc":"3"},"paths":[{"item":"0","name":"/bin/tar","nametype":"NORMAL"}]}}"#;
        let made: serde_json::Value = serde_json::from_str(&auditbeat(json).unwrap()).unwrap();
        for (key, expected) in [
            ("a0", "tar"),
            ("a2", "x y"),
            ("syscall_a0", "55d0"),
            ("SYSCALL", "execve"),
            ("exe", "/bin/tar"),
            ("uid", "0"),
            ("auid", "1000"),
            ("success", "yes"),
            ("cmdline", "tar -c x y"),
            ("name", "/bin/tar"),
            ("node", "h"),
            ("timestamp", "2026-03-17T10:30:00.123Z"),
            ("record_type", "SYSCALL"),
        ] {
            assert_eq!(made[key], expected, "{key}");
        }
    }
}
