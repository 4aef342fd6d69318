//! Hits as OCSF Detection Findings (class 2004), written as JSON text.
//!
//! What a finding says of its rule is the same for all its hits and is made once. The event is written as it came.

use crate::bind::{Engine, RuleIx};
use crate::correlation::Correlated;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
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
    let parts = [about.id.as_str(), "\0", about.digest.as_str(), "\0", event_uid];
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part)).finalize();
    digest[..16].iter().map(|b| format!("{b:02x}")).collect()
}

/// The constant parts of a rule's findings: members of objects, without the braces.
struct Template {
    class: String,
    info: String,
    rule: String,
}

/// Writes the findings of an engine's rules.
pub struct Findings {
    templates: Vec<Template>,
    correlations: Vec<Template>,
}

impl Findings {
    /// For every rule of the engine.
    pub fn new(engine: &Engine) -> Self {
        let templates = (0..engine.len()).map(|i| Template::new(&engine.rule(RuleIx(i as u32)).about)).collect();
        let correlations = engine.correlations().iter().map(|c| Template::new(&c.about)).collect();
        Self { templates, correlations }
    }

    /// A finding in canonical OCSF, which has no attribute for a file's record: both stand in `unmapped`.
    ///
    /// **Errors**: those of `out`.
    pub fn ocsf(&self, engine: &Engine, rule: RuleIx, evidence: &Evidence<'_>, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{")?;
        self.members(engine, rule, evidence, out)?;
        if let Some(file) = evidence.file {
            write!(out, ",\"unmapped\":{{\"file\":{},\"record\":{}}}", Value::from(file), evidence.record)?;
        }
        out.write_all(b"}\n")
    }

    /// A line of `tarn detect`: the finding, and in front of it `rule`, `file`, `record` and `event` as users look for.
    ///
    /// **Errors**: those of `out`.
    pub fn line(&self, engine: &Engine, rule: RuleIx, evidence: &Evidence<'_>, out: &mut impl Write) -> io::Result<()> {
        write!(out, "{{\"rule\":{}", self.templates[rule.0 as usize].rule)?;
        if let Some(file) = evidence.file {
            write!(out, ",\"file\":{},\"record\":{}", Value::from(file), evidence.record)?;
        }
        out.write_all(b",\"event\":")?;
        one_line(evidence.event, out)?;
        out.write_all(b",")?;
        self.members(engine, rule, evidence, out)?;
        out.write_all(b"}\n")
    }

    /// A correlation's finding in canonical OCSF. Its evidence is the group, what was measured, and how many events did;
    /// its related events are the latest of them.
    ///
    /// **Errors**: those of `out`.
    pub fn correlated_ocsf(
        &self,
        engine: &Engine,
        found: &Correlated,
        time_ms: i64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        out.write_all(b"{")?;
        self.correlated_members(engine, found, time_ms, out)?;
        out.write_all(b"}\n")
    }

    /// A line of `tarn detect` for a correlation: `rule`, and `correlation` with the group and the events' uids.
    ///
    /// **Errors**: those of `out`.
    pub fn correlated_line(
        &self,
        engine: &Engine,
        found: &Correlated,
        time_ms: i64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut evidence = evidence(found);
        evidence["events"] = found.events.iter().map(|uid| Value::from(&**uid)).collect();
        write!(out, "{{\"rule\":{},\"correlation\":{evidence},", self.correlations[found.correlation].rule)?;
        self.correlated_members(engine, found, time_ms, out)?;
        out.write_all(b"}\n")
    }

    fn correlated_members(
        &self,
        engine: &Engine,
        found: &Correlated,
        time: i64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let template = &self.correlations[found.correlation];
        let uid = found.uid(engine);
        let events: Vec<Value> = found.events.iter().map(|uid| json!({ "uid": &**uid })).collect();
        write!(
            out,
            "{},\"time\":{time},\"count\":{},\"metadata\":{{\"uid\":\"{uid}\",\"version\":\"1.8.0\",\
             \"product\":{{\"name\":\"Tarn\",\"vendor_name\":\"Tarn\"}}}},\
             \"finding_info\":{{\"uid\":\"{uid}\",\"created_time\":{time},\"related_events\":{},\
             \"first_seen_time\":{},\"last_seen_time\":{},{}}},\"evidences\":[{{\"data\":{}}}]",
            template.class,
            found.count,
            Value::from(events),
            found.first / 1_000,
            found.last / 1_000,
            template.info,
            evidence(found),
        )
    }

    fn members(&self, engine: &Engine, rule: RuleIx, evidence: &Evidence<'_>, out: &mut impl Write) -> io::Result<()> {
        let template = &self.templates[rule.0 as usize];
        let uid = uid(&engine.rule(rule).about, &evidence.identity.uid);
        let time = evidence.time_ms;
        write!(
            out,
            "{},\"time\":{time},\"metadata\":{{\"uid\":\"{uid}\",\"version\":\"1.8.0\",\
             \"product\":{{\"name\":\"Tarn\",\"vendor_name\":\"Tarn\"}}}},\
             \"finding_info\":{{\"uid\":\"{uid}\",\"created_time\":{time},\"related_events\":[{{\"uid\":{}}}],",
            template.class,
            Value::from(evidence.identity.uid.as_str()),
        )?;
        if let Some(seen) = evidence.identity.time.map(|t| t / 1_000) {
            write!(out, "\"first_seen_time\":{seen},\"last_seen_time\":{seen},")?;
        }
        write!(out, "{}}},\"evidences\":[{{\"data\":", template.info)?;
        one_line(evidence.event, out)?;
        out.write_all(b"}]")
    }
}

/// What a correlation stands on.
fn evidence(found: &Correlated) -> Value {
    let group: Map<String, Value> = found.group.iter().map(|(name, v)| (name.clone(), v.as_deref().into())).collect();
    json!({ "group": group, "measure": found.measure, "count": found.count })
}

/// Pretty-printed documents have line breaks and indents, between tokens only; a finding is one line.
fn one_line(json: &str, out: &mut impl Write) -> io::Result<()> {
    json.split(['\n', '\r']).try_for_each(|part| out.write_all(part.trim_start().as_bytes()))
}

impl Template {
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
        Self { class: inside(&class), info: inside(&info), rule: rule.to_string() }
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
