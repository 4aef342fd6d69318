//! The `stratus` executable.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A stratus that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    path: PathBuf,
    version: String,
}

impl Binary {
    /// The one at `asked`, else the one on the path; none where it does not run.
    pub fn find(asked: Option<&Path>) -> Option<Self> {
        let path = asked.unwrap_or(Path::new("stratus"));
        let output = Command::new(path).arg("version").stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().trim();
        output.status.success().then(|| Self { path: path.to_owned(), version: format!("stratus {version}") })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it calls itself.
    pub fn version(&self) -> &str {
        &self.version
    }
}
