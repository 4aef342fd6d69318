//! journald's JSON export (`journalctl -o json`) under the syslog decoder's names; its own fields stay beside them.
//!
//! Source: systemd.journal-fields(7), "Journal JSON format": a field that is no text is an array of bytes, a repeated
//! field an array of values.

use crate::decode::syslog::message;
use crate::json::{Kind, Members, kind, push_string, text, unescape};

/// Names that syslog has for journald's fields; the first that is there counts.
const NAMES: &[(&str, &str)] = &[
    ("_HOSTNAME", "hostname"),
    ("SYSLOG_IDENTIFIER", "appname"),
    ("_COMM", "appname"),
    ("_PID", "procid"),
    ("SYSLOG_PID", "procid"),
    ("SYSLOG_FACILITY", "facility"),
    ("PRIORITY", "severity"),
];

/// The entry as the syslog decoder gives a line.
pub fn journald(json: &str) -> Option<String> {
    // A null is a field that is longer than the export gives.
    let found = |wanted: &str| Members::of(json).find(|(k, v)| *k == wanted && kind(v) != Kind::Null);
    let value = |wanted: &str| found(wanted).map(|(_, v)| plain(v));
    let mut out = String::from("{\"syslog_format\":\"journald\"");
    let mut member = |key: &str, value: &str| {
        if !value.is_empty() {
            out.push(',');
            push_string(&mut out, key);
            out.push(':');
            push_string(&mut out, value);
        }
    };
    let mut done: Vec<&str> = Vec::new();
    for (field, name) in NAMES {
        if let Some(text) = value(field).filter(|_| !done.contains(name)) {
            done.push(name);
            member(name, &text);
        }
    }
    let message = value("MESSAGE").unwrap_or_default();
    let app = value("SYSLOG_IDENTIFIER").or_else(|| value("_COMM")).unwrap_or_default();
    message::read(&app, &message, &mut member);
    member("message", &message);
    for (key, raw) in Members::of(json).filter(|(k, v)| *k != "MESSAGE" || kind(v) == Kind::Null) {
        out.push(',');
        push_string(&mut out, &unescape(key));
        out.push(':');
        out.push_str(raw);
    }
    out.push('}');
    Some(out)
}

fn plain(raw: &str) -> String {
    if kind(raw) != Kind::Array {
        return text(raw).into_owned();
    }
    let bytes: Option<Vec<u8>> = Members::of(raw).map(|(_, v)| v.parse().ok()).collect();
    match bytes {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => Members::of(raw).next().map_or_else(String::new, |(_, v)| text(v).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn entries_are_lines() {
        let json = r#"{"__REALTIME_TIMESTAMP":"1773743400000000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"sshd","_COMM":"sshd","_PID":"7","PRIORITY":"6","MESSAGE":"Invalid user x from 10.0.0.7 port 22"}"#;
        let made: serde_json::Value = serde_json::from_str(&journald(json).unwrap()).unwrap();
        assert_eq!(
            (&made["event"], &made["src"], &made["appname"], &made["procid"]),
            (&"invalid_user".into(), &"10.0.0.7".into(), &"sshd".into(), &"7".into())
        );
        assert_eq!(made["__REALTIME_TIMESTAMP"], "1773743400000000");
        let bytes = journald(r#"{"MESSAGE":[104,105,255]}"#).unwrap();
        assert!(bytes.contains("hi\u{fffd}"), "{bytes}");
        let long = journald(r#"{"MESSAGE":null,"SYSLOG_IDENTIFIER":null,"_COMM":"app"}"#).unwrap();
        let long: serde_json::Value = serde_json::from_str(&long).unwrap();
        assert_eq!((long.get("message"), &long["appname"], long["MESSAGE"].is_null()), (None, &"app".into(), true));
    }
}
