//! Records of one event, joined to one JSON object under audit's own field names.
//!
//! Rules are written about single records (`type: PATH`, `name: …`), so every field keeps its name and a field that
//! several records give is a list. `type` lists the records' types; the arguments of EXECVE stand before the numbers
//! that SYSCALL gives under the same names (kept as `syscall_a0` …). Fields of PATH records are lists of one length, an
//! element a record. What is added (`SYSCALL`, `ARCH`, `record_type`, `cmdline`, `target`, …) is listed in
//! docs/sources.md.

use super::encoded;
use super::record::{EventId, Field, Record};
use super::syscalls;
use super::types;
use crate::json::push_string;
use ahash::{AHashMap, AHashSet};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A name with more values than this gets a set of them, so that an event's size costs no more than its length.
const FEW: usize = 16;
/// Fields of PATH records that become lists of one length; the kernel writes about 20.
const PATH_FIELDS_MAX: usize = 64;

/// Values by name, in the order in which names came.
#[derive(Default)]
struct Fields {
    names: Vec<String>,
    values: Vec<Vec<Option<String>>>,
    index: AHashMap<String, usize>,
    /// The values of names that have many.
    seen: AHashMap<usize, AHashSet<String>>,
}

impl Fields {
    fn at(&mut self, name: &str) -> usize {
        if let Some(at) = self.index.get(name) {
            return *at;
        }
        let at = self.names.len();
        self.names.push(name.to_owned());
        self.values.push(Vec::new());
        self.index.insert(name.to_owned(), at);
        at
    }

    fn slot(&mut self, name: &str) -> &mut Vec<Option<String>> {
        let at = self.at(name);
        &mut self.values[at]
    }

    /// Adds a value, once.
    fn add(&mut self, name: &str, value: &str) {
        let at = self.at(name);
        let slot = &mut self.values[at];
        let new = if slot.len() < FEW {
            slot.iter().all(|v| v.as_deref() != Some(value))
        } else {
            let seen = self.seen.entry(at).or_insert_with(|| slot.iter().flatten().cloned().collect());
            seen.insert(value.to_owned())
        };
        if new {
            slot.push(Some(value.to_owned()));
        }
    }

    /// Sets a value where there is none.
    fn provide(&mut self, name: &str, value: impl Into<String>) {
        if !self.index.contains_key(name) {
            self.slot(name).push(Some(value.into()));
        }
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.values[*self.index.get(name)?].iter().flatten().next().map(String::as_str)
    }

    fn all(&self, name: &str) -> &[Option<String>] {
        self.index.get(name).map_or(&[], |i| &self.values[*i])
    }
}

/// The JSON object of an event.
pub fn json(id: &EventId, records: &[Record]) -> String {
    let mut fields = Fields::default();
    for record in records.iter().filter(|r| r.kind != "EOE" || records.len() == 1) {
        fields.add("type", &record.kind);
    }
    fields.provide("record_type", primary(records));
    fields.provide("audit_id", format!("{}:{}", id.time, id.serial));
    fields.provide("timestamp", id.time.as_str());
    fields.provide("serial", id.serial.as_str());
    if let Some(node) = &id.node {
        fields.provide("node", node.as_str());
    }
    let executes = records.iter().any(|r| r.kind == "EXECVE");
    paths(records, &mut fields);
    for record in records.iter().filter(|r| !matches!(r.kind.as_str(), "PATH" | "EXECVE")) {
        for field in &record.fields {
            add(record, field, executes, &mut fields);
        }
    }
    arguments(records, &mut fields);
    derive(&mut fields);
    let mut out = String::with_capacity(1024);
    out.push('{');
    for (name, values) in fields.names.iter().zip(&fields.values) {
        if out.len() > 1 {
            out.push(',');
        }
        push_string(&mut out, name);
        out.push(':');
        match &values[..] {
            [value] => push(&mut out, value.as_deref()),
            values => {
                out.push('[');
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    push(&mut out, value.as_deref());
                }
                out.push(']');
            }
        }
    }
    out.push('}');
    out
}

fn push(out: &mut String, value: Option<&str>) {
    match value {
        Some(value) => push_string(out, value),
        None => out.push_str("null"),
    }
}

/// The record that says what happened: one that is more than a system call's detail, else the system call.
fn primary(records: &[Record]) -> &str {
    let kinds = || records.iter().map(|r| r.kind.as_str());
    let told = kinds().find(|k| !types::is_auxiliary(k));
    told.or_else(|| kinds().find(|k| *k == "SYSCALL")).or_else(|| kinds().next()).unwrap_or("")
}

fn add(record: &Record, field: &Field, executes: bool, fields: &mut Fields) {
    let name = field.name.as_str();
    match (record.kind.as_str(), name) {
        ("SYSCALL", "a0" | "a1" | "a2" | "a3") if executes => fields.add(&format!("syscall_{name}"), &field.value),
        ("SOCKETCALL", name) if encoded::is_argument(name) => fields.add(&format!("socketcall_{name}"), &field.value),
        // Beside a PATH of the same event, whose names are files.
        ("KERN_MODULE", "name") => {
            fields.add("module", &field.value);
            fields.add("name", &field.value);
        }
        // A rule without a key; a rule about `key` means those that have one.
        (_, "key") if field.value == "(null)" => {}
        // Several keys on one rule are joined by a control character.
        (_, "key") => field.value.split('\u{1}').for_each(|key| fields.add("key", key)),
        (_, "saddr") => {
            fields.add("saddr", &field.value);
            if let Some(address) = encoded::socket_address(&field.value) {
                fields.add("saddr_fam", &address.family);
                for (name, value) in
                    [("laddr", address.address), ("lport", address.port.map(|p| p.to_string())), ("path", address.path)]
                {
                    if let Some(value) = value {
                        fields.add(name, &value);
                    }
                }
            }
        }
        (_, name) => fields.add(name, &field.value),
    }
}

/// Fields of PATH records, an element a record. Names beyond [`PATH_FIELDS_MAX`] are fields like any other's.
fn paths(records: &[Record], fields: &mut Fields) {
    let mut count = 0;
    let mut touched: Vec<&str> = Vec::new();
    let mut others: Vec<&Field> = Vec::new();
    for record in records.iter().filter(|r| r.kind == "PATH") {
        for field in &record.fields {
            if !touched.contains(&field.name.as_str()) {
                if touched.len() == PATH_FIELDS_MAX {
                    others.push(field);
                    continue;
                }
                touched.push(&field.name);
            }
            let slot = fields.slot(&field.name);
            if slot.len() <= count {
                slot.resize(count, None);
                slot.push(Some(field.value.clone()));
            }
        }
        count += 1;
    }
    for name in touched {
        fields.slot(name).resize(count, None);
    }
    for field in others {
        fields.add(&field.name, &field.value);
    }
}

/// The arguments of EXECVE records; pieces of a long one (`a1[0]`, `a1[1]`) are put together.
fn arguments(records: &[Record], fields: &mut Fields) {
    let mut arguments: BTreeMap<u32, String> = BTreeMap::new();
    for field in records.iter().filter(|r| r.kind == "EXECVE").flat_map(|r| &r.fields) {
        match encoded::argument(&field.name) {
            Some(number) => match arguments.entry(number) {
                Entry::Occupied(mut text) if field.name.contains('[') => text.get_mut().push_str(&field.value),
                Entry::Occupied(_) => {}
                Entry::Vacant(text) => drop(text.insert(field.value.clone())),
            },
            // `a1_len` is the length of a piecewise argument.
            None => fields.add(&field.name, &field.value),
        }
    }
    if arguments.is_empty() {
        return;
    }
    for (number, text) in &arguments {
        fields.provide(&format!("a{number}"), text.as_str());
    }
    let words: Vec<&str> = arguments.values().map(String::as_str).collect();
    fields.provide("cmdline", words.join(" "));
}

fn derive(fields: &mut Fields) {
    if let Some(arch) = fields.first("arch").map(|a| a.trim_start_matches("0x").to_owned()) {
        // ausearch's interpreted records name the machine already.
        let machine = syscalls::machine(&arch)
            .map(str::to_owned)
            .or_else(|| (!arch.bytes().all(|b| b.is_ascii_hexdigit())).then_some(arch));
        if let Some(machine) = machine {
            fields.provide("ARCH", machine);
        }
    }
    if let Some(call) = fields.first("syscall").map(str::to_owned) {
        let numeric = call.bytes().all(|b| b.is_ascii_digit());
        let named = if numeric {
            fields.first("ARCH").and_then(|m| syscalls::name(m, &call)).map(str::to_owned)
        } else {
            Some(call)
        };
        if let Some(named) = named {
            fields.provide("SYSCALL", named);
        }
    }
    if let Some(user) = fields.first("UID").or_else(|| fields.first("uid")).map(str::to_owned) {
        fields.provide("uid_name", if user == "0" { "root".to_owned() } else { user });
    }
    let call = fields.first("SYSCALL").unwrap_or("").to_owned();
    let title = fields.first("proctitle").map(str::to_owned);
    if let Some(title) = title.filter(|_| matches!(call.as_str(), "execve" | "execveat")) {
        fields.provide("cmdline", title);
    }
    match call.as_str() {
        "connect" => fields.provide("initiated", "true"),
        "accept" | "accept4" => fields.provide("initiated", "false"),
        "execve" | "execveat" => return,
        _ => {}
    }
    target(fields);
}

/// The file that a system call was about, as an absolute path, and what happened to it.
fn target(fields: &mut Fields) {
    let (names, kinds) = (fields.all("name"), fields.all("nametype"));
    if kinds.is_empty() {
        return;
    }
    let of = |wanted: &str| kinds.iter().position(|k| k.as_deref() == Some(wanted));
    let parent = || of("PARENT").and_then(|i| names.get(i)).and_then(Option::as_deref);
    let Some((at, action)) = of("CREATE")
        .map(|i| (i, "CREATE"))
        .or_else(|| of("DELETE").map(|i| (i, "DELETE")))
        .or_else(|| of("NORMAL").map(|i| (i, "NORMAL")))
    else {
        return;
    };
    let cwd = fields.first("cwd");
    let resolved = |at: usize| names.get(at).and_then(Option::as_deref).and_then(|name| absolute(name, cwd, parent()));
    let from = (action == "CREATE").then(|| of("DELETE")).flatten();
    let (target, from) = (resolved(at), from.and_then(resolved));
    let action = if from.is_some() { "RENAME" } else { action };
    if let Some(target) = target {
        fields.provide("target", target);
        fields.provide("target_action", action);
    }
    if let Some(from) = from {
        fields.provide("target_from", from);
    }
}

fn absolute(name: &str, cwd: Option<&str>, parent: Option<&str>) -> Option<String> {
    if name.is_empty() || name == "(null)" || name == "(none)" {
        return None;
    }
    if name.starts_with('/') {
        return Some(name.to_owned());
    }
    let base = parent.filter(|p| p.starts_with('/') && !name.contains('/')).or(cwd)?;
    let mut steps: Vec<&str> = base.split('/').filter(|s| !s.is_empty()).collect();
    for step in name.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    Some(format!("/{}", steps.join("/")))
}
