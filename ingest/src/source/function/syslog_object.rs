//! Syslog messages that a collector took apart (Vector, rsyslog's JSON templates): what the message says is read as from
//! a line.

use crate::decode::syslog::message;
use crate::json::{Kind, Members, kind, push_string, text, unescape};

/// The object with what the words of its message say; its own members stay, and count first.
pub fn syslog_object(json: &str) -> Option<String> {
    let value = |wanted: &str| {
        let found = Members::of(json).find(|(key, _)| *key == wanted);
        found.filter(|(_, raw)| kind(raw) == Kind::String).map(|(_, raw)| text(raw))
    };
    let (app, said) = (value("appname")?, value("message")?);
    let mut out = String::from("{\"syslog_format\":\"object\"");
    for (key, raw) in Members::of(json).filter(|(key, _)| *key != "syslog_format") {
        out.push(',');
        push_string(&mut out, &unescape(key));
        out.push(':');
        out.push_str(raw);
    }
    message::read(&app, &said, &mut |key: &str, value: &str| {
        if !value.is_empty() && Members::of(json).all(|(own, _)| own != key) {
            out.push(',');
            push_string(&mut out, key);
            out.push(':');
            push_string(&mut out, value);
        }
    });
    out.push('}');
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn messages_are_read() {
        let object = r#"{"appname":"sshd","hostname":"web1","facility":"authpriv","message":"Invalid user x from 10.0.0.7 port 22"}"#;
        let made: serde_json::Value = serde_json::from_str(&syslog_object(object).unwrap()).unwrap();
        assert_eq!(
            (&made["event"], &made["src"], &made["hostname"]),
            (&"invalid_user".into(), &"10.0.0.7".into(), &"web1".into())
        );
        assert_eq!(syslog_object(r#"{"appname":1,"message":"x"}"#), None);
    }
}
