//! The calls of one process, as far as it lives.

use super::super::{Files, LogFile};
use super::{Call, Change, Content, Machine, Memory, NameChange, apply, write};
use std::any::Any;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::MutexGuard;

/// The folder as one process sees it.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub memory: Memory,
    pub process: u64,
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
