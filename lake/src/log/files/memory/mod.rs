//! A folder in memory that forgets, when the power is cut, what was not synced; and that fails when it is told to.
//!
//! What a power cut leaves of unsynced changes is drawn at random: of a file's writes any set of small blocks, the
//! others zero or as they were; and any set of the folder's new, changed and removed names. A sync that fails does as
//! Linux does: what it did not write counts as written, is read back, and is gone after the next power cut.

mod process;

use super::Files;
use process::Process;
use std::collections::BTreeMap;
use std::io;
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
