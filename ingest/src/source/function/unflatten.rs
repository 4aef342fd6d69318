//! Exports of an index, whose keys are whole paths: `{"winlog.channel": …}` means `{"winlog": {"channel": …}}`.

use crate::json::Members;
use std::collections::BTreeMap;

enum Node<'a> {
    Raw(&'a str),
    Object(BTreeMap<&'a str, Node<'a>>),
}

/// The record with its `winlog.…` keys nested; none when it has no such key.
pub fn unflatten_winlog(record: &str) -> Option<String> {
    if !Members::of(record).any(|(key, _)| key.starts_with("winlog.")) {
        return None;
    }
    let mut root = BTreeMap::new();
    for (key, raw) in Members::of(record) {
        if key.starts_with("winlog.") {
            // EventData's names may hold dots of their own, and stay whole.
            let steps = if key.starts_with("winlog.event_data.") || key.starts_with("winlog.user_data.") {
                3
            } else {
                usize::MAX
            };
            insert(&mut root, key.splitn(steps, '.').collect::<Vec<_>>().as_slice(), raw);
        } else {
            insert(&mut root, &[key], raw);
        }
    }
    let mut out = String::new();
    write(&mut out, &root);
    Some(out)
}

fn insert<'a>(into: &mut BTreeMap<&'a str, Node<'a>>, steps: &[&'a str], raw: &'a str) {
    match steps {
        [] => {}
        [key] => drop(into.entry(key).or_insert(Node::Raw(raw))),
        [key, rest @ ..] => {
            if let Node::Object(inner) = into.entry(key).or_insert_with(|| Node::Object(BTreeMap::new())) {
                insert(inner, rest, raw);
            }
        }
    }
}

fn write(out: &mut String, members: &BTreeMap<&str, Node<'_>>) {
    out.push('{');
    for (i, (key, node)) in members.iter().enumerate() {
        out.push_str(if i > 0 { ",\"" } else { "\"" });
        out.push_str(key);
        out.push_str("\":");
        match node {
            Node::Raw(raw) => out.push_str(raw),
            Node::Object(inner) => write(out, inner),
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_nest() {
        let flat = r#"{"winlog.channel":"Security","winlog.event_data.A.b":"x","message":"m"}"#;
        let nested = r#"{"message":"m","winlog":{"channel":"Security","event_data":{"A.b":"x"}}}"#;
        assert_eq!(unflatten_winlog(flat).as_deref(), Some(nested));
        assert_eq!(unflatten_winlog(nested), None);
    }
}
