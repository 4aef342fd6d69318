//! Fields that a mapping finds by other names, in lists and in JSON columns: the stream and the tables see the same.

use crate::lowered::{Both, blocks};
use std::path::Path;
use tarn_ingest::source::Sources;
use tarn_rules::{LoadOptions, Ruleset};

/// What every source here begins with.
const SOURCE: &str = r#"
[source]
name = "mine"
version = 1
product = "mine"
vendor_name = "v"
product_name = "p"
[[recognise]]
[default]
class = "base_event"
constants = { activity_id = 0 }
"#;

/// A rule's detection fires on an event, or does not, in the stream and over tables.
fn check(mapping: &str, detection: &str, event: &str, fires: bool) {
    let text = format!(
        "title: r\nid: 4b9c2c8e-7b1d-4c0e-9b53-1d8c1f0a7e21\nlogsource: {{product: mine, service: log}}\n\
         detection: {{a: {detection}, condition: a}}\n"
    );
    let set = tarn_rules::parse(Path::new("r.yml"), &text, &LoadOptions::default());
    assert!(set.errors.is_empty(), "{text}: {:?}", set.errors);
    let sources = Sources::compile(vec![("mine".to_owned(), format!("{SOURCE}{mapping}"))]).unwrap();
    let both = Both::of(sources, Ruleset { rules: set.rules, ..Ruleset::default() });
    let fired = both.check(&format!("{detection} on {event}"), &blocks(event.as_bytes().to_vec()));
    assert_eq!(fired, usize::from(fires), "{detection} on {event}");
}

#[test]
fn an_alias_takes_every_value() {
    let mapping = r#"
[inventory]
kept = ["names"]
free = ["object"]
[[logsource]]
service = "log"
alias = { Name = "names", Path = "object.volumes.path" }
"#;
    check(mapping, r#"{Name: b}"#, r#"{"names":["a","b"]}"#, true);
    for event in [
        r#"{"object":{"volumes":[{"path":"/a"},{"path":"/b"}]}}"#,
        r#"{"object":{"volumes":[{"path":"/a"},{"path":["/c","/b"]}]}}"#,
        r#"{"object.volumes.path":"/a","object":{"volumes":{"path":"/b"}}}"#,
    ] {
        check(mapping, r#"{Path: /a}"#, event, true);
        check(mapping, r#"{Path: /b}"#, event, true);
        check(mapping, r#"{Path: /d}"#, event, false);
    }
    let placed = format!("{mapping}[fields]\nnames = \"metadata.labels\"\n");
    check(&placed, r#"{Name: b}"#, r#"{"names":["a","b"]}"#, true);
    // The rule's own name counts first, and alone.
    check(mapping, r#"{Name: b}"#, r#"{"Name":"x","names":["a","b"]}"#, false);
}

#[test]
fn a_key_that_was_renamed_away_is_no_field() {
    let mapping = r#"
[inventory]
kept = ["state"]
[[logsource]]
service = "log"
alias = { Status = "state" }
[[shape]]
name = "flat"
spread = ["."]
rename = { Status = "kind", Result = "state" }
"#;
    // The raw key is the field `kind`.
    check(mapping, r#"{Status: ok}"#, r#"{"Status":"other","Result":"ok"}"#, true);
    check(mapping, r#"{Status: other}"#, r#"{"Status":"other","Result":"ok"}"#, false);
    check(mapping, r#"{Status: other}"#, r#"{"Status":"other"}"#, false);
    check(mapping, r#"{Status.code: other}"#, r#"{"Status":{"code":"other"}}"#, false);
    let free = mapping.replace("kept = [\"state\"]", "free = [\"*\"]");
    check(&free, r#"{kind: other}"#, r#"{"Status":"other","Result":"ok"}"#, true);
    check(&free, r#"{kind.code: other}"#, r#"{"Status":{"code":"other"}}"#, true);
    check(&free, r#"{kind.code: other}"#, r#"{"Status":[{"code":"x"},{"code":"other"}]}"#, true);
    check(&free, r#"{Status.code: other}"#, r#"{"Status":{"code":"other"}}"#, false);
    check(&free, r#"{Status: other}"#, r#"{"Status":"other","Result":"ok"}"#, false);
    check(&free, r#"{Result: ok}"#, r#"{"Status":"other","Result":"ok"}"#, false);
    check(&free, r#"{Other.code: x}"#, r#"{"Other":{"code":"x"}}"#, true);
}

#[test]
fn a_shape_s_path_through_a_list_finds_every_element() {
    let mapping = r#"
[inventory]
kept = ["name", "id"]
[fields]
id = "metadata.correlation_uid"
[[logsource]]
service = "log"
[[shape]]
name = "listed"
spread = ["data", "groups.*"]
rename = { "items.name" = "name", "events.detail.id" = "id" }
"#;
    for event in [
        r#"{"items":[{"name":"a"},{"name":"b"}]}"#,
        r#"{"items":[{"name":"a"},[{"name":"b"},3],"x"]}"#,
        r#"{"data":[{"name":"a"},{"name":"b","other":1}]}"#,
        r#"{"groups":{"g":[{"name":"b"}]}}"#,
        r#"{"groups":[{"g":{"name":"a"},"h":{"name":"b"}}]}"#,
    ] {
        check(mapping, r#"{name: b}"#, event, true);
        check(mapping, r#"{name: c}"#, event, false);
    }
    let event = r#"{"events":[{"detail":{"id":"a"}},{"detail":{"id":"b"}}]}"#;
    check(mapping, r#"{id: a}"#, event, true);
    check(mapping, r#"{id: b}"#, event, true);
    check(mapping, r#"{id: b}"#, r#"{"events":{"detail":{"id":"b"}}}"#, true);
    check(mapping, r#"{id: b}"#, r#"{"events":[{"detail":{"id":"b"}}]}"#, true);
    // What no inventory names is found as well, where any name may be a field.
    let free = mapping.replace("kept =", "free = [\"*\"]\nkept =");
    check(&free, r#"{other: 1}"#, r#"{"data":[{"name":"a"},{"name":"b","other":1}]}"#, true);
    check(&free, r#"{other.x: 1}"#, r#"{"data":[{"name":"a"},{"name":"b","other":[{"x":1}]}]}"#, true);
}

#[test]
fn a_kind_is_known_by_what_a_json_column_holds() {
    let mapping = r#"
[fields]
request = "api.request.data"
[[kind]]
name = "create"
class = "api_activity"
when = { "request.type" = "create" }
fields = { user = "actor.user.name" }
[[kind]]
name = "any"
class = "api_activity"
when = { request = "*" }
fields = { user = "actor.user.uid" }
[[logsource]]
service = "log"
when = { "request.type" = ["create", "any"] }
[inventory]
free = ["request"]
kept = ["user"]
"#;
    for event in [
        r#"{"request":{"type":"create","b":1},"user":"u"}"#,
        r#"{"request":{"type":"any","b":1},"user":"u"}"#,
        r#"{"request":[{"type":"x"},{"type":"any","b":1}],"user":"u"}"#,
    ] {
        check(mapping, r#"{user: u}"#, event, true);
        check(mapping, r#"{request.b: 1}"#, event, true);
    }
    check(mapping, r#"{user: u}"#, r#"{"request":{"type":"x"},"user":"u"}"#, false);
    // Dots may be in keys where a shape says so.
    let dotted = mapping.replace("request.type", "request.type.name")
        + "[[shape]]\nname = \"dotted\"\nspread = [\".\"]\ndotted = [\"request\"]\n";
    for event in [
        r#"{"request":{"type.name":"create","a.b":1},"user":"u"}"#,
        r#"{"request":{"type":{"name":"create"},"a":{"b":1}},"user":"u"}"#,
    ] {
        check(&dotted, r#"{user: u}"#, event, true);
        check(&dotted, r#"{request.a.b: 1}"#, event, true);
    }
}

#[test]
fn a_kind_is_known_though_other_kinds_have_other_fields_in_its_column() {
    let mapping = r#"
[[kind]]
name = "request"
class = "api_activity"
when = { "request.type" = "a" }
fields = { request = "api.request.data", user = "actor.user.name" }
[[kind]]
name = "call"
class = "api_activity"
when = { call = "*" }
fields = { call = "api.request.data", user = "actor.user.uid" }
[[kind]]
name = "code"
class = "api_activity"
when = { code = "*" }
fields = { code = "api.operation", user = "actor.user.uid" }
[[kind]]
name = "name"
class = "api_activity"
when = { name = "a" }
fields = { name = "api.operation", user = "actor.user.name" }
[[kind]]
name = "other"
class = "api_activity"
when = { other = "*" }
fields = { other = "api.request.data", user = "actor.user.name" }
constants = { "api.operation" = "constant" }
[[logsource]]
service = "log"
when = { "request.type" = "a" }
[[logsource]]
service = "log"
when = { call = "*" }
[[logsource]]
service = "log"
when = { name = "*" }
[[logsource]]
service = "log"
when = { other = "*" }
[inventory]
free = ["request"]
kept = ["user"]
"#;
    let user = r#"{user: u}"#;
    for value in [r#"{"type":"a"}"#, r#"[{"type":"b"},{"type":"a"}]"#, r#""a""#] {
        check(mapping, user, &format!(r#"{{"request":{value},"user":"u"}}"#), value != r#""a""#);
        for field in ["call", "name", "other"] {
            check(mapping, user, &format!(r#"{{"{field}":{value},"user":"u"}}"#), true);
        }
        check(mapping, user, &format!(r#"{{"code":{value},"user":"u"}}"#), false);
    }
    check(mapping, r#"{request.type: a}"#, r#"{"request":{"type":"a"}}"#, true);
    check(mapping, r#"{request.type: a}"#, r#"{"call":{"type":"a"}}"#, false);
    // That its type is kept as well takes nothing from the object.
    let event = r#"{"request":{"type":"a","list":[{"b":"rest"}]},"request.flat":1}"#;
    for (detection, fires) in [
        ("{request|contains: rest}", true),
        ("{request.list.b: rest}", true),
        ("{request.flat: 1}", true),
        ("{request: a}", true),
        ("{request: 1}", false),
    ] {
        check(mapping, detection, event, fires);
    }
}

#[test]
fn fields_are_compared_in_events_of_the_rules_log_source() {
    let rule = |id: u8, category: &str, test: &str| {
        format!(
            "title: r\nid: 4b9c2c8e-7b1d-4c0e-9b53-1d8c1f0a7e{id:02}\nlogsource: {{product: windows, category: {category}}}\n\
             detection: {{a: {{{test}}}, condition: a}}\n"
        )
    };
    let texts = [
        rule(1, "file_delete", "TargetFilename|fieldref: Image"),
        rule(2, "file_event", r"TargetFilename|endswith: '7.exe'"),
    ];
    let parsed = texts.map(|text| tarn_rules::parse(Path::new("r.yml"), &text, &LoadOptions::default()));
    let rules = parsed.into_iter().flat_map(|set| set.rules).collect();
    let both = Both::of(Sources::builtin().unwrap(), Ruleset { rules, ..Ruleset::default() });
    let event = |number: usize| {
        // Sysmon's deletions of files, and files that it saw made; every third is of the program itself.
        let (kind, image) =
            (if number.is_multiple_of(2) { 23 } else { 11 }, if number.is_multiple_of(3) { number } else { 0 });
        format!(
            r#"{{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":{kind},"Image":"C:\\{image}.exe","TargetFilename":"C:\\{number}.exe"}}"#
        )
    };
    let events: Vec<String> = (0..60).map(event).collect();
    let deletions_of_oneself = (0..60).filter(|number| number % 6 == 0).count();
    let made_with_seven = (0..60).filter(|number| number % 2 == 1 && number % 10 == 7).count();
    let fired = both.check("compared", &blocks(events.join("\n").into_bytes()));
    assert_eq!(fired, deletions_of_oneself + made_with_seven);
}
