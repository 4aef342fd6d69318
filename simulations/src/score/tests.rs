#![allow(clippy::unwrap_used)]
use super::*;
use chrono::TimeDelta;
use serde_json::Value;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms)
}

fn trial(id: &str, attack: &str, expected: &[&str], records: &[(&str, i64)]) -> Trial {
    Trial {
        id: id.into(),
        name: format!("Name of {id} | <b>"),
        platform: "AWS".into(),
        attack: vec![attack.into()],
        expected: expected.iter().map(|s| (*s).to_owned()).collect(),
        ran: !records.is_empty(),
        records: records.len(),
        uids: records.iter().map(|(uid, ms)| ((*uid).to_owned(), at(*ms))).collect(),
        skipped: None,
    }
}

fn finding(uid: &str, rule: &str, level: Level, attack: &str, events: &[&str], ms: i64) -> Finding {
    Finding {
        uid: uid.into(),
        rule: rule.into(),
        title: format!("Title of {rule}"),
        level,
        attack: vec![attack.into()],
        events: events.iter().map(|s| (*s).to_owned()).collect(),
        seen: at(ms),
    }
}

fn run() -> Run {
    Run { id: "r1".into(), kind: "replay".into(), started: at(0), ended: at(9_000) }
}

pub(crate) fn card() -> Scorecard {
    let trials = [
        trial("stop", "T1562.008", &["r-stop"], &[("a1", 1_000), ("a2", 3_000)]),
        trial("burst", "T1555.006", &["r-none"], &[("b1", 1_000), ("b2", 2_000)]),
        trial("quiet", "T1526", &[], &[("c1", 0)]),
        trial("low", "T1580", &[], &[("d1", 0)]),
        trial("never", "T1496", &["r-x"], &[]),
    ];
    let findings = [
        finding("f1", "r-stop", Level::High, "T1685.002", &["a1"], 1_250),
        finding("f2", "r-stop", Level::High, "T1685.002", &["a2"], 3_100),
        finding("f3", "r-other", Level::Low, "T1078", &["a2"], 3_050),
        // A correlation over both records of the trial, and one that is about something else.
        finding("f4", "r-other", Level::Medium, "T1078", &["b1", "b2"], 2_600),
        finding("f5", "r-low", Level::Low, "T1580", &["d1"], 10),
        finding("f6", "r-noise", Level::Medium, "T1526", &["x1"], 10),
        finding("f7", "r-quiet", Level::Low, "T1526", &["x2"], 10),
        finding("f8", "r-noise", Level::Critical, "T1526", &["somebody else's"], 10),
    ];
    let background = Background { records: 100, uids: ["x1", "x2"].map(str::to_owned).into() };
    score(run(), &trials, &findings, Some(&background))
}

#[test]
fn techniques_are_judged_by_the_findings_on_their_records() {
    let card = card();
    let verdicts: Vec<_> = card.techniques.iter().map(Technique::verdict).collect();
    assert_eq!(verdicts, ["detected", "other", "missed", "named", "not run"]);
    let stop = card.techniques[0].outcome.as_ref().unwrap();
    assert_eq!((stop.latency_ms, stop.duplicates, stop.expected), (Some(250), 1, Some(true)));
    assert_eq!((stop.rules.len(), stop.rules[0].findings, stop.rules[0].matched), (2, 2, true));
    let burst = card.techniques[1].outcome.as_ref().unwrap();
    assert_eq!((burst.latency_ms, burst.expected, burst.matched), (Some(600), Some(false), false));
    let low = card.techniques[3].outcome.as_ref().unwrap();
    assert_eq!((low.latency_ms, low.expected, low.detected), (None, None, false));
}

#[test]
fn totals_count_what_ran_and_false_alarms_are_of_the_background() {
    let card = card();
    let shares = [card.totals.detected, card.totals.matched, card.totals.seen, card.totals.expected];
    assert_eq!(shares.map(|s| (s.count, s.of)), [(1, 4), (2, 4), (3, 4), (1, 2)]);
    assert_eq!((card.totals.latency_ms_median, card.totals.latency_ms_max), (Some(250), Some(600)));
    assert_eq!(card.totals.false_alarms, Some(1));
    let alarms = card.false_alarms.as_ref().unwrap();
    assert_eq!((alarms.len(), alarms[0].rule.as_str(), alarms[0].findings), (1, "r-noise", 1));
    assert!(card.is_under(25.1) && !card.is_under(25.0));
}

#[test]
fn where_nothing_ran_nothing_is_said() {
    let card = score(run(), &[trial("never", "T1496", &[], &[])], &[], None);
    let json: Value = serde_json::from_str(&render::json::document(&card).unwrap()).unwrap();
    assert!(json["totals"]["detected"]["percent"].is_null() && json["totals"]["false_alarms"].is_null());
    assert!(json["techniques"][0]["outcome"].is_null() && json["totals"]["latency_ms_median"].is_null());
    assert!(card.is_under(1.0) && !card.is_under(0.0));
    assert_eq!(render::navigator::layer(&card)["techniques"], serde_json::json!([]));
}

#[test]
fn the_layer_is_of_format_4_5() {
    let layer = render::navigator::layer(&card());
    assert_eq!((&layer["versions"]["layer"], &layer["domain"]), (&"4.5".into(), &"enterprise-attack".into()));
    let of =
        |id: &str| layer["techniques"].as_array().unwrap().iter().find(|t| t["techniqueID"] == id).unwrap().clone();
    assert_eq!((of("T1685.002")["score"].as_f64(), of("T1526")["score"].as_f64()), (Some(100.0), Some(0.0)));
    assert_eq!(of("T1685.002")["comment"], "stop: detected");
    assert_eq!(of("T1685")["showSubtechniques"], true);
    let known =
        ["techniqueID", "tactic", "comment", "enabled", "score", "color", "metadata", "links", "showSubtechniques"];
    for technique in layer["techniques"].as_array().unwrap() {
        assert!(technique.as_object().unwrap().keys().all(|k| known.contains(&k.as_str())), "{technique}");
    }
}

#[test]
fn junit_fails_what_was_missed_and_skips_what_did_not_run() {
    let xml = render::junit::document(&card()).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((report.tests, report.failures), (6, 4));
    assert_eq!(xml.matches(r#"<skipped message="nothing ran"/>"#).count(), 1, "{xml}");
    assert!(xml.contains("no rule for T1555.006 fired at medium or above"), "{xml}");
}

#[test]
fn the_report_escapes_what_others_wrote() {
    let report = render::markdown::report(&card());
    assert!(report.contains("Name of stop \\| \\<b\\>"), "{report}");
    assert!(report.contains("| detected | Title of r-stop (high) × 2<br>"), "{report}");
    assert!(report.contains("detected: 1 of 4, 25.0 %"), "{report}");
    let rows = render::table::rows(&card());
    assert_eq!((rows.len(), &rows[4]["latency_ms"], &rows[0]["rule"]), (5, &Value::Null, &"Title of r-stop".into()));
}
