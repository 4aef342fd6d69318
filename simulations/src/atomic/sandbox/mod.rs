//! The sandbox that a test runs in: this program, started three times over, each time with less.
//!
//! - **enter** gives up root where it has it, makes user, mount, pid, net, IPC, UTS and cgroup namespaces, and starts
//! - **init**, the first process of the pid namespace: builds the file system ([`filesystem`]), runs the phases of a test
//!   one after the other, traces them ([`trace`]) and tells what they did on its standard output;
//! - **shell** becomes an ordinary user in a user namespace of its own, sets limits and system call filters ([`filter`]),
//!   and turns into the executor.
//!
//! Every stage is a new process of one thread, so that namespaces can be made without `unsafe` between fork and exec.
//! A stage that cannot do its part says why and ends; nothing ever runs with a part of the sandbox missing. When a stage
//! dies the kernel ends those below it. No network is ever set up: not even loopback is up.

mod calls;
mod enter;
mod files;
mod filesystem;
mod filter;
mod home;
mod init;
mod registers;
mod shell;
mod trace;

use super::spec::{Message, Outcome};
use nix::errno::Errno;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments that bring the program to [`stage`]; the stage's name and its own arguments follow.
pub const ARGUMENTS: [&str; 2] = ["simulate", "sandbox"];
/// jemalloc's threads would keep a stage from making a user namespace.
pub(super) const ENVIRONMENT: [(&str, &str); 2] =
    [("MALLOC_CONF", "background_thread:false"), ("_RJEM_MALLOC_CONF", "background_thread:false")];
/// A program's way to itself, whatever the file system shows.
const SELF: &str = "/proc/self/exe";

/// Why a sandbox could not be made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "this machine does not let an unprivileged user make namespaces: allow them (sysctl user.max_user_namespaces, \
         kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns), or, in a container, run it \
         with a seccomp profile that permits unshare and mount"
    )]
    Namespaces(#[source] Errno),
    #[error("{step}")]
    Step { step: &'static str, source: Errno },
    #[error("{step} {}", path.display())]
    Path { step: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the sandbox has no /proc of its own: in a container, unmask its paths (systempaths=unconfined)")]
    Proc(#[source] Errno),
    #[error("a stage of the sandbox has {0} threads where it must have one")]
    Threads(usize),
    #[error("system call filter")]
    Filter(#[from] seccompiler::Error),
    #[error("system call filter")]
    Rules(#[from] seccompiler::BackendError),
    #[error("what the runner asks for is not in the form")]
    Spec(#[from] serde_json::Error),
    #[error("input or output")]
    Io(#[from] std::io::Error),
    #[error("the test's shell did not start: {0}")]
    Shell(String),
    #[error("no stage `{0}`")]
    Stage(String),
}

impl Failure {
    fn step(step: &'static str) -> impl Fn(Errno) -> Self {
        move |source| Self::Step { step, source }
    }

    fn path(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Path { step, path, source }
    }

    /// The failure with its causes, one line.
    fn told(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// Runs a stage. Only the runner and the stages themselves call this.
#[must_use]
pub fn stage(arguments: &[OsString]) -> ExitCode {
    let name = arguments.first().and_then(|a| a.to_str()).unwrap_or_default();
    let ended = match name {
        "enter" => enter::run(),
        "init" => init::run(),
        // Its output is the test's: init reads it where the shell does not start.
        "shell" => match shell::run(&arguments[1..]) {
            Ok(never) => match never {},
            Err(failure) => {
                eprintln!("{}", failure.told());
                return ExitCode::FAILURE;
            }
        },
        other => Err(Failure::Stage(other.to_owned())),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let outcome = Message::Outcome(Outcome::Failed { reason: failure.told() });
            // Without a reader there is nobody to tell.
            let _ = tell(&outcome);
            ExitCode::FAILURE
        }
    }
}

fn tell(message: &Message) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    out.flush()?;
    Ok(())
}

/// Makes the namespaces in which this process's user is `inside`, and nobody else is anybody.
fn unshare(namespaces: nix::sched::CloneFlags, inside: u32) -> Result<(), Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let threads = status.lines().find_map(|l| l.strip_prefix("Threads:")?.trim().parse().ok()).unwrap_or(1);
    if threads != 1 {
        return Err(Failure::Threads(threads));
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    nix::sched::unshare(namespaces).map_err(Failure::Namespaces)?;
    // user_namespaces(7): groups may be mapped without privilege only when they can no longer be dropped.
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{inside} {uid} 1")),
        ("/proc/self/gid_map", format!("{inside} {gid} 1")),
    ] {
        std::fs::write(file, text).map_err(Failure::path("writing", file))?;
    }
    Ok(())
}
