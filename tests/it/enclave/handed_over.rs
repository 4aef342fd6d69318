//! `tarn enclave broker --to`: the daemon over the lake makes the rows, so that its rules see attempts as they come.

use super::owned;
use super::place::Place;
use crate::serve::daemon::Daemon;
use serde_json::json;

#[test]
fn attempts_are_handed_to_a_daemon_once_and_alert() {
    let place = Place::new();
    let rules = format!("['{}']", concat!(env!("CARGO_MANIFEST_DIR"), "/rules/sigma/trust"));
    // What it has, nobody else sees before it stops.
    let own = [
        ("TARN_SERVE__RULES", rules.as_str()),
        ("TARN_SERVE__EVIDENCE__LEDGER_KEY", "evidence.key"),
        ("TARN_SERVE__COMMIT__SECONDS", "3600"),
    ];
    let daemon = Daemon::start(&place.path(""), &own).unwrap();
    let url = format!("http://{}", daemon.address);
    let broker = place.broker(&["--trial", "--to", &url]);
    place.unseal(&broker, &[]).ok();
    assert_eq!(place.unseal(&broker, &["--debug"]).code, 1);
    daemon.finds("Environment in Debug Mode Asked for a Key");
    broker.end();
    // Whoever follows the ledger next hands over nothing that is there.
    place.broker(&["--trial", "--to", &url]).end();
    assert!(daemon.stop());
    let mut expected = owned(&[("Attest", "Verified"), ("Release", "Verified"), ("Attest", "Debug Mode")]);
    assert_eq!(place.rows(), expected);
    let audit = place.audit();
    assert_eq!((&audit[0]["result"], &audit[0]["leaves"]), (&json!("whole"), &json!(3)));

    // A daemon that has gone stops no release: the records are leaves, and the next broker makes their rows.
    let broker = place.broker(&["--trial", "--to", &url]);
    let opened = place.unseal(&broker, &[]).ok();
    assert_eq!(place.records(&opened).len(), 2);
    broker.kill();
    assert_eq!(place.rows(), expected);
    place.broker(&["--trial"]).end();
    expected.extend(owned(&[("Attest", "Verified"), ("Release", "Verified")]));
    assert_eq!(place.rows(), expected);
}

#[test]
fn an_address_that_is_none_is_named() {
    let place = Place::new();
    let mut command = place.broker_command(&["--to", "ftp://example.com"]);
    command.arg("--store").arg(place.path("keys.json")).arg("--wrapping-key").arg(place.path("wrapping.key"));
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && words.contains("--to: expected http://"), "{words}");
}
