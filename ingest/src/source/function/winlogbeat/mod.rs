//! Winlogbeat's events under the vendor's names. Its modules and Elastic's integrations move fields of EventData to the
//! Elastic Common Schema (`process.executable` for Sysmon's `Image`): what EventData lacks is read back from there.
//!
//! Not read back: what those pipelines drop (PowerShell's `ContextInfo`, Sysmon's names of ports), and DNS answers, which
//! they order anew. Source: Elastic's documentation of the modules sysmon, powershell and security; ECS 8.

mod names;

use super::unflatten::unflatten_winlog;
use crate::json::{Kind, Members, at, kind, push_string, text};
use ahash::AHashMap;
use names::{
    CONNECTION, FILE, IMAGE, LOADED, NEW_PROCESS, Names, POWERSHELL, QUERY_STATUS, SCRIPT, SECURITY, SOURCE, STARTED,
};

/// ECS's objects that hold the vendor's fields.
const ROOTS: &[&str] = &[
    "process",
    "user",
    "file",
    "registry",
    "source",
    "destination",
    "dns",
    "network",
    "powershell",
    "rule",
    "sysmon",
    "error",
];

/// Deepest of ECS's paths that are read here: `process.pe.file_version` has three steps.
const STEPS_MAX: usize = 3;

/// The record with its `winlog.…` keys nested and EventData's own names filled in; none when it is as it should be.
pub fn winlogbeat(record: &str) -> Option<String> {
    let nested = unflatten_winlog(record);
    filled(nested.as_deref().unwrap_or(record)).or(nested)
}

fn filled(record: &str) -> Option<String> {
    let ecs = Ecs::of(record);
    if ecs.0.is_empty() {
        return None;
    }
    let winlog = at(record, "winlog")?;
    let value = |name: &str| at(winlog, name).map(|raw| text(raw).to_lowercase()).unwrap_or_default();
    let own = at(winlog, "event_data").filter(|raw| kind(raw) == Kind::Object).unwrap_or("{}");
    let mut data = EventData { ecs: &ecs, members: Members::of(own).collect(), added: String::new() };
    match (value("channel").as_str(), value("event_id").as_str()) {
        ("microsoft-windows-sysmon/operational", id) => data.sysmon(id),
        ("microsoft-windows-powershell/operational" | "powershellcore/operational", "4104") => data.names(SCRIPT),
        ("microsoft-windows-powershell/operational" | "powershellcore/operational", "4103") => data.invocation(),
        ("windows powershell", _) => data.names(POWERSHELL),
        ("security", "4688") => {
            data.names(NEW_PROCESS);
            data.arguments();
        }
        ("security", _) => data.names(SECURITY),
        _ => {}
    }
    let added = data.added;
    if added.is_empty() {
        return None;
    }
    let body = own.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let comma = if body.is_empty() { "" } else { "," };
    let event_data = format!("{{{body}{comma}{added}}}");
    Some(with(record, "winlog", &with(winlog, "event_data", &event_data)))
}

/// An object with one of its members replaced, or added.
fn with(object: &str, replaced: &str, by: &str) -> String {
    let mut out = String::with_capacity(object.len() + by.len());
    let others = Members::of(object).filter(|(key, _)| *key != replaced);
    for (i, (key, value)) in std::iter::once((replaced, by)).chain(others).enumerate() {
        out.push_str(if i > 0 { ",\"" } else { "{\"" });
        out.push_str(key);
        out.push_str("\":");
        out.push_str(value);
    }
    out.push('}');
    out
}

/// A record's ECS members by path, nested or as dotted keys; nulls are absent.
struct Ecs<'a>(AHashMap<String, &'a str>);

impl<'a> Ecs<'a> {
    fn of(record: &'a str) -> Self {
        let mut found = Self(AHashMap::new());
        for (key, raw) in Members::of(record) {
            if ROOTS.contains(&key.split('.').next().unwrap_or(key)) {
                found.add(key.to_owned(), raw);
            }
        }
        found
    }

    fn add(&mut self, path: String, raw: &'a str) {
        match kind(raw) {
            Kind::Null => {}
            Kind::Object if path.split('.').count() < STEPS_MAX => {
                Members::of(raw).for_each(|(key, raw)| self.add(format!("{path}.{key}"), raw));
            }
            _ => drop(self.0.entry(path).or_insert(raw)),
        }
    }

    fn raw(&self, path: &str) -> Option<&'a str> {
        self.0.get(path).copied()
    }

    fn text(&self, path: &str) -> Option<String> {
        self.raw(path).map(|raw| text(raw).into_owned())
    }
}

/// EventData's members, and those to be added.
struct EventData<'a, 'b> {
    ecs: &'b Ecs<'a>,
    members: AHashMap<&'b str, &'b str>,
    added: String,
}

impl EventData<'_, '_> {
    /// Adds a member, unless EventData has it.
    fn add(&mut self, name: &str, raw: &str) {
        if self.members.contains_key(name) {
            return;
        }
        if !self.added.is_empty() {
            self.added.push(',');
        }
        push_string(&mut self.added, name);
        self.added.push(':');
        self.added.push_str(raw);
    }

    fn add_text(&mut self, name: &str, value: &str) {
        let mut raw = String::new();
        push_string(&mut raw, value);
        self.add(name, &raw);
    }

    fn names(&mut self, names: Names) {
        for (path, name) in names {
            if let Some(raw) = self.ecs.raw(path) {
                self.add(name, raw);
            }
        }
    }

    fn sysmon(&mut self, id: &str) {
        self.names(&[("rule.name", "RuleName")]);
        self.user();
        match id {
            "8" => self.names(&[("process.entity_id", "SourceProcessGuid")]),
            "10" => self.names(&[("process.entity_id", "SourceProcessGUID")]),
            _ => {}
        }
        match id {
            "8" | "10" => self.names(SOURCE),
            // A WMI consumer has no process: `process.executable` is its `Destination`.
            "20" => self.names(&[("process.executable", "Destination")]),
            _ => self.names(IMAGE),
        }
        match id {
            "1" => {
                self.names(STARTED);
                self.arguments();
            }
            "3" => self.connection(),
            "6" | "7" => self.names(LOADED),
            "9" => self.names(&[("file.path", "Device")]),
            "2" | "11" | "15" | "23" | "26" | "27" | "28" | "29" => self.names(FILE),
            "12" | "13" | "14" => self.registry(),
            "17" | "18" => self.names(&[("file.name", "PipeName")]),
            "22" => self.query(),
            "255" => self.names(&[("error.code", "ID")]),
            _ => {}
        }
        self.hashes(if id == "15" { "Hash" } else { "Hashes" });
    }

    /// `DOMAIN\name`.
    fn user(&mut self) {
        if let Some(name) = self.ecs.text("user.name") {
            let domain = self.ecs.text("user.domain").map(|domain| domain + "\\").unwrap_or_default();
            self.add_text("User", &(domain + &name));
        }
    }

    /// The arguments stand in for a command line that is nowhere: how they were quoted is lost.
    fn arguments(&mut self) {
        let missing = self.ecs.raw("process.command_line").is_none();
        if let Some(list) = self.ecs.raw("process.args").filter(|raw| missing && kind(raw) == Kind::Array) {
            let words: Vec<_> = Members::of(list).map(|(_, word)| text(word)).collect();
            self.add_text("CommandLine", &words.join(" "));
        }
    }

    /// `SHA1=…,MD5=…,SHA256=…,IMPHASH=…`, of the process or of the file.
    fn hashes(&mut self, name: &str) {
        for owner in ["process", "file"] {
            let algorithms = ["hash.sha1", "hash.md5", "hash.sha256", "hash.imphash", "pe.imphash"];
            let hash = |path: &str| {
                let value = self.ecs.text(&format!("{owner}.{path}"))?;
                Some(format!("{}={}", path.rsplit('.').next()?, value).to_uppercase())
            };
            let hashes: Vec<String> = algorithms.into_iter().filter_map(hash).collect();
            if !hashes.is_empty() {
                return self.add_text(name, &hashes.join(","));
            }
        }
    }

    fn connection(&mut self) {
        self.names(CONNECTION);
        match self.ecs.text("network.direction").as_deref() {
            Some("egress" | "outbound") => self.add_text("Initiated", "true"),
            Some("ingress" | "inbound") => self.add_text("Initiated", "false"),
            _ => {}
        }
        // Both ends of a connection are of one family.
        let is_ipv6 = match self.ecs.text("network.type").as_deref() {
            Some("ipv4") => "false",
            Some("ipv6") => "true",
            _ => return,
        };
        self.add_text("SourceIsIpv6", is_ipv6);
        self.add_text("DestinationIsIpv6", is_ipv6);
    }

    /// Elastic reads the number out of `DWORD (0x00000001)`.
    fn registry(&mut self) {
        self.names(&[("registry.path", "TargetObject")]);
        let Some(raw) = self.ecs.raw("registry.data.strings") else { return };
        let first = if kind(raw) == Kind::Array { Members::of(raw).next().map(|(_, v)| v) } else { Some(raw) };
        let Some(value) = first.map(text) else { return };
        let is = |suffix: &str| self.ecs.text("registry.data.type").is_some_and(|t| t.ends_with(suffix));
        // Of a QWORD's upper half Elastic's number says nothing certain; below 2^32 it is the number that was there.
        let details = match value.parse::<u32>() {
            Ok(number) if is("_DWORD") => format!("DWORD (0x{number:08x})"),
            Ok(number) if is("_QWORD") => format!("QWORD (0x00000000-0x{number:08x})"),
            _ => value.into_owned(),
        };
        self.add_text("Details", &details);
    }

    fn query(&mut self) {
        self.names(&[("dns.question.name", "QueryName")]);
        if let Some(status) = self.ecs.text("sysmon.dns.status") {
            let code = QUERY_STATUS.iter().find(|(word, _)| *word == status).map(|(_, code)| *code);
            self.add_text("QueryStatus", code.unwrap_or(&status));
        }
    }

    /// 4103's `Payload`: a line for each of `CommandInvocation(Get-Item): "Get-Item"` and its parameters.
    fn invocation(&mut self) {
        let Some(list) = self.ecs.raw("powershell.command.invocation_details") else { return };
        let line = |detail: &str| {
            let part = |name: &str| at(detail, name).map(|raw| text(raw).into_owned());
            let value = part("value").unwrap_or_default();
            let value = part("name").map_or_else(|| value.clone(), |name| format!("name={name}; value={value}"));
            match (part("type"), part("related_command")) {
                (Some(kind), Some(command)) => format!("{kind}({command}): {value}"),
                _ => value,
            }
        };
        let lines: Vec<String> = Members::of(list).map(|(_, detail)| line(detail)).collect();
        self.add_text("Payload", &lines.join("\n"));
    }
}

#[cfg(test)]
mod tests;
