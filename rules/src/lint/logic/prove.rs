//! Whether a condition can hold at all: what is known of the fields is carried through its parts.
//!
//! Sound and incomplete: what is called impossible is, what is not may still be. Disjunctions are gone through branch by
//! branch, one level deep. **Bounds**: a million comparisons a question; then it answers that it does not know.

use super::relate::{excludes, implies};
use crate::expr::{Expr, Item};
use std::cell::Cell;

/// What fields are taken to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// Any number of values: that one is `a` does not keep another from being `b`.
    Lists,
    /// One value.
    Single,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Holds,
    Fails,
    Open,
}

/// A condition or its negation.
type Signed<'a> = (&'a Expr, bool);

/// What is known of the event.
type Facts<'a> = Vec<(&'a Item, bool)>;

struct Prover {
    fields: Fields,
    left: Cell<usize>,
}

const COMPARISONS_MAX: usize = 1_000_000;
/// Branches of a disjunction that is gone through.
const BRANCHES_MAX: usize = 200;

/// Whether no event satisfies all of `parts`, each with whether it has to hold or to fail.
pub fn impossible(parts: &[Signed<'_>], fields: Fields) -> bool {
    let prover = Prover { fields, left: Cell::new(COMPARISONS_MAX) };
    prover.all(parts.to_vec(), &mut Vec::new(), true) == Truth::Fails
}

impl Prover {
    /// All of `parts` together, given facts.
    fn all<'a>(&self, parts: Vec<Signed<'a>>, facts: &mut Facts<'a>, split: bool) -> Truth {
        let known = facts.len();
        let truth = self.conjunction(parts, facts, split);
        facts.truncate(known);
        truth
    }

    fn conjunction<'a>(&self, parts: Vec<Signed<'a>>, facts: &mut Facts<'a>, split: bool) -> Truth {
        let mut open = Vec::new();
        let known = facts.len();
        if !self.learn(parts, facts, &mut open) {
            return Truth::Fails;
        }
        // A disjunction with one branch left is that branch, and may settle others.
        loop {
            let mut progress = false;
            for (expr, sign) in std::mem::take(&mut open) {
                let mut branches = Vec::new();
                let mut holds = false;
                for branch in children(expr) {
                    match self.all(vec![(branch, sign_of(expr, sign))], facts, false) {
                        Truth::Holds => holds = true,
                        Truth::Fails => {}
                        Truth::Open => branches.push(branch),
                    }
                }
                match branches.as_slice() {
                    _ if holds => {}
                    [] => return Truth::Fails,
                    [one] => {
                        progress = true;
                        if !self.learn(vec![(*one, sign_of(expr, sign))], facts, &mut open) {
                            return Truth::Fails;
                        }
                    }
                    _ => open.push((expr, sign)),
                }
            }
            if !progress {
                break;
            }
        }
        if split && open.iter().any(|one| self.fails_whichever(*one, &open, facts)) {
            return Truth::Fails;
        }
        if open.is_empty() && facts.len() == known { Truth::Holds } else { Truth::Open }
    }

    /// Whether every branch of a disjunction fails with the others.
    fn fails_whichever<'a>(&self, one: Signed<'a>, open: &[Signed<'a>], facts: &mut Facts<'a>) -> bool {
        let branches = children(one.0);
        let sign = sign_of(one.0, one.1);
        branches.len() <= BRANCHES_MAX
            && branches.iter().all(|branch| {
                let mut parts = vec![(branch, sign)];
                parts.extend(open.iter().filter(|o| !std::ptr::eq(o.0, one.0)));
                self.all(parts, facts, false) == Truth::Fails
            })
    }

    /// Takes what must hold apart: items become facts, disjunctions stay open. False when it cannot be.
    fn learn<'a>(&self, mut parts: Vec<Signed<'a>>, facts: &mut Facts<'a>, open: &mut Vec<Signed<'a>>) -> bool {
        parts.reverse();
        while let Some((expr, sign)) = parts.pop() {
            match (expr, sign) {
                (Expr::Not(inner), _) => parts.push((inner, !sign)),
                (Expr::And(list), true) | (Expr::Or(list), false) => {
                    parts.extend(list.iter().rev().map(|e| (e, sign)));
                }
                (Expr::And(_) | Expr::Or(_), _) => open.push((expr, sign)),
                (Expr::Item(item), _) => match self.item(item, facts) {
                    Some(truth) if truth == sign => {}
                    Some(_) => return false,
                    None => facts.push((item, sign)),
                },
            }
        }
        true
    }

    /// What facts say of an item.
    fn item(&self, item: &Item, facts: &Facts<'_>) -> Option<bool> {
        for (fact, sign) in facts.iter().filter(|(fact, _)| fact.field == item.field) {
            let left = self.left.get().checked_sub(1)?;
            self.left.set(left);
            if *sign && implies(&fact.test, &item.test) {
                return Some(true);
            }
            if !*sign && implies(&item.test, &fact.test) {
                return Some(false);
            }
            let single = self.fields == Fields::Single && item.field.is_some();
            if *sign && single && excludes(&fact.test, &item.test) {
                return Some(false);
            }
        }
        None
    }
}

fn children(expr: &Expr) -> &[Expr] {
    match expr {
        Expr::And(list) | Expr::Or(list) => list,
        Expr::Not(_) | Expr::Item(_) => std::slice::from_ref(expr),
    }
}

/// The sign of a disjunction's branches: those of a negated conjunction have to fail.
fn sign_of(expr: &Expr, sign: bool) -> bool {
    match expr {
        Expr::And(_) | Expr::Or(_) => sign,
        Expr::Not(_) | Expr::Item(_) => true,
    }
}
