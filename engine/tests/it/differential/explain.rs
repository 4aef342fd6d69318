//! Why rsigma differs on a rule: the smallest parts of it that differ, and what excuses them.

use super::event::{Event, Json};
use super::exceptions::{Case, EXCEPTIONS, Exception, REFUSALS};
use super::referees::{Seen, World, rsigma_holds};
use super::rule::{Item, Rule};
use rsigma_eval::CompiledRule;
use std::collections::BTreeMap;
use tarn_rules::Expr;

/// A part of a rule, as a rule.
pub struct Part {
    item: Item,
    tarn: Expr,
    rsigma: Option<CompiledRule>,
}

/// Every item with each of its values alone, then every item whole.
pub fn parts(world: &World, rule: &Rule) -> [Vec<Part>; 2] {
    let items: Vec<Item> = rule.selections.iter().flat_map(|(_, s)| s.items()).collect();
    let part = |item: &Item| {
        let rule = Rule::of(item.clone());
        let tarn = world.load("r0", &rule).ok()?.condition;
        Some(Part { item: item.clone(), tarn, rsigma: world.load_rsigma(&rule).ok() })
    };
    let single: Vec<Item> = items.iter().flat_map(|i| i.values.iter().map(|v| i.single(v))).collect();
    [single.iter().filter_map(part).collect(), items.iter().filter_map(part).collect()]
}

/// Counts differences by their excuses.
#[derive(Default)]
pub struct Explainer {
    seen: BTreeMap<&'static str, usize>,
    refused: BTreeMap<&'static str, usize>,
    /// Differences without an excuse, by their kind: how many, and the shortest.
    unexplained: BTreeMap<String, (usize, String)>,
}

impl Explainer {
    /// A rule as rsigma reads it; none where it is known to refuse.
    pub fn load(&mut self, world: &World, rule: &Rule) -> Option<CompiledRule> {
        match world.load_rsigma(rule) {
            Ok(rule) => Some(rule),
            Err(error) => {
                match REFUSALS.iter().find(|r| error.contains(r.0)) {
                    Some(known) => *self.refused.entry(known.0).or_default() += 1,
                    None => self.keep(format!("rsigma refuses: {error}"), rule.yaml("r0", world.product)),
                }
                None
            }
        }
    }

    /// Finds the excuses of a difference, or keeps it.
    pub fn explain(&mut self, parts: &[Vec<Part>; 2], event: &Event, seen: &Seen, says: impl Fn() -> String) {
        for level in parts {
            let differing = level.iter().filter_map(|part| {
                let tarn = seen.holds(&part.tarn);
                let rsigma = part.rsigma.as_ref()?;
                (rsigma_holds(rsigma, event) != tarn).then(|| Case {
                    item: &part.item,
                    event,
                    tarn,
                    on_texts: seen.holds_on_texts(&part.tarn),
                })
            });
            let differing: Vec<Case<'_>> = differing.collect();
            for case in &differing {
                match EXCEPTIONS.iter().find(|e| (e.is)(case)) {
                    Some(exception) => *self.seen.entry(exception.name).or_default() += 1,
                    None => {
                        let field = case.item.field.map(|f| event.values(f));
                        let Item { modifiers, values, .. } = case.item;
                        let kind = format!("rsigma, {modifiers:?} with {values:?} where Tarn says {}", case.tarn);
                        self.keep(kind, format!("{:?} on {field:?}\n{}", case.item.field, says()));
                    }
                }
            }
            if !differing.is_empty() {
                return;
            }
        }
        self.keep("rsigma, no part of the rule".into(), says());
    }

    /// Keeps a difference that fails the run.
    pub fn keep(&mut self, kind: String, difference: String) {
        let (count, shortest) = self.unexplained.entry(kind).or_default();
        *count += 1;
        if shortest.is_empty() || difference.len() < shortest.len() {
            *shortest = difference;
        }
    }

    /// Fails on what has no excuse, and on excuses that nothing needed.
    pub fn finish(self) {
        for Exception { name, reason, .. } in EXCEPTIONS {
            println!("{:6} {name}: {reason}", self.seen.get(name).unwrap_or(&0));
        }
        for (message, reason) in REFUSALS {
            println!("{:6} rules refused, {message}: {reason}", self.refused.get(message).unwrap_or(&0));
        }
        for (kind, (count, shortest)) in &self.unexplained {
            println!("== {count} times {kind}\n{shortest}");
        }
        assert!(self.unexplained.is_empty(), "differences, see above");
        let excuses =
            EXCEPTIONS.iter().map(|e| (e.name, &self.seen)).chain(REFUSALS.iter().map(|r| (r.0, &self.refused)));
        let stale: Vec<&str> = excuses.filter(|(name, seen)| !seen.contains_key(name)).map(|(name, _)| name).collect();
        assert!(stale.is_empty(), "nothing needs these exceptions any more: {stale:?}");
    }
}

/// Whether a condition is the same for all events: such rules do not run.
pub fn is_constant(condition: &Expr) -> bool {
    match condition {
        Expr::And(list) | Expr::Or(list) => list.iter().all(is_constant),
        Expr::Not(inner) => is_constant(inner),
        Expr::Item(_) => false,
    }
}

/// A difference, to be read.
pub fn message(who: &str, seed: u64, world: &World, rule: &Rule, event: &Event, verdict: bool) -> String {
    let parsed = Json::Object(event.members.clone()).compact();
    let reference = if verdict { "fires" } else { "does not fire" };
    let yaml = rule.yaml("r0", world.product);
    format!(
        "seed {seed}: {who} says otherwise; by the reference the rule {reference}\n{yaml}{parsed}\n{}\n",
        event.text
    )
}
