//! Days that share files: each is hunted through as if it had one of its own.

use super::{Folder, check_same, findings};
use crate::command::{tarn, text};
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn days_that_share_files_are_hunted_through_day_by_day() {
    let folder = Folder::of_days(&[9, 10, 12, 13, 17, 18], 60);
    let (lake, rules, state) = (folder.path("lake"), folder.path("rules.yml"), folder.path("state"));
    let shared = lake.join("tables/api_activity/event_day=1970-01-01");
    assert_eq!(std::fs::read_dir(shared).unwrap().count(), 1, "four days in one file");

    let streamed = findings(&folder.detect(&rules));
    let whole = findings(&folder.hunt(&rules, &[]).ok());
    assert!(whole.len() > 10, "{}", whole.len());
    check_same(&whole, &streamed);

    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma");
    let streamed = findings(&folder.detect(&pack));
    check_same(&findings(&folder.hunt(&pack, &[]).ok()), &streamed);
    let days = 1_773_100_800_000..1_773_360_000_000_i64;
    let found = findings(&folder.hunt(&pack, &["--since", "2026-03-10", "--until", "2026-03-13"]).ok());
    let of_days = streamed.values().filter(|f| {
        let seen = ["first_seen_time", "last_seen_time"].map(|time| f["finding_info"][time].as_i64().unwrap());
        seen.iter().all(|time| days.contains(time))
    });
    assert_eq!(found.len(), of_days.count());
    assert!(!found.is_empty() && found.len() < streamed.len());

    // Some days now, some later: none twice, none left out.
    let mut parts = BTreeMap::new();
    for until in [&["--until", "2026-03-11"][..], &["--until", "2026-03-13"], &["--until", "2026-03-13"], &[]] {
        let part = findings(&folder.hunt(&rules, &[&["--resume", text(&state)], until].concat()).ok());
        assert!(part.keys().all(|uid| !parts.contains_key(uid)), "a day is hunted through once");
        parts.extend(part);
    }
    let closed = |f: &serde_json::Value| f["rule"]["title"] != "Failures, then nothing much";
    let closed = |all: BTreeMap<String, _>| all.into_iter().filter(|(_, f)| closed(f)).collect::<BTreeMap<_, _>>();
    check_same(&closed(parts), &closed(whole));

    let days = "SELECT event_day, count(*) AS n FROM sigma('listed') GROUP BY 1 ORDER BY 1";
    let days = tarn(&["sql", "--lake", text(&lake), "--rules", text(&rules), "--format", "ndjson", days]).ok().rows();
    let days: Vec<&str> = days.iter().map(|row| row["event_day"].as_str().unwrap()).collect();
    assert_eq!(days, [9, 10, 12, 13, 17, 18].map(|day| format!("2026-03-{day:02}")));
}
