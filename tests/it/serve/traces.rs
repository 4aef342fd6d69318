//! The daemon's own traces, told by a daemon that takes them in.

use super::daemon::{Daemon, event, request};
use crate::command::{tarn, text};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn spans_of_one_daemon_are_rows_of_another() {
    let (folder, collecting) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let collector = Daemon::start(collecting.path(), &[]).unwrap();
    let endpoint = format!("'http://{}/v1/traces'", collector.address);
    let daemon = Daemon::start(folder.path(), &[("TARN_SERVE__TRACES__ENDPOINT", &endpoint)]).unwrap();
    assert_eq!(daemon.post("/v1/ingest", &event("e1", 21)).status, 200);
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nContent-Type: text/plain\r\n";
    assert_eq!(request(daemon.address, "POST", "/v1/sql", parent, "SELECT 1").unwrap().status, 200);
    daemon.wait("the commit", |d| d.metric("tarn_committed_sequence") == d.metric("tarn_log_last_sequence"));
    // The rest of its spans goes out as it ends.
    assert!(daemon.stop());
    assert!(collector.stop());
    let lake = collecting.path().join("lake");
    let rows = |sql: &str| tarn(&["sql", "--lake", text(&lake), sql]).ok().rows();
    let names = rows("SELECT DISTINCT json_get(raw_data, 'name') AS name FROM base_event");
    let names: BTreeSet<&str> = names.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["commit", "detect", "map", "query"]));
    // A request goes on with its sender's trace, and what it asks for is part of it.
    let requests = "SELECT http_request.url.path AS path, http_response.code AS code FROM http_activity WHERE trace.uid = \
                    '0af7651916cd43dd8448eb211c80319c'";
    assert_eq!(rows(requests), [json!({ "path": "/v1/sql", "code": 200 })]);
    let query = "SELECT count(*) AS n FROM base_event WHERE json_get(raw_data, 'name') = 'query' AND \
                 json_get(raw_data, 'traceId') = '0af7651916cd43dd8448eb211c80319c'";
    assert_eq!(rows(query), [json!({ "n": 1 })]);
}
