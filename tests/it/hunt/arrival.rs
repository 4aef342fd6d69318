//! The order in which records arrived: ties of event time go by it, and a hunt replays it.

use super::{RULES, check_same, findings};
use crate::command::{Run, tarn, text};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use tarn_engine::correlation::{Correlator, Exceptions, Limits, Match};
use tarn_engine::{Engine, Matcher};
use tarn_ingest::container::Blocks;
use tarn_ingest::fields::FieldReader;
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::Sources;
use tarn_lake::{IngestOptions, Lake, StoreOptions};
use tarn_rules::LoadOptions;
use tarn_schema_ocsf::Schema;
use tarn_simulations::Day;

/// Calls, and two correlations that find them in one order only: events of two classes.
fn ordered() -> String {
    let calls = [("login", "ConsoleLogin"), ("list", "ListBuckets"), ("remove", "DeleteBucket")].map(|(name, call)| {
        format!(
            "title: {call}\nname: {name}\nlogsource: {{product: aws, service: cloudtrail}}\n\
             detection: {{selection: {{eventName: {call}}}, condition: selection}}\n"
        )
    });
    let pairs = [(LISTED, "login, list"), (REMOVED, "list, remove")].map(|(title, rules)| {
        format!(
            "title: {title}\ncorrelation: {{type: temporal_ordered, rules: [{rules}], group-by: [sourceIPAddress], \
             timespan: 1h}}\n"
        )
    });
    [calls.as_slice(), &pairs].concat().join("---\n")
}

const LISTED: &str = "Listed by who just signed in";
const REMOVED: &str = "Removed after a look";

/// What a stream forgives, microseconds of event time.
const LATENESS_US: i64 = 300_000_000;

/// Call, time, address, uid.
type Event = (&'static str, &'static str, &'static str, &'static str);

fn log(events: &[Event]) -> String {
    let line = |(name, time, address, uid): &Event| {
        let event = serde_json::json!({
            "eventVersion": "1.09", "userIdentity": {"type": "IAMUser", "userName": "alice"}, "eventTime": time,
            "eventSource": "s3.amazonaws.com", "eventName": name, "awsRegion": "eu-north-1", "sourceIPAddress": address,
            "eventID": uid, "eventType": "AwsApiCall",
        });
        format!("{event}\n")
    };
    events.iter().map(line).collect()
}

struct Folder {
    folder: tempfile::TempDir,
    logs: Vec<PathBuf>,
}

impl Folder {
    fn new(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        Self { folder, logs: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&mut self, log: &str) -> PathBuf {
        let path = self.path(&format!("log-{}.ndjson", self.logs.len()));
        std::fs::write(&path, log).unwrap();
        self.logs.push(path.clone());
        path
    }

    /// A log more, by a run of its own.
    fn ingest(&mut self, log: &str) {
        let path = self.write(log);
        tarn(&["ingest", "--lake", text(&self.path("lake")), text(&path)]).ok();
    }

    /// A log more, as releases ingested it whose rows have no arrival.
    fn ingest_without_arrival(&mut self, log: &str) {
        self.write(log);
        let mut mapper = Mapper::new(Arc::new(Sources::builtin().unwrap()), MapOptions::default());
        let mut blocks = Blocks::open(std::io::Cursor::new(log.as_bytes().to_vec()), Default::default()).unwrap();
        while let Some(block) = blocks.next_block().unwrap() {
            mapper.push(&block, None);
        }
        let lake = self.path("lake");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let lake = Lake::open_or_create(text(&lake), &StoreOptions::default()).await.unwrap();
            let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
            for (class, batch) in mapper.drain().0 {
                ingest.append(&Schema::v1_8().class(class).unwrap().table(), batch).await.unwrap();
            }
            ingest.commit().await.unwrap();
        });
    }

    fn detect(&self) -> Run {
        let logs: Vec<&str> = self.logs.iter().map(|log| text(log)).collect();
        tarn(&[&["detect", "--rules", text(&self.path("rules.yml"))], &logs[..]].concat()).ok()
    }

    fn hunt(&self, more: &[&str]) -> Run {
        tarn(&[&["hunt", "--lake", text(&self.path("lake")), "--rules", text(&self.path("rules.yml"))], more].concat())
    }

    fn sql(&self, query: &str) -> Vec<serde_json::Value> {
        tarn(&["sql", "--lake", text(&self.path("lake")), "--format", "ndjson", query]).ok().rows()
    }

    /// The uids of what correlations find in the logs, read one after the other by a stream, and what it could not take.
    fn streamed(&self) -> (BTreeSet<String>, Exceptions) {
        let set = tarn_rules::load(&[self.path("rules.yml")], &LoadOptions::default());
        let engine = Arc::new(Engine::new(Arc::new(Sources::builtin().unwrap()), set).0);
        let limits = Limits { lateness_us: Some(LATENESS_US), ..Limits::default() };
        let (mut correlator, mut found) = (Correlator::new(engine.clone(), limits), Vec::new());
        let mut reader = FieldReader::new(engine.sources().clone(), engine.request());
        let mut matcher = Matcher::new(engine.clone());
        for log in &self.logs {
            let mut blocks = Blocks::open(std::fs::File::open(log).unwrap(), Default::default()).unwrap();
            while let Some(block) = blocks.next_block().unwrap() {
                reader.read(&block, None);
                for hit in matcher.evaluate(reader.rows()) {
                    let Some(fields) = engine.captures(hit.rule) else { continue };
                    let identity = reader.identity(&block, hit.row as usize, 0);
                    let values = fields.iter().map(|name| reader.value(hit.row as usize, name)).collect();
                    let (time, uid) = (identity.time.unwrap(), identity.uid.into());
                    correlator.push(Match { rule: hit.rule, time, uid, values }, &mut found);
                }
            }
        }
        correlator.finish(&mut found);
        let shown = found.iter().filter(|c| engine.is_correlation_shown(c.correlation));
        (shown.map(|c| c.uid(&engine)).collect(), correlator.exceptions())
    }
}

/// The addresses of what a correlation found.
fn groups(run: &Run, title: &str) -> Vec<String> {
    let found = run.rows().into_iter().filter(|row| row["rule"]["title"] == title);
    let mut groups: Vec<_> =
        found.map(|row| row["correlation"]["group"]["sourceIPAddress"].as_str().unwrap().to_owned()).collect();
    groups.sort();
    groups
}

#[test]
fn equal_times_go_by_arrival() {
    let mut folder = Folder::new(&ordered());
    let noon = "2026-03-17T12:00:00Z";
    // By uid, all pairs are the other way round.
    folder.ingest(&log(&[
        ("ConsoleLogin", noon, "192.0.2.1", "f1"),
        ("ListBuckets", noon, "192.0.2.1", "01"),
        ("ListBuckets", noon, "192.0.2.2", "f2"),
        ("ConsoleLogin", noon, "192.0.2.2", "02"),
        ("ListBuckets", noon, "192.0.2.3", "f3"),
        ("DeleteBucket", noon, "192.0.2.3", "03"),
        ("DeleteBucket", noon, "192.0.2.4", "f4"),
        ("ListBuckets", noon, "192.0.2.4", "04"),
        ("ConsoleLogin", noon, "192.0.2.5", "f5"),
        ("DeleteBucket", noon, "192.0.2.6", "f6"),
    ]));
    folder.ingest(&log(&[("ListBuckets", noon, "192.0.2.5", "05"), ("ListBuckets", noon, "192.0.2.6", "06")]));
    let (streamed, hunted) = (folder.detect(), folder.hunt(&[]).ok());
    assert_eq!(groups(&streamed, LISTED), ["192.0.2.1", "192.0.2.5"]);
    assert_eq!(groups(&streamed, REMOVED), ["192.0.2.3"]);
    check_same(&findings(&hunted), &findings(&streamed));
    check_same(&findings(&folder.hunt(&["--order", "arrival"]).ok()), &findings(&streamed));
    // One number a record, increasing as they came, whatever their class and run.
    let rows = folder.sql(
        "SELECT metadata.uid AS uid, arrival FROM authentication \
         UNION ALL SELECT metadata.uid, arrival FROM api_activity ORDER BY arrival",
    );
    let uids: Vec<_> = rows.iter().map(|row| row["uid"].as_str().unwrap()).collect();
    assert_eq!(uids, ["f1", "01", "f2", "02", "f3", "03", "f4", "04", "f5", "f6", "05", "06"]);
    assert!(rows.windows(2).all(|w| w[0]["arrival"].as_i64() < w[1]["arrival"].as_i64()), "{rows:?}");
    // It is no part of a record.
    let exported = tarn(&["ocsf", "export", "--lake", text(&folder.path("lake"))]).ok();
    assert!(exported.rows().len() == 12 && !exported.stdout.contains("arrival"), "{}", exported.stdout);
}

#[test]
fn a_replay_is_late_where_the_stream_was() {
    let mut folder = Folder::new(&ordered());
    folder.ingest(&log(&[
        // Out of order by less than 300 s.
        ("ListBuckets", "2026-03-17T12:04:00Z", "192.0.2.1", "01"),
        ("ConsoleLogin", "2026-03-17T12:00:00Z", "192.0.2.1", "f1"),
        // By more: the listing comes when a later event was there.
        ("ConsoleLogin", "2026-03-17T12:01:00Z", "192.0.2.2", "f2"),
        ("DeleteBucket", "2026-03-17T12:10:00Z", "192.0.2.9", "f9"),
        ("ListBuckets", "2026-03-17T12:02:00Z", "192.0.2.2", "02"),
        // Over midnight.
        ("ListBuckets", "2026-03-18T00:00:10Z", "192.0.2.3", "03"),
        ("ConsoleLogin", "2026-03-17T23:59:50Z", "192.0.2.3", "f3"),
    ]));
    // Another run brings what is older, and a next day.
    folder.ingest(&log(&[
        ("ConsoleLogin", "2026-03-17T13:00:00Z", "192.0.2.4", "f4"),
        ("ListBuckets", "2026-03-17T13:01:00Z", "192.0.2.4", "04"),
        ("ConsoleLogin", "2026-03-18T08:00:00Z", "192.0.2.5", "f5"),
        ("ListBuckets", "2026-03-18T08:00:00Z", "192.0.2.5", "05"),
    ]));
    let (expected, exceptions) = folder.streamed();
    assert_eq!((expected.len(), exceptions.late), (3, 3));
    let replayed = folder.hunt(&["--order", "arrival"]).ok();
    assert_eq!(groups(&replayed, LISTED), ["192.0.2.1", "192.0.2.3", "192.0.2.5"]);
    assert_eq!(findings(&replayed).into_keys().collect::<BTreeSet<_>>(), expected);
    assert!(replayed.stderr.contains("3 matches came too late"), "{}", replayed.stderr);
    // In event time, nothing is late.
    let (hunted, detected) = (folder.hunt(&[]).ok(), folder.detect());
    assert_eq!(groups(&hunted, LISTED).len(), 5);
    assert!(!hunted.stderr.contains("late"), "{}", hunted.stderr);
    check_same(&findings(&hunted), &findings(&detected));
    // A span is replayed as if there were no other events.
    let part = folder.hunt(&["--order", "arrival", "--until", "2026-03-17T14:00:00Z"]).ok();
    assert_eq!(groups(&part, LISTED), ["192.0.2.1", "192.0.2.4"]);
    assert!(part.stderr.contains("1 matches came too late"), "{}", part.stderr);
    let refused = folder.hunt(&["--order", "arrival", "--resume", text(&folder.path("state"))]);
    assert!(refused.code == 2 && refused.stderr.contains("has no --resume"), "{}", refused.stderr);
}

#[test]
fn a_replay_of_shuffled_days_is_their_stream() {
    let mut lines: Vec<String> = Vec::new();
    for day in [17, 18] {
        let date = NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
        lines.extend(Day::new(date, 4_000, u64::from(day)).map(|event| event.json + "\n"));
    }
    // Some come a little later than others, some by hours.
    let mut lines: Vec<(usize, String)> = lines.into_iter().enumerate().collect();
    lines.sort_by_key(|(at, _)| match at % 11 {
        0 | 4 => at + 2,
        7 => at + 150,
        _ => *at,
    });
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    let mut folder = Folder::new(RULES);
    for log in lines.chunks(lines.len() / 3 + 1) {
        folder.ingest(&log.concat());
    }
    let (expected, exceptions) = folder.streamed();
    assert!(expected.len() > 10 && exceptions.late > 10, "{} {exceptions:?}", expected.len());
    let replayed = folder.hunt(&["--order", "arrival"]).ok();
    assert_eq!(findings(&replayed).into_keys().collect::<BTreeSet<_>>(), expected);
    let late = format!("{} matches came too late", exceptions.late);
    assert!(replayed.stderr.contains(&late), "{late}: {}", replayed.stderr);
    check_same(&findings(&folder.hunt(&[]).ok()), &findings(&folder.detect()));
}

#[test]
fn a_lake_of_an_earlier_release_is_hunted_and_grows() {
    let mut folder = Folder::new(&ordered());
    folder.ingest_without_arrival(&log(&[
        ("ListBuckets", "2026-03-17T12:01:00Z", "192.0.2.1", "01"),
        ("ConsoleLogin", "2026-03-17T12:00:00Z", "192.0.2.1", "f1"),
        ("ListBuckets", "2026-03-17T12:02:00Z", "192.0.2.2", "02"),
    ]));
    let columns = |folder: &Folder| -> BTreeMap<String, String> {
        let rows = folder.sql("DESCRIBE api_activity");
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(&row["column_name"]), text(&row["data_type"]))).collect()
    };
    assert!(!columns(&folder).contains_key("arrival"));
    check_same(&findings(&folder.hunt(&[]).ok()), &findings(&folder.detect()));
    let refused = folder.hunt(&["--order", "arrival"]);
    assert!(refused.code == 2 && refused.stderr.contains("up to 2026-03-17 do not say"), "{}", refused.stderr);

    // What comes now has an arrival; equal times go after the rows without.
    folder.ingest(&log(&[
        ("DeleteBucket", "2026-03-17T12:02:00Z", "192.0.2.2", "00"),
        ("ConsoleLogin", "2026-03-18T12:00:00Z", "192.0.2.3", "f3"),
        ("ListBuckets", "2026-03-18T12:00:00Z", "192.0.2.3", "03"),
    ]));
    assert_eq!(columns(&folder)["arrival"], "int64");
    let hunted = folder.hunt(&[]).ok();
    assert_eq!(groups(&hunted, REMOVED), ["192.0.2.2"]);
    check_same(&findings(&hunted), &findings(&folder.detect()));
    let refused = folder.hunt(&["--order", "arrival"]);
    assert!(refused.code == 2 && refused.stderr.contains("up to 2026-03-17 do not say"), "{}", refused.stderr);
    let later = folder.hunt(&["--order", "arrival", "--since", "2026-03-18"]).ok();
    assert_eq!(groups(&later, LISTED), ["192.0.2.3"]);
}
