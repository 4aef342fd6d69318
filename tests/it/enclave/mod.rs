//! `tarn enclave` on one machine: a file is sealed, an attested process gets its key, and others a refusal that says why.

mod confirmations;
mod crowd;
mod handed_over;
#[cfg(feature = "kms")]
mod kms;
mod place;
mod provenance;

use crate::command::{Run, tarn, text};
use place::{MODEL, Place};
use serde_json::json;
use std::path::Path;

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
    // Before or after rows were made.
    broker.kill();
    let broker = place.broker(&["--trial"]);
    place.unseal(&broker, &["--debug"]);
    let other = place.broker(&["--trial"]);
    broker.end();
    other.end();
    let expected = owned(&[("Attest", "Verified"), ("Release", "Verified"), ("Attest", "Debug Mode")]);
    assert_eq!(place.rows(), expected);
    place.broker(&["--trial"]).end();
    assert_eq!(place.rows(), expected, "what was followed is done");
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
    let absent = place.path("absent");
    for option in ["--policy", "--ledger-key", "--nitro-root", "--evidence", "--store", "--wrapping-key"] {
        let given = |name: &str, path: &std::path::Path| {
            [name.to_owned(), text(if name == option { &absent } else { path }).to_owned()]
        };
        let all = [("--store", &store), ("--wrapping-key", &wrapping), ("--policy", &policy), ("--lake", &lake)];
        let mut arguments: Vec<String> =
            ["enclave", "broker", "--sample", "--listen", "127.0.0.1:0"].map(str::to_owned).into();
        arguments.extend(all.into_iter().chain([("--ledger-key", &ledger)]).flat_map(|(name, path)| given(name, path)));
        if !arguments.iter().any(|given| given == option) {
            arguments.extend(given(option, &absent));
        }
        let run = tarn(&arguments);
        let named = run.stderr.contains(option) && run.stderr.contains(text(&absent));
        assert!(run.code == 2 && named, "{option}: {}", run.stderr);
    }
    std::fs::write(&policy, "permit (principal, action, resource) when { context.image == \"x\" };").unwrap();
    let unfit = broker(&["--sample"]);
    assert!(unfit.code == 2 && unfit.stderr.contains("do not fit the schema"), "{}", unfit.stderr);
}

#[test]
fn what_this_program_or_machine_does_not_have_is_named() {
    let place = Place::new();
    let [sealed, out, authority, model] =
        ["model.sealed", "opened.bin", "authority.txt", "model.bin"].map(|name| place.path(name));
    let unseal = |more: &[&str]| {
        let all = ["enclave", "unseal", text(&sealed), "--broker", "http://127.0.0.1:1", "--out", text(&out)];
        tarn(&[&all[..], more].concat())
    };
    let nitro = unseal(&["--evidence", "nitro"]);
    if cfg!(feature = "nsm") {
        assert!(nitro.code == 1 && nitro.stderr.contains("/dev/nsm cannot be opened"), "{}", nitro.stderr);
    } else {
        assert!(nitro.code == 2 && nitro.stderr.contains("without the feature `nsm`"), "{}", nitro.stderr);
    }
    let both = unseal(&["--evidence", "nitro", "--authority", text(&authority)]);
    assert!(both.code == 2 && both.stderr.contains("are of simulated evidence"), "{}", both.stderr);
    let neither = unseal(&[]);
    assert!(neither.code == 2 && neither.stderr.contains("--evidence nitro"), "{}", neither.stderr);
    if !cfg!(feature = "kms") {
        let store = place.path("kms.json");
        let seal = ["enclave", "seal", text(&model), "--key", "a/b/c", "--out", text(&out), "--store", text(&store)];
        let run = tarn(&[&seal[..], &["--kms-key", "alias/models"]].concat());
        assert!(run.code == 2 && run.stderr.contains("without the feature `kms`"), "{}", run.stderr);
    }
}
