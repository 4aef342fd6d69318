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

/// Conditions of all bound rules, by their numbers, over tests that are numbered: what matchers of some of the rules are made of.
pub(crate) struct Compiled {
    /// Distinct tests of values, each of its field.
    pub(crate) tests: Vec<(FieldIx, Test)>,
    nodes: Vec<Node>,
    /// The tests of which one has to hold, where there are such.
    anchors: Vec<Option<Vec<AtomIx>>>,
}

impl Compiled {
    pub(crate) fn new(engine: &Engine) -> Self {
        // To make room as they come would hash all tests again each time.
        let mut items = 0;
        engine.bound.iter().for_each(|bound| bound.condition.items(&mut |_| items += 1));
        let mut compiler = Compiler { engine, numbers: AHashMap::with_capacity(items), tests: Vec::new() };
        let nodes: Vec<Node> = engine.bound.iter().map(|bound| compiler.node(&bound.condition)).collect();
        let tests: Vec<(FieldIx, Test)> =
            compiler.tests.into_iter().map(|(field, test)| (field, test.clone())).collect();
        let weights: Vec<f64> = tests.iter().map(|(_, test)| commonness(test)).collect();
        let anchors = nodes.iter().map(|node| anchor(node, &weights).map(|(_, atoms)| atoms)).collect();
        Self { tests, nodes, anchors }
    }
}

/// A rule on one source's events.
pub struct Condition {
    /// The bound rule's number.
    pub bound: u32,
    /// The condition.
    pub node: Node,
}

/// Conditions of some rules. Their atoms are numbered anew, without gaps.
pub struct Program {
    pub conditions: Vec<Condition>,
    /// By field, atoms and the numbers that their tests have in [`Compiled`].
    pub tests: Vec<Vec<(AtomIx, u32)>>,
    pub atoms: usize,
    /// For each atom, the conditions that it makes candidates.
    pub candidates: Vec<Vec<u32>>,
    /// Conditions that no atom is needed for.
    pub always: Vec<u32>,
}

impl Program {
    /// Those of an engine's bound rules, by number, that are looked at.
    pub fn new(engine: &Engine, looked_at: impl Fn(usize) -> bool) -> Self {
        let compiled = engine.compiled();
        let mut numbers = Numbers {
            of: vec![None; compiled.tests.len()],
            tests: vec![Vec::new(); engine.field_count()],
            atoms: 0,
            compiled,
        };
        let chosen: Vec<usize> = (0..compiled.nodes.len()).filter(|bound| looked_at(*bound)).collect();
        let condition = |bound: &usize| {
            let node = numbers.node(&compiled.nodes[*bound]);
            Condition { bound: *bound as u32, node }
        };
        let conditions = chosen.iter().map(condition).collect();
        let mut candidates: Vec<Vec<u32>> = vec![Vec::new(); numbers.atoms];
        let mut always = Vec::new();
        for (bound, i) in chosen.iter().zip(0..) {
            match &compiled.anchors[*bound] {
                Some(atoms) => {
                    for atom in atoms.iter().filter_map(|atom| numbers.of[*atom as usize]) {
                        candidates[atom as usize].push(i);
                    }
                }
                None => always.push(i),
            }
        }
        Self { conditions, tests: numbers.tests, atoms: numbers.atoms, candidates, always }
    }
}

/// Numbers atoms anew, as they come.
struct Numbers<'a> {
    compiled: &'a Compiled,
    of: Vec<Option<AtomIx>>,
    tests: Vec<Vec<(AtomIx, u32)>>,
    atoms: usize,
}

impl Numbers<'_> {
    fn node(&mut self, node: &Node) -> Node {
        match node {
            Node::And(list) => Node::And(list.iter().map(|node| self.node(node)).collect()),
            Node::Or(list) => Node::Or(list.iter().map(|node| self.node(node)).collect()),
            Node::Not(inner) => Node::Not(Box::new(self.node(inner))),
            Node::Atom(atom) => Node::Atom(self.atom(*atom)),
            Node::Absent(field, atom) => Node::Absent(*field, self.atom(*atom)),
            Node::Fields(a, how, b) => Node::Fields(*a, *how, *b),
        }
    }

    fn atom(&mut self, test: AtomIx) -> AtomIx {
        *self.of[test as usize].get_or_insert_with(|| {
            let atom = self.atoms as AtomIx;
            self.atoms += 1;
            self.tests[self.compiled.tests[test as usize].0.0 as usize].push((atom, test));
            atom
        })
    }
}

struct Compiler<'a> {
    engine: &'a Engine,
    numbers: AHashMap<(u16, &'a Test), AtomIx>,
    tests: Vec<(FieldIx, &'a Test)>,
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
                let tests = &mut self.tests;
                let atom = *self.numbers.entry((field.0, &item.test)).or_insert_with(|| {
                    tests.push((field, &item.test));
                    (tests.len() - 1) as AtomIx
                });
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
