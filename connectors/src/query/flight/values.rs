//! Values of a prepared statement's parameters, as a client puts them: one row, uncompressed.
//!
//! Arrow's decoder makes room for as many bytes as a compressed buffer claims to have, before it looks at them: a claim of
//! 2⁶² bytes would end the process. So compressed batches are refused before they are decoded.

use crate::query::{QueryError, Shape};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::root_as_message;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use futures::{Stream, TryStreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// Bytes of all messages that carry a statement's values.
const BYTES_MAX: usize = 1 << 20;
/// How long a client may take to send them.
const TIME_MAX: Duration = Duration::from_secs(30);

/// `$1`, `$2`, … as columns; text where nothing says the type.
pub fn columns(of: &Shape) -> Schema {
    let types = of.parameters.iter().map(|known| known.clone().unwrap_or(DataType::Utf8)).enumerate();
    Schema::new(types.map(|(at, of)| Field::new(format!("${}", at + 1), of, true)).collect::<Vec<_>>())
}

/// The values that a client puts for a statement of this shape, each an array of one element; none if it puts no row.
///
/// **Errors**: more than one row or [`BYTES_MAX`], more time than [`TIME_MAX`], compressed batches, what does not fit the
/// parameters.
pub async fn read(
    shape: &Shape,
    data: impl Stream<Item = Result<FlightData, Status>> + Unpin,
) -> Result<Vec<ArrayRef>, Status> {
    let messages = tokio::time::timeout(TIME_MAX, messages(data)).await;
    let messages = messages.map_err(|_| Status::deadline_exceeded("the values did not come in time"))??;
    let mut batches = FlightRecordBatchStream::new_from_flight_data(stream::iter(messages.into_iter().map(Ok)));
    let mut row: Option<RecordBatch> = None;
    while let Some(batch) = batches.try_next().await.map_err(|error| Status::invalid_argument(error.to_string()))? {
        if batch.num_rows() > 1 || batch.num_rows() == 1 && row.is_some() {
            return Err(Status::invalid_argument("a statement runs with one row of values"));
        }
        row = (batch.num_rows() == 1).then_some(batch).or(row);
    }
    row.map_or(Ok(Vec::new()), |row| taken(shape, &row))
}

async fn messages(mut data: impl Stream<Item = Result<FlightData, Status>> + Unpin) -> Result<Vec<FlightData>, Status> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while let Some(message) = data.try_next().await? {
        // An empty message takes room as well.
        bytes += size_of::<FlightData>() + message.data_header.len() + message.data_body.len();
        if bytes > BYTES_MAX {
            return Err(Status::invalid_argument(format!("values have {BYTES_MAX} bytes at most")));
        }
        uncompressed(&message)?;
        messages.push(message);
    }
    Ok(messages)
}

fn uncompressed(data: &FlightData) -> Result<(), Status> {
    if data.data_header.is_empty() {
        return Ok(());
    }
    let message = root_as_message(&data.data_header);
    let message = message.map_err(|error| Status::invalid_argument(format!("not an Arrow message: {error}")))?;
    let dictionary = || message.header_as_dictionary_batch().and_then(|batch| batch.data());
    match message.header_as_record_batch().or_else(dictionary).and_then(|batch| batch.compression()) {
        Some(_) => Err(Status::invalid_argument("values are taken uncompressed only")),
        None => Ok(()),
    }
}

/// One row of values, in the types that the statement takes.
fn taken(shape: &Shape, row: &RecordBatch) -> Result<Vec<ArrayRef>, Status> {
    let expected = shape.parameters.len();
    if row.num_columns() != expected {
        let message = format!("{} values for {expected} parameters", row.num_columns());
        return Err(QueryError::Parameter { message }.into());
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let one = |(at, (value, of)): (usize, (&ArrayRef, &Option<DataType>))| match of {
        Some(of) => cast_with_options(value, of, &strict)
            .map_err(|error| QueryError::Parameter { message: format!("${}: {error}", at + 1) }.into()),
        None => Ok(Arc::clone(value)),
    };
    row.columns().iter().zip(&shape.parameters).enumerate().map(one).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::IpcWriteOptions;
    use arrow_flight::encode::FlightDataEncoderBuilder;

    async fn put(rows: usize, compression: Option<CompressionType>) -> Result<Vec<ArrayRef>, Status> {
        let shape = Shape { schema: Arc::new(Schema::empty()), parameters: vec![Some(DataType::Utf8)] };
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a text of some length, again and again"; rows]));
        let batch = RecordBatch::try_from_iter([("$1", texts)]).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let data = FlightDataEncoderBuilder::new().with_options(options).build(stream::iter([Ok(batch)]));
        read(&shape, data.map_err(Status::from)).await
    }

    #[tokio::test]
    async fn one_row_is_taken() {
        assert_eq!(put(1, None).await.unwrap().len(), 1);
        assert_eq!(put(0, None).await.unwrap().len(), 0);
        assert!(put(2, None).await.unwrap_err().message().contains("one row"));
        assert!(put(40_000, None).await.unwrap_err().message().contains("bytes at most"));
    }

    #[tokio::test]
    async fn compressed_values_are_refused_before_they_are_decoded() {
        let refused = put(1, Some(CompressionType::LZ4_FRAME)).await.unwrap_err();
        assert!(refused.message().contains("uncompressed"), "{refused}");
    }
}
