//! What has to be in a row's texts for a rule to fire: what a table's files can say without being read.

use crate::bind::{Bound, Engine, needle};
use std::collections::BTreeSet;
use tarn_ingest::fields::Needle;
use tarn_ingest::source::{LogsourceId, Source};
use tarn_rules::Expr;

/// Rows with all of one of these lists, each of which is texts of which one is there: in lower case, in any value of the row.
pub type Sought = Vec<Vec<Vec<String>>>;

/// What rows have on which one of some rules fires.
pub fn sought(engine: &Engine, bound: &[&Bound]) -> Sought {
    let of = |bound: &&Bound| {
        let source = engine.sources.source(bound.binding.source);
        let mut lists = of_logsources(source, bound);
        // A row names its mapping, but for one that was OCSF when it came.
        lists.extend(Needle::of(&source.name).filter(|_| !source.native).filter(is_told).map(|name| vec![name]));
        lists.extend(of_condition(&bound.condition));
        lists.into_iter().map(|needles| needles.iter().map(|needle| needle.text().to_owned()).collect()).collect()
    };
    bound.iter().map(of).collect()
}

/// Texts of which one is in a row on which one of some rules fires, by what their conditions say, or else their log sources; none
/// where that cannot be said of all rules.
pub fn any_of(engine: &Engine, bound: &[&Bound]) -> Option<BTreeSet<Needle>> {
    // Long ones say most.
    let shortest = |list: &Vec<Needle>| list.iter().map(|needle| needle.text().len()).min();
    let most = |lists: Vec<Vec<Needle>>| lists.into_iter().max_by_key(shortest);
    let of_source = |bound: &Bound| of_logsources(engine.sources.source(bound.binding.source), bound);
    let lists = bound.iter().map(|bound| most(of_condition(&bound.condition)).or_else(|| most(of_source(bound))));
    Some(lists.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Every list is one of which a needle is there where the condition holds.
fn of_condition(expr: &Expr) -> Vec<Vec<Needle>> {
    match expr {
        Expr::And(all) => all.iter().flat_map(of_condition).collect(),
        Expr::Or(any) => either(any.iter().map(of_condition)),
        Expr::Not(_) => Vec::new(),
        Expr::Item(item) => {
            let needle = needle(&item.test);
            // Keywords are in single values.
            let needle = if item.field.is_some() { needle.as_ref().and_then(in_one_value) } else { needle };
            needle.filter(is_told).map(|needle| vec![needle]).into_iter().collect()
        }
    }
}

/// The part that is in one value where a field's is an object: rules see that without the white space that it may be stored
/// with.
fn in_one_value(needle: &Needle) -> Option<Needle> {
    Needle::of(needle.text().split(['{', '}', '[', ']', ':', ',']).max_by_key(|part| part.len())?)
}

/// Where one of several holds: of each the list that says most, together.
fn either(any: impl Iterator<Item = Vec<Vec<Needle>>>) -> Vec<Vec<Needle>> {
    let lists: Option<Vec<Vec<Needle>>> = any.map(|lists| lists.into_iter().min_by_key(Vec::len)).collect();
    lists.into_iter().map(|lists| lists.concat()).collect()
}

/// The same of the log sources that a rule is bound to.
fn of_logsources(source: &Source, bound: &Bound) -> Vec<Vec<Needle>> {
    let list = |values: &[String]| {
        let needles = values.iter().map(|value| Needle::of(value.trim_end_matches('*')).filter(is_told));
        needles.collect::<Option<Vec<Needle>>>()
    };
    let of_entry = |entry: &LogsourceId| {
        let conditions = source.when_of_logsource(*entry).into_iter().filter(|condition| !condition.negated);
        conditions.filter_map(|condition| list(condition.values?)).collect::<Vec<_>>()
    };
    let entries = [&bound.binding.category, &bound.binding.service].into_iter().flatten();
    entries.flat_map(|entries| either(entries.iter().map(of_entry))).collect()
}

/// Numbers and truth values are in columns that are no texts.
fn is_told(needle: &Needle) -> bool {
    !needle.is_in_numbers()
}
