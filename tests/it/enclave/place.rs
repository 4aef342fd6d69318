//! A folder with all that a release needs, and its broker.

use crate::command::{Run, tarn, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub const MODEL: &[u8] = b"weights of a model";

pub struct Place {
    folder: TempDir,
}

/// A broker that is ended with the test.
pub struct Broker {
    child: Child,
    pub url: String,
}

impl Broker {
    /// Starts it, and waits until it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let url = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned();
        // Whatever else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    /// Ends it in peace, by SIGTERM.
    pub fn end(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success() && self.child.wait().unwrap().success());
    }

    /// Ends it as a machine that fails does: by SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
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
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(place.path("model.bin"), MODEL).unwrap();
        let (authority, root) = (place.path("authority.txt"), place.path("root.txt"));
        tarn(&["enclave", "authority", "--out", text(&authority), "--root", text(&root)]).ok();
        place.seal().ok();
        let key =
            tarn(&["evidence", "key", "new", text(&place.path("evidence.key")), "--name", "example.com/evidence"]);
        std::fs::write(place.path("evidence.pub"), key.ok().stdout).unwrap();
        let measured = tarn(&["enclave", "measure"]).ok().stdout;
        place.policy(&format!(
            "@reason(\"Measurement Mismatch\")\n\
             forbid (principal, action, resource) unless {{ context.measurements.contains(\"{}\") }};",
            measured.trim()
        ));
        place
    }

    /// The policy: the key is everybody's whom nothing more forbids it.
    pub fn policy(&self, more: &str) {
        let permit = "permit (principal, action == Action::\"release\", resource == Key::\"models/scorer/weights\");";
        std::fs::write(self.path("policy.cedar"), format!("{permit}\n{more}")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn seal(&self) -> Run {
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

    /// A broker with the local store.
    pub fn broker(&self, more: &[&str]) -> Broker {
        let mut command = self.broker_command(more);
        for (option, file) in [("--store", "keys.json"), ("--wrapping-key", "wrapping.key")] {
            command.arg(option).arg(self.path(file));
        }
        Broker::start(command)
    }

    /// All but the store.
    pub fn broker_command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
        command.args(["enclave", "broker", "--listen", "127.0.0.1:0"]).args(more);
        for (option, file) in [
            ("--policy", "policy.cedar"),
            ("--simulated-root", "root.txt"),
            ("--lake", "lake"),
            ("--ledger-key", "evidence.key"),
        ] {
            command.arg(option).arg(self.path(file));
        }
        command
    }

    pub fn unseal(&self, broker: &Broker, more: &[&str]) -> Run {
        let (sealed, authority, out) = (self.path("model.sealed"), self.path("authority.txt"), self.path("opened.bin"));
        let mut arguments = vec!["enclave", "unseal", text(&sealed), "--broker", &broker.url, "--authority"];
        arguments.extend([text(&authority), "--out", text(&out)]);
        arguments.extend(more);
        tarn(&arguments)
    }

    /// What the ledger proves of the decisions that a run tells of.
    pub fn records(&self, run: &Run) -> Vec<(String, String)> {
        let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
        let records = self.whole_records(run);
        records.iter().map(|record| (text(record, "activity_name"), text(record, "trust_reason"))).collect()
    }

    /// The same, all of each.
    pub fn whole_records(&self, run: &Run) -> Vec<Value> {
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
            record
        };
        decisions.map(record).collect()
    }

    /// The rows of the lake's table, oldest first.
    pub fn rows(&self) -> Vec<(String, String)> {
        let sql = "SELECT activity_name, trust_reason FROM key_release ORDER BY time, activity_id";
        let rows = tarn(&["sql", "--lake", text(&self.path("lake")), sql]).ok().rows();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(row, "activity_name"), text(row, "trust_reason"))).collect()
    }

    pub fn audit(&self) -> Vec<Value> {
        let (lake, key) = (self.path("lake"), self.path("evidence.pub"));
        tarn(&["evidence", "audit", "--lake", text(&lake), "--key", text(&key)]).ok().rows()
    }
}
