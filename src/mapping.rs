//! Records to rows that say when they arrived: numbered as they are read, before tables and files part them.

use arrow::array::RecordBatch;
use chrono::Utc;
use std::sync::Arc;
use tarn_ingest::container::Block;
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::{SourceId, Sources};
use tarn_lake::{Clock, LakeError, with_arrival};
use tarn_schema_ocsf::ClassUid;

/// Maps the blocks of one reader, in their order.
pub struct Mapping {
    mapper: Mapper,
    clock: Arc<Clock>,
}

impl Mapping {
    /// Rows for the lake whose clock this is.
    pub fn new(sources: Arc<Sources>, options: MapOptions, clock: Arc<Clock>) -> Self {
        Self { mapper: Mapper::new(sources, options), clock }
    }

    /// Maps a block that was just read. Its dead letters are the caller's.
    pub fn push(&mut self, block: &Block, only: Option<SourceId>) {
        let first = self.clock.take(block.records.len(), Utc::now());
        self.mapper.push_numbered(block, only, first);
    }

    /// Maps a block that came in at `time`, microseconds since 1970; `arrival` is its first record's.
    pub fn push_arrived(&mut self, block: &Block, only: Option<SourceId>, time: i64, arrival: i64) {
        self.mapper.set_ingest_time(time);
        self.mapper.push_numbered(block, only, arrival);
    }

    /// Bytes of text that wait.
    pub fn pending_bytes(&self) -> usize {
        self.mapper.pending_bytes()
    }

    /// All rows so far, with their arrival: a batch or more a class.
    pub fn drain(&mut self) -> Result<Vec<(ClassUid, RecordBatch)>, LakeError> {
        let (rows, _) = self.mapper.drain_numbered();
        rows.into_iter().map(|rows| Ok((rows.class, with_arrival(&rows.batch, rows.numbers)?))).collect()
    }
}
