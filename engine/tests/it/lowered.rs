//! The matcher over events, and DataFusion over the rows that the same events became, fire the same rules.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::common::DFSchema;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_engine::lower::{over, predicates};
use tarn_engine::{Engine, Matcher, RuleIx};
use tarn_ingest::container::{Block, Blocks, Limits};
use tarn_ingest::fields::{FieldReader, TableReader};
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::Sources;
use tarn_rules::{LoadOptions, Ruleset, events};
use tarn_schema_ocsf::ClassUid;

/// Of the rules that do not fire, one in so many is looked at in tables, as plans take long to make in a debug build;
/// `TARN_ALL_RULES=1` looks at all.
const SHARE: u32 = 40;

/// (rule, `metadata.uid`).
type Fired = BTreeSet<(u32, String)>;

pub(crate) struct Both {
    session: SessionContext,
    engine: Arc<Engine>,
    /// What each class's rows are asked.
    asked: BTreeMap<ClassUid, Vec<(u32, Expr)>>,
}

impl Both {
    fn new(rules: Ruleset) -> Self {
        Self::of(Sources::builtin().unwrap(), rules)
    }

    pub(crate) fn of(sources: Sources, rules: Ruleset) -> Self {
        let (engine, _) = Engine::new(Arc::new(sources), rules);
        let mut asked: BTreeMap<ClassUid, Vec<_>> = BTreeMap::new();
        for ix in 0..engine.len() as u32 {
            for (class, predicate) in predicates(&engine, RuleIx(ix)) {
                asked.entry(class).or_default().push((ix, predicate));
            }
        }
        Self { session: SessionContext::new(), engine: Arc::new(engine), asked }
    }

    fn title(&self, rule: u32) -> &str {
        &self.engine.rule(RuleIx(rule)).about.title
    }

    /// Fires nothing on one side only; gives how many fire.
    pub(crate) fn check(&self, name: &str, blocks: &[Block]) -> usize {
        let streamed = self.streamed(blocks);
        let looked_at = |rule: u32| {
            std::env::var_os("TARN_ALL_RULES").is_some()
                || rule.is_multiple_of(SHARE)
                || self.engine.len() < 100
                || streamed.iter().any(|(fired, _)| *fired == rule)
        };
        let stored = self.stored(blocks, &looked_at);
        let differing: Vec<String> = streamed
            .symmetric_difference(&stored)
            .map(|(rule, uid)| {
                let side =
                    if stored.contains(&(*rule, uid.clone())) { "only in the table" } else { "only in the stream" };
                format!("{} on {uid}: {side}", self.title(*rule))
            })
            .collect();
        assert!(differing.is_empty(), "{name}: {differing:#?}");
        self.check_columns(name, blocks, &streamed);
        streamed.len()
    }

    /// All of the rules, by the operator that hunts run.
    fn check_columns(&self, name: &str, blocks: &[Block], streamed: &Fired) {
        let matched = self.matched(blocks);
        let differing: Vec<String> = streamed
            .symmetric_difference(&matched)
            .map(|(rule, uid)| {
                let side =
                    if matched.contains(&(*rule, uid.clone())) { "only over columns" } else { "only in the stream" };
                format!("{} on {uid}: {side}", self.title(*rule))
            })
            .collect();
        assert!(differing.is_empty(), "{name}: {differing:#?}");
    }

    /// The same matcher over the rows of class tables.
    fn matched(&self, blocks: &[Block]) -> Fired {
        let mut mapper = Mapper::new(self.engine.sources().clone(), MapOptions::default());
        blocks.iter().for_each(|block| mapper.push(block, None));
        let mut fired = Fired::new();
        for (class, batch) in mapper.drain().0 {
            let uids = batch.column_by_name("metadata.uid").unwrap().as_string::<i32>().clone();
            let mut reader = TableReader::new(self.engine.sources().clone(), self.engine.request(), class);
            let mut matcher = Matcher::new(self.engine.clone());
            for start in (0..batch.num_rows()).step_by(1000) {
                reader.read(&batch.slice(start, 1000.min(batch.num_rows() - start)));
                let hits = matcher.evaluate(reader.rows());
                fired.extend(hits.iter().map(|h| (h.rule.0, uids.value(start + h.row as usize).to_owned())));
            }
        }
        fired
    }

    fn streamed(&self, blocks: &[Block]) -> Fired {
        let mut reader = FieldReader::new(self.engine.sources().clone(), self.engine.request());
        let mut matcher = Matcher::new(self.engine.clone());
        let mut fired = Fired::new();
        for block in blocks {
            reader.read(block, None);
            for hit in matcher.evaluate(reader.rows()) {
                fired.insert((hit.rule.0, reader.identity(block, hit.row as usize, 0).uid));
            }
        }
        fired
    }

    fn stored(&self, blocks: &[Block], looked_at: &dyn Fn(u32) -> bool) -> Fired {
        let mut mapper = Mapper::new(self.engine.sources().clone(), MapOptions::default());
        blocks.iter().for_each(|block| mapper.push(block, None));
        let mut fired = Fired::new();
        for (class, batch) in mapper.drain().0 {
            let uids = batch.column_by_name("metadata.uid").unwrap().as_string::<i32>().clone();
            let asked = self.asked.get(&class).into_iter().flatten().filter(|(rule, _)| looked_at(*rule));
            let asked: Vec<&(u32, Expr)> = asked.collect();
            let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
            std::thread::scope(|scope| {
                let parts = asked.chunks(asked.len().div_ceil(threads).max(1));
                let parts: Vec<_> = parts.map(|part| scope.spawn(|| self.holding(class, &batch, part))).collect();
                let rows = parts.into_iter().flat_map(|part| part.join().unwrap());
                fired.extend(rows.map(|(rule, row)| (rule, uids.value(row).to_owned())));
            });
        }
        fired
    }

    /// The rows of a class on which rules fire.
    fn holding(&self, class: ClassUid, batch: &RecordBatch, asked: &[&(u32, Expr)]) -> Vec<(u32, usize)> {
        let mut out = Vec::new();
        for (rule, predicate) in asked {
            let predicate = over(predicate.clone(), class, batch.schema_ref()).unwrap();
            let holds =
                evaluate(&self.session, &predicate, batch).unwrap_or_else(|e| panic!("{}: {e}", self.title(*rule)));
            assert_eq!(holds.null_count(), 0, "{}: a rule is never null", self.title(*rule));
            out.extend((0..holds.len()).filter(|row| holds.value(*row)).map(|row| (*rule, row)));
        }
        out
    }
}

pub(crate) fn evaluate(
    session: &SessionContext,
    predicate: &Expr,
    batch: &RecordBatch,
) -> datafusion::error::Result<BooleanArray> {
    // Of a wide table all columns are gone through for each that an expression names.
    let named =
        predicate.column_refs().iter().filter_map(|c| batch.schema_ref().index_of(&c.name).ok()).collect::<Vec<_>>();
    let batch = &batch.project(&named)?;
    let schema = Arc::new(DFSchema::try_from(batch.schema())?);
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(schema.clone()).build());
    let simple = simplifier.simplify(simplifier.coerce(predicate.clone(), &schema)?)?;
    let physical = session.create_physical_expr(simple, &schema)?;
    let out = physical.evaluate(batch)?.into_array(batch.num_rows())?;
    Ok(out.as_boolean().clone())
}

pub(crate) fn blocks(bytes: Vec<u8>) -> Vec<Block> {
    let limits = Limits { block_bytes: 256 << 10, ..Limits::default() };
    let mut reader = Blocks::open(Cursor::new(bytes), limits).unwrap();
    std::iter::from_fn(|| reader.next_block().unwrap()).collect()
}

/// Rules under a folder of the rules crate, and all of their own events.
fn with_events(folder: &str) -> (Ruleset, Vec<Block>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules").join(folder);
    let set = tarn_rules::load(&[folder], &LoadOptions::default());
    let tests = set.rules.iter().flat_map(|r| events::of_rule(&r.about.file).unwrap().unwrap());
    let text: String = tests.flat_map(|t| t.happens.forms()).map(|event| event.to_string() + "\n").collect();
    (set, blocks(text.into_bytes()))
}

#[test]
fn every_sentence_of_the_specification() {
    let (set, blocks) = with_events("conformance");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/conformance/sources");
    let rules = set.rules.len();
    let fired = Both::of(Sources::with_folder(&sources).unwrap(), set).check("the conformance cases", &blocks);
    assert!(fired >= rules, "{fired} findings of {rules} rules");
}

/// A folder at a time: a rule on the events of another vendor's is another test's.
#[test]
fn our_rules_on_their_own_events() {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/sigma");
    for folder in std::fs::read_dir(pack).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        let (set, blocks) = with_events(&format!("sigma/{name}"));
        let rules = set.rules.len();
        // Events of one rule may share an id.
        let fired = Both::new(set).check(&name, &blocks);
        assert!(fired >= rules, "{name}: {fired} findings of {rules} rules");
    }
}

#[test]
fn the_public_rules_on_real_logs() {
    let named = std::env::var_os("TARN_TEST_DATA").map(PathBuf::from);
    let data = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    if !data.is_dir() {
        return println!("skipped: no {}", data.display());
    }
    let folders = ["rules", "rules-emerging-threats", "rules-threat-hunting"].map(|f| data.join("sigmahq").join(f));
    let both = Both::new(tarn_rules::load(&folders, &LoadOptions::default()));
    let files = |folder: &str, ending: &str| -> Vec<PathBuf> {
        let mut out = Vec::new();
        let mut folders = vec![data.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false if path.to_string_lossy().ends_with(ending) => out.push(path),
                    false => {}
                }
            }
        }
        out.sort();
        out
    };
    // All regression cases and Stratus techniques in one go: expressions are compiled once a batch.
    let mut all = Vec::new();
    for path in [files("sigmahq/regression_data", ".evtx"), files("stratus/detonation-logs", ".json")].concat() {
        all.extend(blocks(std::fs::read(path).unwrap()));
    }
    let fired = both.check("regression cases and techniques", &all);
    assert!(fired > 150, "only {fired} findings");
    // A part of the Windows events: a share of every hour of the recording.
    let sample = blocks(std::fs::read(data.join("windows/security-datasets-20k.ndjson.gz")).unwrap());
    both.check_columns("Windows events", &sample, &both.streamed(&sample));
    let sample: Vec<Block> = sample.into_iter().step_by(12).collect();
    both.check("a sample of Windows events", &sample);
}
