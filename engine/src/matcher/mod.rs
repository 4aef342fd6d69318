//! All rules at once: what is true of each distinct value is remembered, and most rules are never looked at.
//!
//! A batch's row is a list of cells (field, code). For each code the atoms that hold are worked out when the code is
//! first seen. A row's atoms make candidates of the rules that need one of them; a candidate's condition is
//! evaluated over the row's atoms, if the row's route belongs to the rule's log source.
//! **Bounds**: memory as large as the reader's dictionaries, which are bounded.

mod affixes;
mod ascii;
mod memo;
pub(crate) mod program;
mod required;
mod values;

use crate::bind::{Engine, RuleIx, fields_of};
use crate::trace::{Part, Step, Trace};
use memo::{Memo, Parts};
use program::{Compiled, Condition, Node, Program};
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use tarn_ingest::fields::{Cell, FieldIx, FieldValue, KEYWORDS, RouteId, Rows};
use tarn_ingest::source::Logsource;
use tarn_rules::{Expr, FieldTest};
use tarn_schema_ocsf::ClassUid;
use values::{AtomIx, FieldTests};

/// Threads that make a matcher ready: a few fields have most of the tests.
const READY_THREADS_MAX: usize = 4;

/// A rule that fired on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The row in the batch.
    pub row: u32,
    /// The rule.
    pub rule: RuleIx,
}

/// What is known of one field's codes.
struct Known {
    /// Made for the first value, if not before: rows of one class have few of the fields that rules name.
    tests: Option<FieldTests>,
    /// Whether the field is in any test that a value decides.
    tested: bool,
    epoch: u64,
    /// For each code, where its atoms are in `atoms`.
    ends: Vec<u32>,
    atoms: Vec<AtomIx>,
    /// For each code, its part in a row's key.
    parts: Vec<u128>,
    /// The same in rows of which conditions compare the field with another: there its value tells more than its atoms.
    own_parts: Vec<u128>,
    /// Whether one of them is not 0.
    tells: bool,
    /// The part of any value, where conditions ask if there is one.
    there: u128,
    /// Whether conditions compare the field with another.
    compared: bool,
}

impl Known {
    /// A code's part in a row's key; a row without a value has none.
    #[inline]
    fn part(&self, code: u32, compares: bool) -> u128 {
        let parts = if compares && self.compared { &self.own_parts } else { &self.parts };
        parts.get(code as usize).copied().unwrap_or(0)
    }

    /// Makes the tests of some atoms, told by their numbers.
    fn make_ready(&mut self, compiled: &Compiled, tests: &[(AtomIx, u32)]) -> &mut FieldTests {
        let tests = || tests.iter().map(|(atom, test)| (*atom, &compiled.tests[*test as usize].1));
        self.tests.get_or_insert_with(|| FieldTests::new(tests()))
    }
}

/// Evaluates batches. One a thread.
pub struct Matcher {
    engine: Arc<Engine>,
    program: Program,
    fields: Vec<Known>,
    /// For each route, which conditions apply.
    routes: Vec<Vec<bool>>,
    /// For each route, the applicable conditions that no atom is needed for.
    always: Vec<Vec<u32>>,
    // Atoms of the row at hand are those stamped with its number.
    stamps: Vec<u64>,
    tried: Vec<u64>,
    stamp: u64,
    memo: Memo,
    /// Draws parts of keys for routes and values that come up.
    new_parts: Parts,
    /// For each atom, its part in a row's key.
    atom_parts: Vec<u128>,
    /// For each route, its part in a row's key.
    route_parts: Vec<u128>,
    /// For each route, whether an applicable condition compares fields with each other.
    compares: Vec<bool>,
    /// Scratch: the keys of a batch's rows, the cells of the row at hand, and a text without its escapes.
    keys: Vec<u128>,
    cells: Vec<Cell>,
    room: Vec<u8>,
    hits: Vec<Hit>,
}

impl Matcher {
    /// A matcher for an engine's rules, which is ready for any event.
    pub fn new(engine: Arc<Engine>) -> Self {
        let program = Program::new(&engine, |_| true);
        let mut matcher = Self::of(engine, program);
        let fields = matcher.fields.iter_mut().zip(&matcher.program.tests);
        let (next, compiled) = (Mutex::new(fields.filter(|(known, _)| known.tested)), matcher.engine.compiled());
        let ready = || {
            let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some((known, tests)) = take() {
                known.make_ready(compiled, tests);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..std::thread::available_parallelism().map_or(1, NonZero::get).min(READY_THREADS_MAX) {
                scope.spawn(ready);
            }
            ready();
        });
        matcher
    }

    /// A matcher for those rules of which events become this class.
    pub fn of_class(engine: Arc<Engine>, class: ClassUid) -> Self {
        let program = Program::new(&engine, |bound| engine.classes_of_bound()[bound].contains(&class));
        Self::of(engine, program)
    }

    /// A matcher for some bound rules, by number.
    pub(crate) fn of_some(engine: Arc<Engine>, some: &[u32]) -> Self {
        let program = Program::new(&engine, |bound| some.binary_search(&(bound as u32)).is_ok());
        Self::of(engine, program)
    }

    /// A matcher for one rule; for none, where no rule has that number.
    pub fn of_rule(engine: Arc<Engine>, rule: RuleIx) -> Self {
        let program = Program::new(&engine, |bound| engine.bound[bound].rule == rule);
        Self::of(engine, program)
    }

    fn of(engine: Arc<Engine>, program: Program) -> Self {
        let mut new_parts = Parts::default();
        let field = |tests: &Vec<(AtomIx, u32)>| Known {
            tests: None,
            tested: !tests.is_empty(),
            epoch: 0,
            ends: Vec::new(),
            atoms: Vec::new(),
            parts: Vec::new(),
            own_parts: Vec::new(),
            tells: false,
            there: 0,
            compared: false,
        };
        let mut fields: Vec<Known> = program.tests.iter().map(field).collect();
        for condition in &program.conditions {
            condition.node.visit(&mut |node| match node {
                Node::Fields(a, _, b) => [a, b].into_iter().for_each(|at| fields[at.0 as usize].compared = true),
                Node::Absent(field, _) => fields[field.0 as usize].there = new_parts.next(),
                _ => {}
            });
        }
        Self {
            fields,
            stamps: vec![0; program.atoms],
            tried: vec![0; program.conditions.len()],
            routes: Vec::new(),
            always: Vec::new(),
            stamp: 0,
            memo: Memo::default(),
            atom_parts: (0..program.atoms).map(|_| new_parts.next()).collect(),
            new_parts,
            route_parts: Vec::new(),
            compares: Vec::new(),
            keys: Vec::new(),
            cells: Vec::new(),
            room: Vec::new(),
            hits: Vec::new(),
            program,
            engine,
        }
    }

    /// The hits on a batch, by row.
    pub fn evaluate(&mut self, rows: &Rows) -> &[Hit] {
        self.hits.clear();
        self.learn(rows);
        if !self.memo.is_on(rows.len()) {
            (0..rows.len()).for_each(|row| self.row(row, rows));
            return &self.hits;
        }
        self.make_keys(rows);
        for row in 0..rows.len() {
            let key = self.keys[row];
            match self.memo.get(key) {
                Some(rules) => self.hits.extend(rules.iter().map(|rule| Hit { row: row as u32, rule: *rule })),
                None => {
                    let first = self.hits.len();
                    self.row(row, rows);
                    self.memo.insert(key, self.hits[first..].iter().map(|hit| hit.rule));
                }
            }
        }
        &self.hits
    }

    /// Makes the keys of a batch's rows.
    fn make_keys(&mut self, rows: &Rows) {
        self.keys.clear();
        for row in 0..rows.len() {
            let route = rows.route_of(row).0 as usize;
            let compares = self.compares[route];
            let part = |cell: &Cell| self.fields[cell.field.0 as usize].part(cell.code, compares);
            let cells = rows.cells(row).iter().map(part).fold(0, u128::wrapping_add);
            self.keys.push(self.route_parts[route].wrapping_add(cells));
        }
        for (field, codes) in rows.columns() {
            let known = &self.fields[field.0 as usize];
            if known.compared {
                for (row, (key, code)) in self.keys.iter_mut().zip(codes).enumerate() {
                    *key = key.wrapping_add(known.part(*code, self.compares[rows.route_of(row).0 as usize]));
                }
            } else if known.tells {
                let parts = known.parts.as_slice();
                for (key, code) in self.keys.iter_mut().zip(codes) {
                    // A row without a value has no part.
                    *key = key.wrapping_add(parts.get(*code as usize).copied().unwrap_or(0));
                }
            }
        }
    }

    /// Works out the atoms of codes that were not seen before, and the conditions of routes.
    fn learn(&mut self, rows: &Rows) {
        let mut atoms = Vec::new();
        for (i, known) in self.fields.iter_mut().enumerate().filter(|(_, k)| k.tested || k.compared) {
            let dictionary = rows.dictionary(FieldIx(i as u16));
            if dictionary.epoch() != known.epoch {
                known.ends.clear();
                known.atoms.clear();
                known.parts.clear();
                known.own_parts.clear();
                known.tells = false;
                known.epoch = dictionary.epoch();
                if known.compared {
                    self.memo.clear();
                }
            }
            for code in known.parts.len()..dictionary.len() {
                atoms.clear();
                if known.tested {
                    let tests = known.make_ready(self.engine.compiled(), &self.program.tests[i]);
                    tests.atoms(dictionary, code as u32, &mut self.room, &mut atoms);
                    known.atoms.extend(&atoms);
                    known.ends.push(known.atoms.len() as u32);
                }
                // A value that tells conditions nothing is as none.
                let parts = atoms.iter().map(|atom| self.atom_parts[*atom as usize]);
                let part = parts.fold(known.there, u128::wrapping_add);
                known.tells |= part != 0;
                known.parts.push(part);
                if known.compared {
                    known.own_parts.push(self.new_parts.next());
                }
            }
        }
        for id in self.routes.len()..rows.route_count() {
            let route = rows.route(RouteId(id as u32));
            let applies: Vec<bool> = self
                .program
                .conditions
                .iter()
                .map(|c| self.engine.covers(&self.engine.bound[c.bound as usize], route))
                .collect();
            self.always.push(self.program.always.iter().copied().filter(|c| applies[*c as usize]).collect());
            let compares = |(condition, applies): (&Condition, &bool)| *applies && condition.node.compares_fields();
            self.compares.push(self.program.conditions.iter().zip(&applies).any(compares));
            self.routes.push(applies);
            self.route_parts.push(self.new_parts.next());
        }
    }

    /// Why a rule did or did not fire on a row of the batch that was evaluated last: an answer for each source that it
    /// is bound to and the event is of; none where the rule is not bound to the event's source.
    pub fn trace(&mut self, rows: &Rows, row: usize, rule: RuleIx) -> Vec<Trace> {
        let mut gathered = Vec::new();
        rows.gather(row, &mut gathered);
        let cells = gathered.as_slice();
        self.mark(cells);
        let route = rows.route(rows.route_of(row));
        let source = self.engine.sources.source(route.source);
        let logsources = source.logsources.iter().filter(|l| route.logsources.contains(&l.id));
        let describe = |l: &Logsource| {
            let product = l.product.as_deref().or(source.products.first().map(String::as_str));
            let parts = [("product", product), ("category", l.category.as_deref()), ("service", l.service.as_deref())];
            let named = parts.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
            named.collect::<Vec<_>>().join(" ")
        };
        let logsources: Vec<String> = logsources.map(describe).collect();
        let mut traces = Vec::new();
        for condition in &self.program.conditions {
            let bound = &self.engine.bound[condition.bound as usize];
            if bound.rule == rule && bound.binding.source == route.source {
                let applies = self.engine.covers(bound, route);
                traces.push(Trace {
                    source: source.name.clone(),
                    kind: source.kinds[route.kind as usize].name.clone(),
                    logsources: logsources.clone(),
                    condition: applies.then(|| self.step(&bound.condition, &condition.node, cells, rows)),
                });
            }
        }
        traces
    }

    /// A condition and its node have one form.
    fn step(&self, condition: &Expr, node: &Node, cells: &[Cell], rows: &Rows) -> Step {
        let steps = |list: &[Expr], nodes: &[Node]| {
            list.iter().zip(nodes).map(|(e, n)| self.step(e, n, cells, rows)).collect::<Vec<_>>()
        };
        let part = match (condition, node) {
            (Expr::And(list), Node::And(nodes)) => Part::And(steps(list, nodes)),
            (Expr::Or(list), Node::Or(nodes)) => Part::Or(steps(list, nodes)),
            (Expr::Not(inner), Node::Not(node)) => Part::Not(Box::new(self.step(inner, node, cells, rows))),
            (Expr::Item(item), _) => {
                let names = fields_of(item).chain(item.field.is_none().then_some(KEYWORDS));
                let value = |name: &str| {
                    let field = self.engine.field(name)?;
                    let cell = cells.iter().find(|c| c.field == field)?;
                    Some(rows.dictionary(field).value(cell.code))
                };
                Part::Item(item.clone(), names.map(|name| (name.to_owned(), value(name))).collect())
            }
            _ => Part::Or(Vec::new()),
        };
        Step { holds: holds(node, &self.stamps, self.stamp, cells, rows), part }
    }

    /// Stamps the atoms of a row.
    fn mark(&mut self, cells: &[Cell]) {
        self.stamp += 1;
        for cell in cells {
            let known = &self.fields[cell.field.0 as usize];
            if !known.tested {
                continue;
            }
            let end = known.ends[cell.code as usize] as usize;
            let start = if cell.code == 0 { 0 } else { known.ends[cell.code as usize - 1] as usize };
            for atom in &known.atoms[start..end] {
                self.stamps[*atom as usize] = self.stamp;
            }
        }
    }

    fn row(&mut self, row: usize, rows: &Rows) {
        let route = rows.route_of(row);
        let mut gathered = std::mem::take(&mut self.cells);
        gathered.clear();
        rows.gather(row, &mut gathered);
        let cells = gathered.as_slice();
        self.mark(cells);
        let stamp = self.stamp;
        let first = self.hits.len();
        let applies = &self.routes[route.0 as usize];
        for cell in cells {
            let known = &self.fields[cell.field.0 as usize];
            if !known.tested {
                continue;
            }
            let end = known.ends[cell.code as usize] as usize;
            let start = if cell.code == 0 { 0 } else { known.ends[cell.code as usize - 1] as usize };
            for atom in &known.atoms[start..end] {
                for candidate in &self.program.candidates[*atom as usize] {
                    let c = *candidate as usize;
                    if applies[c] && self.tried[c] != stamp {
                        self.tried[c] = stamp;
                        let condition = &self.program.conditions[c];
                        if holds(&condition.node, &self.stamps, stamp, cells, rows) {
                            let rule = self.engine.bound[condition.bound as usize].rule;
                            self.hits.push(Hit { row: row as u32, rule });
                        }
                    }
                }
            }
        }
        for c in &self.always[route.0 as usize] {
            let condition = &self.program.conditions[*c as usize];
            if holds(&condition.node, &self.stamps, stamp, cells, rows) {
                let rule = self.engine.bound[condition.bound as usize].rule;
                self.hits.push(Hit { row: row as u32, rule });
            }
        }
        self.hits[first..].sort_unstable();
        self.cells = gathered;
    }
}

fn holds(node: &Node, stamps: &[u64], stamp: u64, cells: &[Cell], rows: &Rows) -> bool {
    match node {
        Node::Atom(atom) => stamps[*atom as usize] == stamp,
        Node::And(list) => list.iter().all(|n| holds(n, stamps, stamp, cells, rows)),
        Node::Or(list) => list.iter().any(|n| holds(n, stamps, stamp, cells, rows)),
        Node::Not(inner) => !holds(inner, stamps, stamp, cells, rows),
        Node::Absent(field, null) => stamps[*null as usize] == stamp || cells.iter().all(|c| c.field != *field),
        Node::Fields(a, how, b) => {
            let value = |field: &FieldIx| {
                cells.iter().find(|c| c.field == *field).map(|c| rows.dictionary(*field).value(c.code))
            };
            match (value(a), value(b)) {
                (Some(a), Some(b)) => compare(&a, *how, &b),
                _ => false,
            }
        }
    }
}

fn compare(a: &FieldValue, how: FieldTest, b: &FieldValue) -> bool {
    match (a, b) {
        (FieldValue::List(list), _) => list.iter().any(|a| compare(a, how, b)),
        (_, FieldValue::List(list)) => list.iter().any(|b| compare(a, how, b)),
        (FieldValue::Text(a), FieldValue::Text(b)) => tarn_rules::reference::field_holds(how, a, b),
        _ => false,
    }
}
