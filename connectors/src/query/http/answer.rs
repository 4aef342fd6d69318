//! An answer's body: rows written as they come, a slice of a batch at a time.

use super::super::{QueryError, Running, nested_as_json};
use super::format::Format;
use super::problem::{Problem, Sent};
use super::{QUERY_ID, tables};
use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder as Csv;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::WriterBuilder as Json;
use arrow::json::writer::LineDelimited;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, Stream};
use std::time::Duration;
use tarn_schema_ocsf::nest;

/// Rows that become text at once.
const SLICE_ROWS: usize = 1024;
/// How long the answer's head waits for the first rows, so that an early error has its own status.
const HEAD_WAIT: Duration = Duration::from_millis(500);

/// **Errors**: what goes wrong before the first row, if that is soon.
pub(super) async fn respond(mut running: Running, format: Format, nested: bool) -> Result<Response, Problem> {
    let first = match tokio::time::timeout(HEAD_WAIT, running.next()).await {
        Ok(Ok(batch)) => batch,
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => None,
    };
    let id = running.id.to_string();
    let mut response = Response::new(Body::from_stream(chunks(Writer::new(running, format, nested), first)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(QUERY_ID, id);
    }
    Ok(response)
}

/// What is still to be sent.
enum Step {
    Head { first: Option<RecordBatch> },
    Rows { batch: RecordBatch, from: usize },
    Next,
    Done,
}

fn chunks(writer: Writer, first: Option<RecordBatch>) -> impl Stream<Item = Result<Bytes, QueryError>> {
    stream::try_unfold((writer, Step::Head { first }), |(mut writer, step)| async move {
        let (chunk, step) = match step {
            Step::Done => return Ok(None),
            Step::Head { first } => {
                let next = first.map_or(Step::Next, |batch| Step::Rows { batch, from: 0 });
                (writer.head()?, next)
            }
            Step::Rows { batch, from } => {
                let length = SLICE_ROWS.min(batch.num_rows() - from);
                let chunk = writer.rows(&batch.slice(from, length))?;
                let from = from + length;
                (chunk, if from < batch.num_rows() { Step::Rows { batch, from } } else { Step::Next })
            }
            Step::Next => match writer.next().await {
                Ok(Some(batch)) => (Vec::new(), Step::Rows { batch, from: 0 }),
                Ok(None) => (writer.tail()?, Step::Done),
                Err(error) => (writer.broken(error)?, Step::Done),
            },
        };
        Ok(Some((Bytes::from(chunk), (writer, step))))
    })
}

struct Writer {
    running: Running,
    format: Format,
    nested: bool,
    rows: u64,
    ipc: Option<StreamWriter<Vec<u8>>>,
}

impl Writer {
    fn new(running: Running, format: Format, nested: bool) -> Self {
        Self { running, format, nested, rows: 0, ipc: None }
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        match self.format {
            Format::Json | Format::Ndjson => self.running.next().await,
            // No place to say that rows are missing.
            Format::Csv | Format::Arrow => self.running.next_or_rows().await,
        }
    }

    fn head(&mut self) -> Result<Vec<u8>, QueryError> {
        let schema = &self.running.schema;
        match self.format {
            Format::Ndjson => Ok(Vec::new()),
            Format::Json => {
                let columns = serde_json::to_string(&tables::columns(schema)).map_err(internal)?;
                Ok(format!("{{\"columns\":{columns},\"rows\":[").into_bytes())
            }
            Format::Csv => {
                let empty =
                    nested_as_json(&RecordBatch::new_empty(schema.clone()), DataType::is_nested).map_err(internal)?;
                let mut out = Vec::new();
                Csv::new().with_header(true).build(&mut out).write(&empty).map_err(internal)?;
                Ok(out)
            }
            Format::Arrow => {
                let ipc = StreamWriter::try_new(Vec::new(), schema).map_err(internal)?;
                Ok(std::mem::take(self.ipc.insert(ipc).get_mut()))
            }
        }
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, QueryError> {
        let before = self.rows;
        self.rows += batch.num_rows() as u64;
        match self.format {
            Format::Ndjson => self.lines(batch).map_err(internal),
            Format::Json => {
                let lines = self.lines(batch).map_err(internal)?;
                let mut out = Vec::with_capacity(lines.len());
                for (i, line) in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).enumerate() {
                    if before > 0 || i > 0 {
                        out.push(b',');
                    }
                    out.push(b'\n');
                    out.extend_from_slice(line);
                }
                Ok(out)
            }
            Format::Csv => {
                let flat = nested_as_json(batch, DataType::is_nested).map_err(internal)?;
                let mut out = Vec::new();
                Csv::new().with_header(false).build(&mut out).write(&flat).map_err(internal)?;
                Ok(out)
            }
            Format::Arrow => {
                let Some(ipc) = &mut self.ipc else { return Ok(Vec::new()) };
                ipc.write(batch).map_err(internal)?;
                Ok(std::mem::take(ipc.get_mut()))
            }
        }
    }

    fn lines(&self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let mut out = Vec::new();
        if self.nested {
            nest::write_ndjson(batch, &mut out)?;
        } else {
            let mut writer = Json::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut out);
            writer.write(batch)?;
            writer.finish()?;
        }
        Ok(out)
    }

    fn tail(&mut self) -> Result<Vec<u8>, QueryError> {
        let (rows, truncated) = (self.rows, self.running.is_truncated());
        match self.format {
            Format::Json => Ok(format!("],\"truncated\":{truncated},\"row_count\":{rows}}}\n").into_bytes()),
            Format::Ndjson if truncated => Ok(format!("{{\"truncated\":true,\"row_count\":{rows}}}\n").into_bytes()),
            Format::Ndjson | Format::Csv => Ok(Vec::new()),
            Format::Arrow => {
                let Some(ipc) = &mut self.ipc else { return Ok(Vec::new()) };
                ipc.finish().map_err(internal)?;
                Ok(std::mem::take(ipc.get_mut()))
            }
        }
    }

    /// The end of an answer that went wrong. **Errors**: the answer is to be broken off.
    fn broken(&self, error: QueryError) -> Result<Vec<u8>, QueryError> {
        if self.format != Format::Ndjson {
            return Err(error);
        }
        let mut line = serde_json::to_vec(&Sent::from(&error)).map_err(internal)?;
        line.push(b'\n');
        Ok(line)
    }
}

fn internal(error: impl ToString) -> QueryError {
    QueryError::Internal { message: error.to_string() }
}
