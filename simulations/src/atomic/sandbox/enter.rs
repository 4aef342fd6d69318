//! The first stage: no root outside, and namespaces of its own.

use super::{ARGUMENTS, Failure, SELF};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::process::Command;

/// `nobody`, on every Linux: owns nothing.
const NOBODY: u32 = 65534;

/// Starts init inside, and waits for it.
pub fn run() -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        match nobody() {
            // Root of a container without other users: outside it is somebody ordinary already.
            Err(_) if mapped()? => {}
            given_up => given_up.map_err(Failure::step("giving up root (run it as an ordinary user)"))?,
        }
        // Without it /proc/self stays root's, and the maps could not be written.
        prctl::set_dumpable(true).map_err(Failure::step("prctl"))?;
    }
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Failure::step("prctl"))?;
    let namespaces = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    super::unshare(namespaces, 0)?;
    let mut init = Command::new(SELF).args(ARGUMENTS).arg("init").spawn().map_err(Failure::path(
        "the program must be executable by everyone: starting",
        std::fs::read_link(SELF).unwrap_or_else(|_| SELF.into()),
    ))?;
    init.wait()?;
    Ok(())
}

/// Becomes an ordinary user.
fn nobody() -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Whether this root is somebody else outside its user namespace, user_namespaces(7).
fn mapped() -> Result<bool, Failure> {
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let mut first = map.split_whitespace();
    Ok(first.next() == Some("0") && first.next() != Some("0"))
}
