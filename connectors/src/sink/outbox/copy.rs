//! Copies of the outbox, to go on with where the disk that had it is lost.
//!
//! **Format**: zstd of JSON values: a [`Head`], then all that there is, a [`Row`] each. Indexes are made of these.
//!
//! **What goes on with a copy** sends again, under the same keys, what was sent after it was made. Receivers drop what they
//! know by its key, so nothing may say more under a key than it did before: groups end as they are in the copy, and each
//! alert of a frame that was in the log already is a message of its own. The file that was copied has a number, by which
//! it knows later that another one went on: then it is of no use any more.

use super::store::{
    ALERTS, COUNTS, GROUPS, INCIDENTS, LETTERS, META, OPEN, REFS, Store, THROTTLES, TIMERS, Tables, decoded, encoded,
};
use super::{Outbox, OutboxError};
use redb::{ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::io::{BufReader, Write};
use std::path::Path;

/// Changes with what an older version would misread.
const FORMAT: u64 = 1;

/// What an outbox whose disk may be lost begins with.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// The last of [`Outbox::copy`] that was kept, if there is one.
    pub copy: Option<Vec<u8>>,
    /// The last frame that is in the log.
    pub through: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u64,
    /// The number of the file that it is of.
    file: u64,
    /// The last sequence that it has taken.
    taken: u64,
}

/// A row of a table. Rows that are JSON stay as they are.
#[derive(Serialize, Deserialize)]
enum Row {
    Meta(String, u64),
    /// With the number of its references.
    Alert(u64, u32, Box<RawValue>, Box<RawValue>),
    Letter(u64, Box<RawValue>),
    Group(String, Box<RawValue>),
    Throttle(String, Box<RawValue>),
    Timer(i64, String),
    Incident(u64, Box<RawValue>),
    Open(String, String, u64),
    Count(String, String, u64),
}

/// What a file has for itself.
const OWN: [&str; 2] = ["format", "file"];

impl Outbox {
    /// All that it holds, to go on with elsewhere. It is as large as that is, compressed, and is made in memory.
    ///
    /// **Errors**: [`OutboxError::Store`].
    pub fn copy(&self) -> Result<Vec<u8>, OutboxError> {
        Ok(self.store.read(|transaction| {
            let level = zstd::DEFAULT_COMPRESSION_LEVEL;
            let mut out = zstd::Encoder::new(Vec::new(), level).map_err(redb::Error::Io)?;
            put(&mut out, &head(transaction)?)?;
            rows(transaction, &mut |row| put(&mut out, &row))?;
            out.finish().map_err(redb::Error::Io)
        })?)
    }
}

/// Opens the file or, where the copy is of another one, begins a new one with that. Whether it is new: then a copy of it has
/// to be kept before anything is sent, so that no other file goes on beside it.
pub(super) fn open(path: &Path, copied: &Copied, number: u64, now: i64) -> Result<(Store, bool), OutboxError> {
    let store = Store::open(path)?;
    let Head { file, taken, .. } = store.read(head)?;
    let Some(copy) = &copied.copy else {
        let apart = if file == 0 { copied.through } else { 0 };
        store.write(|tables| tables.name(if file == 0 { number } else { file }, apart))?;
        return Ok((store, true));
    };
    let decoder = BufReader::new(zstd::Decoder::new(copy.as_slice()).map_err(OutboxError::Copy)?);
    let mut values = serde_json::Deserializer::from_reader(decoder);
    let head = Head::deserialize(&mut values).map_err(|error| OutboxError::Copy(error.into()))?;
    if head.format != FORMAT {
        return Err(OutboxError::CopyFormat { found: head.format, known: FORMAT });
    }
    // One that is behind its own copy was put back from a backup.
    if head.file == file && head.taken <= taken {
        return Ok((store, false));
    }
    drop(store);
    std::fs::remove_file(path).map_err(OutboxError::Folder)?;
    let store = Store::open(path)?;
    store.write(|tables| {
        for row in values.into_iter::<Row>() {
            let damaged =
                |error: serde_json::Error| redb::Error::Corrupted(format!("the copy cannot be read: {error}"));
            tables.put(row.map_err(damaged)?)?;
        }
        tables.fire_all(&|_| true, now)?;
        tables.name(number, copied.through)
    })?;
    Ok((store, true))
}

fn head(from: &ReadTransaction) -> Result<Head, redb::Error> {
    let meta = from.open_table(META)?;
    let of = |name: &str| Ok::<u64, redb::Error>(meta.get(name)?.map_or(0, |value| value.value()));
    Ok(Head { format: FORMAT, file: of("file")?, taken: of("taken")? })
}

fn put(out: &mut impl Write, value: &impl Serialize) -> Result<(), redb::Error> {
    out.write_all(&encoded(value)?).map_err(redb::Error::Io)
}

fn raw(json: &[u8]) -> Result<Box<RawValue>, redb::Error> {
    decoded(json)
}

/// Gives all rows but those that others are made into.
fn rows(from: &ReadTransaction, give: &mut dyn FnMut(Row) -> Result<(), redb::Error>) -> Result<(), redb::Error> {
    for row in from.open_table(META)?.iter()? {
        let (name, value) = row?;
        if !OWN.contains(&name.value()) {
            give(Row::Meta(name.value().to_owned(), value.value()))?;
        }
    }
    let refs = from.open_table(REFS)?;
    for row in from.open_table(ALERTS)?.iter()? {
        let (id, row) = row?;
        let (alert, finding) = row.value();
        let count = refs.get(id.value())?.map_or(1, |refs| refs.value().0);
        give(Row::Alert(id.value(), count, raw(alert)?, raw(finding.as_bytes())?))?;
    }
    for row in from.open_table(LETTERS)?.iter()? {
        let (id, row) = row?;
        give(Row::Letter(id.value(), raw(row.value())?))?;
    }
    for row in from.open_table(GROUPS)?.iter()? {
        let (key, row) = row?;
        give(Row::Group(key.value().to_owned(), raw(row.value())?))?;
    }
    for row in from.open_table(THROTTLES)?.iter()? {
        let (key, row) = row?;
        give(Row::Throttle(key.value().to_owned(), raw(row.value())?))?;
    }
    for row in from.open_table(TIMERS)?.iter()? {
        let (key, _) = row?;
        give(Row::Timer(key.value().0, key.value().1.to_owned()))?;
    }
    for row in from.open_table(INCIDENTS)?.iter()? {
        let (id, row) = row?;
        give(Row::Incident(id.value(), raw(row.value())?))?;
    }
    for row in from.open_table(OPEN)?.iter()? {
        let (key, id) = row?;
        give(Row::Open(key.value().0.to_owned(), key.value().1.to_owned(), id.value()))?;
    }
    for row in from.open_table(COUNTS)?.iter()? {
        let (key, count) = row?;
        give(Row::Count(key.value().0.to_owned(), key.value().1.to_owned(), count.value()))?;
    }
    Ok(())
}

impl Tables<'_> {
    /// Gives the file its number; alerts of frames up to `apart` are not grouped.
    fn name(&mut self, number: u64, apart: u64) -> Result<(), redb::Error> {
        self.set_meta("file", number)?;
        self.set_meta("apart", self.meta("apart")?.max(apart))
    }

    fn put(&mut self, row: Row) -> Result<(), redb::Error> {
        match row {
            Row::Meta(name, value) => self.set_meta(&name, value)?,
            Row::Alert(id, refs, alert, finding) => {
                let (alert, finding) = (alert.get(), finding.get());
                self.alerts.insert(id, (alert.as_bytes(), finding))?;
                self.refs.insert(id, (refs, (alert.len() + finding.len()) as u64))?;
            }
            Row::Letter(id, letter) => self.insert(id, &decoded(letter.get().as_bytes())?)?,
            Row::Group(key, row) => drop(self.groups.insert(key.as_str(), row.get().as_bytes())?),
            Row::Throttle(key, row) => drop(self.throttles.insert(key.as_str(), row.get().as_bytes())?),
            Row::Timer(at, key) => drop(self.timers.insert((at, key.as_str()), ())?),
            Row::Incident(id, row) => drop(self.incidents.insert(id, row.get().as_bytes())?),
            Row::Open(sink, uid, id) => drop(self.open.insert((sink.as_str(), uid.as_str()), id)?),
            Row::Count(sink, name, count) => drop(self.counts.insert((sink.as_str(), name.as_str()), count)?),
        }
        Ok(())
    }
}
