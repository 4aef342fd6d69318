//! Events of LAUREL (audit records as one JSON object an event), under audit's own names.
//!
//! `SYSCALL`, `EXECVE`, `CWD`, `PROCTITLE` are objects, other records lists of objects; arguments are lists (`ARGV`),
//! numbers that are no decimals have a prefix (`0x…`, `0o…`), bytes that are no text are percent-encoded.

use crate::decode::auditd::event;
use crate::decode::auditd::record::{EventId, Field, Record};
use crate::json::{Kind, Members, at, kind, text};

/// The event as the audit decoder gives it.
pub fn laurel(json: &str) -> Option<String> {
    let id = text(at(json, "ID")?).into_owned();
    let (time, serial) = id.rsplit_once(':')?;
    let node = at(json, "NODE").map(|n| text(n).into_owned());
    let id = EventId { node, time: time.to_owned(), serial: serial.to_owned() };
    let mut records = Vec::new();
    let mut parent = Vec::new();
    for (key, value) in Members::of(json) {
        match (key, kind(value)) {
            ("PARENT_INFO", Kind::Object) => parent = parent_fields(value),
            (_, Kind::Object) => records.push(record(&id, key, value)),
            (_, Kind::Array) => records
                .extend(Members::of(value).filter(|(_, v)| kind(v) == Kind::Object).map(|(_, v)| record(&id, key, v))),
            _ => {}
        }
    }
    if records.is_empty() {
        return None;
    }
    if let Some(call) = records.iter_mut().find(|r| r.kind == "SYSCALL") {
        call.fields.append(&mut parent);
    }
    Some(event::json(&id, &records))
}

fn field(name: impl Into<String>, value: impl Into<String>) -> Field {
    Field { name: name.into(), value: value.into() }
}

/// A record's own words: LAUREL's `0x` and `0o` stand where audit writes bare digits.
fn value(raw: &str) -> String {
    let text = text(raw);
    let bare = text
        .strip_prefix("0x")
        .filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))
        .or_else(|| text.strip_prefix("0o"));
    bare.map_or_else(|| decoded(&text), str::to_owned)
}

fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn words(raw: &str) -> Vec<String> {
    Members::of(raw).map(|(_, v)| value(v)).collect()
}

/// A program's arguments: what looks like a number there is a text.
fn arguments(raw: &str) -> Vec<String> {
    Members::of(raw).map(|(_, v)| decoded(&text(v))).collect()
}

fn record(id: &EventId, kind_name: &str, json: &str) -> Record {
    let mut fields = Vec::new();
    for (key, raw) in Members::of(json) {
        match (kind_name, key, kind(raw)) {
            (_, _, Kind::Null) => {}
            ("PROCTITLE", "ARGV", Kind::Array) => fields.push(field("proctitle", arguments(raw).join(" "))),
            ("EXECVE", "ARGV", Kind::Array) => {
                fields.extend(arguments(raw).into_iter().enumerate().map(|(i, w)| field(format!("a{i}"), w)))
            }
            (_, "ARGV", Kind::Array) => {
                fields.extend(words(raw).into_iter().enumerate().map(|(i, w)| field(format!("a{i}"), w)))
            }
            ("PROCTITLE" | "EXECVE", "ARGV_STR", Kind::String) => {}
            // What LAUREL adds of the parent: `PPID: { EXE, comm, … }`.
            (_, "PPID", Kind::Object) => fields.extend(parent_fields(raw)),
            (_, "SADDR", Kind::Object) => fields.extend(address_fields(raw)),
            (_, key, Kind::Object) => fields.extend(
                Members::of(raw)
                    .filter(|(_, v)| kind(v) != Kind::Object)
                    .map(|(k, v)| field(format!("{key}.{k}"), value(v))),
            ),
            (_, key, Kind::Array) => fields.push(field(key, words(raw).join(","))),
            (_, key, _) => fields.push(field(key, value(raw))),
        }
    }
    Record { id: id.clone(), kind: kind_name.to_owned(), fields }
}

/// A socket address that LAUREL translated, under the names that a decoded `saddr` has; a family's other parts keep
/// theirs below `SADDR`.
fn address_fields(json: &str) -> Vec<Field> {
    let name = |key: &str| match key {
        "saddr_fam" | "path" => key.to_owned(),
        "addr" => "laddr".to_owned(),
        "port" => "lport".to_owned(),
        other => format!("SADDR.{other}"),
    };
    Members::of(json).filter(|(_, v)| kind(v) != Kind::Object).map(|(k, v)| field(name(k), value(v))).collect()
}

fn parent_fields(json: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    for (key, raw) in Members::of(json) {
        match (key, kind(raw)) {
            ("ARGV", Kind::Array) => fields.push(field("parent_cmdline", arguments(raw).join(" "))),
            ("EXE" | "exe", Kind::String) => fields.push(field("parent_exe", value(raw))),
            ("comm", Kind::String) => fields.push(field("parent_comm", value(raw))),
            _ => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_those_of_audit() {
        let json = r#"{"ID":"10.5:7","NODE":"h","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","ppid":1,"pid":2,"uid":33,"key":null,"ARGV":["0x55d0","0x0"],"SYSCALL":"execve","PPID":{"EXE":"/usr/sbin/nginx"}},"EXECVE":{"argc":3,"ARGV":["sh","-c%20x","0x41"]},"PATH":[{"item":0,"name":"/bin/sh","nametype":"NORMAL","mode":"0o100755"}],"PROCTITLE":{"ARGV":["sh","-c x"]},"PARENT_INFO":{"ARGV":["nginx","-g"]}}"#;
        let made: serde_json::Value = serde_json::from_str(&laurel(json).unwrap()).unwrap();
        for (key, expected) in [
            ("a0", "sh"),
            ("a1", "-c x"),
            ("syscall_a0", "55d0"),
            ("arch", "c000003e"),
            ("ARCH", "x86_64"),
            ("name", "/bin/sh"),
            ("mode", "100755"),
            ("parent_exe", "/usr/sbin/nginx"),
            ("parent_cmdline", "nginx -g"),
            ("node", "h"),
            ("a2", "0x41"),
            ("cmdline", "sh -c x 0x41"),
            ("serial", "7"),
        ] {
            assert_eq!(made[key], expected, "{key}");
        }
        assert_eq!(laurel(r#"{"ID":"x"}"#), None);
    }

    #[test]
    fn a_translated_address_has_the_names_of_a_raw_one() {
        let address = |json: &str| -> serde_json::Value {
            let event = format!(r#"{{"ID":"10.5:7","SOCKADDR":[{{{json}}}]}}"#);
            serde_json::from_str(&laurel(&event).unwrap()).unwrap()
        };
        let translated = address(r#""SADDR":{"saddr_fam":"inet","addr":"192.168.1.2","port":8080}"#);
        let raw = address(r#""saddr":"02001F90C0A801020000000000000000""#);
        for name in ["saddr_fam", "laddr", "lport"] {
            assert!(translated[name].is_string() && translated[name] == raw[name], "{name}");
        }
        let local = address(r#""SADDR":{"saddr_fam":"local","path":"/run/x%20y"}"#);
        assert_eq!((&local["saddr_fam"], &local["path"]), (&"local".into(), &"/run/x y".into()));
        let netlink = address(r#""SADDR":{"saddr_fam":"netlink","pid":9}"#);
        assert_eq!((&netlink["pid"], &netlink["SADDR.pid"]), (&serde_json::Value::Null, &"9".into()));
    }
}
