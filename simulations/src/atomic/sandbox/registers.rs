//! A stopped process's registers and memory, as far as system calls need them.

use nix::sys::ptrace::getregs;
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The longest path that is read.
const PATH_BYTES_MAX: usize = 4096;
const PAGE: u64 = 4096;

/// The system call at which a process stands: its number and arguments.
#[cfg(target_arch = "x86_64")]
pub fn call(pid: Pid) -> Option<(i64, [u64; 6])> {
    let r = getregs(pid).ok()?;
    Some((r.orig_rax.cast_signed(), [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9]))
}

/// What a system call returned.
#[cfg(target_arch = "x86_64")]
pub fn result(pid: Pid) -> Option<i64> {
    Some(getregs(pid).ok()?.rax.cast_signed())
}

/// The system call at which a process stands: its number and arguments.
#[cfg(target_arch = "aarch64")]
pub fn call(pid: Pid) -> Option<(i64, [u64; 6])> {
    let r = getregs(pid).ok()?.regs;
    Some((r[8].cast_signed(), [r[0], r[1], r[2], r[3], r[4], r[5]]))
}

/// What a system call returned.
#[cfg(target_arch = "aarch64")]
pub fn result(pid: Pid) -> Option<i64> {
    Some(getregs(pid).ok()?.regs[0].cast_signed())
}

/// The bytes before the first zero, at most [`PATH_BYTES_MAX`].
pub fn text(pid: Pid, address: u64) -> Option<Vec<u8>> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut text = Vec::new();
    let mut at = address;
    while text.len() < PATH_BYTES_MAX {
        // To the page's end: the next one may not be there.
        let mut piece = [0; PAGE as usize];
        let length = usize::try_from(PAGE - at % PAGE).ok()?;
        let read = memory.read_at(&mut piece[..length], at).ok().filter(|n| *n > 0)?;
        if let Some(end) = piece[..read].iter().position(|b| *b == 0) {
            text.extend_from_slice(&piece[..end]);
            return Some(text);
        }
        text.extend_from_slice(&piece[..read]);
        at += read as u64;
    }
    None
}

/// So many bytes.
pub fn bytes<const N: usize>(pid: Pid, address: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut bytes, address).ok()?;
    Some(bytes)
}
