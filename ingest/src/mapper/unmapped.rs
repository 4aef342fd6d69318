//! `unmapped`: one JSON object of what no placement took, nested by the fields' dotted names.

use crate::json::push_string;
use memchr::memchr;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The member of `unmapped` that lists required attributes which the record lacked and a fallback filled.
pub const FALLBACKS: &str = "tarn_fallbacks";

enum Node<'a> {
    Raw(&'a str),
    /// A name that came more than once, as a list.
    Repeated(Vec<&'a str>),
    Object(BTreeMap<&'a str, Node<'a>>),
}

/// Writes the object. A name that is also another name's beginning keeps its dots, and so does one below a field that a
/// JSON column holds whole (`roots`): an object of its name would stand for that field. `order` is the names' order in a
/// record like this one, and what it is in this.
pub fn write<'a>(
    out: &mut String,
    kept: &mut [(&'a str, &'a str)],
    order: &mut Vec<u32>,
    roots: &[&str],
    fallbacks: &[&str],
) {
    out.push('{');
    if kept.iter().any(|(path, _)| path.contains('.')) {
        write_members(out, &nested(kept, roots));
    } else {
        write_plain(out, kept, order);
    }
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

/// Steps of a dotted name that nest; names come from outside.
const NESTING_MAX: usize = 16;

fn insert<'a>(into: &mut BTreeMap<&'a str, Node<'a>>, path: &'a str, raw: &'a str, left: usize) {
    let nested = path.split_once('.').filter(|(head, rest)| {
        left > 0 && !head.is_empty() && !rest.is_empty() && matches!(into.get(head), None | Some(Node::Object(_)))
    });
    match nested {
        Some((head, rest)) => {
            if let Node::Object(inner) = into.entry(head).or_insert_with(|| Node::Object(BTreeMap::new())) {
                insert(inner, rest, raw, left - 1);
            }
        }
        None => match into.get_mut(path) {
            None => drop(into.insert(path, Node::Raw(raw))),
            Some(Node::Repeated(values)) => values.push(raw),
            Some(node) => {
                if let Node::Raw(first) = node {
                    *node = Node::Repeated(vec![first, raw]);
                }
            }
        },
    }
}

/// How an escape by number begins.
static UNICODE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u"));

/// The text with lone surrogates, which RFC 8259 lets pass and most readers refuse, as U+FFFD.
fn sound(raw: &str) -> Cow<'_, str> {
    let bytes = raw.as_bytes();
    if memchr(b'\\', bytes).is_none() || UNICODE.find(bytes).is_none() {
        return Cow::Borrowed(raw);
    }
    let unit = |at: usize| {
        (bytes.get(at..at + 2)? == b"\\u").then(|| u16::from_str_radix(raw.get(at + 2..at + 6)?, 16).ok())?
    };
    let mut out = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = memchr(b'\\', &bytes[at..]) {
        at += found;
        match (unit(at), unit(at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => at += 12,
            (Some(0xd800..0xe000), _) => {
                out.push_str(&raw[from..at]);
                out.push_str("\\ufffd");
                at += 6;
                from = at;
            }
            _ => at += 2,
        }
        if at >= bytes.len() {
            break;
        }
    }
    if from == 0 {
        return Cow::Borrowed(raw);
    }
    out.push_str(&raw[from..]);
    Cow::Owned(out)
}

fn nested<'a>(kept: &mut [(&'a str, &'a str)], roots: &[&str]) -> BTreeMap<&'a str, Node<'a>> {
    // Shorter names first: where a whole object stands under one, longer names keep their dots beside it.
    kept.sort_by_cached_key(|(path, _)| path.matches('.').count());
    let mut root = BTreeMap::new();
    for (path, raw) in kept {
        let below = |root: &&str| path.strip_prefix(*root).is_some_and(|rest| rest.starts_with('.'));
        insert(&mut root, path, raw, if roots.iter().any(below) { 0 } else { NESTING_MAX });
    }
    root
}

/// What [`write_members`] writes where no name has a dot: no tree has to be built for that.
fn write_plain(out: &mut String, kept: &[(&str, &str)], order: &mut Vec<u32>) {
    let (name, raw) = (|at: u32| kept[at as usize].0, |at: u32| kept[at as usize].1);
    if order.len() != kept.len() || !order.is_sorted_by_key(|at| (name(*at), *at)) {
        order.clear();
        order.extend(0..kept.len() as u32);
        order.sort_unstable_by_key(|at| (name(*at), *at));
    }
    for (i, same) in order.chunk_by(|a, b| name(*a) == name(*b)).enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, name(same[0]));
        out.push(':');
        match same {
            [at] => out.push_str(&sound(raw(*at))),
            same => write_list(out, same.iter().map(|at| raw(*at))),
        }
    }
}

fn write_list<'a>(out: &mut String, values: impl Iterator<Item = &'a str>) {
    for (i, raw) in values.enumerate() {
        out.push(if i == 0 { '[' } else { ',' });
        out.push_str(&sound(raw));
    }
    out.push(']');
}

fn write_members(out: &mut String, members: &BTreeMap<&str, Node<'_>>) {
    for (i, (key, node)) in members.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, key);
        out.push(':');
        match node {
            Node::Raw(raw) => out.push_str(&sound(raw)),
            Node::Repeated(values) => write_list(out, values.iter().copied()),
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_without_dots_are_written_as_the_tree_would(
            records in prop::collection::vec(prop::collection::vec(("[a-c]{0,2}", "[0-9]"), 0..6), 1..6),
        ) {
            let mut order = Vec::new();
            for kept in &records {
                let mut kept: Vec<(&str, &str)> = kept.iter().map(|(name, raw)| (name.as_str(), raw.as_str())).collect();
                let (mut by_tree, mut plain) = (String::new(), String::new());
                write_plain(&mut plain, &kept, &mut order);
                write_members(&mut by_tree, &nested(&mut kept, &[]));
                prop_assert_eq!(plain, by_tree);
            }
        }
    }

    #[test]
    fn names_nest_and_nothing_is_lost() {
        let mut out = String::new();
        write(
            &mut out,
            &mut [("a.b", "1"), ("a.c", "\"x\""), ("d", "null"), ("d.e", "2"), ("", "3")],
            &mut Vec::new(),
            &[],
            &["time"],
        );
        assert_eq!(out, r#"{"":3,"a":{"b":1,"c":"x"},"d":null,"d.e":2,"tarn_fallbacks":["time"]}"#);
    }

    #[test]
    fn names_below_what_a_column_holds_keep_their_dots() {
        let mut out = String::new();
        write(&mut out, &mut [("a.b", "1"), ("a.b", "2"), ("ab.c", "3"), ("a.b.c", "4")], &mut Vec::new(), &["a"], &[]);
        assert_eq!(out, r#"{"a.b":[1,2],"a.b.c":4,"ab":{"c":3}}"#);
    }

    #[test]
    fn a_name_that_comes_again_is_a_list() {
        let mut out = String::new();
        write(
            &mut out,
            &mut [("a.b", "1"), ("c", "null"), ("a.b", "[2]"), ("a.b", "\"x\"")],
            &mut Vec::new(),
            &[],
            &[],
        );
        assert_eq!(out, r#"{"a":{"b":[1,[2],"x"]},"c":null}"#);
    }

    #[test]
    fn hostile_names_and_texts_stay_readable() {
        let deep = "a.".repeat(100_000) + "b";
        let mut out = String::new();
        write(
            &mut out,
            &mut [(&deep, "1"), ("s", r#"["\ud83d\ude00 \ud800x\\ud800 \udc00"]"#)],
            &mut Vec::new(),
            &[],
            &[],
        );
        let read: serde_json::Value = serde_json::from_str(&out).unwrap_or_default();
        let mut both = String::new();
        write(&mut both, &mut [("a.b", "1"), ("a", r#"{"b.c":2}"#)], &mut Vec::new(), &[], &[]);
        assert_eq!(both, r#"{"a":{"b.c":2},"a.b":1}"#);
        assert_eq!(read["s"][0], "😀 \u{fffd}x\\ud800 \u{fffd}");
    }
}
