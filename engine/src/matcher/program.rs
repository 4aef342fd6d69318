//! Conditions over atoms, and the index that says which of them are worth a look.

use super::values::AtomIx;
use ahash::AHashMap;
use tarn_ingest::fields::{FieldIx, KEYWORDS};
use tarn_rules::{Expr, FieldTest, Pattern, Test};

use crate::bind::Engine;

/// A condition.
#[derive(Clone, Debug)]
pub enum Node {
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    /// An atom that holds where its bit is set.
    Atom(AtomIx),
    /// The field is absent, or the atom (that it is null) holds.
    Absent(FieldIx, AtomIx),
    /// Two fields compared.
    Fields(FieldIx, FieldTest, FieldIx),
}

impl Node {
    /// Calls `seen` with the node and all that are in it.
    pub fn visit(&self, seen: &mut impl FnMut(&Self)) {
        seen(self);
        match self {
            Self::And(list) | Self::Or(list) => list.iter().for_each(|node| node.visit(seen)),
            Self::Not(inner) => inner.visit(seen),
            Self::Atom(_) | Self::Absent(..) | Self::Fields(..) => {}
        }
    }

    /// Whether fields are compared with each other in it.
    pub fn compares_fields(&self) -> bool {
        let mut any = false;
        self.visit(&mut |node| any |= matches!(node, Self::Fields(..)));
        any
    }
}

/// A rule on one source's events.
pub struct Condition {
    /// The bound rule's number.
    pub bound: u32,
    /// The condition.
    pub node: Node,
}

/// All conditions.
pub struct Program {
    pub conditions: Vec<Condition>,
    /// Tests by field: (atom, test).
    pub tests: Vec<Vec<(AtomIx, Test)>>,
    pub atoms: usize,
    /// For each atom, the conditions that it makes candidates.
    pub candidates: Vec<Vec<u32>>,
    /// Conditions that no atom is needed for.
    pub always: Vec<u32>,
}

impl Program {
    /// Compiles those of an engine's bound rules, by number, that are looked at.
    pub fn new(engine: &Engine, looked_at: impl Fn(usize) -> bool) -> Self {
        let fields = engine.field_count();
        let mut compiler = Compiler { engine, numbers: AHashMap::new(), tests: vec![Vec::new(); fields], atoms: 0 };
        let conditions: Vec<Condition> = engine
            .bound
            .iter()
            .enumerate()
            .filter(|(i, _)| looked_at(*i))
            .map(|(i, bound)| Condition { bound: i as u32, node: compiler.node(&bound.condition) })
            .collect();
        let (tests, atoms) = (compiler.tests, compiler.atoms);
        let mut weight = vec![1.0_f64; atoms];
        for (atom, test) in tests.iter().flatten() {
            weight[*atom as usize] = commonness(test);
        }
        let mut candidates = vec![Vec::new(); atoms];
        let mut always = Vec::new();
        for (i, condition) in conditions.iter().enumerate() {
            match anchor(&condition.node, &weight) {
                Some((_, atoms)) => {
                    for atom in atoms {
                        let list: &mut Vec<u32> = &mut candidates[atom as usize];
                        if list.last() != Some(&(i as u32)) {
                            list.push(i as u32);
                        }
                    }
                }
                None => always.push(i as u32),
            }
        }
        Self { conditions, tests, atoms, candidates, always }
    }
}

struct Compiler<'a> {
    engine: &'a Engine,
    numbers: AHashMap<(u16, &'a Test), AtomIx>,
    tests: Vec<Vec<(AtomIx, Test)>>,
    atoms: usize,
}

impl<'a> Compiler<'a> {
    fn node(&mut self, expr: &'a Expr) -> Node {
        match expr {
            Expr::And(list) => Node::And(list.iter().map(|e| self.node(e)).collect()),
            Expr::Or(list) => Node::Or(list.iter().map(|e| self.node(e)).collect()),
            Expr::Not(inner) => Node::Not(Box::new(self.node(inner))),
            Expr::Item(item) => {
                let name = item.field.as_deref().unwrap_or(KEYWORDS);
                // Every field of a bound condition was numbered when it was bound.
                let Some(field) = self.engine.field(name) else { return Node::Or(Box::new([])) };
                if let Test::Field(how, other) = &item.test {
                    return match self.engine.field(other) {
                        Some(other) => Node::Fields(field, *how, other),
                        None => Node::Or(Box::new([])),
                    };
                }
                let next = self.atoms as AtomIx;
                let atom = *self.numbers.entry((field.0, &item.test)).or_insert(next);
                if atom == next {
                    self.atoms += 1;
                    self.tests[field.0 as usize].push((atom, item.test.clone()));
                }
                match item.test {
                    Test::Null => Node::Absent(field, atom),
                    _ => Node::Atom(atom),
                }
            }
        }
    }
}

/// How often a test is expected to hold, from its form alone: short and open ones more often than long and closed ones.
fn commonness(test: &Test) -> f64 {
    let short = |text: &str, base: f64| base / (1.0 + text.len() as f64);
    match test {
        Test::Text { pattern, .. } => match pattern {
            Pattern::Any => 1.0,
            Pattern::Exact(t) => short(t, 0.5),
            Pattern::Prefix(t) | Pattern::Suffix(t) => short(t, 0.6),
            Pattern::Contains(t) => short(t, 1.0),
            Pattern::Glob(_) => 0.05,
        },
        Test::Exists => 1.0,
        Test::Regex(_) => 0.2,
        Test::Cidr(_) | Test::Number(..) | Test::Time(..) => 0.3,
        Test::Null | Test::Field(..) => 1.0,
    }
}

/// The cheapest set of atoms of which at least one has to hold; none when the condition can hold without any.
fn anchor(node: &Node, weight: &[f64]) -> Option<(f64, Vec<AtomIx>)> {
    match node {
        Node::Atom(atom) => Some((weight[*atom as usize], vec![*atom])),
        Node::And(list) => list.iter().filter_map(|n| anchor(n, weight)).min_by(|a, b| a.0.total_cmp(&b.0)),
        Node::Or(list) => {
            let mut total = 0.0;
            let mut atoms = Vec::new();
            for inner in list {
                let (cost, more) = anchor(inner, weight)?;
                total += cost;
                atoms.extend(more);
            }
            atoms.sort_unstable();
            atoms.dedup();
            Some((total, atoms))
        }
        Node::Not(_) | Node::Absent(..) | Node::Fields(..) => None,
    }
}
