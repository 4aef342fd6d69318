//! Rules' own test events, run through the same lanes as any log.

use crate::bind::{Engine, Report, Verdict};
use crate::correlation::{Correlator, Limits, Match};
use crate::matcher::{Hit, Matcher};
use std::sync::Arc;
use tarn_ingest::container::Block;
use tarn_ingest::fields::FieldReader;
use tarn_ingest::source::Sources;
use tarn_rules::events::{Happens, Step, TestCase};
use tarn_rules::{About, Rule, Ruleset};

/// What a test case showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The case's name.
    pub name: String,
    /// Whether the rule had to fire.
    pub expected: bool,
    /// Whether it did; an error where the rule cannot run.
    pub fired: Result<bool, String>,
}

impl Outcome {
    /// Whether the rule did what it had to.
    pub fn passed(&self) -> bool {
        self.fired == Ok(self.expected)
    }
}

/// Runs a rule on the events of those cases that are for it.
pub fn run(sources: &Arc<Sources>, rule: &Rule, cases: &[TestCase]) -> Vec<Outcome> {
    let mut tester = Tester::new(sources.clone(), Ruleset { rules: vec![rule.clone()], ..Ruleset::default() });
    tester.run(&rule.about, cases, |tester, case| match &case.happens {
        Happens::Event(event) => Some(tester.fires(case, event)),
        Happens::Sequence(_) => None,
    })
}

/// A rule set whose correlations meet sequences of events.
pub struct Tester {
    engine: Arc<Engine>,
    reports: Vec<Report>,
    reader: FieldReader,
    matcher: Matcher,
}

impl Tester {
    /// Binds a rule set.
    pub fn new(sources: Arc<Sources>, set: Ruleset) -> Self {
        let (engine, reports) = Engine::new(sources.clone(), set);
        let engine = Arc::new(engine);
        let reader = FieldReader::new(sources, engine.request());
        Self { matcher: Matcher::new(engine.clone()), engine, reports, reader }
    }

    /// Runs a correlation of the set on the sequences of those cases that are for it, each from nothing.
    pub fn correlation(&mut self, about: &About, cases: &[TestCase]) -> Vec<Outcome> {
        let number = self.engine.correlations().iter().position(|c| c.about.id == about.id);
        self.run(about, cases, |tester, case| match &case.happens {
            Happens::Event(_) => None,
            Happens::Sequence(steps) => {
                let number = number.ok_or_else(|| "the correlation cannot run".to_owned());
                Some(number.and_then(|number| tester.correlates(case, steps, number)))
            }
        })
    }

    fn run(
        &mut self,
        about: &About,
        cases: &[TestCase],
        fired: impl Fn(&mut Self, &TestCase) -> Option<Result<bool, String>>,
    ) -> Vec<Outcome> {
        let of_it = self.reports.iter().find(|r| r.id == about.id && r.file == about.file);
        let refused = match of_it.map(|r| &r.verdict) {
            Some(Verdict::NotEvaluable(why)) => Some(why.clone()),
            _ => None,
        };
        let cases = cases.iter().filter(|case| case.is_for(about));
        let mut outcome = |case: &TestCase| {
            let fired = fired(self, case)?;
            let fired = refused.clone().map_or(fired, Err);
            Some(Outcome { name: case.name.clone(), expected: case.fires, fired })
        };
        cases.filter_map(&mut outcome).collect()
    }

    fn fires(&mut self, case: &TestCase, event: &serde_json::Value) -> Result<bool, String> {
        let mut block = Block::default();
        block.push(1, &event.to_string());
        Ok(!self.hits(case, &block)?.is_empty())
    }

    fn correlates(&mut self, case: &TestCase, steps: &[Step], number: usize) -> Result<bool, String> {
        let (mut block, mut times) = (Block::default(), Vec::new());
        for (at, event) in steps.iter().flat_map(Step::events) {
            times.push(at);
            block.push(times.len() as u64, &event.to_string());
        }
        let hits = self.hits(case, &block)?;
        let mut correlator = Correlator::new(self.engine.clone(), Limits::default());
        let mut found = Vec::new();
        for Hit { row, rule } in hits {
            let Some(fields) = self.engine.captures(rule) else { continue };
            let values = fields.iter().map(|name| self.reader.value(row as usize, name)).collect();
            let uid = format!("event {row}").into();
            correlator.push(Match { rule, time: times[row as usize], uid, values }, &mut found);
        }
        correlator.finish(&mut found);
        Ok(found.iter().any(|f| f.correlation == number))
    }

    /// Whether no source that has log sources of Sigma's wrote a row, nor one whose records are OCSF.
    fn is_of_nobody(&self, row: usize) -> bool {
        let rows = self.reader.rows();
        let source = self.engine.sources().source(rows.route(rows.route_of(row)).source);
        source.logsources.is_empty() && !source.native
    }

    fn hits(&mut self, case: &TestCase, block: &Block) -> Result<Vec<Hit>, String> {
        let unknown = |name: &String| format!("there is no source {name:?}");
        let source = case
            .source
            .as_ref()
            .map(|name| self.engine.sources().named(name).map(|source| source.id).ok_or_else(|| unknown(name)));
        self.reader.read(block, source.transpose()?);
        let rows = self.reader.rows();
        // What must not fire would pass for the wrong reason.
        if let Some(row) = (0..rows.len()).find(|row| self.is_of_nobody(*row)) {
            return Err(format!("no log source recognises event {}; complete it, or give `source`", row + 1));
        }
        Ok(self.matcher.evaluate(self.reader.rows()).to_vec())
    }
}
