//! Runs rules over labelled records, one at a time.

use super::table::Table;
use crate::score::{ALERT, wilson::Share};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;
use tarn_engine::correlation::{Correlator, Limits as Bounds, Match};
use tarn_engine::{Engine, Matcher};
use tarn_ingest::container::{Blocks, ContainerError, Limits};
use tarn_ingest::fields::FieldReader;
use tarn_rules::{About, Level, Ruleset};

/// A labelled record as it is written: one JSON object a line.
#[derive(Clone, Debug, Deserialize)]
struct Labelled {
    behaviour: String,
    name: String,
    expected: bool,
    log: Box<serde_json::value::RawValue>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It shows the behaviour, and a rule for it fired.
    Fired,
    /// It shows the behaviour, and none did.
    Missed,
    /// It is a benign look-alike, and nobody is alarmed.
    Quiet,
    /// It is a benign look-alike, and a rule for the behaviour fired at medium or above.
    False,
    /// No rule can decide it.
    LeftOut,
    /// No rule stands for its behaviour.
    NotMapped,
}

/// A record and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Its behaviour.
    pub behaviour: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Titles of the rules for its behaviour that fired, with their levels.
    pub rules: Vec<String>,
    /// Titles of other rules that fired, with their levels.
    pub others: Vec<String>,
}

/// The records of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Records in their order.
    pub records: Vec<Judged>,
}

impl Service {
    /// How many records have a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.records.iter().filter(|r| r.verdict == verdict).count()
    }

    /// Behaviours for which rules stand.
    pub fn mapped(&self) -> usize {
        let mapped = self.records.iter().filter(|r| r.verdict != Verdict::NotMapped);
        mapped.map(|r| r.behaviour.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// All behaviours.
    pub fn behaviours(&self) -> usize {
        self.records.iter().map(|r| r.behaviour.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// The true records of mapped behaviours that fire.
    pub fn fired(&self) -> Share {
        let fired = self.count(Verdict::Fired);
        Share::new(fired, fired + self.count(Verdict::Missed))
    }
}

/// Rules, and what they stand for.
pub struct Judge<'t> {
    table: &'t Table,
    mapped: BTreeMap<&'t str, BTreeSet<String>>,
    engine: Arc<Engine>,
    reader: FieldReader,
    matcher: Matcher,
    /// When this is, microseconds since 1970: the time of events without one.
    now: i64,
}

impl<'t> Judge<'t> {
    /// Rules as an engine has them; `rules` are the same, by file.
    pub fn new(engine: Arc<Engine>, rules: &Ruleset, table: &'t Table, now: i64) -> Self {
        let reader = FieldReader::new(engine.sources().clone(), engine.request());
        let matcher = Matcher::new(engine.clone());
        Self { mapped: table.rules(rules), table, engine, reader, matcher, now }
    }

    /// Judges the records of a file.
    ///
    /// **Errors**: the number of the first line that is no labelled record, and why.
    pub fn file(&mut self, text: &str) -> Result<Service, (usize, String)> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let records = lines.map(|(at, line)| {
            let labelled: Labelled = serde_json::from_str(line).map_err(|e| (at + 1, e.to_string()))?;
            self.record(&labelled).map_err(|e| (at + 1, e.to_string()))
        });
        Ok(Service { records: records.collect::<Result<_, _>>()? })
    }

    fn record(&mut self, labelled: &Labelled) -> Result<Judged, ContainerError> {
        let Labelled { behaviour, name, expected, log } = labelled;
        let fired = self.fired(log.get())?;
        let wanted = self.mapped.get(behaviour.as_str());
        let (rules, others): (Vec<_>, Vec<_>) =
            fired.into_iter().partition(|(id, ..)| wanted.is_some_and(|wanted| wanted.contains(id)));
        let verdict = match wanted {
            None => Verdict::NotMapped,
            Some(_) if self.table.left_out(behaviour, name).is_some() => Verdict::LeftOut,
            Some(_) if *expected && rules.is_empty() => Verdict::Missed,
            Some(_) if *expected => Verdict::Fired,
            Some(_) if rules.iter().any(|(_, level, _)| *level >= ALERT) => Verdict::False,
            Some(_) => Verdict::Quiet,
        };
        let titles = |rules: Vec<(String, Level, String)>| {
            rules.into_iter().map(|(_, level, title)| format!("{title} ({level})")).collect()
        };
        let (rules, others) = (titles(rules), titles(others));
        Ok(Judged { behaviour: behaviour.clone(), name: name.clone(), verdict, rules, others })
    }

    /// Ids, levels and titles of what fires on a log, as a stream of its own.
    fn fired(&mut self, log: &str) -> Result<BTreeSet<(String, Level, String)>, ContainerError> {
        let mut fired = BTreeSet::new();
        let mut add = |about: &About| {
            fired.insert((about.id.clone(), about.level, about.title.clone()));
        };
        let mut correlator = Correlator::new(self.engine.clone(), Bounds::default());
        let mut correlated = Vec::new();
        let mut blocks = Blocks::open(Cursor::new(log.as_bytes().to_vec()), Limits::default())?;
        while let Some(block) = blocks.next_block()? {
            self.reader.read(&block, None);
            let hits = self.matcher.evaluate(self.reader.rows());
            for hit in hits {
                let row = hit.row as usize;
                if let Some(fields) = self.engine.captures(hit.rule) {
                    let values = fields.iter().map(|name| self.reader.value(row, name)).collect();
                    let identity = self.reader.identity(&block, row, self.now);
                    let (time, uid) = (identity.time.unwrap_or(self.now), identity.uid.as_str().into());
                    correlator.push(Match { rule: hit.rule, time, uid, values }, &mut correlated);
                }
                if self.engine.is_shown(hit.rule) {
                    add(&self.engine.rule(hit.rule).about);
                }
            }
        }
        correlator.finish(&mut correlated);
        for found in correlated.iter().filter(|c| self.engine.is_correlation_shown(c.correlation)) {
            add(&self.engine.correlations()[found.correlation].about);
        }
        Ok(fired)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::table::{self, Behaviour};
    use super::*;
    use serde_json::json;
    use tarn_ingest::source::Sources;

    fn line(behaviour: &str, name: &str, expected: bool, event: &str, error: Option<&str>) -> String {
        let mut log = json!({
            "eventVersion": "1.09", "eventID": name, "eventTime": "2026-03-17T13:00:00Z", "awsRegion": "eu-north-1",
            "eventSource": "cloudtrail.amazonaws.com", "eventName": event, "sourceIPAddress": "192.0.2.7",
            "userIdentity": { "type": "IAMUser", "userName": "kim" },
        });
        if let Some(error) = error {
            log["errorCode"] = error.into();
        }
        json!({ "behaviour": behaviour, "name": name, "expected": expected, "attack": null, "stratus": null, "log": log })
            .to_string()
    }

    #[test]
    fn records_are_judged_by_the_rules_for_their_behaviour() {
        let behaviour =
            |behaviour: &str, rule: &str| Behaviour { behaviour: behaviour.into(), rules: vec![rule.into()] };
        let table = Table {
            behaviours: vec![
                behaviour("Stopped", "aws_cloudtrail_logging_stopped"),
                behaviour("Root", "aws_root_account_used"),
            ],
            left_out: vec![table::LeftOut { behaviour: "Root".into(), name: Some("odd".into()), reason: "r".into() }],
        };
        let rules = tarn_rules::pack();
        let (engine, _) = Engine::new(Arc::new(Sources::builtin().unwrap()), rules.clone());
        let mut judge = Judge::new(Arc::new(engine), &rules, &table, 0);
        let lines = [
            line("Stopped", "a", true, "StopLogging", None),
            line("Stopped", "b", true, "StopLogging", Some("AccessDenied")),
            line("Stopped", "c", false, "StopLogging", Some("AccessDenied")),
            line("Stopped", "d", false, "StopLogging", None),
            line("Root", "odd", true, "StopLogging", None),
            line("Root", "e", true, "StopLogging", None),
            line("Other", "f", true, "StopLogging", None),
        ];
        let service = judge.file(&lines.join("\n")).unwrap();
        let verdicts: Vec<Verdict> = service.records.iter().map(|r| r.verdict).collect();
        use Verdict::{False, Fired, LeftOut, Missed, NotMapped, Quiet};
        assert_eq!(verdicts, [Fired, Missed, Quiet, False, LeftOut, Missed, NotMapped]);
        assert_eq!((service.mapped(), service.behaviours(), service.fired().of), (2, 3, 3));
        assert_eq!(service.records[5].others, ["AWS CloudTrail Logging Stopped or Thinned (high)"]);
        assert_eq!(judge.file("\n{\"behaviour\": 1}").unwrap_err().0, 2);
    }
}
