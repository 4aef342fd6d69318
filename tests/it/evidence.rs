//! `tarn evidence`: keys, proofs, their check, and the audit, as users call them.

use crate::command::{tarn, text};
use crate::signed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use object_store::path::Path as StorePath;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use tarn_attest::ledger::{Entry, LAKE_PREFIX, Ledger, Signer};
use tarn_lake::{Lake, StoreOptions};

const NOW: i64 = 1_764_240_000_000;

struct Place {
    folder: tempfile::TempDir,
    key: String,
}

impl Place {
    /// A lake whose ledger has five records, and a key that the command made.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("evidence.key");
        let key = tarn(&["evidence", "key", "new", text(&secret), "--name", "example.com/evidence"]).ok().stdout;
        let place = Self { folder, key: key.trim_end().to_owned() };
        place.log(0..5);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self, range: std::ops::Range<u64>) {
        let signer = Signer::parse(&std::fs::read_to_string(self.at("evidence.key")).unwrap()).unwrap();
        let entries: Vec<Entry> = range
            .map(|n| Entry::new(&format!("uid-{n}"), &json!({"n": n}), Some(format!("raw {n}").into())).unwrap())
            .collect();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let lake = Lake::open_or_create(text(&self.at("lake")), &StoreOptions::default()).await.unwrap();
            let mut ledger = Ledger::open(lake.store().clone(), &StorePath::from(LAKE_PREFIX), signer).await.unwrap();
            ledger.append(&entries, NOW).await.unwrap();
        });
    }

    fn evidence(&self, command: &str, more: &[&str]) -> crate::command::Run {
        let lake = self.at("lake");
        tarn(&[&["evidence", command, "--lake", text(&lake)], more].concat())
    }

    fn verify(&self, file: &Path, key: &str) -> crate::command::Run {
        tarn(&["evidence", "verify", text(file), "--key", key, "--format", "ndjson"])
    }
}

#[test]
fn a_record_is_proved_and_the_proof_checked_without_the_lake() {
    let place = Place::new();
    let (proof, elsewhere) = (place.at("proof.json"), tempfile::tempdir().unwrap());
    place.evidence("prove", &["uid-3", "-o", text(&proof)]).ok();
    let moved = elsewhere.path().join("proof.json");
    std::fs::rename(&proof, &moved).unwrap();
    std::fs::remove_dir_all(place.at("lake")).unwrap();
    let rows = place.verify(&moved, &place.key).ok().rows();
    let row = &rows[0];
    assert_eq!((&row["holds"], &row["uid"], &row["leaf"]), (&json!(true), &json!("uid-3"), &json!(3)));
    assert_eq!(row["logged_at"], "2025-11-27T10:40:00.000Z");

    let tampered = std::fs::read_to_string(&moved).unwrap().replace(r#"{\"n\":3}"#, r#"{\"n\":4}"#);
    std::fs::write(&moved, tampered).unwrap();
    let run = place.verify(&moved, &place.key);
    assert_eq!((run.code, &run.rows()[0]["reason"]), (1, &json!("record_changed")));
    assert!(run.stderr.contains("its digest or size differs"), "{}", run.stderr);
}

#[test]
fn keys_are_files_of_their_owner() {
    let place = Place::new();
    let secret = place.at("evidence.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let again = tarn(&["evidence", "key", "new", text(&secret), "--name", "example.com/evidence"]);
    assert_eq!(again.code, 2, "a key is never overwritten");
    assert_eq!(tarn(&["evidence", "key", "public", text(&secret)]).ok().stdout.trim_end(), place.key);
    let named = tarn(&["evidence", "key", "new", text(&place.at("k")), "--name", "two words"]);
    assert!(named.code == 2 && !place.at("k").exists(), "{}", named.stderr);
    // By text or by file.
    let (public, proof) = (place.at("evidence.pub"), place.at("p.json"));
    std::fs::write(&public, format!("{}\n", place.key)).unwrap();
    place.evidence("prove", &["uid-0", "-o", text(&proof)]).ok();
    place.verify(&proof, text(&public)).ok();
    let other = Signer::generate("example.com/evidence").unwrap().public().to_string();
    assert_eq!(place.verify(&proof, &other).rows()[0]["reason"], "checkpoint");
    assert_eq!(place.verify(&proof, text(&secret)).code, 2, "a secret is no public key");
}

#[test]
fn an_audit_finds_what_was_changed_and_says_what_it_cannot_exclude() {
    let place = Place::new();
    let kinds = |run: &crate::command::Run| {
        run.rows().iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let audit = |more: &[&str]| place.evidence("audit", &[&["--key", &place.key, "--format", "ndjson"], more].concat());
    assert_eq!(kinds(&audit(&[]).ok()), ["whole", "no_witness", "no_known_checkpoint"]);

    let (known, ledger) = (place.at("checkpoint"), place.at("lake").join(LAKE_PREFIX));
    place.log(5..8);
    std::fs::write(&known, place.evidence("checkpoint", &[]).ok().stdout).unwrap();
    assert_eq!(kinds(&audit(&["--known", text(&known)]).ok()), ["whole", "no_witness"]);

    let batch = ledger.join("batch/00000000000000000005");
    let whole = std::fs::read(&batch).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&batch, changed).unwrap();
    let run = audit(&[]);
    assert_eq!((run.code, kinds(&run)[0].as_str(), &run.rows()[0]["leaves"]), (1, "raw_changed", &json!(5)));

    // Rolled back to five leaves: only a kept checkpoint knows.
    std::fs::remove_file(&batch).unwrap();
    let run = audit(&[]);
    assert_eq!((run.code, kinds(&run)[0].as_str()), (1, "removed"));
    let first = std::fs::read(ledger.join("batch/00000000000000000000")).unwrap();
    let note = &first[12 + 10 * 5..][..u32::from_be_bytes(first[4..8].try_into().unwrap()) as usize];
    std::fs::write(ledger.join("checkpoint"), note).unwrap();
    audit(&[]).ok();
    let run = audit(&["--known", text(&known)]);
    assert_eq!((run.code, kinds(&run)[0].as_str()), (1, "rolled_back"));
}

/// A witness's public key, and a note with its cosignature (C2SP tlog-cosignature).
fn cosigned(note: &str, time_s: u64) -> (String, String) {
    let (name, secret) = ("witness.example/w1", SigningKey::from_bytes(&[7; 32]));
    let encoded = [&[4], secret.verifying_key().as_bytes().as_slice()].concat();
    let id = &Sha256::digest([name.as_bytes(), b"\n", &encoded].concat())[..4];
    let (text, _) = note.split_once("\n\n").unwrap();
    let signature = secret.sign(format!("cosignature/v1\ntime {time_s}\n{text}\n").as_bytes()).to_bytes();
    let line = STANDARD.encode([id, &time_s.to_be_bytes(), &signature].concat());
    (format!("{name}+{}+{}", hex::encode(id), STANDARD.encode(encoded)), format!("{note}\u{2014} {name} {line}\n"))
}

#[test]
fn a_proof_carries_what_witnesses_cosigned_and_an_audit_stands_on_it() {
    let place = Place::new();
    let (kept, proof) = (place.at("cosigned"), place.at("proof.json"));
    let (witness, note) = cosigned(&place.evidence("checkpoint", &[]).ok().stdout, 1_764_240_060);
    std::fs::write(&kept, &note).unwrap();
    // The log goes on meanwhile.
    place.log(5..8);
    let prove = |uid: &str, more: &[&str]| place.evidence("prove", &[&[uid, "-o", text(&proof)], more].concat());
    let verify = || {
        let verify = ["evidence", "verify", text(&proof), "--key", &place.key, "--witness", &witness];
        tarn(&[&verify[..], &["--format", "ndjson"]].concat())
    };
    prove("uid-3", &[]).ok();
    let run = verify();
    assert_eq!((run.code, &run.rows()[0]["reason"]), (1, &json!("too_few_witnesses")));
    prove("uid-3", &["--checkpoint", text(&kept)]).ok();
    let rows = verify().ok().rows();
    assert_eq!((&rows[0]["holds"], &rows[0]["leaves"]), (&json!(true), &json!(5)));
    assert_eq!(rows[0]["witnesses"], "witness.example/w1 2025-11-27T10:41:00.000Z");

    let audit = ["--key", &place.key, "--witness", &witness, "--known", text(&kept), "--format", "ndjson"];
    let rows = place.evidence("audit", &audit).ok().rows();
    let kinds: Vec<_> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["whole", "after_witness", "after_known_checkpoint"], "what came after is not vouched for");
    // A record that came after, and another log's note.
    let later = prove("uid-6", &["--checkpoint", text(&kept)]);
    assert!(later.code == 2 && later.stderr.contains("its 5 leaves have no record"), "{}", later.stderr);
    let other = Place::new();
    std::fs::write(&kept, other.evidence("checkpoint", &[]).ok().stdout).unwrap();
    let run = prove("uid-3", &["--checkpoint", text(&kept)]);
    assert!(run.code == 2 && run.stderr.contains("--checkpoint: "), "{}", run.stderr);
}

#[test]
fn wrong_usage_is_told() {
    let place = Place::new();
    let secret = place.at("evidence.key");
    let cases: [(&str, &[&str]); 4] = [
        ("prove", &["uid-99"]),
        ("audit", &["--key", "no+such"]),
        ("audit", &["--key", &place.key, "--known", text(&secret)]),
        ("audit", &["--key", &place.key, "--need", "2"]),
    ];
    for (command, more) in cases {
        let run = place.evidence(command, more);
        assert_eq!(run.code, 2, "{command} {more:?}: {}", run.stderr);
    }
    let key = |given: &str| place.evidence("audit", &["--key", given]).stderr;
    let told = key("zzz");
    assert!(told.contains("--key: zzz: no such file, and not a key: expected NAME+ID+BASE64"), "{told}");
    let told = key(text(&secret));
    assert!(told.contains(&format!("--key: {}: not a key", text(&secret))), "{told}");
    // A secret key in the place of a public one is not repeated.
    let told = key(std::fs::read_to_string(&secret).unwrap().trim());
    assert!(told.contains("--key: no such file, and not a key") && !told.contains("PRIVATE"), "{told}");
    let told = place.evidence("audit", &["--key", &place.key, "--witness", "w.pub"]).stderr;
    assert!(told.contains("--witness: w.pub: no such file, and not a key"), "{told}");
    let empty = tempfile::tempdir().unwrap();
    let lake = empty.path().join("lake");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        Lake::open_or_create(text(&lake), &StoreOptions::default()).await.unwrap();
    });
    let run = tarn(&["evidence", "audit", "--lake", text(&lake), "--key", &place.key]);
    assert!(run.code == 2 && run.stderr.contains("there is no ledger here"), "{}", run.stderr);
}

/// Rows are made of the ledger that they were made of before, or of another key's.
#[test]
fn a_ledger_that_was_begun_again_is_told_and_not_taken_for_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let key = signed::Key::new(1);
    signed::policies(folder.path(), &[("release", &key)]);
    for name in ["one.key", "two.key"] {
        tarn(&["evidence", "key", "new", text(&at(name)), "--name", "example.com/evidence"]).ok();
    }
    let (lake, policies) = (at("lake"), at("policies.toml"));
    let ingest = |artifact: &str, ledger_key: &str| {
        let document = at(&format!("{artifact}.json"));
        let statement = signed::statement(artifact, "https://example.com/built", &json!({}));
        std::fs::write(&document, key.envelope(&statement)).unwrap();
        let ingest = ["attest", "ingest", "--lake", text(&lake), "--policies", text(&policies)];
        tarn(&[&ingest[..], &["--ledger-key", text(&at(ledger_key)), text(&document)]].concat())
    };
    let rows = || {
        let sql = "SELECT count(*) AS n FROM artifact_signing";
        tarn(&["sql", "--lake", text(&lake), "--format", "ndjson", sql]).ok().rows()[0]["n"].clone()
    };
    for artifact in ["a", "b", "c"] {
        ingest(artifact, "one.key").ok();
    }
    std::fs::remove_dir_all(lake.join("_evidence")).unwrap();
    let run = ingest("d", "one.key");
    assert!(run.code == 1 && run.stderr.contains("the log of 1 leaves does not go on from the 3"), "{}", run.stderr);
    assert_eq!(rows(), 3);
    // Another key's is another ledger, and what it has becomes rows.
    std::fs::remove_dir_all(lake.join("_evidence")).unwrap();
    ingest("d", "two.key").ok();
    assert_eq!(rows(), 4);
}
