//! The system calls that the tracer looks at, and where their arguments stand.

use nix::libc;

/// A traced system call.
pub struct Traced {
    /// This machine's number.
    pub number: i64,
    /// audit's name.
    pub name: &'static str,
    /// What it does.
    pub shape: Shape,
}

/// A path argument, relative to the directory of another argument where there is one.
#[derive(Clone, Copy)]
pub struct At {
    /// The argument with the directory's descriptor.
    pub folder: Option<usize>,
    /// The argument with the path.
    pub path: usize,
}

/// Where an open's flags stand.
#[derive(Clone, Copy)]
pub enum Flags {
    /// In an argument.
    Argument(u8),
    /// `creat` has none: it creates.
    Creat,
    /// In a `struct open_how` that an argument points to.
    How(usize),
}

/// What a call does to a file.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Opens it.
    Open(At, Flags),
    /// Makes it.
    Create(At),
    /// Removes it.
    Delete(At),
    /// Gives it another name.
    Rename(At, At),
    /// Changes its content or metadata.
    Use(At),
    /// The same, of an open one.
    UseOpen(usize),
    /// Connects a socket.
    Connect,
}

impl Traced {
    /// The argument whose flags say whether the call matters.
    pub fn flags_argument(&self) -> Option<u8> {
        match self.shape {
            Shape::Open(_, Flags::Argument(at)) => Some(at),
            _ => None,
        }
    }
}

/// The traced call of a number.
pub fn traced(number: i64) -> Option<&'static Traced> {
    TRACED.iter().find(|c| c.number == number)
}

const fn call(number: i64, name: &'static str, shape: Shape) -> Traced {
    Traced { number, name, shape }
}

const fn here(path: usize) -> At {
    At { folder: None, path }
}

const fn at(folder: usize) -> At {
    At { folder: Some(folder), path: folder + 1 }
}

/// All of them.
pub const TRACED: &[Traced] = &[
    call(libc::SYS_openat, "openat", Shape::Open(at(0), Flags::Argument(2))),
    call(libc::SYS_openat2, "openat2", Shape::Open(at(0), Flags::How(2))),
    call(libc::SYS_mkdirat, "mkdirat", Shape::Create(at(0))),
    call(libc::SYS_mknodat, "mknodat", Shape::Create(at(0))),
    call(libc::SYS_symlinkat, "symlinkat", Shape::Create(at(1))),
    call(libc::SYS_linkat, "linkat", Shape::Create(at(2))),
    call(libc::SYS_unlinkat, "unlinkat", Shape::Delete(at(0))),
    call(libc::SYS_renameat2, "renameat2", Shape::Rename(at(0), at(2))),
    call(libc::SYS_renameat, "renameat", Shape::Rename(at(0), at(2))),
    call(libc::SYS_fchmodat, "fchmodat", Shape::Use(at(0))),
    call(libc::SYS_fchmodat2, "fchmodat2", Shape::Use(at(0))),
    call(libc::SYS_fchownat, "fchownat", Shape::Use(at(0))),
    call(libc::SYS_utimensat, "utimensat", Shape::Use(at(0))),
    call(libc::SYS_truncate, "truncate", Shape::Use(here(0))),
    call(libc::SYS_fchmod, "fchmod", Shape::UseOpen(0)),
    call(libc::SYS_fchown, "fchown", Shape::UseOpen(0)),
    call(libc::SYS_ftruncate, "ftruncate", Shape::UseOpen(0)),
    call(libc::SYS_connect, "connect", Shape::Connect),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_open, "open", Shape::Open(here(0), Flags::Argument(1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_creat, "creat", Shape::Open(here(0), Flags::Creat)),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_mkdir, "mkdir", Shape::Create(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_mknod, "mknod", Shape::Create(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_symlink, "symlink", Shape::Create(here(1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_link, "link", Shape::Create(here(1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_unlink, "unlink", Shape::Delete(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_rmdir, "rmdir", Shape::Delete(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_rename, "rename", Shape::Rename(here(0), here(1))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_chmod, "chmod", Shape::Use(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_chown, "chown", Shape::Use(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_lchown, "lchown", Shape::Use(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_utime, "utime", Shape::Use(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_utimes, "utimes", Shape::Use(here(0))),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_futimesat, "futimesat", Shape::Use(at(0))),
];
