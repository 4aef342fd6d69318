//! The tracer: follows a shell and everything that it starts, to the end.
//!
//! Programs come from ptrace's exec events, file changes and connections from the filter's requests ([`super::filter`]);
//! of those the return is waited for, so that only what happened is told. Every process is followed; a limit ends all.

use super::files::{self, Begun};
use super::{Failure, calls, registers};
use crate::atomic::laurel::spell;
use crate::atomic::spec::{Action, Captured, Process};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

/// What a shell leaves running may go on for so long.
const GRACE: Duration = Duration::from_millis(1000);
/// More actions of one script than this are not told.
const ACTIONS_MAX: usize = 10_000;
/// wait(2)'s `__WALL`: threads too.
const ALL: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);
/// The mark that PTRACE_O_TRACESYSGOOD puts on a system call's stop.
const SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;

/// How the shell ended.
pub struct Followed {
    /// Whether the executor's program was reached.
    pub started: bool,
    /// Its exit code; none where a signal ended it.
    pub exit: Option<i32>,
    /// Whether the limit did.
    pub timed_out: bool,
}

/// Follows a process that asked for it, and its children, until none is left.
pub fn follow(
    root: u32,
    limit: Duration,
    sink: &mut dyn FnMut(Captured) -> Result<(), Failure>,
) -> Result<Followed, Failure> {
    let root = Pid::from_raw(root.cast_signed());
    let (late, hurry) = watch(limit);
    let mut tracer = Tracer { root, processes: HashMap::new(), told: 0, sink };
    tracer.processes.insert(root, Traced { stopped_once: true, ..Traced::new(root, Pid::from_raw(1), None) });
    let mut followed = Followed { started: false, exit: None, timed_out: false };
    loop {
        let status = match rustix::process::wait(ALL) {
            Ok(Some((pid, status))) => (Pid::from_raw(pid.as_raw_nonzero().get()), status),
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::CHILD) => break,
            Err(error) => {
                let source = nix::errno::Errno::from_raw(error.raw_os_error());
                return Err(Failure::Step { step: "waiting for the test", source });
            }
        };
        match status {
            (pid, status) if status.stopped() => followed.started |= tracer.stopped(pid, status)?,
            (pid, status) if pid == root => {
                followed.exit = status.exit_status();
                followed.timed_out = late.load(Ordering::Relaxed);
                // The watch is there for as long as `hurry` is.
                let _ = hurry.send(GRACE);
            }
            _ => {}
        }
    }
    Ok(followed)
}

/// A thread that ends every process of the sandbox but this one after `limit`, or as much later as it is told.
fn watch(limit: Duration) -> (Arc<AtomicBool>, Sender<Duration>) {
    let late = Arc::new(AtomicBool::new(false));
    let (sender, receiver): (_, Receiver<Duration>) = channel();
    let told = Arc::clone(&late);
    std::thread::spawn(move || {
        let mut left = limit;
        loop {
            match receiver.recv_timeout(left) {
                Ok(grace) => left = grace,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    told.store(true, Ordering::Relaxed);
                    // As process 1: everybody else in the namespace. Once more soon, for what was being born.
                    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                    left = Duration::from_millis(50);
                }
            }
        }
    });
    (late, sender)
}

struct Traced {
    /// The process that a thread belongs to.
    process: Pid,
    parent: Pid,
    image: Option<Rc<Image>>,
    begun: Option<Begun>,
    /// Whether the stop with which a traced child begins has been seen.
    stopped_once: bool,
}

/// A program as it was executed.
struct Image {
    exe: String,
    comm: String,
    arguments: Vec<String>,
}

impl Traced {
    fn new(process: Pid, parent: Pid, image: Option<Rc<Image>>) -> Self {
        Self { process, parent, image, begun: None, stopped_once: false }
    }
}

struct Tracer<'a> {
    root: Pid,
    processes: HashMap<Pid, Traced>,
    told: usize,
    sink: &'a mut dyn FnMut(Captured) -> Result<(), Failure>,
}

impl Tracer<'_> {
    /// Deals with a stop and lets the process go on; true when the executor's program was reached.
    fn stopped(&mut self, pid: Pid, status: WaitStatus) -> Result<bool, Failure> {
        let (event, signal) = (status.as_raw() >> 16, (status.as_raw() >> 8) & 0xff);
        let mut started = false;
        match (event, signal) {
            (libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE, _) => {
                if let Ok(child) = ptrace::getevent(pid) {
                    self.known(Pid::from_raw(child as i32));
                }
                resume(pid, None);
            }
            (libc::PTRACE_EVENT_EXEC, _) => {
                started = pid == self.root;
                self.executed(pid)?;
                resume(pid, None);
            }
            (libc::PTRACE_EVENT_SECCOMP, _) => self.begins(pid),
            (0, SYSTEM_CALL) => {
                self.ends(pid)?;
                resume(pid, None);
            }
            (0, libc::SIGSTOP) if self.first_stop(pid)? => resume(pid, None),
            (0, signal) => resume(pid, Signal::try_from(signal).ok()),
            _ => resume(pid, None),
        }
        Ok(started)
    }

    /// The stop with which a child begins, and with which the root asks to be followed.
    fn first_stop(&mut self, pid: Pid) -> Result<bool, Failure> {
        if pid == self.root {
            let first = self.processes.get(&pid).is_some_and(|t| t.image.is_none());
            if first {
                let options = Options::PTRACE_O_TRACEFORK
                    | Options::PTRACE_O_TRACEVFORK
                    | Options::PTRACE_O_TRACECLONE
                    | Options::PTRACE_O_TRACEEXEC
                    | Options::PTRACE_O_TRACESECCOMP
                    | Options::PTRACE_O_TRACESYSGOOD
                    | Options::PTRACE_O_EXITKILL;
                ptrace::setoptions(pid, options).map_err(Failure::step("tracing the test"))?;
            }
            return Ok(first);
        }
        let traced = self.known(pid);
        Ok(!std::mem::replace(&mut traced.stopped_once, true))
    }

    /// The entry of a process or thread; a new one stands where its parent stood.
    fn known(&mut self, pid: Pid) -> &mut Traced {
        if !self.processes.contains_key(&pid) {
            let (process, parent) = family(pid);
            let like = if process == pid { parent } else { process };
            let image = self.processes.get(&like).and_then(|t| t.image.clone());
            self.processes.insert(pid, Traced::new(process, parent, image));
        }
        self.processes.entry(pid).or_insert_with(|| Traced::new(pid, Pid::from_raw(1), None))
    }

    fn executed(&mut self, pid: Pid) -> Result<(), Failure> {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let mut line = &read("cmdline")[..];
        line = line.strip_suffix(b"\0").unwrap_or(line);
        let image = Image {
            exe: spell(exe.as_os_str().as_bytes()),
            comm: spell(read("comm").trim_ascii_end()),
            arguments: line.split(|b| *b == 0).map(spell).collect(),
        };
        self.known(pid).image = Some(Rc::new(image));
        self.tell(pid, Action::Exec)
    }

    fn begins(&mut self, pid: Pid) {
        let begun =
            registers::call(pid).and_then(|(number, arguments)| files::begun(pid, calls::traced(number)?, &arguments));
        if begun.is_none() {
            return resume(pid, None);
        }
        self.known(pid).begun = begun;
        // To its return. A process that is gone meanwhile is none to go on with.
        let _ = ptrace::syscall(pid, None);
    }

    fn ends(&mut self, pid: Pid) -> Result<(), Failure> {
        let begun = self.known(pid).begun.take();
        match begun.zip(registers::result(pid)).and_then(|(begun, result)| begun.ended(result)) {
            Some(action) => self.tell(pid, action),
            None => Ok(()),
        }
    }

    fn tell(&mut self, pid: Pid, action: Action) -> Result<(), Failure> {
        // Before the executor's program the process is the sandbox's own.
        let Some(process) = self.process(pid) else { return Ok(()) };
        self.told += 1;
        if self.told > ACTIONS_MAX {
            return Ok(());
        }
        let parent = (process.pid != self.root.as_raw()).then(|| self.process(Pid::from_raw(process.parent_pid)));
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time_us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        (self.sink)(Captured { time_us, process, parent: parent.flatten(), action })
    }

    /// The process of a process or thread, with the program that it runs; none before it has one.
    fn process(&self, pid: Pid) -> Option<Process> {
        let traced = self.processes.get(&pid)?;
        let image = traced.image.as_ref()?;
        let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        Some(Process {
            pid: traced.process.as_raw(),
            parent_pid: traced.parent.as_raw(),
            exe: image.exe.clone(),
            comm: image.comm.clone(),
            arguments: image.arguments.clone(),
            directory: spell(directory.as_os_str().as_bytes()),
        })
    }
}

/// Lets a process go on, with a signal; one that is gone meanwhile needs nothing.
fn resume(pid: Pid, signal: Option<Signal>) {
    let _ = ptrace::cont(pid, signal);
}

/// The process of a thread, and that process's parent.
fn family(pid: Pid) -> (Pid, Pid) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let number = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok());
    let process = number("Tgid:").unwrap_or(pid.as_raw());
    (Pid::from_raw(process), Pid::from_raw(number("PPid:").unwrap_or(1)))
}
