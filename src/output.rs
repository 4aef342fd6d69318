//! Rows on stdout: a table for people, ndjson for pipes, JSON and CSV on request.

use anyhow::Context;
use arrow::array::RecordBatch;
use clap::ValueEnum;
use std::io::{IsTerminal, Write};

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns drawn for a person.
    Table,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

impl Format {
    /// What was asked for, else a table on a terminal and ndjson in a pipe.
    pub fn or_default(asked: Option<Self>) -> Self {
        match asked {
            Some(format) => format,
            None if std::io::stdout().is_terminal() => Self::Table,
            None => Self::Ndjson,
        }
    }
}

/// Prints JSON rows: flat objects with the same keys. A table's cells are their text.
pub fn print_rows(rows: &[serde_json::Map<String, serde_json::Value>], format: Format) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match format {
        Format::Ndjson => {
            for row in rows {
                serde_json::to_writer(&mut out, row)?;
                out.write_all(b"\n")?;
            }
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, rows)?;
            out.write_all(b"\n")?;
        }
        Format::Table | Format::Csv => {
            let batch = text_batch(rows)?;
            drop(out);
            return print_batches(&[batch], format);
        }
    }
    Ok(out.flush()?)
}

fn text_batch(rows: &[serde_json::Map<String, serde_json::Value>]) -> anyhow::Result<RecordBatch> {
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;
    let mut names: Vec<&str> = Vec::new();
    for key in rows.iter().flat_map(|row| row.keys()) {
        if !names.contains(&key.as_str()) {
            names.push(key);
        }
    }
    let cell = |value: Option<&serde_json::Value>| match value {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let column = |name: &str| Arc::new(StringArray::from_iter(rows.iter().map(|row| cell(row.get(name))))) as ArrayRef;
    if names.is_empty() {
        return Ok(RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty())));
    }
    RecordBatch::try_from_iter_with_nullable(names.into_iter().map(|n| (n, column(n), true)))
        .context("rows do not fit a table")
}

/// Prints Arrow batches of one schema.
pub fn print_batches(batches: &[RecordBatch], format: Format) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match format {
        Format::Table => writeln!(out, "{}", arrow::util::pretty::pretty_format_batches(batches)?)?,
        Format::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut out);
            batches.iter().try_for_each(|batch| writer.write(batch))?;
        }
        Format::Ndjson => {
            let mut writer = arrow::json::LineDelimitedWriter::new(&mut out);
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.finish()?;
        }
        Format::Json => {
            let mut writer = arrow::json::ArrayWriter::new(&mut out);
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.finish()?;
            drop(writer);
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}
