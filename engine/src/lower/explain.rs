//! `tarn rules explain`: how a rule's fields resolve, which tables it reads, and the plan.

use super::field::Table;
use super::{Lowered, rule, tables};
use crate::bind::{Engine, RuleIx, Verdict, fields_of};
use arrow::datatypes::Schema as ArrowSchema;
use datafusion::logical_expr::logical_plan::builder::LogicalTableSource;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use tarn_ingest::source::Sources;
use tarn_rules::{Rule, Ruleset};
use tarn_schema_ocsf::{ClassUid, Schema, TableSchema};

/// Says how a rule runs here: its condition, the sources it binds to, where each field is found, and one plan a class.
pub fn explain(sources: &Arc<Sources>, rule: &Rule) -> String {
    let mut out = String::new();
    // Writing to a text cannot fail.
    let _ = write(&mut out, sources, rule);
    out
}

fn write(out: &mut String, sources: &Arc<Sources>, shown: &Rule) -> std::fmt::Result {
    writeln!(out, "rule {} ({}, {})", shown.about.title, shown.about.id, shown.about.level)?;
    writeln!(out, "log source {}", shown.logsource)?;
    writeln!(out, "condition {}", shown.condition)?;
    let (engine, reports) = Engine::new(sources.clone(), Ruleset { rules: vec![shown.clone()], ..Ruleset::default() });
    for report in reports {
        match report.verdict {
            Verdict::Evaluable { warnings, .. } if warnings.is_empty() => {}
            Verdict::Evaluable { warnings, .. } => writeln!(out, "warning: unknown fields: {}", warnings.join(", "))?,
            Verdict::NotEvaluable(why) => writeln!(out, "not evaluable: {why}")?,
        }
    }
    for bound in &engine.bound {
        let source = engine.sources.source(bound.binding.source);
        writeln!(out, "\nsource {} (mapping version {})", source.name, source.version)?;
        for table in tables(source, bound) {
            fields(out, &table, shown)?;
        }
    }
    for lowered in rule(&engine, RuleIx(0)) {
        plan(out, &lowered)?;
    }
    Ok(())
}

fn fields(out: &mut String, table: &Table<'_>, rule: &Rule) -> std::fmt::Result {
    writeln!(out, "  fields in {} ({}):", table_name(table.class), table.class)?;
    let mut names = BTreeSet::new();
    rule.condition.items(&mut |item| names.extend(fields_of(item).map(str::to_owned)));
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    for name in &names {
        let stand_ins = table.source.logsources.iter().flat_map(|l| &l.alias).filter(|(sigma, _)| sigma == name);
        let mut stand_ins: Vec<String> =
            stand_ins.map(|(_, vendor)| format!("; stands for {vendor}: {}", table.describe(vendor))).collect();
        stand_ins.dedup();
        writeln!(out, "    {name:width$}  {}{}", table.describe(name), stand_ins.concat())?;
    }
    Ok(())
}

fn table_name(class: ClassUid) -> String {
    Schema::v1_8().class(class).map_or_else(|| class.to_string(), |c| c.table())
}

fn plan(out: &mut String, lowered: &Lowered) -> std::fmt::Result {
    writeln!(out, "\nplan over {} for {}:", table_name(lowered.class), lowered.source)?;
    match filter(lowered) {
        Ok(plan) => writeln!(out, "{}", indent(&plan)),
        Err(error) => writeln!(out, "  {error}"),
    }
}

/// The plan of a rule over an empty table of its columns.
fn filter(lowered: &Lowered) -> datafusion::common::Result<String> {
    let predicate = lowered.predicate();
    let schema = table_schema(lowered.class, &predicate);
    let source = Arc::new(LogicalTableSource::new(schema));
    let scan = LogicalPlanBuilder::scan(table_name(lowered.class), source, None)?;
    let plan = scan.filter(lowered.applies.clone())?.filter(lowered.condition.clone())?.build()?;
    Ok(plan.display_indent().to_string())
}

/// The Arrow schema of the columns that an expression reads.
pub fn table_schema(class: ClassUid, expr: &Expr) -> Arc<ArrowSchema> {
    let mut paths: Vec<String> = Vec::new();
    for column in expr.column_refs() {
        let path = match column.name.as_str() {
            "metadata.transformation_info_list" => "metadata.transformation_info_list[].name",
            name => name,
        };
        paths.push(path.to_owned());
    }
    paths.sort_unstable();
    match TableSchema::new(class, paths.iter().map(String::as_str)) {
        Ok(table) => table.arrow(),
        Err(_) => Arc::new(ArrowSchema::empty()),
    }
}

fn indent(plan: &str) -> String {
    plan.lines().map(|l| format!("  {l}\n")).collect()
}
