//! `GROUP BY` texts of whole tables, by the numbers that a file's dictionaries give them.
//!
//! DataFusion (55.2) makes a view of each row's text, and looks its hash up among all groups. Where a file has numbers for its texts, a
//! dictionary is looked at once for a row group here, and a row is two array accesses. [`GroupByDictionary`] puts
//! [`exec::GroupByDictionaryExec`] in the place of a partial aggregate and the scan below it; what is above stays as it was.

mod exec;
mod groups;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use exec::GroupByDictionaryExec;
use std::collections::HashMap;
use std::sync::Arc;

/// Replaces partial aggregates by texts, over all rows of a table's files.
#[derive(Debug)]
pub(super) struct GroupByDictionary;

impl PhysicalOptimizerRule for GroupByDictionary {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replaced = |plan: Arc<dyn ExecutionPlan>| match plan.downcast_ref::<AggregateExec>().and_then(replacement) {
            Some(instead) => Ok(Transformed::yes(instead)),
            None => Ok(Transformed::no(plan)),
        };
        plan.transform_up(replaced).data()
    }

    fn name(&self) -> &str {
        "GroupByDictionary"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What does the same; none where the aggregate is not one for it.
fn replacement(aggregate: &AggregateExec) -> Option<Arc<dyn ExecutionPlan>> {
    let by = aggregate.group_expr();
    let is_plain = *aggregate.mode() == AggregateMode::Partial
        && by.is_single()
        && !by.is_empty()
        && aggregate.limit_options().is_none()
        && aggregate.filter_expr().iter().all(Option::is_none)
        && aggregate.aggr_expr().iter().all(|of| of.groups_accumulator_supported() && of.order_bys().is_empty());
    if !is_plain {
        return None;
    }
    let (config, source) =
        aggregate.input().downcast_ref::<DataSourceExec>()?.downcast_to_file_source::<ParquetSource>()?;
    if source.filter().is_some() || config.limit.is_some() {
        return None;
    }
    let schema = aggregate.input().schema();
    let column = |expr: &Arc<dyn PhysicalExpr>| {
        let at = expr.downcast_ref::<Column>()?.index();
        (*schema.fields().get(at)?.data_type() == DataType::Utf8View).then_some(at)
    };
    let by: Vec<usize> = by.expr().iter().map(|(expr, _)| column(expr)).collect::<Option<_>>()?;
    let of_values = aggregate.aggr_expr().iter().flat_map(|of| of.expressions());
    // What groups comes as numbers.
    if of_values.flat_map(|expr| collect_columns(&expr)).any(|column| by.contains(&column.index())) {
        return None;
    }
    is_of_files(config, &schema).then_some(())?;
    let store = config.object_store_url.clone();
    let groups = whole_files(config);
    Some(Arc::new(GroupByDictionaryExec::new(store, groups, schema, by, aggregate)))
}

/// Whether a scan gives columns of files as they are.
fn is_of_files(config: &FileScanConfig, schema: &Schema) -> bool {
    let in_files = |name: &String| config.file_schema().index_of(name).is_ok();
    let projected = config.file_source().projection().map(|projection| {
        let named =
            |of: &ProjectionExpr| of.expr.downcast_ref::<Column>().is_some_and(|column| column.name() == of.alias);
        projection.as_ref().iter().all(named)
    });
    projected.unwrap_or(true) && schema.fields().iter().all(|field| in_files(field.name()))
}

/// The files of a scan, of which some may be in several groups in parts.
fn whole_files(config: &FileScanConfig) -> Vec<FileGroup> {
    let mut files: HashMap<String, PartitionedFile> = HashMap::new();
    for file in config.file_groups.iter().flat_map(FileGroup::files) {
        let mut file = file.clone();
        file.range = None;
        files.entry(file.object_meta.location.to_string()).or_insert(file);
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let files = files.into_iter().map(|(_, file)| file).collect();
    FileGroup::new(files).split_files(config.file_groups.len().max(1))
}
