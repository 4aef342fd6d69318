//! `tarn simulate atomic`: a folder of invented tests, run in the sandbox; and the real ones, where they are.

use crate::command::{Run, data, tarn, text};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/atomics")
}

/// Runs the invented tests, or some of them; none where this machine permits no sandbox.
fn run(more: &[&str]) -> Option<Run> {
    let atomics = folder();
    let (allowed, rules) = (atomics.join("allowed.yml"), atomics.join("rules"));
    let mut arguments = vec!["simulate", "atomic", "--atomics", text(&atomics), "--also-allow", text(&allowed)];
    arguments.extend(["--rules", text(&rules), "--format", "ndjson"]);
    arguments.extend(more);
    permitted(tarn(&arguments))
}

fn permitted(run: Run) -> Option<Run> {
    if run.stderr.contains("no sandbox can be made") {
        assert_eq!(run.code, 1);
        println!("skipped: {}", run.stderr.trim());
        return None;
    }
    Some(run)
}

/// The captured events of a run, and the run.
fn captured(only: &str, more: &[&str]) -> Option<(Vec<Value>, Run)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let run = run(&[&["--only", only, "--write-events", text(file.path())], more].concat())?.ok();
    let lines = std::fs::read_to_string(file.path()).unwrap();
    Some((lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), run))
}

fn arguments(event: &Value) -> Vec<&str> {
    event["EXECVE"]["ARGV"].as_array().into_iter().flatten().map(|a| a.as_str().unwrap()).collect()
}

#[test]
fn programs_are_captured_as_they_were_executed() {
    let Some((events, _)) = captured("11111111-0000-4000-8000-000000000001", &[]) else { return };
    let programs: Vec<_> = events.iter().filter(|e| e["EXECVE"].is_object()).collect();
    let [shell, whoami, ..] = &programs[..] else { panic!("{events:#?}") };
    assert_eq!(arguments(shell)[..2], ["bash", "-c"]);
    assert!(shell["PARENT_INFO"].is_null(), "the runner's own processes are nobody's parent");
    assert_eq!(arguments(whoami), ["whoami"]);
    assert_eq!((&whoami["CWD"]["cwd"], &whoami["SYSCALL"]["UID"]), (&"/tmp".into(), &"user".into()));
    assert_eq!(whoami["PARENT_INFO"]["ARGV"], shell["EXECVE"]["ARGV"]);
    assert_eq!(whoami["SYSCALL"]["ppid"], shell["SYSCALL"]["pid"]);
    let printf = programs.last().unwrap();
    // LAUREL's spelling: `%` and what would be taken for a number are percent-encoded.
    assert_eq!(arguments(printf)[1..], ["%25s\\n", "a  b", "100%25", "", "%30x41"]);
    assert!(events.iter().all(|e| e["ATOMIC_GUID"] == "11111111-0000-4000-8000-000000000001"));
}

#[test]
fn files_are_captured_with_absolute_paths() {
    let Some((events, _)) = captured("T1070", &[]) else { return };
    let files: Vec<(&str, Vec<(&str, &str)>)> = events
        .iter()
        .filter(|e| e["EXECVE"].is_null())
        .map(|e| {
            let paths = e["PATH"].as_array().unwrap().iter();
            let named = paths.map(|p| (p["nametype"].as_str().unwrap(), p["name"].as_str().unwrap()));
            (e["SYSCALL"]["comm"].as_str().unwrap(), named.filter(|(kind, _)| *kind != "PARENT").collect())
        })
        .collect();
    assert_eq!(
        files,
        [
            ("sh", vec![("CREATE", "/tmp/life/note")]),
            ("mv", vec![("DELETE", "/tmp/life/note"), ("CREATE", "/tmp/kept")]),
            ("chmod", vec![("NORMAL", "/tmp/kept")]),
            ("ln", vec![("CREATE", "/tmp/life/link")]),
            ("rm", vec![("DELETE", "/tmp/kept")]),
        ]
    );
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains("prepared") && !all.contains("cleaned"), "prerequisites and cleanup are not the test's");
}

#[test]
fn a_sandbox_holds() {
    let Some((events, _)) = captured("11111111-0000-4000-8000-000000000002", &[]) else { return };
    let said: Vec<_> = events.iter().map(arguments).filter(|a| a.first() == Some(&"/bin/echo")).map(|a| a[1]).collect();
    assert_eq!(said, ["sees-the-folder", "is-ordinary", "sees-own-processes"]);
    let unreachable = -101;
    let connects: Vec<_> = events.iter().filter(|e| e["SYSCALL"]["SYSCALL"] == "connect").collect();
    assert_eq!(connects.len(), 2, "{connects:#?}");
    assert!(connects.iter().all(|e| e["SYSCALL"]["exit"] == unreachable), "{connects:#?}");
    for place in ["/etc/tarn-was-here", "/usr/tarn-was-here"] {
        assert!(!Path::new(place).exists());
    }
}

#[test]
fn a_limit_ends_commands_and_cleanups_and_what_they_left() {
    let begin = std::time::Instant::now();
    let Some(run) = run(&["--only", "11111111-0000-4000-8000-000000000003", "--limit", "1"]) else { return };
    let run = run.ok();
    assert!(run.stderr.contains("1 were ended by the limit"), "{}", run.stderr);
    assert!(run.stderr.contains("cleanup: the time limit ended it"), "{}", run.stderr);
    let Some((events, run)) = captured("11111111-0000-4000-8000-000000000004", &["--limit", "100"]) else { return };
    assert!(run.stderr.contains("0 were ended by the limit"), "{}", run.stderr);
    assert_eq!(arguments(events.last().unwrap()), ["sleep", "300"]);
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}

#[test]
fn tests_are_scored_by_their_folders_technique() {
    let Some(run) = run(&["--limit", "4"]) else { return };
    let rows = run.ok().rows();
    let of = |id: &str| {
        let row =
            rows.iter().find(|r| r["technique"].as_str().unwrap().starts_with(id)).unwrap_or_else(|| panic!("{id}"));
        (row["verdict"].as_str().unwrap().to_owned(), row["rule"].clone())
    };
    let guids = rows.len();
    assert_eq!(guids, 7, "{rows:#?}");
    assert_eq!(of("T1070.004/22222222"), ("named".into(), "File deleted".into()));
    let mut verdicts: Vec<_> =
        rows.iter().filter(|r| r["attack"] == "T1033").map(|r| r["verdict"].to_string()).collect();
    verdicts.sort();
    // Not met and changed; what the rule is about; three that no rule is about.
    assert_eq!(verdicts, ["\"detected\"", "\"missed\"", "\"missed\"", "\"missed\"", "\"not run\"", "\"not run\""]);
}

#[test]
fn what_may_not_run_is_said() {
    let Some(run) = run(&["--only", "T1033", "--limit", "2"]) else { return };
    assert!(run.stderr.contains("prerequisite not met: The moon must be full"), "{}", run.stderr);
    assert!(run.stderr.contains("changed since its review"), "{}", run.stderr);
    let list = tarn(&["simulate", "atomic", "--atomics", text(&folder()), "--list", "--format", "ndjson"]).ok();
    assert!(list.rows().iter().all(|r| r["runs"] == false), "without --also-allow none of them is on a list");
    let none = tarn(&["simulate", "atomic", "--atomics", text(&folder())]);
    assert_eq!(none.code, 2, "{}", none.stderr);
    let nowhere = tarn(&["simulate", "atomic", "--atomics", "nowhere"]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);
}

/// The reviewed tests of Atomic Red Team: enough of them run, unattended and soon, and none is a defect of the sandbox.
#[test]
fn the_reviewed_tests_run() {
    let Some(data) = data() else { return };
    let (atomics, rules) = (data.join("atomics"), data.join("sigmahq/rules/linux"));
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma");
    let begin = std::time::Instant::now();
    let arguments =
        ["simulate", "atomic", "--atomics", text(&atomics), "--rules", text(&rules), "--rules", text(&pack)];
    let Some(run) = permitted(tarn(&[&arguments[..], &["--format", "ndjson"]].concat())) else { return };
    let rows = run.ok().rows();
    let ran = rows.iter().filter(|r| r["verdict"] != "not run").count();
    let named = rows.iter().filter(|r| r["verdict"] == "detected" || r["verdict"] == "named").count();
    println!("{ran} ran in {:?}, {named} were named", begin.elapsed());
    assert!(ran >= 100, "{ran}");
    assert!(named >= 60, "{named}");
}
