//! The last stage: becomes the test's executor, as an ordinary user with limits, filters and a tracer.

use super::{Failure, filter};
use crate::atomic::spec::{ATOMICS, HOME, UID, USER};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, setsid};
use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Limits that a harmless test never meets.
const LIMITS: [(Resource, u64); 5] = [
    (Resource::RLIMIT_NPROC, 256),
    (Resource::RLIMIT_FSIZE, 64 << 20),
    (Resource::RLIMIT_AS, 4 << 30),
    (Resource::RLIMIT_NOFILE, 1024),
    (Resource::RLIMIT_CORE, 0),
];

/// Never returns but with a failure: `arguments` are the limit in seconds, the executor and the script.
pub fn run(arguments: &[OsString]) -> Result<Infallible, Failure> {
    let [limit, shell, script] = arguments else { return Err(Failure::Shell("three arguments are needed".into())) };
    let seconds = limit.to_str().and_then(|l| l.parse::<u64>().ok()).unwrap_or(1);
    for (resource, most) in LIMITS.into_iter().chain([(Resource::RLIMIT_CPU, seconds + 1)]) {
        setrlimit(resource, most, most).map_err(Failure::step("limits"))?;
    }
    super::unshare(CloneFlags::CLONE_NEWUSER, UID)?;
    setsid().map_err(Failure::step("session"))?;
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    prctl::set_no_new_privs().map_err(Failure::step("no new privileges"))?;
    chdir(HOME).map_err(Failure::step("scratch home"))?;
    let programs = filter::programs()?;
    // Process 1 is waiting for this stop; from here on it sees every program and every change of a file.
    nix::sys::ptrace::traceme().map_err(Failure::step("ptrace"))?;
    raise(Signal::SIGSTOP).map_err(Failure::step("stop"))?;
    for program in &programs {
        seccompiler::apply_filter(program)?;
    }
    let name = Path::new(shell).file_name().unwrap_or(shell);
    let error = Command::new(shell)
        .arg0(name)
        .arg("-c")
        .arg(script)
        .env_clear()
        .envs([
            ("HOME", HOME),
            ("USER", USER),
            ("LOGNAME", USER),
            ("SHELL", "/bin/bash"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
            ("TERM", "dumb"),
            ("HISTFILE", "/home/user/.bash_history"),
            ("PathToAtomicsFolder", ATOMICS),
        ])
        .exec();
    Err(Failure::Path { step: "starting", path: shell.into(), source: error })
}
