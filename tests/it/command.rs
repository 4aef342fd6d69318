//! The binary, and where real logs are.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run of `tarn` gave.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().expect("no signal ends it");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The lines of stdout as JSON.
    pub fn rows(&self) -> Vec<Value> {
        self.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }

    /// Fails unless the run succeeded.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stderr, self.stdout);
        self
    }
}

/// Runs `tarn` with arguments.
pub fn tarn<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Run {
    Run::of(Command::new(env!("CARGO_BIN_EXE_tarn")).args(arguments).stdin(Stdio::null()).output().unwrap())
}

/// Runs `tarn` with arguments and an environment of these variables alone.
pub fn tarn_in<S: AsRef<std::ffi::OsStr>>(environment: &[(&str, &str)], arguments: &[S]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
    command.env_clear().envs(environment.iter().copied());
    Run::of(command.args(arguments).stdin(Stdio::null()).output().unwrap())
}

/// Runs `tarn` with bytes on standard input.
pub fn tarn_reading<S: AsRef<std::ffi::OsStr>>(arguments: &[S], input: &[u8]) -> Run {
    use std::io::Write;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&bytes));
    let run = Run::of(child.wait_with_output().unwrap());
    // A command that refuses its arguments does not read.
    let _ = writing.join().unwrap();
    run
}

/// Writes a program. Another process does: one that this process has open for writing while a test beside begins a process of
/// its own cannot be run.
#[cfg(unix)]
pub fn program(path: &Path, script: &str) {
    let mut shell = Command::new("sh");
    let mut child =
        shell.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// A text for a path.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The folder of real logs and rules; says that the test is skipped where it is not there.
pub fn data() -> Option<PathBuf> {
    let named = std::env::var_os("TARN_TEST_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no {}", folder.display());
    None
}

/// All files below a folder whose name ends so, sorted.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|e| e.unwrap().into_path());
    entries.filter(|p| p.is_file() && p.to_string_lossy().ends_with(ending)).collect()
}
