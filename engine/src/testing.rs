//! A rule's own test events, run through the same lanes as any log.

use crate::bind::{Engine, Verdict};
use crate::matcher::Matcher;
use std::sync::Arc;
use tarn_ingest::container::Block;
use tarn_ingest::fields::FieldReader;
use tarn_ingest::source::Sources;
use tarn_rules::events::TestEvent;
use tarn_rules::{Rule, Ruleset};

/// What a test event showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The event's name.
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

/// Runs a rule on its test events.
pub fn run(sources: &Arc<Sources>, rule: &Rule, events: &[TestEvent]) -> Vec<Outcome> {
    let (engine, reports) = Engine::new(sources.clone(), Ruleset { rules: vec![rule.clone()], ..Ruleset::default() });
    let engine = Arc::new(engine);
    let refused = reports.iter().find_map(|r| match &r.verdict {
        Verdict::NotEvaluable(why) => Some(why.clone()),
        Verdict::Evaluable { .. } => None,
    });
    let mut reader = FieldReader::new(sources.clone(), engine.request());
    let mut matcher = Matcher::new(engine);
    let fired = |test: &TestEvent| {
        if let Some(why) = &refused {
            return Err(why.clone());
        }
        let mut block = Block::default();
        block.push(1, &test.event.to_string());
        reader.read(&block, None);
        Ok(!matcher.evaluate(reader.rows()).is_empty())
    };
    let mut fired = fired;
    events.iter().map(|test| Outcome { name: test.name.clone(), expected: test.fires, fired: fired(test) }).collect()
}
