//! `tarn bench`: lanes are reproducible and repeat nothing.

use crate::command::{data, tarn, tarn_reading, text};
use std::collections::HashSet;

fn lines(text: &str) -> HashSet<&str> {
    text.lines().collect()
}

#[test]
fn a_lane_is_made_of_a_seed() {
    for log in ["windows", "cloudtrail", "kubernetes"] {
        let arguments = ["bench", "lane", "--log", log, "--events", "500", "--seed", "3"];
        let lane = tarn(&arguments).ok();
        assert_eq!((lane.rows().len(), lines(&lane.stdout).len()), (500, 500), "{log}");
        assert_eq!(lane.stdout, tarn(&arguments).ok().stdout);
        let other = tarn(&["bench", "lane", "--log", log, "--events", "500", "--seed", "4"]).ok();
        assert!(lines(&lane.stdout).is_disjoint(&lines(&other.stdout)), "{log}");
    }
}

#[test]
fn a_lane_grows_from_a_sample_in_a_file_or_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let (sample, out) = (folder.path().join("sample.ndjson"), folder.path().join("lane.ndjson"));
    let made = tarn(&["bench", "lane", "--events", "60", "--out", text(&sample)]).ok();
    assert!(made.stdout.is_empty() && made.stderr.starts_with("60 events"), "{}", made.stderr);
    tarn(&["bench", "lane", text(&sample), "--events", "2000", "--out", text(&out)]).ok();
    let (sample, lane) = (std::fs::read_to_string(&sample).unwrap(), std::fs::read_to_string(&out).unwrap());
    assert!(lane.starts_with(&sample));
    assert_eq!(lines(&lane).len(), 2_000);
    let piped = tarn_reading(&["bench", "lane", "-", "--events", "2000"], sample.as_bytes()).ok();
    assert_eq!(piped.stdout, lane);
    // Without a number, a sample is as it is.
    assert_eq!(tarn_reading(&["bench", "lane", "-"], sample.as_bytes()).ok().stdout, sample);
}

#[test]
fn a_lane_of_real_events_repeats_none() {
    let Some(data) = data() else { return };
    let sample = data.join("windows/security-datasets-20k.ndjson.gz");
    let folder = tempfile::tempdir().unwrap();
    let lane = folder.path().join("lane.ndjson");
    tarn(&["bench", "lane", text(&sample), "--events", "30000", "--out", text(&lane)]).ok();
    let lane = std::fs::read_to_string(&lane).unwrap();
    assert_eq!(lines(&lane).len(), 30_000);
    assert!(lane.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn what_cannot_be_a_lane_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let absent = tarn(&["bench", "lane", "no-such.ndjson", "--events", "5"]);
    assert_eq!(absent.code, 2);
    assert!(absent.stderr.contains("no-such.ndjson"), "{}", absent.stderr);
    assert_eq!(tarn(&["bench", "lane", "--events", "0"]).code, 2);
    let empty = tarn_reading(&["bench", "lane", "-", "--events", "5"], b"");
    assert_eq!((empty.code, empty.stdout.as_str()), (2, ""), "{}", empty.stderr);
    let alike = tarn_reading(&["bench", "lane", "-", "--events", "50"], b"{\"EventID\":1,\"up\":true}\n");
    assert_eq!(alike.code, 1);
    assert!(alike.stderr.contains("no more than 1 distinct"), "{}", alike.stderr);
    let nowhere = tarn(&["bench", "lane", "--events", "5", "--out", text(&folder.path().join("no/lane"))]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);
}
