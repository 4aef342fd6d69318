//! Where a hunt stopped: a line of JSON with the last day that is done, and the state of correlations behind it.
//!
//! Replaced whole after each run of days, when their findings are out: a hunt that is killed repeats at most the last.

use crate::command::named_file::NamedFile;
use anyhow::Context;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_engine::correlation::{Correlator, Limits};
use tarn_engine::{Engine, RuleIx};

const VERSION: u32 = 1;

/// What the first line says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    lake: String,
    /// A digest of all rules.
    rules: String,
    /// The last day that is done.
    done: NaiveDate,
}

/// A hunt's memory.
pub struct Resume {
    path: PathBuf,
    lake: String,
    rules: String,
    /// Days up to this one are done.
    pub done: Option<NaiveDate>,
}

impl Resume {
    /// Reads where a hunt of these rules through this lake stopped; nowhere yet, when there is no such file.
    ///
    /// **Errors**: [`Usage`] for the file of another hunt, or one that is none.
    pub fn open(path: &Path, lake: &str, engine: &Arc<Engine>) -> anyhow::Result<(Self, Correlator)> {
        let (lake, rules) = (lake.to_owned(), digest(engine));
        let mut resume = Self { path: path.to_owned(), lake, rules, done: None };
        let file = NamedFile::by("--resume", path);
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok((resume, Correlator::new(engine.clone(), limits())));
            }
            read => read.map_err(|error| file.wrong(error))?,
        };
        let wrong = |what: String| file.wrong(format_args!("{what}; name another file, or delete this one"));
        let line = memchr::memchr(b'\n', &bytes).unwrap_or(bytes.len());
        let head: Head =
            serde_json::from_slice(&bytes[..line]).map_err(|e| wrong(format!("not the state of a hunt ({e})")))?;
        if head.version != VERSION {
            return Err(wrong(format!("written by another version ({})", head.version)).into());
        }
        if head.lake != resume.lake {
            return Err(wrong(format!("the state of a hunt through {}", head.lake)).into());
        }
        if head.rules != resume.rules {
            return Err(wrong("the state of a hunt with other rules".into()).into());
        }
        let mut state = bytes.get(line + 1..).unwrap_or_default();
        let restored = Correlator::restore(engine.clone(), limits(), &mut state).map_err(|e| wrong(e.to_string()))?;
        resume.done = Some(head.done);
        Ok((resume, restored.correlator))
    }

    /// Writes that the days up to one are done.
    ///
    /// **Errors**: the file cannot be replaced; then the old one stays.
    pub fn write(&mut self, done: NaiveDate, correlator: &Correlator) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
        let mut out = BufWriter::new(&mut file);
        let head = Head { version: VERSION, lake: self.lake.clone(), rules: self.rules.clone(), done };
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b"\n")
            .and_then(|()| correlator.checkpoint(&mut out))
            .and_then(|()| out.flush())
            .with_context(cannot)?;
        drop(out);
        file.as_file().sync_all().with_context(cannot)?;
        file.persist(&self.path).with_context(cannot)?;
        self.done = Some(done);
        Ok(())
    }
}

/// Days come in order, and within them events: none is late.
pub fn limits() -> Limits {
    Limits { lateness_us: Some(0), ..Limits::default() }
}

fn digest(engine: &Engine) -> String {
    let rules = (0..engine.len()).map(|i| &engine.rule(RuleIx(i as u32)).about);
    let mut all: Vec<&str> =
        rules.chain(engine.correlations().iter().map(|c| &c.about)).map(|about| about.digest.as_str()).collect();
    all.sort_unstable();
    let digest = all.iter().fold(Sha256::new(), |digest, one| digest.chain_update(one).chain_update("\n")).finalize();
    hex::encode(&digest[..16])
}
