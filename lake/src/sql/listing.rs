//! `SHOW TABLES` and `DESCRIBE`.

use crate::sql::{SqlError, SqlSession};
use crate::table::TableSnapshot;
use arrow::array::{Array, ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::{ilike, like};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::Utc;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast::{
    ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions, Statement,
};
use std::sync::Arc;

fn stream(columns: Vec<(&str, ArrayRef)>) -> Result<SendableRecordBatchStream, SqlError> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true)))?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter([Ok(batch)]))))
}

/// The names that a `SHOW TABLES` asks for.
enum Pattern<'a> {
    All,
    Like(&'a str),
    ILike(&'a str),
}

impl<'a> Pattern<'a> {
    /// **Errors**: [`SqlError::ShowTables`] when the statement says more.
    fn of(show: &'a Statement) -> Result<Self, SqlError> {
        if let Statement::ShowTables {
            terse: false,
            history: false,
            extended: false,
            full: false,
            external: false,
            show_options:
                ShowStatementOptions { show_in: None, starts_with: None, limit: None, limit_from: None, filter_position },
        } = show
        {
            use ShowStatementFilterPosition::{Infix, Suffix};
            match filter_position {
                None => return Ok(Self::All),
                Some(Infix(ShowStatementFilter::Like(text)) | Suffix(ShowStatementFilter::Like(text))) => {
                    return Ok(Self::Like(text));
                }
                Some(Infix(ShowStatementFilter::ILike(text)) | Suffix(ShowStatementFilter::ILike(text))) => {
                    return Ok(Self::ILike(text));
                }
                Some(_) => {}
            }
        }
        Err(SqlError::ShowTables { statement: show.to_string() })
    }

    /// Which of `names` fit, as a query's LIKE would have it.
    fn fits(&self, names: &StringArray) -> Result<BooleanArray, SqlError> {
        Ok(match self {
            Self::All => BooleanArray::from(vec![true; names.len()]),
            Self::Like(text) => like(names, &StringArray::new_scalar(*text))?,
            Self::ILike(text) => ilike(names, &StringArray::new_scalar(*text))?,
        })
    }
}

/// **Shape**: a row per table or view whose name fits: `table_name`, `rows`, `files`, `bytes`, `first_day`, `last_day`
/// (true days only); a view has its name alone.
///
/// **Errors**: [`SqlError::ShowTables`].
pub(crate) fn show_tables(session: &SqlSession, show: &Statement) -> Result<SendableRecordBatchStream, SqlError> {
    let pattern = Pattern::of(show)?;
    let tables = session.tables().map(|table| (table.name.as_str(), Some(table)));
    let all: Vec<(&str, Option<&TableSnapshot>)> =
        tables.chain(session.views().map(|(name, _)| (name, None))).collect();
    let fits = pattern.fits(&all.iter().map(|(name, _)| Some(*name)).collect())?;
    let shown: Vec<_> =
        all.iter().zip(fits.iter()).filter(|(_, fits)| *fits == Some(true)).map(|(one, _)| *one).collect();
    let now = Utc::now();
    let days = |table: &TableSnapshot| {
        let days = table.files.iter().filter_map(|file| table.days(file, now));
        let days = days.flat_map(|days| [*days.start(), *days.end()]).filter(|day| *day != 0);
        days.fold(None, |range: Option<(i32, i32)>, day| match range {
            Some((first, last)) => Some((first.min(day), last.max(day))),
            None => Some((day, day)),
        })
    };
    let names: StringArray = shown.iter().map(|(name, _)| Some(*name)).collect();
    let tables = || shown.iter().map(|(_, table)| *table);
    let rows: UInt64Array = tables().map(|t| t?.rows()).collect();
    let files: UInt64Array = tables().map(|t| Some(t?.files.len() as u64)).collect();
    let bytes: UInt64Array = tables().map(|t| Some(t?.bytes())).collect();
    let first: Date32Array = tables().map(|t| days(t?).map(|d| d.0)).collect();
    let last: Date32Array = tables().map(|t| days(t?).map(|d| d.1)).collect();
    stream(vec![
        ("table_name", Arc::new(names)),
        ("rows", Arc::new(rows)),
        ("files", Arc::new(files)),
        ("bytes", Arc::new(bytes)),
        ("first_day", Arc::new(first)),
        ("last_day", Arc::new(last)),
    ])
}

/// **Shape**: a row per column: `column_name`, `data_type`.
pub(crate) fn describe(schema: &Schema) -> Result<SendableRecordBatchStream, SqlError> {
    let fields = schema.fields();
    let names: StringArray = fields.iter().map(|f| Some(f.name().as_str())).collect();
    let types: StringArray = fields.iter().map(|f| Some(type_name(f))).collect();
    stream(vec![("column_name", Arc::new(names)), ("data_type", Arc::new(types))])
}

/// A type as a user of SQL says it.
fn type_name(field: &Field) -> String {
    if field.metadata().get("ocsf.type").is_some_and(|t| t == "json") {
        return "json".to_owned();
    }
    match field.data_type() {
        DataType::Utf8 => "text".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::List(element) => format!("list<{}>", type_name(element)),
        DataType::Struct(children) => {
            let children = children.iter().map(|c| format!("{}: {}", c.name(), type_name(c)));
            format!("struct<{}>", children.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
