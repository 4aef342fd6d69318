//! Stratus Red Team, played by a script: what it logs, a daemon reads from a file.

use super::{by_technique, call};
use crate::command::{program, text};
use crate::serve::daemon::Daemon;
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const STOP: &str = "aws.defense-evasion.cloudtrail-stop";
const LEAVE: &str = "aws.defense-evasion.organizations-leave";

/// Writes the script. It notes its steps and logs each call under its tag; leaving the organization fails, and deleting a
/// trail waits for the file `go`.
fn stand_in(folder: &Path) {
    let mut record = call("ID", "cloudtrail", "StopLogging", 0);
    record["eventTime"] = "TIME".into();
    record["userAgent"] = "stratus-red-team_TAG".into();
    let template = folder.join("template.json");
    std::fs::write(&template, record.to_string()).unwrap();
    let script = format!(
        r#"#!/bin/sh
cd "{folder}" || exit 1
[ "$1" = version ] && echo 2.99.0 && exit 0
[ "$STRATUS_RED_TEAM_CORRELATION_ID" = "$STRATUS_RED_TEAM_DETONATION_ID" ] || exit 3
echo "$1 $2" >> steps
if [ "$1 $2" = "detonate {LEAVE}" ]; then echo "access denied" >&2; exit 1; fi
if [ "$1 $2" = "detonate aws.defense-evasion.cloudtrail-delete" ]; then
    while [ ! -e go ]; do sleep 0.01; done
fi
sed -e "s/ID/$2-$1-$$/" -e "s/TIME/$(date -u +%Y-%m-%dT%H:%M:%SZ)/" -e "s/TAG/$STRATUS_RED_TEAM_CORRELATION_ID/" template.json > line
echo >> line
cat line >> log.ndjson
"#,
        folder = text(folder)
    );
    let path = folder.join("stratus");
    program(&path, &script);
    std::fs::write(folder.join("log.ndjson"), "").unwrap();
}

fn daemon(folder: &Path) -> Daemon {
    let tail = format!("{{paths = ['{}'], poll_ms = 20}}", text(&folder.join("log.ndjson")));
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma/aws");
    let rules = format!("['{}']", text(&pack));
    let over = [
        ("TARN_SERVE__TAIL__LOG", tail.as_str()),
        ("TARN_SERVE__RULES", &rules),
        ("TARN_SERVE__DETECTION__LATE_SECONDS", "0"),
    ];
    Daemon::start(folder, &over).unwrap()
}

fn start(folder: &Path, daemon: &Daemon, techniques: &[&str]) -> Child {
    let url = format!("http://{}", daemon.address);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
    command.args(["simulate", "stratus", "--to", &url, "--stratus", text(&folder.join("stratus")), "--quiet", "1"]);
    command.args(["--longest", "60", "--wait", "20", "--format", "json"]).args(techniques);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn steps(folder: &Path) -> Vec<String> {
    std::fs::read_to_string(folder.join("steps")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn techniques_are_run_cleaned_up_and_scored() {
    let folder = tempfile::tempdir().unwrap();
    stand_in(folder.path());
    let daemon = daemon(folder.path());
    let output = start(folder.path(), &daemon, &[LEAVE, STOP]).wait_with_output().unwrap();
    let rows = by_technique(&rows(&output));
    // Of four steps that log, one is the attack.
    let stop = &rows[STOP];
    assert_eq!((&stop["verdict"], &stop["records"], &stop["expected"]), (&"detected".into(), &1.into(), &true.into()));
    assert!(stop["latency_ms"].as_i64().is_some_and(|ms| ms < 60_000), "{stop}");
    assert_eq!((&rows[LEAVE]["verdict"], &rows[LEAVE]["latency_ms"]), (&"not run".into(), &Value::Null));
    let expected = ["warmup", "detonate", "cleanup"].map(|step| format!("{step} {LEAVE}"));
    let expected =
        expected.into_iter().chain(["warmup", "detonate", "revert", "cleanup"].map(|s| format!("{s} {STOP}")));
    assert_eq!(steps(folder.path()), expected.collect::<Vec<_>>());
    // A step that failed is told, and fails the run.
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && words.contains("detonate: exit status: 1: access denied"), "{words}");
    assert!(words.contains("detected: 1 of 1"), "{words}");
    assert!(daemon.stop());
}

#[test]
fn interrupted_it_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    stand_in(folder.path());
    let daemon = daemon(folder.path());
    let slow = "aws.defense-evasion.cloudtrail-delete";
    let child = start(folder.path(), &daemon, &[slow, STOP]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while steps(folder.path()).len() < 2 {
        assert!(Instant::now() < deadline, "nothing was detonated");
        std::thread::sleep(Duration::from_millis(10));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    std::fs::write(folder.path().join("go"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    let expected = ["warmup", "detonate", "revert", "cleanup"].map(|step| format!("{step} {slow}"));
    assert_eq!(steps(folder.path()), expected, "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(by_technique(&rows(&output))[STOP]["verdict"], "not run");
    assert!(daemon.stop());
}

#[test]
fn what_is_missing_is_told() {
    let run = |arguments: &[&str]| crate::command::tarn(&[&["simulate", "stratus"], arguments].concat());
    let wrong = |arguments: &[&str], words: &str| {
        let run = run(arguments);
        assert!(run.code == 2 && run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
    };
    wrong(&[STOP], "--to URL");
    let to = ["--to", "http://127.0.0.1:9"];
    wrong(&[&to[..], &["aws.nothing"]].concat(), "tarn simulate list");
    wrong(&[&to[..], &["--platform", "mainframe"]].concat(), "there are aws");
    wrong(&[&to[..], &["--stratus", "/nowhere/stratus", STOP]].concat(), "install it");
}
