//! Inputs into a lake: read, mapped to OCSF, appended; each input's content once.
//!
//! Mapping runs here; the lake encodes and writes files on threads of its own meanwhile.
//! **Bounds**: [`PENDING_BYTES_MAX`] of mapped text, and what the lake buffers.

use crate::input::Input;
use crate::mapping::Mapping;
use crate::progress::Counted;
use crate::report::DeadLetters;
use anyhow::Context;
use chrono::Utc;
use indicatif::ProgressBar;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Arc;
use tarn_ingest::DeadLetter;
use tarn_ingest::container::{Block, Blocks, Limits};
use tarn_ingest::mapper::MapOptions;
use tarn_ingest::source::{SourceId, Sources};
use tarn_lake::ingest::identity::{Digest, HEAD_BYTES, HashingReader, Progress, Reached};
use tarn_lake::{Container, Decision, Ingest, dead_letter};
use tarn_schema_ocsf::Schema;

/// Mapped text that waits before it is handed to the lake, bytes.
const PENDING_BYTES_MAX: usize = 16 << 20;

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Inputs whose content was in the lake already.
    pub skipped: usize,
    /// Inputs of which something was new.
    pub ingested: usize,
    /// Records and dead letters read, without those that were in the lake.
    pub records: u64,
    /// Bytes of the lake's new files.
    pub bytes: u64,
}

/// Puts inputs into a lake.
pub struct Loader {
    ingest: Ingest,
    mapping: Mapping,
    source: Option<SourceId>,
    dead: DeadLetters,
    now: chrono::DateTime<Utc>,
    summary: Summary,
}

/// One input that is being read.
struct Open {
    name: String,
    container: Container,
    blocks: Blocks,
    /// How far it was read; a Parquet file is hashed when it has been read.
    progress: Result<Progress, File>,
    /// What the lake had of it.
    before: Reached,
    /// What it will have.
    reached: Reached,
}

impl Open {
    /// Takes what the lake has out of a block, and counts the rest as reached.
    fn leave_out(&mut self, block: &mut Block) {
        let read: Vec<(u64, &[u8])> = block
            .records
            .iter()
            .map(|r| (r.number, block.original(r).as_bytes()))
            .chain(block.dead.iter().map(|d| (d.number, d.bytes.as_slice())))
            .collect();
        let mut known = BTreeSet::new();
        for (number, bytes) in read {
            self.reached.records = self.reached.records.max(number);
            if block.unsettled.contains(&number) {
                self.reached.unsettled.insert(number, Some(Digest::of(bytes)));
            } else {
                self.reached.unsettled.remove(&number);
            }
            if self.before.has(number, bytes) {
                known.insert(number);
            }
        }
        block.records.retain(|r| !known.contains(&r.number));
        block.dead.retain(|d| !known.contains(&d.number));
    }

    /// What the lake has once all that was given out is committed.
    fn half_read(&self) -> Reached {
        let mut reached = self.reached.clone();
        let waiting = self.blocks.waiting().into_iter().filter(|n| *n <= reached.records);
        reached.unsettled.extend(waiting.collect::<Vec<_>>().into_iter().map(|n| (n, None)));
        reached
    }
}

impl Loader {
    /// Loads through `ingest`.
    pub fn new(
        ingest: Ingest,
        sources: Arc<Sources>,
        source: Option<SourceId>,
        options: MapOptions,
    ) -> anyhow::Result<Self> {
        let mapping = Mapping::new(sources, options, ingest.clock());
        let dead = DeadLetters::new(None)?;
        Ok(Self { ingest, mapping, source, dead, now: Utc::now(), summary: Summary::default() })
    }

    /// Loads one input.
    ///
    /// **Errors**: it cannot be read: what came before stays, and a later run goes on from there. Or the lake's.
    pub async fn load(&mut self, input: &Input, bar: &ProgressBar) -> anyhow::Result<()> {
        let Some(open) = self.open(input, bar)? else {
            self.summary.skipped += 1;
            return Ok(());
        };
        self.read(open).await
    }

    /// Loads records that were made here: they are new, whatever the lake has, and it keeps no account of them. All of them
    /// are committed at once, by [`Self::finish`].
    ///
    /// **Errors**: the lake's.
    pub async fn load_bytes(&mut self, name: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.summary.ingested += 1;
        let mut blocks = Blocks::open(std::io::Cursor::new(bytes), Limits::default())?;
        while let Some(block) = tokio::task::block_in_place(|| blocks.next_block())? {
            self.map(name, block).await?;
        }
        self.hand_over().await
    }

    /// Up to which sequence a log's rows are in the lake; 0 for none.
    pub fn reached(&self, log: &str) -> u64 {
        self.ingest.reached(log)
    }

    /// Says that all rows of a log up to `sequence` were loaded: what [`Self::finish`] commits includes it.
    pub fn reach(&mut self, log: &str, sequence: u64) {
        self.ingest.reach(log, sequence);
    }

    async fn read(&mut self, mut open: Open) -> anyhow::Result<()> {
        self.summary.ingested += 1;
        let result = loop {
            match tokio::task::block_in_place(|| open.blocks.next_block()) {
                Ok(Some(block)) => self.push(&mut open, block).await?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.hand_over().await?;
        let prefix = match &mut open.progress {
            Ok(progress) => progress.fingerprint(),
            Err(file) => hash(file)?,
        };
        match result {
            Ok(()) => self.ingest.finish(&open.container, open.reached, prefix),
            Err(error) => {
                self.ingest.progress(&open.container, open.half_read(), prefix);
                return Err(error.into());
            }
        }
        if self.ingest.is_full() {
            self.commit().await?;
        }
        Ok(())
    }

    fn open(&mut self, input: &Input, bar: &ProgressBar) -> anyhow::Result<Option<Open>> {
        let name = input.name();
        let limits = Limits::default();
        let (container, before, blocks, progress) = match input {
            Input::File(path) => {
                let mut file = File::open(path)?;
                let (container, before) = match self.ingest.begin(&name, &mut file)? {
                    Decision::Skip => return Ok(None),
                    Decision::Resume { container, reached } => (container, reached),
                    Decision::Fresh(container) => (container, Reached::default()),
                };
                match input.parquet()? {
                    Some(parquet) => (container, before, Blocks::open_file(parquet, limits)?, Err(file)),
                    None => {
                        let (reader, progress) = HashingReader::new(Counted::new(file, bar.clone()));
                        (container, before, Blocks::open(reader, limits)?, Ok(progress))
                    }
                }
            }
            Input::Stdin => {
                let mut head = Vec::new();
                std::io::stdin().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
                let container = self.ingest.begin_stream(&name, &head);
                let rest = std::io::Cursor::new(head).chain(std::io::stdin());
                let (reader, progress) = HashingReader::new(Counted::new(rest, bar.clone()));
                (container, Reached::default(), Blocks::open(reader, limits)?, Ok(progress))
            }
        };
        let reached = before.clone();
        Ok(Some(Open { name, container, blocks, progress, before, reached }))
    }

    async fn push(&mut self, open: &mut Open, mut block: Block) -> anyhow::Result<()> {
        open.leave_out(&mut block);
        let handed_over = self.map(&open.name, block).await?;
        if let (true, true, Ok(progress)) = (handed_over, self.ingest.is_full(), &open.progress) {
            self.ingest.progress(&open.container, open.half_read(), progress.fingerprint());
            self.commit().await?;
        }
        Ok(())
    }

    /// Maps a block, and appends what is mapped where that is much; says whether it was.
    async fn map(&mut self, name: &str, mut block: Block) -> anyhow::Result<bool> {
        self.summary.records += (block.records.len() + block.dead.len()) as u64;
        self.dead_letters(name, std::mem::take(&mut block.dead)).await?;
        tokio::task::block_in_place(|| self.mapping.push(&block, self.source));
        let is_much = self.mapping.pending_bytes() > PENDING_BYTES_MAX;
        if is_much {
            self.hand_over().await?;
        }
        Ok(is_much)
    }

    /// Appends what is mapped.
    async fn hand_over(&mut self) -> anyhow::Result<()> {
        let batches = tokio::task::block_in_place(|| self.mapping.drain())?;
        for (class, batch) in batches {
            let table = Schema::v1_8().class(class).with_context(|| format!("no class {class}"))?.table();
            self.ingest.append(&table, batch).await?;
        }
        Ok(())
    }

    async fn dead_letters(&mut self, container: &str, letters: Vec<DeadLetter>) -> anyhow::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        self.dead.take(container, &letters)?;
        let reasons: Vec<String> = letters.iter().map(|l| l.reason.to_string()).collect();
        let rows = letters.iter().zip(&reasons).map(|(letter, reason)| dead_letter::DeadLetter {
            container,
            record: letter.number,
            offset: letter.offset,
            bytes: &letter.bytes,
            reason,
        });
        let batch = dead_letter::batch(rows, self.now)?;
        Ok(self.ingest.dead_letters(batch).await?)
    }

    async fn commit(&mut self) -> anyhow::Result<()> {
        let committed = self.ingest.commit().await?;
        for (table, rows) in committed.rows {
            *self.summary.rows.entry(table).or_default() += rows;
        }
        self.summary.bytes += committed.bytes;
        Ok(())
    }

    /// Commits the rest and says what was done.
    ///
    /// **Errors**: the lake's; and when records in are not rows and dead letters, which would be a defect of ours.
    pub async fn finish(mut self) -> anyhow::Result<Summary> {
        self.hand_over().await?;
        self.commit().await?;
        self.dead.finish_in("the table dead_letters");
        let rows: u64 = self.summary.rows.values().sum();
        anyhow::ensure!(
            rows == self.summary.records,
            "{} records came in and {rows} rows went out",
            self.summary.records
        );
        Ok(self.summary)
    }
}

/// The fingerprint of a whole file.
fn hash(file: &mut File) -> anyhow::Result<tarn_lake::ingest::identity::Fingerprint> {
    file.rewind()?;
    let (mut reader, progress) = HashingReader::new(file);
    std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok(progress.fingerprint())
}
