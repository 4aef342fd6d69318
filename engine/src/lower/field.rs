//! A vendor field in a class table: what SQL reads it, and what SQL tests it.
//!
//! A field's value is `unmapped`'s where the record has it there, else the column's where the placement of the row's
//! kind put it. So a test is `sigma_any(unmapped, field, …)`, which is null where the field is not there, and then the
//! same of the column.

use super::function::What;
use super::test::words;
use datafusion::common::Column;
use datafusion::functions::expr_fn::{coalesce, contains, ends_with, regexp_like, starts_with};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::{Expr, cast, in_list, lit, when};
use datafusion::scalar::ScalarValue;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tarn_ingest::source::{Condition, FieldHome, Source};
use tarn_rules::{Part, Pattern, Test, expr::fold, reference};
use tarn_schema_ocsf::column::Nesting;
use tarn_schema_ocsf::{ClassUid, LeafType, Schema};

/// A column by its name, dots and all.
pub fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// All of them hold, as a balanced tree: rules have lists of thousands.
pub fn all(list: Vec<Expr>) -> Expr {
    balanced(list, true, Expr::and)
}

/// One of them holds.
pub fn one(list: Vec<Expr>) -> Expr {
    balanced(list, false, Expr::or)
}

fn balanced(mut list: Vec<Expr>, empty: bool, join: fn(Expr, Expr) -> Expr) -> Expr {
    while list.len() > 1 {
        let mut pairs = Vec::with_capacity(list.len().div_ceil(2));
        let mut left = list.into_iter();
        while let Some(a) = left.next() {
            pairs.push(match left.next() {
                Some(b) => join(a, b),
                None => a,
            });
        }
        list = pairs;
    }
    list.pop().unwrap_or_else(|| lit(empty))
}

/// A boolean that may be null, decided.
pub fn decided(expr: Expr, otherwise: bool) -> Expr {
    coalesce(vec![expr, lit(otherwise)])
}

/// A class table as one source fills it.
pub struct Table<'a> {
    pub source: &'a Source,
    pub class: ClassUid,
    /// The kinds of the rule that become this class, in the mapping's order.
    pub kinds: Vec<u16>,
    filled: RefCell<BTreeMap<u16, Vec<String>>>,
}

/// What one group of kinds does with a field.
struct Case {
    kinds: Vec<u16>,
    homes: Vec<FieldHome>,
}

impl<'a> Table<'a> {
    pub fn new(source: &'a Source, class: ClassUid, kinds: Vec<u16>) -> Self {
        Self { source, class, kinds, filled: RefCell::default() }
    }

    /// A field's homes by kind; kinds with the same are together, and one group is enough where that changes nothing.
    fn cases(&self, field: &str) -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        for kind in &self.kinds {
            let homes = self.source.homes_or_none(field, *kind);
            let homes: Vec<FieldHome> = homes.iter().filter(|h| h.is_readable(self.class)).cloned().collect();
            match cases.last_mut() {
                Some(last) if last.homes == homes => last.kinds.push(*kind),
                _ => cases.push(Case { kinds: vec![*kind], homes }),
            }
        }
        let mut distinct: Vec<&Vec<FieldHome>> = cases.iter().map(|c| &c.homes).filter(|h| !h.is_empty()).collect();
        distinct.dedup();
        let Some(homes) = distinct.first().map(|h| (*h).clone()) else { return Vec::new() };
        let alone = distinct.iter().all(|h| **h == homes);
        if alone
            && cases
                .iter()
                .filter(|c| c.homes.is_empty())
                .flat_map(|c| &c.kinds)
                .all(|k| homes.iter().all(|h| !self.fills(*k, h)))
        {
            return vec![Case { kinds: Vec::new(), homes }];
        }
        while cases.last().is_some_and(|c| c.homes.is_empty()) {
            cases.pop();
        }
        cases
    }

    fn fills(&self, kind: u16, home: &FieldHome) -> bool {
        let (FieldHome::Column(path) | FieldHome::Inside(path, _)) = home else { return false };
        let mut filled = self.filled.borrow_mut();
        let columns = filled.entry(kind).or_insert_with(|| self.source.kinds[kind as usize].columns());
        columns.iter().any(|c| c == path)
    }

    fn leaf(&self, path: &str) -> Option<(LeafType, Nesting)> {
        Schema::v1_8().leaf(self.class, path).ok().map(|l| (l.leaf_type, l.nesting))
    }

    /// Whether any of the tests holds for a field: null where the row lacks the field. Tests are of one word.
    pub fn holds(&self, field: &str, tests: &[&Test]) -> Expr {
        let mut reads = vec![any(column("unmapped"), field, tests)];
        reads.extend(self.by_kind(field, &|home, kinds| self.home_holds(home, tests, kinds)));
        coalesced(reads)
    }

    /// The texts of a field, as a list.
    pub fn values(&self, field: &str) -> Expr {
        let nothing = || lit(ScalarValue::Utf8(None));
        let list = |json: Expr, path: &str, otherwise: Expr| What::Values.udf().call(vec![json, lit(path), otherwise]);
        let texts = |home: &FieldHome, _: &[u16]| match home {
            FieldHome::Column(path) => {
                let there = match self.leaf(path) {
                    Some((LeafType::Json, _)) => list(column(path), "", nothing()),
                    Some((_, Nesting::List)) => list(nothing(), "", column(path)),
                    _ => list(nothing(), "", self.text(path)),
                };
                unless_stand_in(path, there)
            }
            FieldHome::Inside(path, inner) => list(column(path), &self.inside(inner), nothing()),
            FieldHome::Unmapped => list(nothing(), "", nothing()),
        };
        let otherwise = self.by_kind(field, &texts).unwrap_or_else(nothing);
        list(column("unmapped"), field, otherwise)
    }

    fn by_kind(&self, field: &str, read: &dyn Fn(&FieldHome, &[u16]) -> Expr) -> Option<Expr> {
        let cases = self.cases(field);
        let reads = |case: &Case, kinds: &[u16]| coalesced(case.homes.iter().map(|h| read(h, kinds)).collect());
        match cases.as_slice() {
            [] => None,
            [only] if only.kinds.is_empty() || only.kinds.len() == self.kinds.len() => Some(reads(only, &self.kinds)),
            cases => {
                let mut built: Option<datafusion::logical_expr::conditional_expressions::CaseBuilder> = None;
                for case in cases {
                    let is = one(case.kinds.iter().map(|k| self.conditions(&self.source.when_of_kind(*k))).collect());
                    let then = if case.homes.is_empty() { lit(ScalarValue::Null) } else { reads(case, &case.kinds) };
                    built = Some(match built {
                        None => when(is, then),
                        Some(mut builder) => builder.when(is, then),
                    });
                }
                built.and_then(|b| b.end().ok())
            }
        }
    }

    fn home_holds(&self, home: &FieldHome, tests: &[&Test], kinds: &[u16]) -> Expr {
        match home {
            FieldHome::Unmapped => lit(ScalarValue::Boolean(None)),
            FieldHome::Inside(path, inner) => any(column(path), &self.inside(inner), tests),
            FieldHome::Column(path) => {
                let holds = self.column_holds(path, tests);
                if self.stand_in_shows(path, tests, kinds) {
                    return unless_stand_in(path, holds);
                }
                holds
            }
        }
    }

    /// A path inside a JSON column, as `sigma_any` takes it.
    fn inside(&self, inner: &str) -> String {
        if self.source.has_dotted_keys() { inner.to_owned() } else { format!("$.{inner}") }
    }

    /// Whether a test would hold for what the mapper puts into the column when the field is not there.
    fn stand_in_shows(&self, path: &str, tests: &[&Test], kinds: &[u16]) -> bool {
        let constants = kinds.iter().filter_map(|k| self.source.kinds[*k as usize].constant(path));
        let stands: Vec<&str> = constants.chain(["Unknown", "0", "false"]).collect();
        tests.iter().any(|test| {
            matches!(test, Test::Null | Test::Exists) || stands.iter().any(|s| reference::text_holds(test, s))
        })
    }

    fn column_holds(&self, path: &str, tests: &[&Test]) -> Expr {
        let Some((leaf, nesting)) = self.leaf(path) else { return lit(ScalarValue::Boolean(None)) };
        let value = column(path);
        // What JSON a column holds may have nulls in it, or nothing.
        if leaf == LeafType::Json {
            return any(value, "", tests);
        }
        if tests.iter().any(|t| matches!(t, Test::Null)) {
            return when(value.is_not_null(), lit(false)).end().unwrap_or_else(|_| lit(false));
        }
        if tests.iter().any(|t| matches!(t, Test::Exists) || is_any(t)) {
            return when(value.is_not_null(), lit(true)).end().unwrap_or_else(|_| lit(false));
        }
        if nesting == Nesting::List {
            return any(value, "", tests);
        }
        if leaf == LeafType::Text {
            return text_holds(&value, tests);
        }
        // Columns of other types hold a value only where its text is the usual one.
        let exact: Option<Vec<Option<Expr>>> = tests.iter().map(|t| exact(t, leaf)).collect();
        let mut values: Vec<Expr> = match exact {
            Some(values) => values.into_iter().flatten().collect(),
            None => return text_holds(&self.text(path), tests),
        };
        match values.len() {
            0 => when(value.is_not_null(), lit(false)).end().unwrap_or_else(|_| lit(false)),
            1 => value.eq(values.remove(0)),
            _ => in_list(value, values, false),
        }
    }

    fn text(&self, path: &str) -> Expr {
        match self.leaf(path) {
            Some((LeafType::Text | LeafType::Json, _)) | None => column(path),
            Some((LeafType::Float64, _)) => What::Text.udf().call(vec![column(path)]),
            Some(_) => cast(column(path), arrow::datatypes::DataType::Utf8),
        }
    }

    /// Conditions of a mapping, all of which hold; never null.
    pub fn conditions(&self, list: &[Condition<'_>]) -> Expr {
        let item = |condition: &Condition<'_>| {
            let texts = |patterns: Vec<Pattern>| -> Expr {
                let tests: Vec<Test> =
                    patterns.into_iter().map(|pattern| Test::Text { pattern, cased: false }).collect();
                decided(self.discriminates(condition.field, &tests.iter().collect::<Vec<_>>()), false)
            };
            let holds = match condition.values {
                None => texts(vec![Pattern::Glob(vec![Part::One, Part::Many])]),
                Some(values) => {
                    let (prefixes, exact): (Vec<&String>, Vec<&String>) = values.iter().partition(|v| v.ends_with('*'));
                    let mut parts = Vec::new();
                    if !exact.is_empty() {
                        parts.push(texts(exact.iter().map(|v| Pattern::Exact(fold(v))).collect()));
                    }
                    if !prefixes.is_empty() {
                        parts.push(texts(
                            prefixes.iter().map(|v| Pattern::Prefix(fold(v.trim_end_matches('*')))).collect(),
                        ));
                    }
                    one(parts)
                }
            };
            if condition.negated { !holds } else { holds }
        };
        all(list.iter().map(item).collect())
    }

    /// As [`Table::holds`], for the fields that tell kinds apart: they are read without knowing the kind.
    fn discriminates(&self, field: &str, tests: &[&Test]) -> Expr {
        let homes = self.source.homes_of_any_kind(field, self.class);
        let mut reads = vec![any(column("unmapped"), field, tests)];
        let readable = homes.iter().filter(|home| home.is_readable(self.class));
        reads.extend(readable.map(|home| self.home_holds(home, tests, &self.kinds)));
        coalesced(reads)
    }

    /// Whether a test holds for any value of the event.
    pub fn keyword(&self, tests: &[&Test]) -> Expr {
        let mut columns: Vec<String> = Vec::new();
        for field in self.source.field_names() {
            for kind in &self.kinds {
                for home in self.source.homes_or_none(field, *kind).iter() {
                    if let FieldHome::Column(path) = home
                        && !columns.contains(path)
                        && home.is_readable(self.class)
                    {
                        columns.push(path.clone());
                    }
                }
            }
        }
        columns.sort_unstable();
        let mut reads = vec![any(column("unmapped"), "*", tests)];
        let mut texts = Vec::new();
        for path in &columns {
            match self.leaf(path) {
                Some((LeafType::Json, _)) => reads.push(any(column(path), "*", tests)),
                Some((_, Nesting::List)) => reads.push(any(column(path), "", tests)),
                _ if self.stand_in_shows(path, tests, &self.kinds) => {
                    texts.push(unless_stand_in(path, self.text(path)))
                }
                _ => texts.push(self.text(path)),
            }
        }
        if !texts.is_empty() {
            reads.push(any(make_array(texts), "", tests));
        }
        one(reads.into_iter().map(|r| decided(r, false)).collect())
    }

    /// Where a field is read, in words.
    pub fn describe(&self, field: &str) -> String {
        let known = self.kinds.iter().any(|k| self.source.home(field, *k).is_some());
        if !known {
            return "unknown".into();
        }
        let place = |home: &FieldHome| match home {
            FieldHome::Column(path) => path.clone(),
            FieldHome::Inside(path, inner) => format!("{path} → {inner}"),
            FieldHome::Unmapped => "unmapped".into(),
        };
        let cases = self.cases(field);
        let several = cases.len() > 1;
        let mut lines: Vec<String> = Vec::new();
        for case in cases.iter().filter(|c| !c.homes.is_empty()) {
            let homes: Vec<String> = case.homes.iter().map(place).collect();
            let names: Vec<&str> = case.kinds.iter().map(|k| self.source.kinds[*k as usize].name.as_str()).collect();
            lines.push(if several { format!("{} ({})", homes.join(", "), names.join(", ")) } else { homes.join(", ") });
        }
        lines.push("unmapped".into());
        lines.join("; ")
    }
}

fn coalesced(mut reads: Vec<Expr>) -> Expr {
    match reads.len() {
        1 => reads.remove(0),
        _ => coalesce(reads),
    }
}

/// What is read of a column, null where the mapper put something there for want of the field: that is no value of it.
fn unless_stand_in(path: &str, read: Expr) -> Expr {
    let test = Test::Text { pattern: Pattern::Exact(path.to_owned()), cased: true };
    let stands_in = any(column("unmapped"), "tarn_fallbacks", &[&test]);
    when(!decided(stands_in, false), read).end().unwrap_or_else(|_| lit(false))
}

fn is_any(test: &Test) -> bool {
    matches!(test, Test::Text { pattern: Pattern::Any, .. })
}

/// `sigma_any` over a JSON or list value.
fn any(value: Expr, path: &str, tests: &[&Test]) -> Expr {
    let mut args = vec![value, lit(path)];
    for (i, test) in tests.iter().enumerate() {
        let (word, operand) = words(test);
        if i == 0 {
            args.push(lit(word));
        }
        args.extend(operand.map(lit));
    }
    What::Any.udf().call(args)
}

/// One of the tests of a text; null where the text is.
fn text_holds(value: &Expr, tests: &[&Test]) -> Expr {
    let folded = || What::Fold.udf().call(vec![value.clone()]);
    let mut equal: Vec<(bool, Expr)> = Vec::new();
    let mut out = Vec::new();
    for test in tests {
        match test {
            Test::Text { pattern, cased } => {
                let subject = if *cased { value.clone() } else { folded() };
                match pattern {
                    Pattern::Any => out.push(value.clone().is_not_null()),
                    Pattern::Exact(t) => equal.push((*cased, lit(t.as_str()))),
                    Pattern::Prefix(t) => out.push(starts_with(subject, lit(t.as_str()))),
                    Pattern::Suffix(t) => out.push(ends_with(subject, lit(t.as_str()))),
                    Pattern::Contains(t) => out.push(contains(subject, lit(t.as_str()))),
                    Pattern::Glob(parts) => out.push(subject.like(lit(super::test::like(parts)))),
                }
            }
            Test::Regex(pattern) if !backslashes(pattern) => {
                out.push(regexp_like(value.clone(), lit(pattern.as_str()), None));
            }
            Test::Regex(_) | Test::Cidr(_) | Test::Number(..) | Test::Time(..) => {
                let (word, operand) = words(test);
                out.push(What::Test.udf().call(vec![value.clone(), lit(word), lit(operand.unwrap_or_default())]));
            }
            Test::Null | Test::Exists | Test::Field(..) => out.push(lit(false)),
        }
    }
    for cased in [false, true] {
        let mut values: Vec<Expr> = equal.iter().filter(|(c, _)| *c == cased).map(|(_, v)| v.clone()).collect();
        let subject = if cased { value.clone() } else { folded() };
        match values.len() {
            0 => {}
            1 => out.push(subject.eq(values.remove(0))),
            _ => out.push(in_list(subject, values, false)),
        }
    }
    one(out)
}

/// Whether a regular expression may ask for a backslash: DataFusion 55 makes `LIKE` of literal ones, and takes it for an
/// escape there.
fn backslashes(pattern: &str) -> bool {
    [r"\\", r"\x", r"\u", r"\U"].iter().any(|escape| pattern.contains(escape))
}

/// The value of a typed column of which this is the text: none inside when no value of the type has it.
fn exact(test: &Test, leaf: LeafType) -> Option<Option<Expr>> {
    let Test::Text { pattern: Pattern::Exact(text), .. } = test else { return None };
    match leaf {
        LeafType::Int32 => Some(text.parse().ok().filter(|n: &i32| n.to_string() == *text).map(lit)),
        LeafType::Int64 => Some(text.parse().ok().filter(|n: &i64| n.to_string() == *text).map(lit)),
        LeafType::Bool => Some(text.parse::<bool>().ok().map(lit)),
        _ => None,
    }
}
