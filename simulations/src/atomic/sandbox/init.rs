//! The second stage, process 1 of its pid namespace: builds the root and runs a test's phases.

use super::{ARGUMENTS, ENVIRONMENT, Failure, SELF, filesystem, tell, trace};
use crate::atomic::spec::{Captured, Message, Outcome, Spec};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How much of a command's output is kept, from its end.
const OUTPUT_BYTES_MAX: u64 = 2048;

/// A command of a test, run.
struct Ended {
    exit: Option<i32>,
    timed_out: bool,
    output: String,
}

/// Reads what to do on standard input, does it, tells on standard output.
pub fn run() -> Result<(), Failure> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Failure::step("prctl"))?;
    let spec: Spec = serde_json::from_reader(std::io::stdin().lock())?;
    filesystem::build(&spec.atomics)?;
    nix::unistd::sethostname(&spec.host).map_err(Failure::step("naming the host"))?;
    let outcome = test(&spec)?;
    tell(&Message::Outcome(outcome))
}

fn test(spec: &Spec) -> Result<Outcome, Failure> {
    for prerequisite in &spec.prerequisites {
        let quiet = |script: &str| phase(spec, script, &mut |_| Ok(()));
        let mut met = quiet(&prerequisite.check)?.exit == Some(0);
        if let (false, Some(prepare)) = (met, &prerequisite.prepare) {
            quiet(prepare)?;
            met = quiet(&prerequisite.check)?.exit == Some(0);
        }
        if !met {
            return Ok(Outcome::Unmet { description: prerequisite.description.clone() });
        }
    }
    let ended = phase(spec, &spec.command, &mut |captured| tell(&Message::Event(Box::new(captured))))?;
    let cleanup = match &spec.cleanup {
        Some(script) => {
            let cleaned = phase(spec, script, &mut |_| Ok(()))?;
            cleaned.timed_out.then(|| "the time limit ended it".to_owned())
        }
        None => None,
    };
    Ok(Outcome::Ran { exit: ended.exit, timed_out: ended.timed_out, cleanup, output: ended.output })
}

/// Runs one script in the test's shell to its end, or to the limit; what it started is gone afterwards.
fn phase(spec: &Spec, script: &str, sink: &mut dyn FnMut(Captured) -> Result<(), Failure>) -> Result<Ended, Failure> {
    let output = File::from(memfd_create(c"output", MFdFlags::MFD_CLOEXEC).map_err(Failure::step("memory file"))?);
    let child = Command::new(SELF)
        .args(ARGUMENTS)
        .arg("shell")
        .arg(spec.limit_ms.div_ceil(1000).to_string())
        .arg(&spec.shell)
        .arg(script)
        .env_clear()
        .envs(ENVIRONMENT)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()
        .map_err(Failure::path("starting", SELF))?;
    let followed = trace::follow(child.id(), Duration::from_millis(spec.limit_ms), sink)?;
    let output = end_of(&output)?;
    if !followed.started && !followed.timed_out {
        return Err(Failure::Shell(output.trim().to_owned()));
    }
    Ok(Ended { exit: followed.exit, timed_out: followed.timed_out, output })
}

fn end_of(file: &File) -> Result<String, Failure> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(OUTPUT_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
