#![allow(clippy::unwrap_used)]

use super::*;
use crate::sink::config::AlertsConfig;
use crate::sink::message::sample_alert;

fn routes(text: &str) -> Result<Routes, ConfigError> {
    let config: AlertsConfig = toml::from_str(text).unwrap();
    Routes::new(&config.routes, &["a", "b", "c"].into())
}

fn sinks(text: &str, alert: &Alert) -> Option<Vec<String>> {
    let routes = routes(text).unwrap();
    Some(routes.of(alert)?.iter().map(|(route, sink)| format!("{}>{sink}", route.name)).collect())
}

#[test]
fn routes_are_tried_in_order() {
    let text = r#"
        routes = [
            { name = "noise", rules = ["noise*"], sinks = [] },
            { name = "worst", severity_min = "critical", sinks = ["a"], continue = true },
            { name = "exec", tags = ["attack.t1059*"], sinks = ["b", "a"] },
            { name = "admins", entities = ["user:admin*"], sinks = ["c"], continue = true },
            { name = "rest", severity_min = "low", sinks = ["b"] },
        ]"#;
    let mut alert = sample_alert();
    alert.severity = Severity::Critical;
    alert.tags = vec!["attack.t1059.001".into()];
    assert_eq!(sinks(text, &alert), Some(vec!["worst>a".into(), "exec>b".into()]));
    alert.tags.clear();
    alert.severity = Severity::Low;
    alert.entities[0] = Entity { kind: Kind::User, value: "Admin7".into(), field: "user.name".into(), column: true };
    assert_eq!(sinks(text, &alert), Some(vec!["admins>c".into(), "rest>b".into()]));
    alert.severity = Severity::Informational;
    alert.entities.clear();
    assert_eq!(sinks(text, &alert), None);
    alert.rule.title = "Noise of the day".into();
    assert_eq!(sinks(text, &alert), Some(vec![]));
}

#[test]
fn entities_are_asked_for_where_they_or_a_sink_may_need_them() {
    let alert = sample_alert();
    let asks = |text: &str| routes(text).unwrap().ask_for_entities(&alert);
    assert!(!asks("routes = []"));
    assert!(!asks(r#"routes = [{ name = "none", sinks = [] }, { name = "all", sinks = ["a"] }]"#));
    assert!(!asks(r#"routes = [{ name = "other", rules = ["x"], sinks = ["a"] }]"#));
    assert!(asks(r#"routes = [{ name = "none", sinks = [], continue = true }, { name = "all", sinks = ["a"] }]"#));
    assert!(asks(r#"routes = [{ name = "known", entities = ["user:x"], sinks = [] }, { name = "none" }]"#));
}

#[test]
fn groups_have_values_in_common() {
    let routes = routes(r#"routes = [{ name = "r", group_by = ["rule", "user", "entity", "severity"] }]"#).unwrap();
    let values = routes.0[0].group_of(&sample_alert());
    let expected = [("rule", "r-1"), ("user", "alice"), ("user", "alice"), ("severity", "high")];
    assert_eq!(values, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn errors_name_the_key() {
    for (text, expected) in [
        (r#"routes = [{ name = "r", sinks = ["x"] }]"#, "alerts.routes[0].sinks: there is no sink \"x\""),
        (r#"routes = [{ name = "r", sinks = ["a", "a"] }]"#, "alerts.routes[0].sinks: \"a\" is there twice"),
        (r#"routes = [{ name = "r" }, { name = "r" }]"#, "alerts.routes[1].name: \"r\" is there twice"),
        (
            r#"routes = [{ name = "r r" }]"#,
            "alerts.routes[0].name: \"r r\": a name is 1 to 64 letters, digits, - and _",
        ),
        (r#"routes = [{ name = "r", group_max = 0 }]"#, "alerts.routes[0].group_max: expected 1 to 1000"),
    ] {
        assert_eq!(routes(text).unwrap_err().to_string(), expected);
    }
    assert!(toml::from_str::<AlertsConfig>(r#"routes = [{ name = "r", sink = "a" }]"#).is_err());
}
