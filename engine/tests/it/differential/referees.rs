//! Who says which rules fire on which events: the matcher, the tables, the reference, and rsigma.

use super::event::{Event, Json};
use super::generate::FIELDS;
use super::members;
use super::rule::{PLACEHOLDERS, Rule};
use crate::lowered::evaluate;
use arrow::array::{Array, AsArray};
use datafusion::execution::context::SessionContext;
use rsigma_eval::{CompiledRule, JsonEvent, compile_rule, evaluate_rule};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tarn_engine::lower::predicates;
use tarn_engine::{Engine, Matcher, RuleIx};
use tarn_ingest::container::Block;
use tarn_ingest::fields::{FieldReader, TableReader};
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::{SourceId, Sources};
use tarn_rules::reference::{self, Value};
use tarn_rules::{Expr, LoadOptions, Placeholders, Ruleset};

/// (rule, event) by their numbers in the batch.
pub type Fired = BTreeSet<(usize, usize)>;

/// A source that every event is of.
pub struct World {
    pub product: &'static str,
    sources: Arc<Sources>,
    only: SourceId,
    session: SessionContext,
    options: LoadOptions,
}

impl World {
    pub fn new(product: &'static str, mapping: &str) -> Self {
        let sources = Sources::compile(vec![(product.to_owned(), mapping.to_owned())]).unwrap();
        let values = |(name, list): (&str, [&str; 2])| (name.to_owned(), list.map(str::to_owned).to_vec());
        let placeholders: Placeholders = PLACEHOLDERS.into_iter().map(values).collect();
        let only = sources.named(product).unwrap().id;
        let options = LoadOptions { placeholders };
        Self { product, sources: Arc::new(sources), only, session: SessionContext::new(), options }
    }

    /// A rule as Tarn reads it.
    pub fn load(&self, title: &str, rule: &Rule) -> Result<tarn_rules::Rule, String> {
        let text = rule.yaml(title, self.product);
        let mut set = tarn_rules::parse(Path::new("generated.yml"), &text, &self.options);
        match set.errors.pop() {
            Some(error) => Err(format!("{error}\n{text}")),
            None => Ok(set.rules.remove(0)),
        }
    }

    /// A rule as rsigma reads it, with the placeholders worked out.
    pub fn load_rsigma(&self, rule: &Rule) -> Result<CompiledRule, String> {
        let set =
            rsigma_parser::parse_sigma_yaml(&rule.expanded().yaml("r0", self.product)).map_err(|e| e.to_string())?;
        let rule = set.rules.first().ok_or_else(|| format!("{:?}", set.errors))?;
        compile_rule(rule).map_err(|e| e.to_string())
    }

    /// What fires in the stream, in tables for rules with a number that `looked_at` takes, and over columns by the matcher.
    pub fn fired(
        &self,
        rules: &[tarn_rules::Rule],
        events: &[Event],
        looked_at: &dyn Fn(usize) -> bool,
    ) -> (Fired, Fired, Fired) {
        let set = Ruleset { rules: rules.to_vec(), ..Ruleset::default() };
        let (engine, _) = Engine::new(self.sources.clone(), set);
        let engine = Arc::new(engine);
        let number = |ix: RuleIx| -> usize { engine.rule(ix).about.title.trim_start_matches('r').parse().unwrap() };
        let mut block = Block::default();
        events.iter().enumerate().for_each(|(i, e)| block.push(i as u64, &e.text));
        let mut reader = FieldReader::new(self.sources.clone(), engine.request());
        reader.read(&block, Some(self.only));
        let mut matcher = Matcher::new(engine.clone());
        let streamed = matcher.evaluate(reader.rows()).iter().map(|h| (number(h.rule), h.row as usize)).collect();
        let uids: BTreeMap<String, usize> =
            (0..events.len()).map(|row| (reader.identity(&block, row, 0).uid, row)).collect();

        let mut asked: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ix in (0..engine.len() as u32).map(RuleIx).filter(|ix| looked_at(number(*ix))) {
            for (class, predicate) in predicates(&engine, ix) {
                asked.entry(class).or_default().push((number(ix), predicate));
            }
        }
        let mut mapper = Mapper::new(self.sources.clone(), MapOptions::default());
        mapper.push(&block, Some(self.only));
        let (batches, rejected) = mapper.drain();
        assert!(rejected.is_empty(), "{rejected:?}");
        let (mut stored, mut matched) = (Fired::new(), Fired::new());
        for (class, batch) in batches {
            let mut table = TableReader::new(self.sources.clone(), engine.request(), class);
            table.read(&batch);
            let mut matcher = Matcher::of_class(engine.clone(), class);
            let rows = batch.column_by_name("metadata.uid").unwrap().as_string::<i32>().clone();
            let hits = matcher.evaluate(table.rows()).iter();
            let of_class: Fired = hits.map(|h| (number(h.rule), uids[rows.value(h.row as usize)])).collect();
            let apart = members::hunted(&self.session, &engine, class, &batch).into_iter();
            let apart: Fired = apart.map(|(rule, uid)| (number(rule), uids[uid.as_str()])).collect();
            assert_eq!(apart, of_class, "members as columns, {}", self.product);
            matched.extend(of_class);
            for (rule, predicate) in asked.get(&class).into_iter().flatten() {
                let holds = evaluate(&self.session, predicate, &batch).unwrap_or_else(|e| panic!("{rule}: {e}"));
                assert_eq!(holds.null_count(), 0, "{rule}: a rule is never null");
                let fired = (0..holds.len()).filter(|row| holds.value(*row));
                stored.extend(fired.map(|row| (*rule, uids[rows.value(row)])));
            }
        }
        (streamed, stored, matched)
    }
}

/// An event as the reference takes it.
pub struct Seen {
    fields: reference::Event,
    leaves: reference::Event,
    /// The leaves, and what columns of numbers and truths make of them.
    converted: reference::Event,
    /// The leaves that are texts.
    texts: reference::Event,
}

impl Seen {
    pub fn new(event: &Event) -> Self {
        let field = |name: &&str| {
            let mut values: Vec<Value> = event.values(name).into_iter().map(value).collect();
            let value = if values.len() < 2 { values.pop()? } else { Value::List(values) };
            Some(((*name).to_owned(), value))
        };
        let leaves: Vec<Value> = event.leaves().into_iter().map(value).collect();
        let numbered = |list: Vec<Value>| list.into_iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect();
        let conversions = event.leaves().into_iter().filter_map(Json::text).flat_map(|t| {
            let number = t.parse::<f64>().ok().map(|n| n.to_string());
            number.into_iter().chain([t.to_ascii_lowercase()])
        });
        let converted = leaves.iter().cloned().chain(conversions.map(Value::Text)).collect();
        let fields = FIELDS.iter().filter_map(field).collect();
        let texts = event.leaves().into_iter().filter(|l| matches!(l, Json::Text(_))).map(value).collect();
        Self { fields, leaves: numbered(leaves), converted: numbered(converted), texts: numbered(texts) }
    }

    /// Whether a condition holds, by the reference; keywords are searched in the leaves.
    pub fn holds(&self, condition: &Expr) -> bool {
        self.walk(condition, &self.leaves)
    }

    /// The same with keywords that see what columns made of values, too.
    pub fn holds_converted(&self, condition: &Expr) -> bool {
        self.walk(condition, &self.converted)
    }

    /// The same with keywords that see texts only.
    pub fn holds_on_texts(&self, condition: &Expr) -> bool {
        self.walk(condition, &self.texts)
    }

    fn walk(&self, condition: &Expr, leaves: &reference::Event) -> bool {
        match condition {
            Expr::And(list) => list.iter().all(|e| self.walk(e, leaves)),
            Expr::Or(list) => list.iter().any(|e| self.walk(e, leaves)),
            Expr::Not(inner) => !self.walk(inner, leaves),
            Expr::Item(item) if item.field.is_none() => reference::holds(condition, leaves),
            Expr::Item(_) => reference::holds(condition, &self.fields),
        }
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::List(items) => Value::List(items.iter().map(value).collect()),
        Json::Object(_) => {
            let texts = json.leaves().into_iter().filter_map(Json::text);
            Value::List(std::iter::once(json.compact()).chain(texts).map(Value::Text).collect())
        }
        leaf => leaf.text().map_or(Value::Null, Value::Text),
    }
}

/// Whether rsigma's rule fires.
pub fn rsigma_holds(rule: &CompiledRule, event: &Event) -> bool {
    evaluate_rule(rule, &JsonEvent::borrow(&event.parsed)).is_some()
}
