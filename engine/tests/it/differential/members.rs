//! Tables whose members of `unmapped` are columns, as a lake's files for hunts have them.

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray, StringViewBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use futures::StreamExt;
use futures::executor::block_on;
use std::collections::BTreeMap;
use std::sync::Arc;
use tarn_engine::hunt::{Hunted, Part, RULE};
use tarn_engine::{Engine, RuleIx};
use tarn_ingest::fields::MemberColumns;
use tarn_ingest::json::Members;
use tarn_schema_ocsf::ClassUid;

const NAMES: MemberColumns = MemberColumns { rest: "unmapped{}", of: column };

fn column(member: &str) -> String {
    format!("unmapped.{member}")
}

/// The rules that fire on the rows of a batch, with the rows' uids, hunted for in parts.
pub fn hunted(
    session: &SessionContext,
    engine: &Arc<Engine>,
    class: ClassUid,
    batch: &RecordBatch,
) -> Vec<(RuleIx, String)> {
    let table = |of: &RecordBatch| -> Arc<dyn TableProvider> {
        Arc::new(MemTable::try_new(of.schema(), vec![vec![of.clone()]]).unwrap())
    };
    let open = |part: Part<'_>| match part {
        Part::Others => None,
        Part::Keywords(_) => Some(table(batch)),
        Part::Members(texts) => Some(table(&apart(batch, texts))),
    };
    let hunted = Hunted::in_parts(table(batch), class, Arc::clone(engine), NAMES, open);
    let columns = [RULE, "metadata.uid"].map(|name| hunted.schema().index_of(name).unwrap());
    let state = session.state();
    let plan = block_on(hunted.scan(&state, Some(&columns.to_vec()), &[], None)).unwrap();
    let mut found = Vec::new();
    for partition in 0..plan.properties().partitioning.partition_count() {
        let batches = plan.execute(partition, session.task_ctx()).unwrap();
        for batch in block_on(batches.collect::<Vec<_>>()) {
            let batch = batch.unwrap();
            let (rules, uids) = (batch.column(0).as_primitive::<UInt32Type>(), batch.column(1).as_string::<i32>());
            found.extend((0..batch.num_rows()).map(|row| (RuleIx(rules.value(row)), uids.value(row).to_owned())));
        }
    }
    found
}

/// Texts as numbers of values: as a page with a dictionary has them, or one without.
fn coded(texts: &ArrayRef, has_dictionary: bool) -> ArrayRef {
    let views = cast(texts, &DataType::Utf8View).unwrap();
    if has_dictionary {
        return cast(&views, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View))).unwrap();
    }
    let keys = Int32Array::new((0..views.len() as i32).collect(), views.nulls().cloned());
    Arc::new(DictionaryArray::new(keys, views))
}

/// A batch with `texts` by number: some members of `unmapped` in columns of their own, others in the rest.
fn apart(batch: &RecordBatch, texts: &[String]) -> RecordBatch {
    let rows = batch.num_rows();
    let unmapped = match batch.column_by_name("unmapped") {
        Some(column) => column.as_string::<i32>().clone(),
        None => StringArray::new_null(rows),
    };
    let mut members: BTreeMap<String, StringViewBuilder> = BTreeMap::new();
    let mut rest = StringViewBuilder::new();
    for row in 0..rows {
        let of: Vec<(&str, &str)> =
            if unmapped.is_valid(row) { Members::of(unmapped.value(row)).collect() } else { Vec::new() };
        let mut others = Vec::new();
        for (key, raw) in &of {
            let again = of.iter().filter(|(other, _)| other == key).count() > 1;
            let has_column = !again && !key.contains(['.', '\\']) && !raw.starts_with('{') && !raw.contains("[{");
            // Which member has a column and which has none is as good as chance.
            if has_column && (key.len() + row / 16) % 3 > 0 {
                let builder = members.entry(column(key)).or_default();
                (builder.len()..row).for_each(|_| builder.append_null());
                builder.append_value(raw);
            } else {
                others.push(format!("\"{key}\":{raw}"));
            }
        }
        rest.append_option((!others.is_empty()).then(|| format!("{{{}}}", others.join(","))));
    }
    let (mut fields, mut columns): (Vec<Arc<Field>>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let is_text = texts.contains(field.name()) && *field.data_type() == DataType::Utf8;
        let column = if is_text { coded(column, columns.len() % 2 == 0) } else { Arc::clone(column) };
        fields.push(Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone())));
        columns.push(column);
    }
    members.insert(NAMES.rest.to_owned(), rest);
    for (name, mut builder) in members.into_iter().filter(|(name, _)| texts.contains(name)) {
        (builder.len()..rows).for_each(|_| builder.append_null());
        let texts: ArrayRef = Arc::new(builder.finish());
        columns.push(coded(&texts, columns.len() % 2 == 0));
        fields.push(Arc::new(Field::new(name, columns[fields.len()].data_type().clone(), true)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}
