//! Atomic Red Team's YAML: a folder a technique (`T1033/T1033.yaml`), a list of tests in it.
//!
//! Only what running a test needs is read; other keys are passed over. Follows the project's `atomic_red_team` schema.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A test, with the technique that its file is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The ATT&CK id of the file, `T1070.003`.
    pub technique: String,
    /// The test's GUID, lower case.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// `linux`, `macos`, `windows`, …
    pub platforms: Vec<String>,
    /// Input arguments' defaults, by name.
    pub inputs: BTreeMap<String, String>,
    /// What must be there before it runs.
    pub dependencies: Vec<Dependency>,
    /// How it is run.
    pub executor: Executor,
}

/// A prerequisite: a command whose exit code says whether it is there, and one that makes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dependency {
    /// In words.
    #[serde(default)]
    pub description: String,
    /// Exits with 0 where the prerequisite is met.
    #[serde(default)]
    pub prereq_command: String,
    /// Makes it.
    #[serde(default)]
    pub get_prereq_command: String,
}

/// The commands of a test.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Executor {
    /// `sh`, `bash`, `manual`, …
    pub name: String,
    /// Whether it needs root.
    #[serde(default)]
    pub elevation_required: bool,
    /// The technique itself.
    #[serde(default)]
    pub command: String,
    /// What takes its traces away.
    pub cleanup_command: Option<String>,
}

/// Why a folder of tests could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A file or folder.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is not Atomic Red Team's form.
    #[error("{} is no Atomic Red Team file", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Why.
        source: yaml_serde::Error,
    },
    /// A folder without any test.
    #[error("no T*/T*.yaml below {}: name the folder `atomics` of a checkout of Atomic Red Team", .0.display())]
    Empty(PathBuf),
}

#[derive(Deserialize)]
struct File {
    attack_technique: String,
    atomic_tests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    auto_generated_guid: String,
    #[serde(default)]
    supported_platforms: Vec<String>,
    #[serde(default)]
    input_arguments: Option<BTreeMap<String, Input>>,
    #[serde(default)]
    dependencies: Option<Vec<Dependency>>,
    executor: Executor,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    default: Option<yaml_serde::Value>,
}

/// All tests of a folder, in the order of technique and file.
///
/// # Errors
/// The folder or a file cannot be read, is not in the form, or there is none.
pub fn read(atomics: &Path) -> Result<Vec<Test>, Unreadable> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Unreadable::Io { path, source }
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(atomics).map_err(io(atomics))? {
        let folder = entry.map_err(io(atomics))?.path();
        let Some(name) = folder.file_name().and_then(|n| n.to_str()).filter(|n| n.starts_with('T')) else { continue };
        let file = folder.join(format!("{name}.yaml"));
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Unreadable::Empty(atomics.to_owned()));
    }
    let mut tests = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(io(&path))?;
        tests.extend(parse(&text).map_err(|source| Unreadable::Form { path, source })?);
    }
    Ok(tests)
}

/// The tests of one file.
///
/// # Errors
/// The text is no YAML or not in the form.
pub fn parse(text: &str) -> Result<Vec<Test>, yaml_serde::Error> {
    let file: File = yaml_serde::from_str(text)?;
    let technique = file.attack_technique.trim().to_owned();
    let test = |entry: Entry| Test {
        technique: technique.clone(),
        guid: entry.auto_generated_guid.to_ascii_lowercase(),
        name: entry.name,
        platforms: entry.supported_platforms,
        inputs: entry.input_arguments.unwrap_or_default().into_iter().map(|(k, v)| (k, scalar(v.default))).collect(),
        dependencies: entry.dependencies.unwrap_or_default(),
        executor: entry.executor,
    };
    Ok(file.atomic_tests.into_iter().map(test).collect())
}

/// A default as the text that stands in a command.
fn scalar(value: Option<yaml_serde::Value>) -> String {
    match value {
        Some(yaml_serde::Value::String(text)) => text,
        Some(yaml_serde::Value::Number(number)) => number.to_string(),
        Some(yaml_serde::Value::Bool(is)) => is.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const FILE: &str = r#"
attack_technique: T9999.001
display_name: An invented technique
atomic_tests:
- name: Look at the clock
  auto_generated_guid: AAAAAAAA-0000-4000-8000-000000000001
  description: Invented.
  supported_platforms: [linux, macos]
  input_arguments:
    output_file: { description: where, type: path, default: /tmp/clock.txt }
    times: { description: how often, type: integer, default: 3 }
    quiet: { description: whether, type: string, default: false }
    nothing: { description: empty, type: string, default: }
  dependency_executor_name: sh
  dependencies:
  - description: date is there
    prereq_command: which date
    get_prereq_command: exit 1
  executor:
    name: sh
    command: |
      date > #{output_file}
    cleanup_command: "rm -f #{output_file}"
- name: By hand
  supported_platforms: [linux]
  executor:
    name: manual
    steps: Look up.
"#;

    #[test]
    fn a_file_is_read() {
        let tests = parse(FILE).unwrap();
        let [clock, hand] = &tests[..] else { panic!("two tests") };
        assert_eq!((clock.technique.as_str(), clock.name.as_str()), ("T9999.001", "Look at the clock"));
        assert_eq!(clock.guid, "aaaaaaaa-0000-4000-8000-000000000001");
        let inputs: Vec<_> = clock.inputs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(inputs, [("nothing", ""), ("output_file", "/tmp/clock.txt"), ("quiet", "false"), ("times", "3")]);
        assert_eq!(clock.dependencies[0].prereq_command, "which date");
        assert_eq!(clock.executor.cleanup_command.as_deref(), Some("rm -f #{output_file}"));
        assert_eq!((hand.executor.name.as_str(), hand.guid.as_str()), ("manual", ""));
    }

    #[test]
    fn what_is_no_such_file_is_an_error() {
        for bad in ["", "[]", "attack_technique: T1\natomic_tests: [{}]", "a: {"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
