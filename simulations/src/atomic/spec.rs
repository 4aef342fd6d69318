//! What the runner tells a sandbox, and what a sandbox tells the runner: JSON, one line a message.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The numeric user that tests run as, inside; outside it is nobody special.
pub const UID: u32 = 1000;
/// That user's name.
pub const USER: &str = "user";
/// That user's scratch home.
pub const HOME: &str = "/home/user";
/// Where a sandbox shows the folder of tests, read-only.
pub const ATOMICS: &str = "/home/user/AtomicRedTeam/atomics";

/// A test, ready to run: inputs filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The folder of tests, outside.
    pub atomics: PathBuf,
    /// The executor, absolute.
    pub shell: PathBuf,
    /// The sandbox's host name.
    pub host: String,
    /// The longest that one command may take.
    pub limit_ms: u64,
    /// Checked in order, before the command.
    pub prerequisites: Vec<Prerequisite>,
    /// The test.
    pub command: String,
    /// Run afterwards, whatever happened.
    pub cleanup: Option<String>,
}

/// A prerequisite: a check, and where it was reviewed as harmless and offline, what makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prerequisite {
    /// In words.
    pub description: String,
    /// Exits with 0 where it is met.
    pub check: String,
    /// Makes it.
    pub prepare: Option<String>,
}

/// One line of a sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Something that a process of the test did.
    Event(Box<Captured>),
    /// The last line.
    Outcome(Outcome),
}

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran.
    Ran {
        /// The executor's exit code; none where a signal ended it.
        exit: Option<i32>,
        /// Whether the time limit did.
        timed_out: bool,
        /// Why the cleanup did not run to its end, if so.
        cleanup: Option<String>,
        /// The end of what it wrote.
        output: String,
    },
    /// A prerequisite is not met.
    Unmet {
        /// Which, in words.
        description: String,
    },
    /// The sandbox could not be made; nothing ran.
    Failed {
        /// What is missing.
        reason: String,
    },
}

/// What a process did. Texts are in LAUREL's spelling: bytes that are no text, and `%`, are percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Since 1970, UTC.
    pub time_us: i64,
    /// Who.
    pub process: Process,
    /// Its parent, where that is a process of the test.
    pub parent: Option<Process>,
    /// What.
    pub action: Action,
}

/// A process as it was at the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id in the sandbox.
    pub pid: i32,
    /// Its parent's.
    pub parent_pid: i32,
    /// The executable.
    pub exe: String,
    /// The name, at most 15 bytes.
    pub comm: String,
    /// The arguments, exact.
    pub arguments: Vec<String>,
    /// The working directory.
    pub directory: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A program was executed.
    Exec,
    /// A file was touched.
    File {
        /// The system call, by number and name.
        call: Call,
        /// What happened to it.
        change: Change,
        /// Absolute.
        path: String,
        /// 0, or the negative error.
        exit: i64,
    },
    /// A connection was tried.
    Connect {
        /// The system call.
        call: Call,
        /// Where to.
        address: std::net::SocketAddr,
        /// 0, or the negative error.
        exit: i64,
    },
}

/// A system call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// As this machine numbers it.
    pub number: i64,
    /// As audit names it.
    pub name: String,
}

/// What happened to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It came to be.
    Created,
    /// It is gone.
    Deleted,
    /// It has another name; this was the old one.
    Renamed(String),
    /// It was written, or its mode, owner or times were set.
    Used,
}
