//! The specification, case by case: a detection, an event, whether it fires.

use std::path::Path;
use tarn_rules::reference::{Event, Value, holds};
use tarn_rules::{LoadOptions, parse};

fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::String(s) => Value::Text(s.clone()),
        serde_json::Value::Array(list) => Value::List(list.iter().map(value).collect()),
        other => Value::Text(other.to_string()),
    }
}

fn fires(detection: &str, event: &str) -> bool {
    let yaml = format!("title: t\nlogsource: {{product: x}}\ndetection:\n{detection}\n");
    let mut options = LoadOptions::default();
    options.placeholders.insert("admins".into(), vec!["root".into(), "adm*".into()]);
    let set = parse(Path::new("t.yml"), &yaml, &options);
    assert!(set.errors.is_empty(), "{:?}\n{yaml}", set.errors);
    let event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(event).unwrap();
    let event: Event = event.iter().map(|(k, v)| (k.clone(), value(v))).collect();
    holds(&set.rules[0].condition, &event)
}

/// One selection of one item.
fn item(item: &str, event: &str) -> bool {
    fires(&format!("    s:\n        {item}\n    condition: s"), event)
}

#[test]
fn values_and_case() {
    for (i, event, expected) in [
        ("A: Foo", r#"{"A":"fOO"}"#, true),
        ("A|cased: Foo", r#"{"A":"fOO"}"#, false),
        ("A: 1", r#"{"A":1}"#, true),
        ("A: '1'", r#"{"A":1}"#, true),
        ("A: 1", r#"{"A":"1"}"#, true),
        ("A: true", r#"{"A":true}"#, true),
        ("A: ''", r#"{"A":""}"#, true),
        ("A: ''", r#"{}"#, false),
        ("A: null", r#"{}"#, true),
        ("A: null", r#"{"A":null}"#, true),
        ("A: null", r#"{"A":""}"#, false),
        ("A: [x, y]", r#"{"A":"y"}"#, true),
        ("A: y", r#"{"A":["x","Y"]}"#, true),
        ("A: ÄÖ", r#"{"A":"äö"}"#, true),
    ] {
        assert_eq!(item(i, event), expected, "{i} on {event}");
    }
}

#[test]
fn wildcards_and_escapes() {
    for (i, event, expected) in [
        ("A: 'a*c'", r#"{"A":"abbc"}"#, true),
        ("A: 'a?c'", r#"{"A":"abbc"}"#, false),
        (r"A: 'a\*c'", r#"{"A":"abc"}"#, false),
        (r"A: 'a\*c'", r#"{"A":"a*c"}"#, true),
        (r"A: 'C:\Windows\x'", r#"{"A":"C:\\Windows\\x"}"#, true),
        (r"A: '\\\\srv\x'", r#"{"A":"\\\\srv\\x"}"#, true),
        (r"A: 'a\\*'", r#"{"A":"a\\zzz"}"#, true),
        (r"A|endswith: '\x.exe'", r#"{"A":"C:\\X.EXE"}"#, true),
        ("A|contains|all: [a, b]", r#"{"A":"xbxa"}"#, true),
        ("A|contains|all: [a, b]", r#"{"A":"xbx"}"#, false),
        ("A|startswith: ab", r#"{"A":"ABC"}"#, true),
        ("A: '*'", r#"{"A":""}"#, true),
        ("A: '*'", r#"{}"#, false),
        ("A|contains: 'a*b'", r#"{"A":"xaxxby"}"#, true),
    ] {
        assert_eq!(item(i, event), expected, "{i} on {event}");
    }
}

#[test]
fn modifiers() {
    for (i, event, expected) in [
        ("A|re: '^x[0-9]+$'", r#"{"A":"x12"}"#, true),
        ("A|re: '^x'", r#"{"A":"X"}"#, false),
        ("A|re|i: '^x'", r#"{"A":"X"}"#, true),
        ("A|re|m: '^b$'", r#"{"A":"a\nb"}"#, true),
        ("A|cidr: 10.0.0.0/8", r#"{"A":"10.2.3.4"}"#, true),
        ("A|cidr: 'fe80::/10'", r#"{"A":"fe80::1"}"#, true),
        ("A|cidr: 10.0.0.0/8", r#"{"A":"no"}"#, false),
        ("A|gt: 5", r#"{"A":"5.5"}"#, true),
        ("A|lte: 5", r#"{"A":6}"#, false),
        ("A|neq: 5", r#"{"A":6}"#, true),
        ("A|neq: 5", r#"{}"#, false),
        ("A|exists: true", r#"{"A":null}"#, true),
        ("A|exists: false", r#"{"B":1}"#, true),
        ("A|fieldref: B", r#"{"A":"x","B":"X"}"#, true),
        ("A|fieldref|endswith: B", r#"{"A":"axe","B":"xe"}"#, true),
        ("A|fieldref: B", r#"{"A":"x"}"#, false),
        ("A|base64: foo", r#"{"A":"Zm9v"}"#, true),
        ("A|base64offset|contains: 'http://'", r#"{"A":"xIaHR0cDovL2V4"}"#, true),
        ("A|wide|base64offset|contains: 'ping'", r#"{"A":"cABpAG4AZwAgAA=="}"#, true),
        ("A|windash|contains: ' -enc'", r#"{"A":"x /enc y"}"#, true),
        ("A|windash|contains: ' -enc'", "{\"A\":\"x \u{2014}enc y\"}", true),
        ("A|expand: '%admins%'", r#"{"A":"admin2"}"#, true),
        ("A|hour|gte: 22", r#"{"A":"2026-03-17T23:05:00Z"}"#, true),
        ("A|hour: 4", r#"{"A":"2026-03-17T23:05:00Z"}"#, false),
        ("A|year: 2026", r#"{"A":"2026-03-17T23:05:00Z"}"#, true),
    ] {
        assert_eq!(item(i, event), expected, "{i} on {event}");
    }
}

#[test]
fn conditions() {
    let detection = |condition: &str| {
        format!("    sel_a:\n        A: 1\n    sel_b:\n        B: 1\n    sel_c:\n        C: 1\n    _x:\n        X: 1\n    keywords:\n        - needle\n        - 'a*z'\n    condition: {condition}")
    };
    for (condition, event, expected) in [
        ("1 of sel_*", r#"{"B":1}"#, true),
        ("all of sel_*", r#"{"A":1,"B":1,"C":1}"#, true),
        ("all of sel_*", r#"{"A":1,"B":1}"#, false),
        ("2 of sel_*", r#"{"A":1,"C":1}"#, true),
        ("2 of sel_*", r#"{"C":1}"#, false),
        ("1 of them", r#"{"X":1}"#, false),
        ("sel_a and not (sel_b or sel_c)", r#"{"A":1}"#, true),
        ("sel_a and not sel_b", r#"{"A":1,"B":1}"#, false),
        ("not sel_a", r#"{}"#, true),
        ("keywords", r#"{"any":"a NEEDLE here"}"#, true),
        ("keywords", r#"{"needle":"no"}"#, false),
        ("keywords", r#"{"any":"a to z"}"#, true),
        ("keywords", r#"{"any":"xa to z"}"#, false),
    ] {
        assert_eq!(fires(&detection(condition), event), expected, "{condition} on {event}");
    }
}

#[test]
fn lists_of_maps_are_alternatives_and_lists_of_keywords_with_all_are_not() {
    assert!(fires("    s:\n        - A: 1\n          B: 2\n        - C: 3\n    condition: s", r#"{"C":3}"#));
    assert!(!fires("    s:\n        - A: 1\n          B: 2\n        - C: 3\n    condition: s", r#"{"A":1}"#));
    let all = "    k:\n        '|all':\n            - one\n            - two\n    condition: k";
    assert!(fires(all, r#"{"a":"two","b":"one"}"#));
    assert!(!fires(all, r#"{"a":"two"}"#));
}

#[test]
fn mistakes_are_errors_that_name_the_place() {
    for (detection, expected) in [
        ("    s:\n        A: 1\n    condition: t", "\"t\""),
        ("    s:\n        A|re: '('\n    condition: s", "a|re"),
        ("    s:\n        A|cidr: x\n    condition: s", "network"),
        ("    s:\n        A|expand: '%nobody%'\n    condition: s", "nobody"),
        ("    s:\n        A|gt: x\n    condition: s", "number"),
        ("    s:\n        A: 1\n    condition: 1 of x_*", "x_*"),
    ] {
        let yaml = format!("title: t\nlogsource: {{product: x}}\ndetection:\n{detection}\n");
        let set = parse(Path::new("t.yml"), &yaml, &LoadOptions::default());
        assert!(set.rules.is_empty() && set.errors[0].to_string().to_lowercase().contains(expected), "{:?}", set.errors);
    }
}

#[test]
fn collections_and_filters() {
    let yaml = "title: base\naction: global\nlogsource: {product: x}\nlevel: high\n---\ntitle: one\nid: 6f3e2987-db24-4c78-a860-b4f4095a7095\ndetection:\n    s:\n        A: 1\n    condition: s\n---\ntitle: two\ndetection:\n    s:\n        A: 2\n    condition: s\n---\naction: reset\n---\ntitle: not us\nlogsource: {product: x}\nfilter:\n    rules:\n        - 6f3e2987-db24-4c78-a860-b4f4095a7095\n    ok:\n        U: me\n    condition: not ok\n";
    let set = parse(Path::new("c.yml"), yaml, &LoadOptions::default());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    assert_eq!((set.rules.len(), set.filters), (2, 1));
    let event = |user: &str| Event::from([("A".to_owned(), Value::Text("1".into())), ("U".to_owned(), Value::Text(user.into()))]);
    let one = set.rules.iter().find(|r| r.title == "one").unwrap();
    assert!(holds(&one.condition, &event("you")) && !holds(&one.condition, &event("me")));
}
