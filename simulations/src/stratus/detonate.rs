//! Drives `stratus`: warm up, detonate, revert, clean up, whatever happens between.
//!
//! **IO**: child processes, which change the account, cluster or project that their environment has credentials for. They
//! are in a process group of their own: who interrupts us does not interrupt Terraform in the middle; the step that runs
//! is waited for, and then all is cleaned up.

use super::Binary;
use chrono::{DateTime, Utc};
use std::process::Stdio;
use tokio::process::Command;
use tokio::sync::watch;
use uuid::Uuid;

/// Whether somebody wants to stop.
pub type Stop = watch::Receiver<bool>;

/// What became of a technique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detonation {
    /// The technique's id.
    pub technique: String,
    /// What its calls have in their user agent, and those of the other steps have not.
    pub tag: Uuid,
    /// When it was detonated.
    pub at: DateTime<Utc>,
    /// Whether it was.
    pub detonated: bool,
    /// Steps that failed, and how; a failed clean-up leaves things behind.
    pub failures: Vec<String>,
}

/// Warms a technique up, detonates it, reverts it and cleans it up. `say` is told each step.
///
/// What fails is told in the result; cleaning up is tried in any case.
pub async fn detonate(binary: &Binary, technique: &str, stop: &Stop, say: &mut dyn FnMut(&str)) -> Detonation {
    let (tag, around) = (Uuid::new_v4(), Uuid::new_v4());
    let mut done =
        Detonation { technique: technique.into(), tag, at: Utc::now(), detonated: false, failures: Vec::new() };
    let mut step = async |name: &str, tag: Uuid| {
        say(&format!("{technique}: {name}"));
        let failed = run(binary, name, technique, tag).await.err();
        failed.map(|why| format!("{name}: {why}"))
    };
    let failed = step("warmup", around).await;
    let is_warm = failed.is_none();
    done.failures.extend(failed);
    if is_warm && !*stop.borrow() {
        done.at = Utc::now();
        let failed = step("detonate", tag).await;
        done.detonated = failed.is_none();
        done.failures.extend(failed);
        if done.detonated {
            done.failures.extend(step("revert", around).await);
        }
    }
    // Of a warm-up that failed half of it may be there.
    done.failures.extend(step("cleanup", around).await);
    done
}

/// Runs one step.
///
/// **Errors**: how it ended, with its last line.
async fn run(binary: &Binary, step: &str, technique: &str, tag: Uuid) -> Result<(), String> {
    let mut command = Command::new(binary.path());
    command.arg(step).arg(technique).process_group(0);
    // Newer releases know the first name, older ones the second.
    for name in ["STRATUS_RED_TEAM_CORRELATION_ID", "STRATUS_RED_TEAM_DETONATION_ID"] {
        command.env(name, tag.to_string());
    }
    let output = command.stdin(Stdio::null()).output().await.map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    Err(format!("{}: {last}", output.status))
}
