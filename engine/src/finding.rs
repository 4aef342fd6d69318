//! Hits as OCSF Detection Findings (class 2004), written as JSON text.
//!
//! What a finding says of its rule is the same for all its hits and is made once. The event is written as it came.

use crate::bind::{Engine, RuleIx};
use crate::correlation::Correlated;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use tarn_ingest::fields::Identity;
use tarn_rules::{About, Level};

/// What a finding says of the event that it stands on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The event's JSON text.
    pub event: &'a str,
    /// Its uid and time.
    pub identity: &'a Identity,
    /// When the finding is made, milliseconds since 1970.
    pub time_ms: i64,
    /// The file that held it; none for an event of no file.
    pub file: Option<&'a str>,
    /// Its number in that file, from 1.
    pub record: u64,
}

/// OCSF's severity of a Sigma level: id and caption.
pub fn severity(level: Level) -> (i32, &'static str) {
    match level {
        Level::Informational => (1, "Informational"),
        Level::Low => (2, "Low"),
        Level::Medium => (3, "Medium"),
        Level::High => (4, "High"),
        Level::Critical => (5, "Critical"),
    }
}

/// The finding's uid: the same version of a rule on the same event is the same finding.
pub fn uid(about: &About, event_uid: &str) -> String {
    uid_of(begun(about), event_uid)
}

/// The digest of what the uids of a rule's findings have in common.
fn begun(about: &About) -> Sha256 {
    let parts = [about.id.as_str(), "\0", about.digest.as_str(), "\0"];
    parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part))
}

fn uid_of(begun: Sha256, event_uid: &str) -> String {
    let digest = <[u8; 32]>::from(begun.chain_update(event_uid).finalize());
    // As one number: `hex::encode` goes character by character.
    format!("{:032x}", u128::from_be_bytes(std::array::from_fn(|at| digest[at])))
}

/// The constant parts of a rule's findings: members of objects, without the braces.
struct Template {
    class: String,
    info: String,
    rule: String,
    uid: Sha256,
}

/// Writes the findings of an engine's rules.
pub struct Findings {
    engine: Arc<Engine>,
    /// Made for the first finding: most rules have none.
    templates: Vec<OnceLock<Template>>,
    correlations: Vec<Template>,
}

impl Findings {
    /// For every rule of the engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        let templates = std::iter::repeat_with(OnceLock::new).take(engine.len()).collect();
        let correlations = engine.correlations().iter().map(|c| Template::new(&c.about)).collect();
        Self { engine, templates, correlations }
    }

    fn template(&self, rule: RuleIx) -> &Template {
        self.templates[rule.0 as usize].get_or_init(|| Template::new(&self.engine.rule(rule).about))
    }

    /// A finding in canonical OCSF, which has no attribute for a file's record: both stand in `unmapped`.
    ///
    /// **Errors**: those of `out`.
    pub fn ocsf(&self, rule: RuleIx, evidence: &Evidence<'_>, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{")?;
        self.members(rule, evidence, out)?;
        out.write_all(b",\"evidences\":[{\"data\":")?;
        one_line(evidence.event, out)?;
        out.write_all(b"}]")?;
        if let Some(file) = evidence.file {
            out.write_all(b",\"unmapped\":{\"file\":")?;
            serde_json::to_writer(&mut *out, file)?;
            write!(out, ",\"record\":{}}}", evidence.record)?;
        }
        out.write_all(b"}\n")
    }

    /// A line of `tarn detect`: the finding, with `rule`, `file`, `record` and `event` in front instead of its evidences.
    /// An event is most of a line, and is told once.
    ///
    /// **Errors**: those of `out`.
    pub fn line(&self, rule: RuleIx, evidence: &Evidence<'_>, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{\"rule\":")?;
        out.write_all(self.template(rule).rule.as_bytes())?;
        if let Some(file) = evidence.file {
            out.write_all(b",\"file\":")?;
            serde_json::to_writer(&mut *out, file)?;
            write!(out, ",\"record\":{}", evidence.record)?;
        }
        out.write_all(b",\"event\":")?;
        one_line(evidence.event, out)?;
        out.write_all(b",")?;
        self.members(rule, evidence, out)?;
        out.write_all(b"}\n")
    }

    /// A correlation's finding in canonical OCSF. Its evidence is the group, what was measured, and how many events did;
    /// its related events are the latest of them.
    ///
    /// **Errors**: those of `out`.
    pub fn correlated_ocsf(&self, found: &Correlated, time_ms: i64, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{")?;
        self.correlated_members(found, time_ms, out)?;
        writeln!(out, ",\"evidences\":[{{\"data\":{}}}]}}", evidence(found))
    }

    /// A line of `tarn detect` for a correlation: the finding, with `rule` and `correlation` (the group and the events' uids)
    /// in front instead of its evidences.
    ///
    /// **Errors**: those of `out`.
    pub fn correlated_line(&self, found: &Correlated, time_ms: i64, out: &mut impl Write) -> io::Result<()> {
        let mut evidence = evidence(found);
        evidence["events"] = found.events.iter().map(|uid| Value::from(&**uid)).collect();
        write!(out, "{{\"rule\":{},\"correlation\":{evidence},", self.correlations[found.correlation].rule)?;
        self.correlated_members(found, time_ms, out)?;
        out.write_all(b"}\n")
    }

    fn correlated_members(&self, found: &Correlated, time_ms: i64, out: &mut impl Write) -> io::Result<()> {
        let events: Vec<&str> = found.events.iter().map(|uid| &**uid).collect();
        let head =
            Head { uid: found.uid(&self.engine), time_ms, events: &events, seen: Some((found.first, found.last)) };
        self.correlations[found.correlation].write(&head, out)?;
        write!(out, ",\"count\":{}", found.count)
    }

    fn members(&self, rule: RuleIx, evidence: &Evidence<'_>, out: &mut impl Write) -> io::Result<()> {
        let Evidence { identity, time_ms, .. } = *evidence;
        let template = self.template(rule);
        let uid = uid_of(template.uid.clone(), &identity.uid);
        let head = Head { uid, time_ms, events: &[identity.uid.as_str()], seen: identity.time.map(|t| (t, t)) };
        template.write(&head, out)
    }
}

/// What differs from finding to finding of one rule, but for its evidences.
struct Head<'a> {
    uid: String,
    /// When it is made.
    time_ms: i64,
    /// Uids of its events.
    events: &'a [&'a str],
    /// When the first and the last of them were, microseconds; none where they do not say.
    seen: Option<(i64, i64)>,
}

/// What a correlation stands on.
fn evidence(found: &Correlated) -> Value {
    let group: Map<String, Value> = found.group.iter().map(|(name, v)| (name.clone(), v.as_deref().into())).collect();
    json!({ "group": group, "measure": found.measure, "count": found.count })
}

/// Pretty-printed documents have line breaks and indents, between tokens only; a finding is one line.
fn one_line(json: &str, out: &mut impl Write) -> io::Result<()> {
    let mut rest = json.trim_start();
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest.as_bytes()) {
        out.write_all(&rest.as_bytes()[..at])?;
        rest = rest[at..].trim_start();
    }
    out.write_all(rest.as_bytes())
}

/// What stands between a finding's uid in its metadata and that in its information.
const PRODUCT: &str = "\",\"version\":\"1.8.0\",\"product\":{\"name\":\"Tarn\",\"vendor_name\":\"Tarn\"}},\
                       \"finding_info\":{\"uid\":\"";

impl Template {
    /// Writes a finding's members, but for its evidences.
    fn write(&self, Head { uid, time_ms, events, seen }: &Head<'_>, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.class.as_bytes())?;
        // Piece by piece: formatting takes longer than what is written.
        out.write_all(b",\"time\":")?;
        serde_json::to_writer(&mut *out, time_ms)?;
        out.write_all(b",\"metadata\":{\"uid\":\"")?;
        out.write_all(uid.as_bytes())?;
        out.write_all(PRODUCT.as_bytes())?;
        out.write_all(uid.as_bytes())?;
        out.write_all(b"\",\"created_time\":")?;
        serde_json::to_writer(&mut *out, time_ms)?;
        out.write_all(b",\"related_events\":[")?;
        for (i, event) in events.iter().enumerate() {
            out.write_all(if i > 0 { b",{\"uid\":" } else { b"{\"uid\":" })?;
            serde_json::to_writer(&mut *out, event)?;
            out.write_all(b"}")?;
        }
        out.write_all(b"],")?;
        if let Some((first, last)) = seen {
            out.write_all(b"\"first_seen_time\":")?;
            serde_json::to_writer(&mut *out, &(first / 1_000))?;
            out.write_all(b",\"last_seen_time\":")?;
            serde_json::to_writer(&mut *out, &(last / 1_000))?;
            out.write_all(b",")?;
        }
        out.write_all(self.info.as_bytes())?;
        out.write_all(b"}")
    }

    fn new(about: &About) -> Self {
        let (severity_id, severity) = severity(about.level);
        let class = json!({
            "class_uid": 2004, "class_name": "Detection Finding", "category_uid": 2, "category_name": "Findings",
            "activity_id": 1, "activity_name": "Create", "type_uid": 200_401,
            "type_name": "Detection Finding: Create", "severity_id": severity_id, "severity": severity,
            "status_id": 1, "status": "New", "message": about.title,
        });
        let mut info = json!({
            "title": about.title,
            "analytic": {"uid": about.id, "name": about.title, "type_id": 1, "type": "Rule", "version": about.digest},
        });
        if let Some(description) = &about.description {
            info["desc"] = description.trim().into();
        }
        if let Some(reference) = about.references.first() {
            info["src_url"] = reference.as_str().into();
        }
        let attacks = attacks(about);
        if !attacks.is_empty() {
            info["attacks"] = attacks.into();
        }
        let rule = json!({
            "id": about.id, "title": about.title, "level": about.level.to_string(), "tags": about.tags,
            "file": about.file.display().to_string(),
        });
        Self { class: inside(&class), info: inside(&info), rule: rule.to_string(), uid: begun(about) }
    }
}

/// An object's members.
fn inside(object: &Value) -> String {
    let text = object.to_string();
    text[1..text.len() - 1].to_owned()
}

/// A rule's techniques; its tactics alone where it names none.
fn attacks(about: &About) -> Vec<Value> {
    let tactics: Vec<Value> = about.attack.tactics.iter().map(|(id, name)| json!({"uid": id, "name": name})).collect();
    if about.attack.techniques.is_empty() {
        return tactics.into_iter().map(|tactic| json!({ "tactic": tactic })).collect();
    }
    let attack = |technique: &String| {
        let mut out = Map::new();
        match technique.split_once('.') {
            Some((parent, _)) => {
                out.insert("technique".into(), json!({ "uid": parent }));
                out.insert("sub_technique".into(), json!({ "uid": technique }));
            }
            None => drop(out.insert("technique".into(), json!({ "uid": technique }))),
        }
        // Which of several tactics a technique serves, tags do not say.
        if let [only] = tactics.as_slice() {
            out.insert("tactic".into(), only.clone());
        }
        Value::Object(out)
    };
    about.attack.techniques.iter().map(attack).collect()
}
