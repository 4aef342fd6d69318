//! Where detection stands: the log's sequence, and the state of correlations at it.
//!
//! **Format**: a line of JSON ([`Head`]), then the correlator's own checkpoint. Replaced whole, and on disk before the
//! log may be cut. Where the log is in an object store it lies there, beside the segments.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_engine::correlation::{Correlator, Dropped, Limits};
use tarn_lake::log::files::Bucket;

const VERSION: u32 = 1;
const FILE: &str = "detection.checkpoint";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    /// The log that it is of.
    writer: uuid::Uuid,
    /// All frames up to this one were seen, and their findings are in the log.
    sequence: u64,
}

/// The file of a log's detection.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    writer: uuid::Uuid,
    bucket: Option<Arc<Bucket>>,
}

/// Where detection goes on.
pub struct Restored {
    /// After this sequence.
    pub sequence: u64,
    /// With this state.
    pub correlator: Correlator,
    /// State of rules that are no more.
    pub dropped: Vec<Dropped>,
}

impl Checkpoint {
    /// In the folder of the daemon's state or, where there is one, in the bucket that has the log.
    pub fn new(folder: &Path, writer: uuid::Uuid, bucket: Option<Arc<Bucket>>) -> Self {
        Self { path: folder.join(FILE), writer, bucket }
    }

    /// Reads it; from the log's beginning where there is none.
    ///
    /// **Errors**: a file that is no checkpoint of this log.
    pub fn restore(&self, engine: &Arc<Engine>, limits: Limits) -> anyhow::Result<Restored> {
        let file = self.path.display();
        let Some(bytes) = self.bytes().with_context(|| format!("cannot read {file}"))? else {
            let correlator = Correlator::new(engine.clone(), limits);
            return Ok(Restored { sequence: 0, correlator, dropped: Vec::new() });
        };
        let line = memchr::memchr(b'\n', &bytes).unwrap_or(bytes.len());
        let head: Head = serde_json::from_slice(&bytes[..line]).with_context(|| format!("{file} is no checkpoint"))?;
        anyhow::ensure!(head.version == VERSION, "{file} has version {}; this release reads {VERSION}", head.version);
        anyhow::ensure!(head.writer == self.writer, "{file} is of another log, {}: move it away", head.writer);
        let mut state = bytes.get(line + 1..).unwrap_or_default();
        let restored = Correlator::restore(engine.clone(), limits, &mut state).with_context(|| format!("{file}"))?;
        Ok(Restored { sequence: head.sequence, correlator: restored.correlator, dropped: restored.dropped })
    }

    fn bytes(&self) -> std::io::Result<Option<Vec<u8>>> {
        match &self.bucket {
            Some(bucket) => bucket.kept(FILE),
            None => match std::fs::read(&self.path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                read => read.map(Some),
            },
        }
    }

    /// Writes it: on disk, or in the bucket, when this returns.
    ///
    /// **Errors**: those of the disk or store; the one before is still there then.
    pub fn write(&self, sequence: u64, correlator: &Correlator) -> anyhow::Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        if let Some(bucket) = &self.bucket {
            let mut bytes = Vec::new();
            self.write_to(&mut bytes, sequence, correlator)?;
            return bucket.keep(FILE, bytes).with_context(context);
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
        let mut out = BufWriter::new(file.as_file_mut());
        self.write_to(&mut out, sequence, correlator).with_context(context)?;
        out.flush().with_context(context)?;
        drop(out);
        file.as_file().sync_all().with_context(context)?;
        file.persist(&self.path).with_context(context)?;
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(context)
    }

    fn write_to(&self, out: &mut impl Write, sequence: u64, correlator: &Correlator) -> anyhow::Result<()> {
        serde_json::to_writer(&mut *out, &Head { version: VERSION, writer: self.writer, sequence })?;
        out.write_all(b"\n")?;
        Ok(correlator.checkpoint(out)?)
    }
}
