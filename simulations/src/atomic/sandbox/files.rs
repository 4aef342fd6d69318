//! What a system call is about to do to a file, read from the process that makes it.

use super::calls::{At, Flags, Shape, Traced};
use super::registers;
use crate::atomic::laurel::spell;
use crate::atomic::spec::{Action, Call, Change};
use nix::libc;
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Refusals that are worth telling: the file is there and the process may not.
const REFUSED: [i32; 3] = [libc::EACCES, libc::EPERM, libc::EROFS];

/// A call that has begun; what it did is known when it returns.
pub struct Begun {
    call: Call,
    what: What,
}

enum What {
    File { change: Change, path: PathBuf },
    Connect(SocketAddr),
}

/// What the call is about to do; none where it is nothing to tell.
pub fn begun(pid: Pid, traced: &Traced, arguments: &[u64; 6]) -> Option<Begun> {
    let call = Call { number: traced.number, name: traced.name.to_owned() };
    let path = |at: At| path(pid, at, arguments);
    let (change, path) = match traced.shape {
        Shape::Open(at, flags) => {
            let flags = open_flags(pid, flags, arguments)?;
            let path = path(at)?;
            (opened(&path, flags)?, path)
        }
        Shape::Create(at) => (Change::Created, path(at)?),
        Shape::Delete(at) => (Change::Deleted, path(at)?),
        Shape::Rename(from, to) => (Change::Renamed(spell(path(from)?.as_os_str().as_bytes())), path(to)?),
        Shape::Use(at) => (Change::Used, path(at)?),
        Shape::UseOpen(fd) => (Change::Used, descriptor(pid, arguments[fd])?),
        Shape::Connect => {
            return Some(Begun { call, what: What::Connect(address(pid, arguments[1], arguments[2])?) });
        }
    };
    Some(Begun { call, what: What::File { change, path } })
}

impl Begun {
    /// What it did, once it returned; none where nothing happened.
    pub fn ended(self, result: i64) -> Option<Action> {
        let exit = if result < 0 { result } else { 0 };
        match self.what {
            What::Connect(address) => Some(Action::Connect { call: self.call, address, exit }),
            What::File { change, path } => {
                let refused = REFUSED.iter().any(|e| exit == -i64::from(*e));
                let told = exit == 0 || (refused && change == Change::Used);
                let path = spell(path.as_os_str().as_bytes());
                told.then_some(Action::File { call: self.call, change, path, exit })
            }
        }
    }
}

fn open_flags(pid: Pid, flags: Flags, arguments: &[u64; 6]) -> Option<i32> {
    let bits = match flags {
        Flags::Argument(at) => arguments[usize::from(at)],
        Flags::Creat => return Some(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
        Flags::How(at) => u64::from_ne_bytes(registers::bytes(pid, arguments[at])?),
    };
    // The flags of an open are the low 32 bits, in `open_how` too.
    Some((bits as u32).cast_signed())
}

/// What opening the file does: makes it, or writes it. Devices, pipes and nameless files are nothing to tell.
fn opened(path: &Path, flags: i32) -> Option<Change> {
    if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        return None;
    }
    match std::fs::metadata(path) {
        Ok(metadata) => {
            let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
            (metadata.is_file() && writes).then_some(Change::Used)
        }
        Err(_) => (flags & libc::O_CREAT != 0).then_some(Change::Created),
    }
}

/// The path that a call names, absolute and without detours.
fn path(pid: Pid, at: At, arguments: &[u64; 6]) -> Option<PathBuf> {
    if arguments[at.path] == 0 {
        // `utimensat` and its like without a path mean the descriptor.
        return descriptor(pid, arguments[at.folder?]);
    }
    let text = registers::text(pid, arguments[at.path])?;
    let named = Path::new(OsStr::from_bytes(&text));
    if named.as_os_str().is_empty() {
        return descriptor(pid, arguments[at.folder?]);
    }
    if named.is_absolute() {
        return Some(straight(named));
    }
    let here = |folder: usize| (arguments[folder] as u32).cast_signed() == libc::AT_FDCWD;
    let base = match at.folder {
        Some(folder) if !here(folder) => descriptor(pid, arguments[folder])?,
        _ => std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?,
    };
    Some(straight(&base.join(named)))
}

/// The file behind a descriptor; none for what is no file.
fn descriptor(pid: Pid, fd: u64) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{pid}/fd/{}", (fd as u32).cast_signed())).ok()?;
    path.is_absolute().then_some(path)
}

fn straight(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => drop(out.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// The internet address of a `struct sockaddr`.
fn address(pid: Pid, at: u64, length: u64) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(registers::bytes(pid, at)?);
    match i32::from(family) {
        libc::AF_INET if length >= 8 => {
            let b: [u8; 8] = registers::bytes(pid, at)?;
            Some((Ipv4Addr::new(b[4], b[5], b[6], b[7]), u16::from_be_bytes([b[2], b[3]])).into())
        }
        libc::AF_INET6 if length >= 24 => {
            let b: [u8; 24] = registers::bytes(pid, at)?;
            let ip: [u8; 16] = b[8..].try_into().ok()?;
            Some((Ipv6Addr::from(ip), u16::from_be_bytes([b[2], b[3]])).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_straight() {
        for (path, expected) in [("/a/./b/../c", "/a/c"), ("/../a//b/", "/a/b"), ("/", "/")] {
            assert_eq!(straight(Path::new(path)), Path::new(expected));
        }
    }

    #[test]
    fn a_failure_is_told_only_where_a_file_was_refused() {
        let begun = |change| Begun {
            call: Call { number: 1, name: "x".into() },
            what: What::File { change, path: "/tmp/x".into() },
        };
        assert!(begun(Change::Created).ended(3).is_some());
        assert!(begun(Change::Created).ended(-i64::from(libc::EACCES)).is_none());
        assert!(begun(Change::Used).ended(-i64::from(libc::EROFS)).is_some());
        assert!(begun(Change::Used).ended(-i64::from(libc::ENOENT)).is_none());
    }
}
