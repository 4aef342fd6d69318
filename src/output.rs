//! Rows on stdout: a table for people, ndjson for pipes, JSON and CSV on request.

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;
use std::io::{BufWriter, IsTerminal, StdoutLock, Write};
use tarn_schema_ocsf::nest;

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
            let mut printer = RowPrinter::new(batch.schema(), format, false);
            printer.print(batch)?;
            return printer.finish();
        }
    }
    Ok(out.flush()?)
}

/// Bytes that a pipe on stdout has room for.
#[cfg(target_os = "linux")]
const PIPE_BYTES: i32 = 1 << 20;

/// Stdout, where a pipe has room for more than the 64 KiB that it comes with: with less, a third of a hunt of many findings is
/// waiting for who reads them.
fn roomy_stdout() -> std::io::Stdout {
    let out = std::io::stdout();
    // What is no pipe, or may not be larger, stays as it is.
    #[cfg(target_os = "linux")]
    nix::fcntl::fcntl(&out, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)).ok();
    out
}

/// Findings as they come for ndjson; the other formats need all of them.
pub struct Printer {
    format: Format,
    out: BufWriter<std::io::Stdout>,
    rows: Vec<serde_json::Map<String, serde_json::Value>>,
}

impl Printer {
    /// A printer of one format.
    pub fn new(format: Format) -> Self {
        Self { format, out: BufWriter::with_capacity(256 << 10, roomy_stdout()), rows: Vec::new() }
    }

    /// Findings, a line each.
    pub fn print(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        if self.format == Format::Ndjson {
            return Ok(self.out.write_all(lines)?);
        }
        for line in lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let finding: serde_json::Value = serde_json::from_slice(line)?;
            self.rows.push(match self.format {
                Format::Json => finding.as_object().cloned().unwrap_or_default(),
                _ => brief(&finding),
            });
        }
        Ok(())
    }

    /// What was printed as ndjson is out.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    /// What is left.
    pub fn finish(mut self) -> anyhow::Result<()> {
        if self.format == Format::Ndjson {
            return Ok(self.out.flush()?);
        }
        print_rows(&self.rows, self.format)
    }
}

/// A finding as a row of a table.
fn brief(finding: &serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    let cells = [
        ("level", &finding["rule"]["level"]),
        ("title", &finding["rule"]["title"]),
        ("rule", &finding["rule"]["id"]),
        ("file", &finding["file"]),
        ("record", &finding["record"]),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
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

/// Rows of a table on a terminal beyond this are counted, not shown: drawing needs all of them in memory.
const TABLE_ROWS_MAX: usize = 10_000;

/// Prints Arrow batches of one schema as they come.
pub struct RowPrinter {
    format: Format,
    nested: bool,
    out: BufWriter<StdoutLock<'static>>,
    schema: SchemaRef,
    first: bool,
    table: Vec<RecordBatch>,
    rows: usize,
}

impl RowPrinter {
    /// For batches of `schema`; `nested` rows are OCSF's objects, else flat ones.
    pub fn new(schema: SchemaRef, format: Format, nested: bool) -> Self {
        let out = BufWriter::with_capacity(256 << 10, roomy_stdout().lock());
        Self { format, nested, out, schema, first: true, table: Vec::new(), rows: 0 }
    }

    /// Prints a batch; tables wait for the end.
    pub fn print(&mut self, batch: RecordBatch) -> anyhow::Result<()> {
        let shown = self.rows;
        self.rows += batch.num_rows();
        match self.format {
            Format::Table if shown < TABLE_ROWS_MAX => {
                self.table.push(batch.slice(0, batch.num_rows().min(TABLE_ROWS_MAX - shown)));
            }
            Format::Table => {}
            Format::Csv => {
                let header = std::mem::take(&mut self.first);
                arrow::csv::WriterBuilder::new().with_header(header).build(&mut self.out).write(&batch)?;
            }
            Format::Ndjson if self.nested => nest::write_ndjson(&batch, &mut self.out)?,
            Format::Ndjson => arrow::json::LineDelimitedWriter::new(&mut self.out).write(&batch)?,
            Format::Json => {
                let mut lines = Vec::new();
                match self.nested {
                    true => nest::write_ndjson(&batch, &mut lines)?,
                    false => arrow::json::LineDelimitedWriter::new(&mut lines).write(&batch)?,
                }
                for line in lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                    self.out.write_all(if std::mem::take(&mut self.first) { b"[" } else { b",\n " })?;
                    self.out.write_all(line)?;
                }
            }
        }
        Ok(())
    }

    /// Prints what is left.
    pub fn finish(mut self) -> anyhow::Result<()> {
        match self.format {
            Format::Table => {
                if self.table.is_empty() {
                    self.table.push(RecordBatch::new_empty(self.schema));
                }
                writeln!(self.out, "{}", arrow::util::pretty::pretty_format_batches(&self.table)?)?;
                if self.rows > TABLE_ROWS_MAX {
                    eprintln!("… of {} rows; --format ndjson prints all", self.rows);
                }
            }
            Format::Json => self.out.write_all(if self.first { b"[]\n" } else { b"]\n" })?,
            Format::Csv if self.first => {
                let empty = RecordBatch::new_empty(self.schema);
                arrow::csv::WriterBuilder::new().with_header(true).build(&mut self.out).write(&empty)?;
            }
            Format::Csv | Format::Ndjson => {}
        }
        Ok(self.out.flush()?)
    }
}
