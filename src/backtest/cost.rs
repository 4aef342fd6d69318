//! What each rule takes of the matching time: each alone, over one sample of the data.
//!
//! Of a rule's time goes what a matcher without rules takes for the same rows. What reading the fields takes is not in it:
//! rules share that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tarn_engine::{Engine, Matcher, RuleIx};
use tarn_ingest::fields::Rows;

/// Rows of a sample, at most.
const ROWS_MAX: usize = 20_000;
/// Rows of a sample, if there are very many rules.
const ROWS_MIN: usize = 500;
/// Evaluations of one rule on one row, at most.
const EVALUATIONS_MAX: usize = 20_000_000;
/// How often each rule is measured, at most.
const TURNS: usize = 3;

/// What rules take, by number.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    /// Time of each rule.
    times: Vec<Duration>,
    /// Rows of the sample.
    pub rows: usize,
}

impl Weights {
    /// The rule's share of what all take, from 0 to 1; none without a sample, or where nothing took any time.
    pub fn share(&self, rule: RuleIx) -> Option<f64> {
        let all = self.times.iter().sum::<Duration>().as_secs_f64();
        let own = self.times.get(rule.0 as usize)?.as_secs_f64();
        (all > 0.0).then(|| own / all)
    }

    /// Nanoseconds of a rule for each event of the sample.
    pub fn nanos(&self, rule: RuleIx) -> Option<f64> {
        let own = self.times.get(rule.0 as usize)?.as_nanos() as f64;
        (self.rows > 0).then(|| own / self.rows as f64)
    }
}

/// How many rows a sample for these rules has.
pub fn sample_rows(engine: &Engine) -> usize {
    (EVALUATIONS_MAX / engine.len().max(1)).clamp(ROWS_MIN, ROWS_MAX)
}

/// Rows that rules are measured on.
pub struct Sample<'a> {
    /// The rows.
    pub rows: &'a Rows,
    /// The rules that would look at them; none is all.
    pub rules: Option<BTreeSet<RuleIx>>,
}

/// Measures every rule on some rows.
pub fn weigh(engine: &Arc<Engine>, samples: &[Sample<'_>]) -> Weights {
    let rows: usize = samples.iter().map(|sample| sample.rows.len()).sum();
    if rows == 0 {
        return Weights::default();
    }
    let none = RuleIx(engine.len() as u32);
    let base: Vec<Duration> =
        samples.iter().map(|sample| shortest(engine, none, sample.rows, Duration::ZERO)).collect();
    let bar = crate::progress::steps(engine.len() as u64);
    bar.set_message("rules weighed");
    let weigh = |rule: RuleIx| -> Duration {
        bar.inc(1);
        let looks = |sample: &Sample<'_>| sample.rules.as_ref().is_none_or(|rules| rules.contains(&rule));
        let looked_at = samples.iter().zip(&base).filter(|(sample, _)| looks(sample));
        looked_at.map(|(sample, base)| shortest(engine, rule, sample.rows, *base).saturating_sub(*base)).sum()
    };
    let times = (0..none.0).map(RuleIx).map(weigh).collect();
    bar.finish_and_clear();
    Weights { times, rows }
}

/// The shortest of some turns, as what else the machine does only adds; one that takes no more than `enough` is the last.
fn shortest(engine: &Arc<Engine>, rule: RuleIx, rows: &Rows, enough: Duration) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..TURNS {
        let mut matcher = Matcher::of_rule(engine.clone(), rule);
        let started = Instant::now();
        std::hint::black_box(matcher.evaluate(rows));
        shortest = shortest.min(started.elapsed());
        if shortest <= enough {
            break;
        }
    }
    shortest
}
