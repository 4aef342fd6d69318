//! Where a shape keeps the fields: a trie over JSON keys, walked along one record's text.

use super::definition;
use crate::json::{Kind, Members, kind, unescape};
use ahash::AHashMap;

/// What a walk meets.
pub trait Sink<'a> {
    /// The value of a field; a field inside an array comes once an element. `covered`: what holds it was told before.
    fn field(&mut self, field: u16, raw: &'a str, covered: bool);
    /// A member that is no field, under the canonical path of what holds it; without a key, that path is its own.
    fn other(&mut self, _prefix: &str, _key: Option<&'a str>, _raw: &'a str) {}
}

#[derive(Default, Debug)]
struct Node {
    children: AHashMap<Box<str>, u32>,
    /// A child for any other key.
    any: Option<u32>,
    field: Option<u16>,
    /// Whether the field is also emitted when its value is an object with children of its own here.
    whole: bool,
    /// The canonical path of unknown members below: empty where keys are field names themselves.
    prefix: String,
    /// Whether members below go by their own names, whatever holds them.
    spread: bool,
    /// Whether the shape gives it another name, which is `prefix`: its own is no field's.
    renamed: bool,
    /// Whether there is a field here or below.
    leads: bool,
}

/// Dots of a name at which it may be nested.
const DOTS_MAX: usize = 8;

/// A trie of one shape and the fields that a lane wants.
#[derive(Debug)]
pub struct Trie {
    nodes: Vec<Node>,
}

impl Trie {
    /// The trie of a shape (none: fields stand at their own dotted names) for `fields`.
    pub fn new(shape: Option<&definition::Shape>, fields: &[(&str, u16)]) -> Self {
        let mut trie = Self { nodes: vec![Node::default()] };
        let spread: Vec<&str> = shape.map_or(vec!["."], |s| s.spread.iter().map(String::as_str).collect());
        for path in &spread {
            let node = trie.node(path);
            trie.nodes[node].prefix = String::new();
            trie.nodes[node].spread = true;
        }
        for (raw, target) in shape.iter().flat_map(|s| &s.rename) {
            let node = trie.node(raw);
            trie.nodes[node].renamed = true;
            if !trie.nodes[node].spread {
                trie.nodes[node].prefix.clone_from(target);
            }
        }
        // A renamed key is no longer the field of its own name, so renames come first.
        for (name, field) in fields {
            for (raw, target) in shape.iter().flat_map(|s| &s.rename) {
                let node = trie.node(raw);
                if target == name {
                    trie.nodes[node].field.get_or_insert(*field);
                } else if let Some(rest) = name.strip_prefix(target.as_str()).and_then(|r| r.strip_prefix('.')) {
                    trie.place(node, rest, *field);
                }
            }
        }
        for (name, field) in fields {
            for path in &spread {
                let node = trie.node(path);
                trie.place(node, name, *field);
                let full = if *path == "." { (*name).to_owned() } else { format!("{path}.{name}") };
                for parent in shape.iter().flat_map(|s| &s.dotted) {
                    if let Some(rest) = full.strip_prefix(parent.as_str()).and_then(|rest| rest.strip_prefix('.')) {
                        let node = trie.node(parent);
                        trie.place(node, rest, *field);
                    }
                }
            }
        }
        trie.settle(0);
        trie
    }

    /// The trie of an object in which dotted names are nested anyhow: `a.b.c` as `{"a":{"b.c":…}}`, too.
    pub fn nested(fields: &[(&str, u16)]) -> Self {
        let mut trie = Self { nodes: vec![Node::default()] };
        fields.iter().for_each(|(name, field)| trie.place_anyhow(0, name, *field, DOTS_MAX));
        trie.settle(0);
        trie
    }

    fn place_anyhow(&mut self, node: usize, name: &str, field: u16, dots: usize) {
        let child = self.child(node, name);
        self.nodes[child].field.get_or_insert(field);
        for (at, _) in name.match_indices('.').take(dots) {
            let head = self.child(node, &name[..at]);
            self.place_anyhow(head, &name[at + 1..], field, dots - 1);
        }
    }

    fn child(&mut self, node: usize, step: &str) -> usize {
        let found = if step == "*" { self.nodes[node].any } else { self.nodes[node].children.get(step).copied() };
        if let Some(child) = found {
            return child as usize;
        }
        let prefix = match self.nodes[node].prefix.as_str() {
            "" => step.to_owned(),
            prefix => format!("{prefix}.{step}"),
        };
        let child = self.nodes.len();
        self.nodes.push(Node { prefix, ..Node::default() });
        if step == "*" {
            self.nodes[node].any = Some(child as u32);
        } else {
            self.nodes[node].children.insert(step.into(), child as u32);
        }
        child
    }

    fn node(&mut self, path: &str) -> usize {
        if path == "." {
            return 0;
        }
        path.split('.').fold(0, |node, step| self.child(node, step))
    }

    /// Places a field below a node, unless a key on the way has another name.
    fn place(&mut self, below: usize, name: &str, field: u16) {
        let mut node = below;
        for step in name.split('.') {
            node = self.child(node, step);
            if self.nodes[node].renamed {
                return;
            }
        }
        self.nodes[node].field.get_or_insert(field);
        // Shippers flatten: `"a.b": 1` means the same as `"a": {"b": 1}`.
        let flat = self.child(below, name);
        self.nodes[flat].field.get_or_insert(field);
    }

    /// Decides which fields are emitted whole; returns the fields at and below a node.
    fn settle(&mut self, node: usize) -> Vec<u16> {
        let children: Vec<u32> = self.nodes[node].children.values().copied().chain(self.nodes[node].any).collect();
        let mut below: Vec<u16> = children.into_iter().flat_map(|c| self.settle(c as usize)).collect();
        if let Some(field) = self.nodes[node].field {
            // `EventID` and `EventID.#text` are one field: its object is no value of it.
            self.nodes[node].whole = !below.contains(&field);
            below.push(field);
        }
        self.nodes[node].leads = !below.is_empty();
        below
    }

    /// Walks one record's members.
    pub fn walk<'a>(&self, members: &[(&'a str, &'a str)], sink: &mut impl Sink<'a>) {
        for (key, raw) in members {
            self.member(0, key, raw, false, sink);
        }
    }

    /// The node of a record's member, and its field when nothing more is to be found in it; none when no field is.
    pub fn top(&self, key: &str) -> Option<(u32, Option<u16>)> {
        let child = self.child_of(0, key)?;
        let at = &self.nodes[child as usize];
        let deeper = !at.children.is_empty() || at.any.is_some();
        at.leads.then_some((child, at.field.filter(|_| !deeper)))
    }

    /// Walks the value of the member whose node [`Trie::top`] told.
    pub fn enter<'a>(&self, node: u32, key: &'a str, raw: &'a str, sink: &mut impl Sink<'a>) {
        self.value(0, node, key, raw, false, sink);
    }

    fn child_of(&self, node: usize, key: &str) -> Option<u32> {
        let parent = &self.nodes[node];
        let child = match parent.children.get(key) {
            None if key.contains('\\') => parent.children.get(unescape(key).as_ref()),
            found => found,
        };
        child.copied().or(parent.any)
    }

    fn member<'a>(&self, node: usize, key: &'a str, raw: &'a str, covered: bool, sink: &mut impl Sink<'a>) {
        match self.child_of(node, key) {
            Some(child) => self.value(node, child, key, raw, covered, sink),
            None if !covered => sink.other(&self.nodes[node].prefix, Some(key), raw),
            None => {}
        }
    }

    fn value<'a>(
        &self,
        parent: usize,
        child: u32,
        key: &'a str,
        raw: &'a str,
        covered: bool,
        sink: &mut impl Sink<'a>,
    ) {
        let parent = &self.nodes[parent];
        let at = &self.nodes[child as usize];
        let deeper = !at.children.is_empty() || at.any.is_some();
        // What holds it was told by the holder's name, under which nobody looks for another name.
        let covered = covered && !at.renamed;
        match (kind(raw), at.field) {
            (Kind::Object, field) if deeper => {
                let whole = field.filter(|_| at.whole);
                if let Some(field) = whole {
                    sink.field(field, raw, covered);
                }
                let covered = (covered || whole.is_some()) && !at.spread;
                for (key, raw) in Members::of(raw) {
                    self.member(child as usize, key, raw, covered, sink);
                }
                return;
            }
            // Nothing is left of a list that all goes by other names.
            (Kind::Array, None) if at.spread && only_objects(raw) => {}
            (_, Some(field)) => sink.field(field, raw, covered),
            _ if covered => {}
            _ if at.renamed && !at.spread => sink.other(&at.prefix, None, raw),
            _ => sink.other(&parent.prefix, Some(key), raw),
        }
        if deeper && kind(raw) == Kind::Array {
            self.elements(child as usize, raw, !at.spread, sink);
        }
    }

    fn elements<'a>(&self, node: usize, array: &'a str, covered: bool, sink: &mut impl Sink<'a>) {
        for (_, element) in Members::of(array) {
            match kind(element) {
                Kind::Object => Members::of(element).for_each(|(key, raw)| self.member(node, key, raw, covered, sink)),
                Kind::Array => self.elements(node, element, covered, sink),
                _ => {}
            }
        }
    }
}

fn only_objects(array: &str) -> bool {
    let mut elements = Members::of(array).peekable();
    elements.peek().is_some() && elements.all(|(_, element)| kind(element) == Kind::Object)
}
