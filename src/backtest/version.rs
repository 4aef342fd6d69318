//! Rules as they were loaded, and under which numbers they run.

use std::sync::Arc;
use tarn_engine::{Engine, Report, RuleIx, Verdict};
use tarn_ingest::source::Sources;
use tarn_rules::{Level, Ruleset};

/// What runs.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// A rule.
    Rule(RuleIx),
    /// A correlation, by its number in [`Engine::correlations`].
    Correlation(usize),
}

/// A rule set, bound to sources.
pub struct Version {
    /// Those that run.
    pub engine: Arc<Engine>,
    /// All of them: rules, then correlations.
    pub reports: Vec<Report>,
    levels: Vec<Level>,
    subjects: Vec<Option<Subject>>,
}

impl Version {
    /// Binds a rule set.
    pub fn new(sources: Arc<Sources>, set: Ruleset) -> Self {
        let abouts = set.rules.iter().map(|r| &r.about).chain(set.correlations.iter().map(|c| &c.about));
        let levels = abouts.map(|about| about.level).collect();
        let of_rules = set.rules.len();
        let (engine, reports) = Engine::new(sources, set);
        // The engine numbers those that run, in the order of their reports.
        let (mut rules, mut correlations) = (0, 0);
        let subject = |(at, report): (usize, &Report)| {
            let runs = matches!(report.verdict, Verdict::Evaluable { .. });
            runs.then(|| match at < of_rules {
                true => (Subject::Rule(RuleIx(rules)), rules += 1).0,
                false => (Subject::Correlation(correlations), correlations += 1).0,
            })
        };
        let subjects = reports.iter().enumerate().map(subject).collect();
        Self { engine: Arc::new(engine), reports, levels, subjects }
    }

    /// Every rule and correlation: its report, its level, and what runs of it.
    pub fn all(&self) -> impl Iterator<Item = (&Report, Level, Option<Subject>)> {
        let of = self.reports.iter().zip(&self.levels).zip(&self.subjects);
        of.map(|((report, level), subject)| (report, *level, *subject))
    }
}
