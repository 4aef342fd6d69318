//! A folder in memory that forgets, when the power is cut, what was not synced; and that fails when it is told to.
//!
//! What a power cut leaves of unsynced changes is drawn at random: of a file's writes any set of small blocks, the
//! others zero or as they were; and any set of the folder's new, changed and removed names. A sync that fails does as
//! Linux does: what it did not write counts as written, is read back, and is gone after the next power cut.

use super::{Files, LogFile};
use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that reach the disk together.
const BLOCK: usize = 16;

/// A call of the file layer that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Writes to files; half of the bytes are written.
    Write,
    /// Syncs of files.
    Sync,
    /// Cutting files.
    Truncate,
    /// Creating files.
    Create,
    /// Renaming files.
    Rename,
    /// Removing files.
    Remove,
    /// Syncs of the folder.
    SyncFolder,
}

/// A folder in memory. Its clones are the same folder.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Machine>>);

#[derive(Debug)]
struct Machine {
    /// Names as programs see them, and as the disk has them.
    names: BTreeMap<String, usize>,
    names_on_disk: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    contents: Vec<Content>,
    /// Calls until one fails.
    failing: BTreeMap<Call, usize>,
    room: usize,
    /// Open files and locks of an earlier one are dead.
    process: u64,
    locked: bool,
    random: u64,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Renamed(String, String),
    Removed(String),
}

/// A file as programs see it, and as the disk has it.
#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    on_disk: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Written { at: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Memory {
    /// An empty folder with that much room, in bytes; chance follows from the seed.
    pub fn new(seed: u64, room: usize) -> Self {
        Self(Arc::new(Mutex::new(Machine {
            names: BTreeMap::new(),
            names_on_disk: BTreeMap::new(),
            changes: Vec::new(),
            contents: Vec::new(),
            failing: BTreeMap::new(),
            room,
            process: 0,
            locked: false,
            random: seed,
        })))
    }

    /// The folder for a process that starts now. All its calls fail after the next [`Memory::kill`].
    pub fn process(&self) -> Arc<dyn Files> {
        let process = self.machine().process;
        Arc::new(Process { memory: self.clone(), process })
    }

    /// Kills the processes that use the folder. Nothing that was written is lost.
    pub fn kill(&self) {
        let mut machine = self.machine();
        machine.process += 1;
        machine.locked = false;
        machine.failing.clear();
    }

    /// Cuts the power: as [`Memory::kill`], and what was not synced is lost in part.
    pub fn crash(&self) {
        self.kill();
        let mut machine = self.machine();
        machine.lose_names();
        for id in 0..machine.contents.len() {
            let changes = machine.contents[id].changes.len();
            let kept = machine.chance(changes + 1);
            machine.lose_writes(id, kept);
        }
        let machine = &mut *machine;
        machine.names = machine.names_on_disk.clone();
        for content in &mut machine.contents {
            content.now = content.on_disk.clone();
        }
    }

    /// Lets the call fail that comes after `after` others of its kind.
    pub fn fail(&self, call: Call, after: usize) {
        self.machine().failing.insert(call, after);
    }

    /// Takes back what [`Memory::fail`] has set.
    pub fn heal(&self) {
        self.machine().failing.clear();
    }

    /// Gives the folder that much room, in bytes of its files.
    pub fn resize(&self, room: usize) {
        self.machine().room = room;
    }

    /// A file's bytes, as programs see them.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let machine = self.machine();
        machine.names.get(name).map(|&id| machine.contents[id].now.clone())
    }

    /// Puts a file there, durably.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut machine = self.machine();
        let id = machine.contents.len();
        machine.contents.push(Content { now: bytes.to_vec(), on_disk: bytes.to_vec(), changes: Vec::new() });
        machine.names.insert(name.to_owned(), id);
        machine.names_on_disk.insert(name.to_owned(), id);
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    /// A number below `below`, by splitmix64.
    fn chance(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }

    fn fails(&mut self, call: Call) -> io::Result<()> {
        match self.failing.get_mut(&call) {
            Some(0) => {
                self.failing.remove(&call);
                Err(io::Error::other(format!("{call:?} failed, as it was told to")))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn used(&self) -> usize {
        self.names.values().map(|&id| self.contents[id].now.len()).sum()
    }

    fn id(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    /// The disk gets some of the folder's changes.
    fn lose_names(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            if self.chance(2) == 0 {
                apply(&mut self.names_on_disk, &change);
            }
        }
    }

    /// The disk gets the lengths of the first changes, and some blocks of what they wrote.
    fn lose_writes(&mut self, id: usize, kept: usize) {
        let changes = std::mem::take(&mut self.contents[id].changes);
        for change in changes.into_iter().take(kept) {
            match change {
                Change::Length(length) => self.contents[id].on_disk.resize(length, 0),
                Change::Written { at, bytes } => {
                    let end = at + self.chance(bytes.len() + 1);
                    let reached = self.contents[id].on_disk.len().max(end);
                    self.contents[id].on_disk.resize(reached, 0);
                    let all = self.chance(2) == 0;
                    for (n, block) in bytes[..end - at].chunks(BLOCK).enumerate() {
                        if all || self.chance(2) == 0 {
                            write(&mut self.contents[id].on_disk, at + n * BLOCK, block);
                        }
                    }
                }
            }
        }
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Set(name, id) => {
            names.insert(name.clone(), *id);
        }
        NameChange::Renamed(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
        NameChange::Removed(name) => {
            names.remove(name);
        }
    }
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

/// The folder as one process sees it.
#[derive(Clone, Debug)]
struct Process {
    memory: Memory,
    process: u64,
}

impl Process {
    fn machine(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = self.memory.machine();
        if machine.process == self.process { Ok(machine) } else { Err(io::Error::other("the process was killed")) }
    }
}

impl Files for Process {
    fn lock(&self) -> io::Result<Option<Box<dyn Any + Send>>> {
        let mut machine = self.machine()?;
        if machine.locked {
            return Ok(None);
        }
        machine.locked = true;
        Ok(Some(Box::new(Lock(self.clone()))))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.machine()?.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let mut machine = self.machine()?;
        machine.fails(Call::Create)?;
        let id = machine.contents.len();
        machine.contents.push(Content::default());
        machine.rename(NameChange::Set(name.to_owned(), id));
        Ok(Box::new(OpenFile { process: self.clone(), id, at: 0 }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let id = self.machine()?.id(name)?;
        Ok(Box::new(OpenFile { process: self.clone(), id, at: 0 }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.machine()?;
        machine.fails(Call::Rename)?;
        machine.id(from)?;
        machine.rename(NameChange::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut machine = self.machine()?;
        machine.fails(Call::Remove)?;
        machine.id(name)?;
        machine.rename(NameChange::Removed(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut machine = self.machine()?;
        machine.fails(Call::SyncFolder)?;
        for change in std::mem::take(&mut machine.changes) {
            apply(&mut machine.names_on_disk, &change);
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory").join(name)
    }
}

/// Released when it is dropped, unless its process was killed before.
#[derive(Debug)]
struct Lock(Process);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Ok(mut machine) = self.0.machine() {
            machine.locked = false;
        }
    }
}

#[derive(Debug)]
struct OpenFile {
    process: Process,
    id: usize,
    at: u64,
}

impl Read for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let machine = self.process.machine()?;
        let now = &machine.contents[self.id].now;
        let rest = now.get(self.at as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length as u64;
        Ok(length)
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut machine = self.process.machine()?;
        let at = self.at as usize;
        let failed = machine.fails(Call::Write);
        let wanted = if failed.is_err() { bytes.len() / 2 } else { bytes.len() };
        let room = machine.room.saturating_sub(machine.used()) + machine.contents[self.id].now.len().saturating_sub(at);
        let length = wanted.min(room);
        let content = &mut machine.contents[self.id];
        write(&mut content.now, at, &bytes[..length]);
        content.changes.push(Change::Written { at, bytes: bytes[..length].to_vec() });
        failed?;
        if length == 0 && wanted > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.at += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = self.length()?;
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl LogFile for OpenFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.process.machine()?.contents[self.id].now.len() as u64)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut machine = self.process.machine()?;
        machine.fails(Call::Truncate)?;
        let content = &mut machine.contents[self.id];
        content.now.resize(length as usize, 0);
        content.changes.push(Change::Length(length as usize));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut machine = self.process.machine()?;
        if let Err(error) = machine.fails(Call::Sync) {
            let changes = machine.contents[self.id].changes.len();
            machine.lose_writes(self.id, changes);
            return Err(error);
        }
        let content = &mut machine.contents[self.id];
        for change in std::mem::take(&mut content.changes) {
            match change {
                Change::Length(length) => content.on_disk.resize(length, 0),
                Change::Written { at, bytes } => write(&mut content.on_disk, at, &bytes),
            }
        }
        Ok(())
    }
}
