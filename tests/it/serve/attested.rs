//! A finding on a pod says whether its image was attested: in the alert, over HTTP and in `tarn findings show`.

use super::daemon::Daemon;
use crate::command::tarn;
use crate::lineage::{admitted, digest, verified};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const RULE: &str = "title: Exec Into Pod
id: 6a2c7d0e-3b0f-4a53-9f4e-0c5c2c2d9b12
status: test
description: Somebody runs a command in a pod.
logsource:
  product: kubernetes
  service: audit
detection:
  selection:
    objectRef.subresource: exec
  condition: selection
level: high
";

/// The bodies of a webhook's requests, all of which are answered with success.
fn webhook() -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, bodies) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let send = send.clone();
            std::thread::spawn(move || -> Option<()> {
                let mut reader = BufReader::new(stream.try_clone().ok()?);
                loop {
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).ok()? == 0 {
                            return None;
                        }
                        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().ok()?;
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).ok()?;
                    send.send(serde_json::from_slice(&body).ok()?).ok()?;
                    write!(stream, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").ok()?;
                }
            });
        }
    });
    (port, bodies)
}

/// Records of now: alerts look back for a month.
fn now(mut record: Value) -> Value {
    record["time"] = json!(chrono::Utc::now().timestamp_millis() - 60_000);
    record
}

fn exec(pod: &str) -> String {
    let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": format!("exec-{pod}"),
        "stage": "ResponseComplete", "requestURI": format!("/api/v1/namespaces/ml/pods/{pod}/exec?command=id"), "verb": "create",
        "user": {"username": "kim"}, "sourceIPs": ["192.0.2.7"], "userAgent": "kubectl",
        "objectRef": {"resource": "pods", "namespace": "ml", "name": pod, "apiVersion": "v1", "subresource": "exec"},
        "responseStatus": {"metadata": {}, "code": 101}, "requestReceivedTimestamp": time, "stageTimestamp": time,
    });
    format!("{event}\n")
}

#[test]
fn a_finding_on_a_pod_says_whether_its_image_was_attested() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("exec.yml"), RULE).unwrap();
    let (port, bodies) = webhook();
    let alerts = format!(
        "{{ sinks.hook = {{ kind = 'webhook', url = 'http://127.0.0.1:{port}/x', plain_http = true, \
         allow_networks = ['127.0.0.0/8'] }}, routes = [{{ name = 'all', sinks = ['hook'] }}] }}"
    );
    let over = [("TARN_SERVE__ALERTS", alerts.as_str()), ("TARN_SERVE__RULES", "['exec.yml']")];
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    let records = [
        admitted(1, "app-1", 1, true),
        verified(1, "provenance", 1, true),
        admitted(2, "app-2", 1, true),
        admitted(3, "app-3", 1, true),
        verified(3, "provenance", 1, false),
    ];
    let lines: String = records.into_iter().map(|record| now(record).to_string() + "\n").collect();
    assert_eq!(daemon.post("/v1/ingest/ocsf", &lines).status, 200);
    daemon.wait("the records", |d| d.metric("tarn_visible_sequence") == d.metric("tarn_log_last_sequence"));
    let url = format!("http://{}", daemon.address);
    for (pod, verdict, of, reason) in [
        ("app-1", "attested", json!(digest(1)), "Verified"),
        ("app-2", "unattested", json!(digest(2)), "no record of a verification"),
        ("app-3", "unattested", json!(digest(3)), "Signature Invalid"),
        ("app-4", "unknown", Value::Null, "no record says which image it is of"),
    ] {
        assert_eq!(daemon.post("/v1/ingest", &exec(pod)).status, 200);
        let told = bodies.recv_timeout(Duration::from_secs(30)).unwrap();
        let alert = &told["data"]["alerts"][0];
        let image = &alert["attestation"][0];
        let found = (&image["verdict"], &image["digest"], &image["reason"]);
        assert_eq!(found, (&json!(verdict), &of, &json!(reason)), "{pod}: {alert}");
        assert_eq!(
            image["record"].is_string(),
            reason == "Verified" || reason == "Signature Invalid",
            "{pod}: {image}"
        );

        let uid = alert["uid"].as_str().unwrap();
        daemon.wait("the finding", |d| d.get(&format!("/v1/findings/{uid}")).status == 200);
        let shown: Value = serde_json::from_str(&daemon.get(&format!("/v1/findings/{uid}")).body).unwrap();
        assert_eq!(shown["attestation"], json!([image]), "{pod}: {shown}");
        let run = tarn(&["findings", "show", uid, "--url", &url]).ok();
        let line = format!("{} {verdict}: {reason}", of.as_str().unwrap_or("image"));
        assert!(run.stderr.contains(&line), "{pod}: {}", run.stderr);
    }
    assert!(daemon.stop());
}
