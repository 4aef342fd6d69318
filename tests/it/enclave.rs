//! `tarn enclave` on one machine: a file is sealed, an attested process gets its key, and others a refusal that says why.

use crate::command::{Run, tarn, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const MODEL: &[u8] = b"weights of a model";

struct Place {
    folder: TempDir,
}

/// A broker that is ended with the test.
struct Broker {
    child: Child,
    url: String,
}

impl Broker {
    /// Ends it in an orderly way.
    fn stop(mut self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    /// A sealed model, a simulated root, and a policy for this program as it is.
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(place.path("model.bin"), MODEL).unwrap();
        let (authority, root) = (place.path("authority.txt"), place.path("root.txt"));
        tarn(&["enclave", "authority", "--out", text(&authority), "--root", text(&root)]).ok();
        place.seal().ok();
        let key =
            tarn(&["evidence", "key", "new", text(&place.path("evidence.key")), "--name", "example.com/evidence"]);
        std::fs::write(place.path("evidence.pub"), key.ok().stdout).unwrap();
        let measured = tarn(&["enclave", "measure"]).ok().stdout;
        let policy = format!(
            "permit (principal, action == Action::\"release\", resource == Key::\"models/scorer/weights\");\n\
             @reason(\"Measurement Mismatch\")\n\
             forbid (principal, action, resource) unless {{ context.measurements.contains(\"{}\") }};",
            measured.trim()
        );
        std::fs::write(place.path("policy.cedar"), policy).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn seal(&self) -> Run {
        let [model, out, store, wrapping] =
            ["model.bin", "model.sealed", "keys.json", "wrapping.key"].map(|name| self.path(name));
        let key = "models/scorer/weights";
        tarn(&[
            "enclave",
            "seal",
            text(&model),
            "--key",
            key,
            "--out",
            text(&out),
            "--store",
            text(&store),
            "--wrapping-key",
            text(&wrapping),
        ])
    }

    fn broker(&self, more: &[&str]) -> Broker {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
        command.args(["enclave", "broker", "--listen", "127.0.0.1:0"]).args(more);
        for (option, file) in [
            ("--store", "keys.json"),
            ("--wrapping-key", "wrapping.key"),
            ("--policy", "policy.cedar"),
            ("--simulated-root", "root.txt"),
            ("--lake", "lake"),
            ("--ledger-key", "evidence.key"),
        ] {
            command.arg(option).arg(self.path(file));
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let url = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned();
        // Whatever else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Broker { child, url }
    }

    fn unseal(&self, broker: &Broker, more: &[&str]) -> Run {
        let (sealed, authority, out) = (self.path("model.sealed"), self.path("authority.txt"), self.path("opened.bin"));
        let mut arguments = vec!["enclave", "unseal", text(&sealed), "--broker", &broker.url, "--authority"];
        arguments.extend([text(&authority), "--out", text(&out)]);
        arguments.extend(more);
        tarn(&arguments)
    }

    /// What the ledger proves of the decisions that a run tells of.
    fn records(&self, run: &Run) -> Vec<(String, String)> {
        let decisions = run.stderr.lines().filter_map(|line| line.split(": decision ").nth(1));
        let record = |uid: &str| {
            let (proof, lake, key) = (self.path("proof.json"), self.path("lake"), self.path("evidence.pub"));
            tarn(&["evidence", "prove", uid, "--lake", text(&lake), "-o", text(&proof)]).ok();
            tarn(&["evidence", "verify", text(&proof), "--key", text(&key)]).ok();
            let proof: Value = serde_json::from_slice(&std::fs::read(proof).unwrap()).unwrap();
            let record: Value = serde_json::from_str(proof["record"].as_str().unwrap()).unwrap();
            assert_eq!(
                (&record["metadata"]["uid"], &record["tee_evidence"]["assurance"]),
                (&json!(uid), &json!("Simulated"))
            );
            let text = |name: &str| record[name].as_str().unwrap().to_owned();
            (text("activity_name"), text("trust_reason"))
        };
        decisions.map(record).collect()
    }

    /// The rows of the lake's table, oldest first.
    fn rows(&self) -> Vec<(String, String)> {
        let sql = "SELECT activity_name, trust_reason FROM key_release ORDER BY time, activity_id";
        let rows = tarn(&["sql", "--lake", text(&self.path("lake")), "--format", "ndjson", sql]).ok().rows();
        rows.iter()
            .map(|row| {
                (row["activity_name"].as_str().unwrap().to_owned(), row["trust_reason"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    fn audit(&self) -> Vec<Value> {
        let (lake, key) = (self.path("lake"), self.path("evidence.pub"));
        tarn(&["evidence", "audit", "--lake", text(&lake), "--key", text(&key)]).ok().rows()
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn refused(run: &Run, why: &str, out: &Path) {
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains(&format!("\nrefused: {why}: ")), "{}", run.stderr);
    assert!(!out.exists(), "nothing was opened");
}

#[test]
fn an_attested_process_opens_the_file_and_others_are_refused() {
    let place = Place::new();
    let broker = place.broker(&["--trial"]);
    let out = place.path("opened.bin");
    let other = place.unseal(&broker, &["--measure", text(&place.path("model.bin"))]);
    refused(&other, "Measurement Mismatch", &out);
    let debug = place.unseal(&broker, &["--debug"]);
    refused(&debug, "Debug Mode", &out);
    let good = place.unseal(&broker, &[]).ok();
    assert_eq!(std::fs::read(&out).unwrap(), MODEL);
    assert!(!std::fs::read(place.path("model.sealed")).unwrap().windows(10).any(|window| window == b"of a model"));
    assert_eq!(place.records(&other), owned(&[("Attest", "Verified"), ("Refuse", "Measurement Mismatch")]));
    assert_eq!(place.records(&debug), owned(&[("Attest", "Debug Mode")]));
    assert_eq!(place.records(&good), owned(&[("Attest", "Verified"), ("Release", "Verified")]));
    let audit = place.audit();
    assert_eq!((&audit[0]["result"], &audit[0]["leaves"]), (&json!("whole"), &json!(5)));
}

#[test]
fn a_decision_is_a_row_once_whatever_becomes_of_the_broker() {
    let place = Place::new();
    let broker = place.broker(&["--trial"]);
    place.unseal(&broker, &[]).ok();
    // Killed before or after rows were made.
    drop(broker);
    let broker = place.broker(&["--trial"]);
    place.unseal(&broker, &["--debug"]);
    let other = place.broker(&["--trial"]);
    broker.stop();
    other.stop();
    let expected = owned(&[("Attest", "Verified"), ("Release", "Verified"), ("Attest", "Debug Mode")]);
    assert_eq!(place.rows(), expected);
    place.broker(&["--trial"]).stop();
    assert_eq!(place.rows(), expected, "what is followed once is done");
}

#[test]
fn production_refuses_and_records_what_is_simulated() {
    let place = Place::new();
    let broker = place.broker(&[]);
    let run = place.unseal(&broker, &[]);
    refused(&run, "Simulated Evidence", &place.path("opened.bin"));
    assert_eq!(place.records(&run), owned(&[("Attest", "Verified"), ("Refuse", "Simulated Evidence")]));
}

#[test]
fn mistakes_are_named() {
    let place = Place::new();
    let again = place.seal();
    assert!(again.code == 1 && again.stderr.contains("has a key already"), "{}", again.stderr);
    let [store, wrapping, policy, ledger, root] =
        ["keys.json", "wrapping.key", "policy.cedar", "evidence.key", "root.txt"].map(|name| place.path(name));
    let lake = place.path("lake");
    let broker = |more: &[&str]| {
        let mut arguments = vec!["enclave", "broker", "--listen", "127.0.0.1:0", "--store", text(&store)];
        arguments.extend(["--wrapping-key", text(&wrapping), "--policy", text(&policy), "--lake", text(&lake)]);
        arguments.extend(["--ledger-key", text(&ledger)]);
        arguments.extend(more);
        tarn(&arguments)
    };
    let none = broker(&[]);
    assert!(none.code == 2 && none.stderr.contains("no evidence is taken"), "{}", none.stderr);
    let simulated = broker(&["--nitro-root", text(&root)]);
    assert!(simulated.code == 2 && simulated.stderr.contains("no certificate"), "{}", simulated.stderr);
    std::fs::write(&policy, "permit (principal, action, resource) when { context.image == \"x\" };").unwrap();
    let unfit = broker(&["--sample"]);
    assert!(unfit.code == 2 && unfit.stderr.contains("do not fit the schema"), "{}", unfit.stderr);
}
