//! The view [`VIEW`]: the current state of each finding, which is its latest record in [`TABLE`].
//!
//! An update is a record of its own (`activity_id` 2 or 3) with the finding's uid; it has all that the finding had.
//! Updates come before creations, whatever their arrival: a hunt that finds the same again does not reopen a finding.

use crate::table::{ARRIVAL, TableSnapshot};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result, TableReference};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlanBuilder, lit};
use std::sync::Arc;

/// The view's name.
pub(crate) const VIEW: &str = "findings";
/// The class table that it is over.
pub(crate) const TABLE: &str = "detection_finding";

const UID: &str = "finding_info.uid";
const RANK: &str = "__rank";

/// The view over a lake's table of findings, which `provider` reads; none where the table lacks what the view is made by.
///
/// **Shape**: the table's columns; a row per `finding_info.uid`. **Errors**: a plan that cannot be made.
pub(crate) fn view(table: &TableSnapshot, provider: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
    let has = |name: &str| table.schema.field_with_name(name).is_ok();
    if ![UID, "activity_id", "metadata.uid", ARRIVAL].into_iter().all(has) {
        return Ok(None);
    }
    let column = |name: &str| Expr::Column(Column::new(Some(TableReference::bare(TABLE)), name));
    let updated = column("activity_id").in_list(vec![lit(2), lit(3)], false);
    let latest = [updated, column(ARRIVAL), column("metadata.uid")].map(|key| key.sort(false, false));
    let rank = row_number().partition_by(vec![column(UID)]).order_by(latest.to_vec()).build()?.alias(RANK);
    let all = table.schema.fields().iter().map(|field| column(field.name()));
    let plan = LogicalPlanBuilder::scan(TABLE, provider_as_source(provider), None)?
        .filter(column(UID).is_not_null())?
        .window(vec![rank])?
        .filter(Expr::Column(Column::from_name(RANK)).eq(lit(1_u64)))?
        .project(all)?
        .build()?;
    Ok(Some(Arc::new(ViewTable::new(plan, None))))
}
