//! `unmapped`: one JSON object of what no placement took, nested by the fields' dotted names.

use crate::json::push_string;
use std::collections::BTreeMap;

/// The member of `unmapped` that lists required attributes which the record lacked and a fallback filled.
pub const FALLBACKS: &str = "tarn_fallbacks";

enum Node<'a> {
    Raw(&'a str),
    Object(BTreeMap<&'a str, Node<'a>>),
}

/// Writes the object. A name that is also another name's beginning keeps its dots.
pub fn write(out: &mut String, kept: &[(&str, &str)], fallbacks: &[&str]) {
    let mut root = BTreeMap::new();
    for (path, raw) in kept {
        insert(&mut root, path, raw);
    }
    out.push('{');
    write_members(out, &root);
    if !fallbacks.is_empty() {
        if out.len() > 1 {
            out.push(',');
        }
        push_string(out, FALLBACKS);
        out.push_str(":[");
        for (i, path) in fallbacks.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_string(out, path);
        }
        out.push(']');
    }
    out.push('}');
}

fn insert<'a>(into: &mut BTreeMap<&'a str, Node<'a>>, path: &'a str, raw: &'a str) {
    let nested = path.split_once('.').filter(|(head, rest)| {
        !head.is_empty() && !rest.is_empty() && !matches!(into.get(head), Some(Node::Raw(_)))
    });
    match nested {
        Some((head, rest)) => {
            if let Node::Object(inner) = into.entry(head).or_insert_with(|| Node::Object(BTreeMap::new())) {
                insert(inner, rest, raw);
            }
        }
        // A repeated key keeps its first value, as readers of the original do for most parsers.
        None => drop(into.entry(path).or_insert(Node::Raw(raw))),
    }
}

fn write_members(out: &mut String, members: &BTreeMap<&str, Node<'_>>) {
    for (i, (key, node)) in members.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, key);
        out.push(':');
        match node {
            Node::Raw(raw) => out.push_str(raw),
            Node::Object(inner) => {
                out.push('{');
                write_members(out, inner);
                out.push('}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_nest_and_nothing_is_lost() {
        let mut out = String::new();
        write(&mut out, &[("a.b", "1"), ("a.c", "\"x\""), ("d", "null"), ("d.e", "2"), ("", "3")], &["time"]);
        assert_eq!(out, r#"{"":3,"a":{"b":1,"c":"x"},"d":null,"d.e":2,"tarn_fallbacks":["time"]}"#);
    }
}
