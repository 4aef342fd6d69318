//! Rules as DataFusion expressions over class tables: what a hunt runs and `tarn rules explain` prints.
//!
//! A rule becomes one expression for each class that its events can be. It is never null: an item is decided by
//! `coalesce`, so three-valued logic decides nothing. It says the same of a row as [`crate::Matcher`] of the event that
//! the row was made of.

mod explain;
mod field;
pub mod function;
mod test;

pub use explain::explain;

use crate::bind::{Bound, Engine, RuleIx};
use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::expr_fn::get_field;
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::{Expr, lit, when};
use field::{Table, all, column, decided, one};
use function::What;
use std::collections::BTreeMap;
use tarn_ingest::source::Source;
use tarn_rules::{Expr as Condition, Item, Test};
use tarn_schema_ocsf::ClassUid;

/// A rule over one class table, for the rows of one source.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The source's name.
    pub source: String,
    /// The class.
    pub class: ClassUid,
    /// Whether the row is of the source and of the rule's log source.
    pub applies: Expr,
    /// Whether the rule's condition holds.
    pub condition: Expr,
}

impl Lowered {
    /// Whether the rule fires.
    pub fn predicate(&self) -> Expr {
        self.applies.clone().and(self.condition.clone())
    }
}

/// A rule over every class and source that its events can be.
pub fn rule(engine: &Engine, ix: RuleIx) -> Vec<Lowered> {
    let mut out = Vec::new();
    for bound in engine.bound.iter().filter(|b| b.rule == ix) {
        let source = engine.sources.source(bound.binding.source);
        out.extend(tables(source, bound).iter().map(|table| Lowered {
            source: source.name.clone(),
            class: table.class,
            applies: applies(table, bound),
            condition: Lowering { table, bound }.condition(&bound.condition),
        }));
    }
    out
}

/// When a rule fires, by class.
pub fn predicates(engine: &Engine, ix: RuleIx) -> BTreeMap<ClassUid, Expr> {
    let mut out: BTreeMap<ClassUid, Vec<Expr>> = BTreeMap::new();
    for lowered in rule(engine, ix) {
        out.entry(lowered.class).or_default().push(lowered.predicate());
    }
    out.into_iter().map(|(class, list)| (class, one(list))).collect()
}

/// An expression for a table that lacks columns of its class: they are null there, as a table has those that some record
/// of it filled.
///
/// **Errors**: a column of a type that has no null.
pub fn over(expr: Expr, class: ClassUid, has: &Schema) -> Result<Expr> {
    let known = explain::table_schema(class, &expr);
    let absent = |expr: Expr| match &expr {
        Expr::Column(column) if has.field_with_name(&column.name).is_err() => {
            match known.field_with_name(&column.name) {
                Ok(field) => Ok(Transformed::yes(lit(ScalarValue::try_from(field.data_type())?))),
                Err(_) => Ok(Transformed::no(expr)),
            }
        }
        _ => Ok(Transformed::no(expr)),
    };
    Ok(expr.transform(absent)?.data)
}

/// The class tables of a bound rule.
fn tables<'a>(source: &'a Source, bound: &Bound) -> Vec<Table<'a>> {
    let entries: Vec<_> = bound.binding.entries().collect();
    let mut classes: BTreeMap<ClassUid, Vec<u16>> = BTreeMap::new();
    for kind in source.kinds_of(&entries) {
        classes.entry(source.kinds[kind as usize].class).or_default().push(kind);
    }
    classes.into_iter().map(|(class, kinds)| Table::new(source, class, kinds)).collect()
}

/// Whether a row is of the source and of the rule's log source.
fn applies(table: &Table<'_>, bound: &Bound) -> Expr {
    let mapping = get_field(array_element(column("metadata.transformation_info_list"), lit(1_i64)), "name");
    let named = decided(mapping.clone().eq(lit(table.source.name.as_str())), false);
    // What was OCSF when it came names no mapping.
    let mut parts = vec![if table.source.native { mapping.is_null().or(named) } else { named }];
    for entries in [&bound.binding.category, &bound.binding.service].into_iter().flatten() {
        let conditions: Vec<_> = entries.iter().map(|e| table.source.when_of_logsource(*e)).collect();
        if conditions.iter().all(|c| !c.is_empty()) {
            parts.push(one(conditions.iter().map(|c| table.conditions(c)).collect()));
        }
    }
    all(parts)
}

struct Lowering<'a> {
    table: &'a Table<'a>,
    bound: &'a Bound,
}

impl Lowering<'_> {
    fn condition(&self, condition: &Condition) -> Expr {
        match condition {
            Condition::And(list) => all(list.iter().map(|c| self.condition(c)).collect()),
            Condition::Or(list) => self.any(list),
            Condition::Not(inner) => !self.condition(inner),
            Condition::Item(item) => self.items(item.field.as_deref(), &[&item.test]),
        }
    }

    /// Items of one field and one kind of test are one call.
    fn any(&self, list: &[Condition]) -> Expr {
        let mut out = Vec::new();
        let mut groups: BTreeMap<(Option<&str>, String), Vec<&Test>> = BTreeMap::new();
        for inner in list {
            match inner {
                Condition::Item(Item { field, test }) if !matches!(test, Test::Field(..)) => {
                    groups.entry((field.as_deref(), test::words(test).0)).or_default().push(test);
                }
                other => out.push(self.condition(other)),
            }
        }
        out.extend(groups.into_iter().map(|((field, _), tests)| self.items(field, &tests)));
        one(out)
    }

    /// Whether one of the tests, which are of one word, holds; never null.
    fn items(&self, field: Option<&str>, tests: &[&Test]) -> Expr {
        let Some(field) = field else { return self.table.keyword(tests) };
        if let [Test::Field(how, other)] = tests {
            let how = function::FIELD_TESTS.iter().find(|(_, t)| t == how).map_or("equals", |(name, _)| *name);
            let (a, b) = (self.table.values(field), self.table.values(other));
            return decided(What::Compare.udf().call(vec![a, lit(how), b]), false);
        }
        let mut reads = vec![self.table.holds(field, tests)];
        reads.extend(self.aliases(field, tests));
        let absent = tests.iter().any(|t| matches!(t, Test::Null));
        reads.push(lit(absent));
        datafusion::functions::expr_fn::coalesce(reads)
    }

    /// The vendor's field that stands in for the rule's, where the log source has one.
    fn aliases(&self, field: &str, tests: &[&Test]) -> Vec<Expr> {
        let source = self.table.source;
        let kinds = &self.table.kinds;
        let mut out = Vec::new();
        for entry in &source.logsources {
            let fits =
                self.bound.binding.entries().any(|e| e == entry.id) || self.bound.binding.entries().next().is_none();
            for (_, vendor) in entry.alias.iter().filter(|(sigma, _)| sigma == field && fits) {
                let there = kinds.iter().any(|k| source.home(vendor, *k).is_some());
                if !there {
                    continue;
                }
                let holds = self.table.holds(vendor, tests);
                let conditions = source.when_of_logsource(entry.id);
                let case = if conditions.is_empty() {
                    Ok(holds)
                } else {
                    when(self.table.conditions(&conditions), holds).end()
                };
                out.extend(case);
            }
        }
        out
    }
}
