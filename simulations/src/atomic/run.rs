//! The runner: a sandbox a test, a few at a time.
//!
//! It writes a test to a sandbox's standard input and reads what happened from its standard output. A sandbox that does
//! not end by itself is killed, with everything in it.

use super::sandbox::{ARGUMENTS, ENVIRONMENT};
use super::spec::{Captured, Message, Outcome, Spec};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What a sandbox may need beyond its commands' limits.
const MARGIN: Duration = Duration::from_secs(20);

/// What came out of one sandbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What the test's processes did, in order.
    pub captured: Vec<Captured>,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took, with its sandbox.
    pub took: Duration,
}

/// Runs each test in a sandbox of its own, at most `jobs` at once; `done` gets each spec's number and run as it ends.
///
/// `program` is the `tarn` binary; with [`ARGUMENTS`] it has to come to [`super::sandbox::stage`].
pub fn run(program: &Path, specs: &[Spec], jobs: usize, done: &(dyn Fn(usize, Run) + Sync)) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, specs.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(spec) = specs.get(at) else { return };
                    done(at, one(program, spec));
                }
            });
        }
    });
}

/// Runs one test in a sandbox.
#[must_use]
pub fn one(program: &Path, spec: &Spec) -> Run {
    let begin = Instant::now();
    let mut captured = Vec::new();
    let outcome = sandboxed(program, spec, &mut captured).unwrap_or_else(|reason| Outcome::Failed { reason });
    Run { captured, outcome, took: begin.elapsed() }
}

fn sandboxed(program: &Path, spec: &Spec, captured: &mut Vec<Captured>) -> Result<Outcome, String> {
    let told = |step: &str, error: std::io::Error| format!("{step}: {error}");
    let mut child = Command::new(program)
        .args(ARGUMENTS)
        .arg("enter")
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| told("starting the sandbox", e))?;
    let outcome = talk(&mut child, spec, captured);
    // It has ended, or has to.
    let _ = child.kill();
    child.wait().map_err(|e| told("waiting for the sandbox", e))?;
    let mut words = String::new();
    if let Some(stderr) = child.stderr.as_mut() {
        let _ = stderr.take(4096).read_to_string(&mut words);
    }
    outcome.map_err(|reason| if words.trim().is_empty() { reason } else { format!("{reason}: {}", words.trim()) })
}

fn talk(child: &mut Child, spec: &Spec, captured: &mut Vec<Captured>) -> Result<Outcome, String> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the sandbox has no pipes".into());
    };
    let text = serde_json::to_vec(spec).map_err(|e| e.to_string())?;
    // A sandbox that could not be made has not read it, and tells why.
    let _ = stdin.write_all(&text);
    drop(stdin);
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let phases = 2 + 3 * u32::try_from(spec.prerequisites.len()).unwrap_or(1);
    let deadline = Instant::now() + Duration::from_millis(spec.limit_ms) * phases + MARGIN;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Message::Event(event)) => captured.push(*event),
                Ok(Message::Outcome(outcome)) => return Ok(outcome),
                Err(error) => return Err(format!("the sandbox said {line:?}: {error}")),
            },
            Err(RecvTimeoutError::Timeout) => return Err("the sandbox did not end".into()),
            Err(RecvTimeoutError::Disconnected) => return Err("the sandbox ended without a word".into()),
        }
    }
}
