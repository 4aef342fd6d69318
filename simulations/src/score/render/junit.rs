//! JUnit XML for CI: a suite a platform, a case a technique. Not detected is a failure, not run is skipped; false alarms in
//! the benign part are a case of their own.

use crate::score::{Scorecard, Technique};
use chrono::Utc;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;

/// The document.
///
/// **Errors**: what writing XML says.
pub fn document(card: &Scorecard) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("tarn simulate");
    report.set_timestamp(card.run.started.with_timezone(&Utc));
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for technique in &card.techniques {
        let platform = technique.platform.as_str();
        suites.entry(platform).or_insert_with(|| TestSuite::new(platform)).add_test_case(case(technique));
    }
    report.add_test_suites(suites.into_values());
    if let Some(alarms) = &card.false_alarms {
        let mut case = TestCase::new("no false alarms", TestCaseStatus::success());
        if !alarms.is_empty() {
            let lines: Vec<String> =
                alarms.iter().map(|a| format!("{} × {} ({})", a.findings, a.title, a.level)).collect();
            case.status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            case.status.set_message(format!("{} rules fired on benign records", alarms.len()));
            case.status.set_description(lines.join("\n"));
        }
        let mut suite = TestSuite::new("background");
        suite.add_test_case(case);
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(technique: &Technique) -> TestCase {
    let mut status = match &technique.outcome {
        None => TestCaseStatus::skipped(),
        Some(outcome) if outcome.detected => TestCaseStatus::success(),
        Some(_) => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    match &technique.outcome {
        None => drop(status.set_message(technique.skipped.clone().unwrap_or_default())),
        Some(outcome) if outcome.detected => {}
        Some(outcome) => {
            let attack = technique.attack.join(", ");
            status.set_message(format!("{}: no rule for {attack} fired at medium or above", technique.verdict()));
            let fired = outcome.rules.iter().map(|r| format!("{} ({}) fired", r.title, r.level));
            status.set_description(fired.collect::<Vec<_>>().join("\n"));
        }
    }
    let mut case = TestCase::new(technique.id.as_str(), status);
    case.set_classname(format!("tarn.simulate.{}", technique.platform));
    if let Some(latency) = technique.outcome.as_ref().and_then(|o| o.latency_ms) {
        case.set_time(std::time::Duration::from_millis(latency.unsigned_abs()));
    }
    case
}
