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
        ("A: 1.0", r#"{"A":1.0}"#, true),
        ("A: 18446744073709551615", r#"{"A":"18446744073709551615"}"#, true),
        ("A: 2026-03-17", r#"{"A":"2026-03-17"}"#, true),
        ("A: yes", r#"{"A":"yes"}"#, true),
        ("A: 0123", r#"{"A":"0123"}"#, true),
        ("A: ''", r#"{"A":" "}"#, false),
        ("A: ''", r#"{"A":null}"#, false),
        ("A: '?'", r#"{"A":""}"#, false),
        ("A: '?*'", r#"{"A":"x"}"#, true),
        ("A|contains: ''", r#"{"A":"x"}"#, true),
        ("A: [x, null]", r#"{}"#, true),
        ("A: null", r#"{"A":["x",null]}"#, true),
        ("A: x", r#"{"A":[]}"#, false),
        ("A: Straße", r#"{"A":"STRAßE"}"#, true),
        ("A|contains: ΑΣ", r#"{"A":"xασx"}"#, true),
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
        (r"A: '\\srv\x'", r#"{"A":"\\srv\\x"}"#, true),
        (r"A: 'a\\\*'", r#"{"A":"a\\*"}"#, true),
        (r"A: 'a\\\*'", r#"{"A":"a\\b"}"#, false),
        (r"A: 'a\?'", r#"{"A":"a?"}"#, true),
        (r"A: 'a\?'", r#"{"A":"ab"}"#, false),
        (r"A: 'a\'", r#"{"A":"a\\"}"#, true),
        (r"A: 'a\\\b'", r#"{"A":"a\\\\b"}"#, true),
        (r"A|contains: '\*'", r#"{"A":"a*b"}"#, true),
        (r"A|contains: '\*'", r#"{"A":"ab"}"#, false),
        (r"A|startswith: 'a\\*'", r#"{"A":"a\\bc"}"#, true),
        ("A: 'a**c'", r#"{"A":"ac"}"#, true),
        ("A: '*a?c*'", r#"{"A":"xxaäcxx"}"#, true),
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
        ("A|minute|neq: 5", r#"{"A":"2026-03-17T23:06:00Z"}"#, true),
        ("A|week: 12", r#"{"A":"2026-03-17 23:05:00"}"#, true),
        ("A|month: [1, 3]", r#"{"A":1773788700}"#, true),
        ("A|day|lt: 17", r#"{"A":"2026-03-17T23:05:00Z"}"#, false),
        ("A|neq: [5, 6]", r#"{"A":6}"#, false),
        ("A|neq: [5, 6]", r#"{"A":7}"#, true),
        ("A|neq: foo", r#"{"A":"FOO"}"#, false),
        ("A|neq: foo", r#"{"A":["foo","bar"]}"#, false),
        ("A|contains|neq: foo", r#"{"A":"bar"}"#, true),
        ("A|contains|all|neq: [f, o]", r#"{"A":"f"}"#, true),
        ("A|fieldref|neq: B", r#"{"A":"x","B":"y"}"#, true),
        ("A|fieldref|neq: B", r#"{"A":"x"}"#, false),
        ("A|fieldref|startswith: B", r#"{"A":"xyz","B":"XY"}"#, true),
        ("A: 1.50", r#"{"A":1.5}"#, true),
        ("A: 1.50", r#"{"A":"1.50"}"#, true),
        ("A: 1e3", r#"{"A":1000}"#, true),
        ("A: '1.50'", r#"{"A":"1.5"}"#, false),
        ("A|gt: 9007199254740992", r#"{"A":9007199254740993}"#, true),
        ("A|gte: 18446744073709551615", r#"{"A":"18446744073709551614"}"#, false),
        ("A|day: 17", r#"{"A":"2026-03-17"}"#, true),
        ("A|hour: 0", r#"{"A":"2026-03-17"}"#, false),
        ("A|minute: 5", r#"{"A":"2026-03-17 23:05"}"#, true),
        ("A|hour: 23", r#"{"A":"1773788709.5"}"#, true),
        ("A|hour: 23", r#"{"A":1773788709500000}"#, true),
        ("A|hour: 22", r#"{"A":"17/Mar/2026:23:05:09 +0100"}"#, true),
        ("A|windash|contains: 'start/b'", r#"{"A":"x start-b"}"#, true),
        ("A|re: 'x{abc}'", r#"{"A":"x{abc}"}"#, true),
        ("A|fieldref|contains: B", r#"{"A":"xyz","B":"Y"}"#, true),
        ("A|gt: 9007199254740992", r#"{"A":"9007199254740994"}"#, true),
        ("A|gt: -1", r#"{"A":"-0.5"}"#, true),
        ("A|lt: 5", r#"{"A":"abc"}"#, false),
        ("A|cidr: [10.0.0.0/8, '192.168.1.1']", r#"{"A":"192.168.1.1"}"#, true),
        ("A|cidr: 'fe80::/10'", r#"{"A":"10.1.1.1"}"#, false),
        ("A|re|contains: 'b+'", r#"{"A":"abbc"}"#, true),
        ("A|re|startswith: 'b+|c'", r#"{"A":"abbc"}"#, false),
        ("A|re|endswith: 'b+|c'", r#"{"A":"abbc"}"#, true),
        ("A|re|i|s: 'x.Y'", r#"{"A":"X\ny"}"#, true),
        ("A|re: 'x.y'", r#"{"A":"x\ny"}"#, false),
        ("A|re: '(?i)x'", r#"{"A":"X"}"#, true),
        (r"A|re: '\d{2}\\'", r#"{"A":"12\\"}"#, true),
        ("A|re: '^4'", r#"{"A":42}"#, true),
        ("A|re|expand: '^%admins%$'", r#"{"A":"root"}"#, true),
        (r"A|expand: '\%admins%'", r#"{"A":"%admins%"}"#, true),
        ("A|expand: 'x-%admins%-y'", r#"{"A":"X-administrator-Y"}"#, true),
        ("A: '%admins%'", r#"{"A":"root"}"#, false),
        ("A|expand|cased|contains: '%admins%'", r#"{"A":"xROOTx"}"#, false),
        ("A|utf16be|base64: foo", r#"{"A":"AGYAbwBv"}"#, true),
        ("A|utf16le|base64: foo", r#"{"A":"ZgBvAG8A"}"#, true),
        ("A|utf16|base64: foo", r#"{"A":"//5mAG8AbwA="}"#, true),
        ("A|base64|cased: foo", r#"{"A":"zm9v"}"#, false),
        ("A|wide|contains: hi", r#"{"A":"xh\u0000i\u0000"}"#, true),
        ("A|windash: '-a /b'", "{\"A\":\"/A \u{2013}B\"}", true),
        ("A|windash|contains|all: ['-a', ' -b']", r#"{"A":"x /a -b"}"#, true),
        ("A|windash|contains: 'a-b'", r#"{"A":"a/b"}"#, true),
        ("A|endswith|windash: ' -s*x'", r#"{"A":"cmd /super x"}"#, true),
        ("A|contains|cased|all: [a, B]", r#"{"A":"aB"}"#, true),
        ("A|contains|cased|all: [a, B]", r#"{"A":"ab"}"#, false),
        ("A|exists: false", r#"{"A":null}"#, false),
        ("A|exists: true", r#"{"A":""}"#, true),
    ] {
        assert_eq!(item(i, event), expected, "{i} on {event}");
    }
}

#[test]
fn modifiers_that_come_too_late_are_errors() {
    for item in [
        "A|contains|base64: foo",
        "A|contains|re: x",
        "A|i|re: x",
        "A|re|cased: x",
        "A|startswith|fieldref: B",
        "A|base64|expand: '%x%'",
        "A|gt: '5'",
        "A|exists: 'true'",
        "A|base64: 5",
        "A|expand: '%two words%'",
    ] {
        let yaml =
            format!("title: t\nlogsource: {{product: x}}\ndetection:\n    s:\n        {item}\n    condition: s\n");
        let set = parse(Path::new("t.yml"), &yaml, &LoadOptions::default());
        assert!(set.rules.is_empty() && set.errors.len() == 1, "{item}");
    }
}

#[test]
fn conditions() {
    let detection = |condition: &str| {
        format!(
            "    sel_a:\n        A: 1\n    sel_b:\n        B: 1\n    sel_c:\n        C: 1\n    _x:\n        X: 1\n    keywords:\n        - needle\n        - 'a*z'\n    condition: {condition}"
        )
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
        ("keywords", r#"{"any":"xa to zz"}"#, true),
        ("keywords", r#"{"any":"z to a"}"#, false),
        ("keywords", r#"{"any":["x","a NEEDLE"]}"#, true),
        ("any of sel_*", r#"{"B":1}"#, true),
        ("1 of *_b", r#"{"B":1}"#, true),
        ("all of s*l_a*", r#"{"A":1}"#, true),
        ("1 of _*", r#"{"X":1}"#, true),
        ("_x", r#"{"X":1}"#, true),
        ("1 of sel_* and not 1 of filter_*", r#"{"B":1}"#, true),
        ("((sel_a and (sel_b)) or not ((not sel_c)))", r#"{"C":1}"#, true),
        ("[sel_a, sel_b and sel_c]", r#"{"A":1}"#, true),
        ("[sel_a, sel_b and sel_c]", r#"{"B":1}"#, false),
    ] {
        assert_eq!(fires(&detection(condition), event), expected, "{condition} on {event}");
    }
}

#[test]
fn lists_of_maps_are_alternatives_and_lists_of_keywords_with_all_are_not() {
    assert!(fires("    s:\n        - A: 1\n          B: 2\n        - C: 3\n    condition: s", r#"{"C":3}"#));
    assert!(!fires("    s:\n        - A: 1\n          B: 2\n        - C: 3\n    condition: s", r#"{"A":1}"#));
    let mixed = "    s:\n        - A: 1\n        - word\n        - [B: 2, C: 3]\n    condition: s";
    assert!(fires(mixed, r#"{"x":"the words"}"#) && fires(mixed, r#"{"C":3}"#) && !fires(mixed, r#"{"A":2}"#));
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
        ("    s:\n        A: 1\n    condition: all of x_*", "x_*"),
        ("    s:\n        A: 1\n    condition: s | count() > 3", "t.yml:6:"),
        ("    s:\n        A|contians: 1\n    condition: s", "t.yml:5:"),
        ("    s:\n        A|contians: 1\n    condition: s", "contians"),
        ("    s:\n        A|base64: 'a*b'\n    condition: s", "wildcards"),
        ("    s:\n        A|exists: maybe\n    condition: s", "neither"),
        ("    s:\n        A|cidr|contains: 10.0.0.0/8\n    condition: s", "alone"),
        ("    s:\n        A|re: '(?=x)'\n    condition: s", "look-around"),
        ("    s:\n        A|contains: [x, null]\n    condition: s", "null"),
        ("    s:\n        A: {b: c}\n    condition: s", "a value is"),
        ("    s:\n        A: []\n    condition: s", "empty list"),
        ("    s: {}\n    condition: s", "empty mapping"),
        ("    s:\n        A|utf16: x\n    condition: s", "base64"),
        ("    s:\n        '|exists': true\n    condition: s", "field"),
        ("    s:\n        A|gt|lt: 1\n    condition: s", "exclude"),
        ("    s:\n        A|i: 1\n    condition: s", "follow re"),
        ("    s:\n        A: 1", "no condition"),
        ("    condition: s", "no selection"),
    ] {
        let yaml = format!("title: t\nlogsource: {{product: x}}\ndetection:\n{detection}\n");
        let set = parse(Path::new("t.yml"), &yaml, &LoadOptions::default());
        assert!(
            set.rules.is_empty() && set.errors[0].to_string().to_lowercase().contains(expected),
            "{:?}",
            set.errors
        );
    }
}

#[test]
fn collections_and_filters() {
    let yaml = "title: base\naction: global\nlogsource: {product: x}\nlevel: high\n---\ntitle: one\nid: 6f3e2987-db24-4c78-a860-b4f4095a7095\ndetection:\n    s:\n        A: 1\n    condition: s\n---\ntitle: two\ndetection:\n    s:\n        A: 2\n    condition: s\n---\naction: reset\n---\ntitle: not us\nlogsource: {product: x}\nfilter:\n    rules:\n        - 6f3e2987-db24-4c78-a860-b4f4095a7095\n    ok:\n        U: me\n    condition: not ok\n";
    let set = parse(Path::new("c.yml"), yaml, &LoadOptions::default());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    assert_eq!((set.rules.len(), set.filters.len()), (2, 1));
    assert_eq!(set.filters[0].applied_to, ["6f3e2987-db24-4c78-a860-b4f4095a7095"]);
    let event = |user: &str| {
        Event::from([("A".to_owned(), Value::Text("1".into())), ("U".to_owned(), Value::Text(user.into()))])
    };
    let one = set.rules.iter().find(|r| r.about.title == "one").unwrap();
    assert!(holds(&one.condition, &event("you")) && !holds(&one.condition, &event("me")));
}

#[test]
fn repeat_and_reset() {
    let yaml = "action: global\ntitle: t\nlogsource: {product: x}\n---\nid: a\ndetection:\n    s:\n        A: 1\n    condition: s\n---\naction: repeat\nid: b\ndetection:\n    s:\n        A: 2\n---\naction: reset\n---\nid: c\ntitle: c\ndetection:\n    s: {A: 3}\n    condition: s\n";
    let set = parse(Path::new("c.yml"), yaml, &LoadOptions::default());
    assert_eq!(
        set.rules.iter().map(|r| (r.about.id.as_str(), r.condition.to_string())).collect::<Vec<_>>(),
        [("a", "A = \"1\"".to_owned()), ("b", "A = \"2\"".to_owned())]
    );
    assert!(set.errors.len() == 1 && set.errors[0].reason.contains("logsource"), "{:?}", set.errors);
}

#[test]
fn filters_go_by_log_source_and_say_what_they_missed() {
    let rule = |id: &str, source: &str| {
        format!("title: {id}\nid: {id}\nlogsource: {{{source}}}\ndetection:\n    s: {{A: 1}}\n    condition: s\n---\n")
    };
    let filter = |rules: &str, source: &str| {
        format!(
            "title: f\nlogsource: {{{source}}}\nfilter:\n    rules: {rules}\n    ok: {{U: me}}\n    condition: not ok\n---\n"
        )
    };
    let text = [
        filter("any", "product: windows"),
        rule("a", "product: windows, category: process_creation"),
        rule("b", "product: linux"),
        filter("[a, nobody]", "product: windows, service: security"),
        filter("b", "product: linux"),
    ];
    let set = parse(Path::new("f.yml"), &text.concat(), &LoadOptions::default());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    let applied: Vec<_> = set.filters.iter().map(|f| (f.applied_to.join(","), f.unknown.join(","))).collect();
    let expected = [("a", ""), ("", "a,nobody"), ("b", "")];
    assert_eq!(applied, expected.map(|(a, u)| (a.to_owned(), u.to_owned())));
}

#[test]
fn correlations_are_read_and_attack_tags() {
    let yaml = "title: many\nname: many\ncorrelation:\n    type: event_count\n    rules: [a]\n    group-by: [user]\n    timespan: 5m\n    condition: {gte: 10}\n---\ntitle: a\nname: a\ntags: [attack.t1059.001, attack.execution, attack.command-and-control, attack.g0016, cve.2021-1]\nlogsource: {product: x}\nlevel: urgent\ndetection:\n    s: {A: 1}\n    condition: s\n";
    let set = parse(Path::new("c.yml"), yaml, &LoadOptions::default());
    assert_eq!(set.correlations[0].timespan_us, 300_000_000);
    let rule = &set.rules[0];
    assert_eq!(rule.about.attack.techniques, ["T1059.001"]);
    assert_eq!(rule.about.attack.tactics, [("TA0002", "Execution"), ("TA0011", "Command and Control")]);
    assert!(rule.about.line == 10 && rule.about.warnings.iter().any(|w| w.contains("urgent")), "{rule:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in "(title: t\n|logsource: \\{product: x\\}\n|detection:\n|  s: |  condition: s\n|A\\|re: \\(\n|[ -~\n]{1,20}){0,12}") {
        parse(Path::new("t.yml"), &text, &LoadOptions::default());
    }
}
