//! `sigma('<rule>', …)` in SQL: where rules fire, as a table.

use super::table::{Hunted, RULE};
use crate::bind::{Engine, RuleIx, Verdict};
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, UInt32Type};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    ident, lit,
};
use std::sync::Arc;
use tarn_ingest::source::Sources;
use tarn_rules::{About, Rule, Ruleset};
use tarn_schema_ocsf::{ClassUid, Schema};

/// The function.
///
/// **Arguments**: ids, names, titles, or paths of files of rules; none is all rules.
/// **Shape**: `time`, `event_uid`, `event_day` and `class` (the table) of the event; `rule_id`, `rule_title` and `level`.
/// **Errors**: a rule that is not there, or that cannot run on the events of any source.
pub struct Sigma {
    sources: Arc<Sources>,
    rules: Ruleset,
    /// The class tables that are there.
    tables: Vec<(ClassUid, Arc<dyn TableProvider>)>,
}

impl std::fmt::Debug for Sigma {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sigma").field("rules", &self.rules.rules.len()).finish_non_exhaustive()
    }
}

impl Sigma {
    /// Rules over the class tables of a lake.
    pub fn new(sources: Arc<Sources>, rules: Ruleset, tables: Vec<(ClassUid, Arc<dyn TableProvider>)>) -> Self {
        Self { sources, rules, tables }
    }

    fn named(&self, names: &[&str]) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for name in names {
            let found: Vec<&Rule> = self.rules.rules.iter().filter(|rule| is_named(&rule.about, name)).collect();
            if found.is_empty() {
                let correlation = self.rules.correlations.iter().any(|c| is_named(&c.about, name));
                return match self.rules.rules.len() {
                    _ if correlation => plan_err!("{name:?} is a correlation: `tarn hunt` runs it"),
                    0 => plan_err!("sigma({name:?}) needs rules: name their files or folders with --rules"),
                    among => plan_err!("there is no rule {name:?} among the {among} of --rules"),
                };
            }
            rules.extend(found.into_iter().cloned());
        }
        Ok(if names.is_empty() { self.rules.rules.clone() } else { rules })
    }
}

/// Whether a rule is meant: by its id, name, title or file.
fn is_named(about: &About, name: &str) -> bool {
    about.id.eq_ignore_ascii_case(name)
        || about.name.as_deref() == Some(name)
        || about.title == name
        || about.file == std::path::Path::new(name)
        || about.file.file_name().is_some_and(|file| file == name)
}

impl TableFunctionImpl for Sigma {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let mut names = Vec::new();
        for argument in args.exprs() {
            match argument {
                Expr::Literal(value, _) if value.try_as_str().flatten().is_some() => {
                    names.extend(value.try_as_str().flatten());
                }
                other => return plan_err!("sigma takes texts that name rules, got {other}"),
            }
        }
        let rules = Ruleset { rules: self.named(&names)?, ..Ruleset::default() };
        let (engine, reports) = Engine::new(self.sources.clone(), rules);
        if engine.is_empty() {
            let why = reports.iter().find_map(|r| match &r.verdict {
                Verdict::NotEvaluable(why) => Some(format!("{}: {why}", r.title)),
                Verdict::Evaluable { .. } => None,
            });
            return plan_err!("no rule can run here: {}", why.unwrap_or_default());
        }
        let engine = Arc::new(engine);
        let mut all: Option<LogicalPlanBuilder> = None;
        for (class, table) in self.tables.iter().filter(|(class, _)| engine.classes().contains_key(class)) {
            let hits = hits(&engine, *class, table)?;
            all = Some(match all {
                None => hits,
                Some(before) => before.union(hits.build()?)?,
            });
        }
        match all {
            Some(all) => Ok(Arc::new(ViewTable::new(all.build()?, None))),
            None => plan_err!("no table of this lake has events of these rules"),
        }
    }
}

fn hits(engine: &Arc<Engine>, class: ClassUid, table: &Arc<dyn TableProvider>) -> Result<LogicalPlanBuilder> {
    let name = Schema::v1_8().class(class).map(|c| c.table()).unwrap_or_default();
    let hunted = Hunted::new(table.clone(), class, engine.clone());
    let about = |what: What| {
        ScalarUDF::new_from_impl(AboutRule {
            engine: engine.clone(),
            what,
            signature: Signature::any(1, Volatility::Stable),
        })
        .call(vec![ident(RULE)])
    };
    LogicalPlanBuilder::scan(name.clone(), provider_as_source(Arc::new(hunted)), None)?.project(vec![
        ident("time"),
        ident("metadata.uid").alias("event_uid"),
        ident("event_day"),
        lit(name).alias("class"),
        about(What::Id).alias("rule_id"),
        about(What::Title).alias("rule_title"),
        about(What::Level).alias("level"),
    ])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Id,
    Title,
    Level,
}

/// What a rule says of itself, by its number.
struct AboutRule {
    engine: Arc<Engine>,
    what: What,
    signature: Signature,
}

impl std::fmt::Debug for AboutRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AboutRule").field("what", &self.what).finish_non_exhaustive()
    }
}

impl PartialEq for AboutRule {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what && Arc::ptr_eq(&self.engine, &other.engine)
    }
}

impl Eq for AboutRule {}

impl std::hash::Hash for AboutRule {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.what, Arc::as_ptr(&self.engine) as usize).hash(state);
    }
}

impl ScalarUDFImpl for AboutRule {
    fn name(&self) -> &str {
        match self.what {
            What::Id => "sigma_rule_id",
            What::Title => "sigma_rule_title",
            What::Level => "sigma_rule_level",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let numbers = args.args[0].to_array(args.number_rows)?;
        let about = |number: Option<u32>| {
            let about = &self.engine.rule(RuleIx(number?)).about;
            Some(match self.what {
                What::Id => about.id.clone(),
                What::Title => about.title.clone(),
                What::Level => about.level.to_string(),
            })
        };
        let texts: StringArray = numbers.as_primitive::<UInt32Type>().iter().map(about).collect();
        Ok(ColumnarValue::Array(Arc::new(texts) as ArrayRef))
    }
}
