//! A table as hunts read it: the files that have columns made for that ([`crate::table::write::members`]), texts as their
//! pages have them.
//!
//! Texts are not copied out of pages, and what repeats in a dictionary is one number, whose value a matcher looks at once.

pub(super) mod coded;
mod constant;
mod delta;
mod exec;
mod hybrid;
pub(super) mod pages;

use super::provider::LakeTable;
use crate::table::TableSnapshot;
use crate::table::schema::UID;
use crate::table::write::{Needles, is_of_files};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use coded::coded;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use exec::{HuntScanExec, Rows};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use std::sync::Arc;

/// The files of a table that are for hunts.
///
/// **Shape**: the table's columns, then members of `unmapped` that were asked for. Texts that were asked for are
/// `Dictionary(Int32, Utf8View)`, whose values may repeat, `metadata.uid` is `BinaryView`, other texts `Utf8View`; a member's column
/// has JSON texts, and is null where a row lacks it.
#[derive(Debug)]
pub struct ForHunts {
    files: LakeTable,
    schema: SchemaRef,
    needles: Option<Arc<Needles>>,
}

impl ForHunts {
    /// A table as two: the files that are for hunts, with `texts` as they are coded, and all other rows; none where there are none.
    pub(crate) fn split(table: &TableSnapshot, texts: &[String]) -> (Option<Self>, Option<LakeTable>) {
        let (own, others): (Vec<_>, Vec<_>) = table.files.iter().cloned().partition(|file| file.is_for_hunts());
        let others = TableSnapshot { files: others, ..table.clone() };
        let has_others = !others.files.is_empty() || !others.fresh.is_empty();
        let others = has_others.then(|| LakeTable::new(Arc::new(others)));
        let own = TableSnapshot { files: own, fresh: Vec::new(), ..table.clone() };
        ((!own.files.is_empty()).then(|| Self::of(own, texts)), others)
    }

    fn of(table: TableSnapshot, texts: &[String]) -> Self {
        let column = |field: &FieldRef| match field.data_type() {
            DataType::Utf8 if field.name() == UID => {
                Arc::new(field.as_ref().clone().with_data_type(DataType::BinaryView))
            }
            DataType::Utf8 if texts.contains(field.name()) => Arc::new(field.as_ref().clone().with_data_type(coded())),
            DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
            _ => Arc::clone(field),
        };
        let members = texts.iter().filter(|name| is_of_files(name));
        let members = members.map(|name| Arc::new(Field::new(name, coded(), true)));
        let fields: Vec<FieldRef> = table.schema.fields().iter().map(column).chain(members).collect();
        Self { schema: Arc::new(Schema::new(fields)), files: LakeTable::new(Arc::new(table)), needles: None }
    }

    /// The same without most of the rows that have not all of one of these lists, each of which is texts of which one is in
    /// some value of the row but `raw_data`. They are in lower case.
    pub fn with_any_of(self, sought: &[Vec<Vec<String>>]) -> Self {
        Self { needles: Some(Arc::new(Needles::new(sought))), ..self }
    }
}

#[async_trait]
impl TableProvider for ForHunts {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let files = self.files.prune(state, filters).into_iter().map(|file| self.files.partitioned(file));
        let files: Vec<_> = files.collect();
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let groups = FileGroup::new(files).split_files(state.config_options().execution.target_partitions.max(1));
        let predicate = self.files.predicate(state, filters).map(Arc::new);
        Ok(Arc::new(HuntScanExec::new(
            groups,
            schema,
            Rows { layout: self.files.layout(), predicate, needles: self.needles.clone() },
        )))
    }
}

/// What is said of a file that cannot be read: which, of a leaf that is read by itself which column, and what to do.
pub(super) fn unreadable(error: ParquetError, path: &str, leaf: Option<(&ParquetMetaData, usize)>) -> DataFusionError {
    let column = |(footer, leaf): (&ParquetMetaData, usize)| {
        let column = footer.file_metadata().schema_descr().column(leaf);
        format!("column {:?} of ", column.path().string())
    };
    let column = leaf.map(column).unwrap_or_default();
    DataFusionError::from(error).context(format!(
        "{column}{path} cannot be read; if it is damaged, restore the file from a copy, or leave its days out"
    ))
}
