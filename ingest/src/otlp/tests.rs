#![allow(clippy::unwrap_used)]
use super::*;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;

fn sources() -> Sources {
    Sources::builtin().unwrap()
}

fn of_json(text: &str) -> Result<Block, OtlpError> {
    logs(text.as_bytes(), Encoding::Json, Some(&sources()), &Limits::default())
}

fn one(record: &str) -> Result<Block, OtlpError> {
    of_json(&format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#))
}

/// The members of the only record, behind those that all have.
fn check(record: &str, expected: &str) {
    let block = one(record).unwrap();
    let text = block.json(&block.records[0]);
    let head = r#"{"otlpSignal":"log","resource":{},"scope":{}"#;
    assert_eq!(text.strip_prefix(head).unwrap(), expected, "{record}");
}

fn record(value: Value) -> LogRecord {
    LogRecord { body: Some(AnyValue { value: Some(value) }), ..LogRecord::default() }
}

fn protobuf(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

#[test]
fn json_is_read_as_the_specification_says() {
    check("{}", "}");
    // 64-bit integers as strings and as numbers; those that are written as doubles.
    check(r#"{"timeUnixNano":"1544712660300000000"}"#, r#","timeUnixNano":1544712660300000000}"#);
    check(r#"{"timeUnixNano":1544712660300000000}"#, r#","timeUnixNano":1544712660300000000}"#);
    check(r#"{"timeUnixNano":1e3,"flags":1.0}"#, r#","timeUnixNano":1000,"flags":1}"#);
    check(r#"{"body":{"intValue":"-9223372036854775808"}}"#, r#","body":-9223372036854775808}"#);
    check(r#"{"body":{"intValue":7}}"#, r#","body":7}"#);
    // Ids in hexadecimal digits of either case.
    check(
        r#"{"traceId":"5B8EFFF798038103d269b633813fc60c","spanId":""}"#,
        r#","traceId":"5b8efff798038103d269b633813fc60c"}"#,
    );
    // Unknown members, in every place; names with escapes; snake_case is unknown.
    check(
        r#"{"new":{"a":[1]},"body":{"new":1,"stringValue":"x","more":{}},"severity_text":"INFO"}"#,
        r#","body":"x"}"#,
    );
    check(r#"{"\u0062ody":{"stringValue":"x"}}"#, r#","body":"x"}"#);
    // null is nothing.
    check(r#"{"body":null,"attributes":null,"timeUnixNano":null,"severityText":null}"#, "}");
    check(r#"{"body":{"stringValue":null}}"#, r#","body":null}"#);
    check(r#"{"body":{}}"#, r#","body":null}"#);
    // Bytes in either alphabet, padded or not.
    for text in ["-_8=", "+/8=", "-_8", "+/8"] {
        let body = format!(r#"{{"body":{{"bytesValue":"{text}"}}}}"#);
        check(&body, r#","body":{"bytesValue":"+/8="}}"#);
    }
    check(r#"{"body":{"doubleValue":"NaN"}}"#, r#","body":{"doubleValue":"NaN"}}"#);
    check(r#"{"body":{"doubleValue":"-Infinity"}}"#, r#","body":{"doubleValue":"-Infinity"}}"#);
    check(r#"{"body":{"doubleValue":1}}"#, r#","body":1.0}"#);
    check(r#"{"body":{"boolValue":false}}"#, r#","body":false}"#);
    check(
        r#"{"body":{"arrayValue":{"values":[{"stringValue":"a\n"},{"kvlistValue":{"values":[{"key":"k"}]}}]}}}"#,
        r#","body":["a\n",{"k":null}]}"#,
    );
    check(
        r#"{"attributes":[{"key":"a","value":{"intValue":1}},{"key":"a","value":{"intValue":2}}],"severityNumber":9}"#,
        r#","severityNumber":9,"attributes":{"a":1,"a":2}}"#,
    );
}

#[test]
fn what_is_no_such_message_is_an_error() {
    let error = |record: &str| one(record).unwrap_err().to_string();
    assert_eq!(
        error(r#"{"severityNumber":"SEVERITY_NUMBER_INFO"}"#),
        "LogRecord.severityNumber: expected an integer in its range"
    );
    assert_eq!(error(r#"{"timeUnixNano":-1}"#), "LogRecord.timeUnixNano: expected an integer in its range");
    assert_eq!(error(r#"{"timeUnixNano":"1.5"}"#), "LogRecord.timeUnixNano: expected an integer in its range");
    assert_eq!(error(r#"{"traceId":"xyz"}"#), "LogRecord.traceId: expected a string of hexadecimal digits");
    assert_eq!(error(r#"{"body":"text"}"#), "LogRecord.body: expected an object");
    assert_eq!(error(r#"{"body":{"doubleValue":"inf"}}"#), "AnyValue.doubleValue: expected a number");
    assert_eq!(error(r#"{"attributes":{}}"#), "LogRecord.attributes: expected an array");
    assert_eq!(error(r#"{"body":{"boolValue":"true"}}"#), "AnyValue.boolValue: expected a boolean");
    for text in ["", "[]", "{", "{}x", "null", "\u{0}"] {
        assert!(matches!(of_json(text), Err(OtlpError::Json { .. })), "{text}");
    }
    let broken = |bytes: &[u8]| logs(bytes, Encoding::Protobuf, None, &Limits::default()).unwrap_err();
    for bytes in [&b"\x0a\xff"[..], b"\x0a", b"\x0b", b"hello", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
        assert!(matches!(broken(bytes), OtlpError::Protobuf { .. }), "{bytes:?}");
    }
    // A string that is no UTF-8.
    assert!(matches!(broken(b"\x0a\x03\x1a\x01\xff"), OtlpError::Protobuf { .. }));
}

#[test]
fn both_encodings_give_the_same_records() {
    let attribute = |key: &str, value| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    };
    let list = KeyValueList { values: vec![attribute("deep", Value::IntValue(-1))] };
    let full = LogRecord {
        time_unix_nano: 1_773_743_400_123_456_789,
        severity_number: 9,
        attributes: vec![attribute("a", Value::KvlistValue(list)), attribute("b", Value::BytesValue(vec![0, 255]))],
        trace_id: vec![0x5b; 16],
        event_name: "started".into(),
        dropped_attributes_count: 3,
        flags: 1,
        ..record(Value::StringValue("grüße".into()))
    };
    let block = logs(&protobuf(vec![full]), Encoding::Protobuf, None, &Limits::default()).unwrap();
    let same =
        one(r#"{"timeUnixNano":"1773743400123456789","severityNumber":9,"body":{"stringValue":"grüße"},"attributes":[
            {"key":"a","value":{"kvlistValue":{"values":[{"key":"deep","value":{"intValue":"-1"}}]}}},
            {"key":"b","value":{"bytesValue":"AP8="}}],"droppedAttributesCount":3,"flags":1,
            "traceId":"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b","eventName":"started"}"#)
        .unwrap();
    assert_eq!(block.json, same.json);
}

#[test]
fn limits_hold() {
    let deep = |levels| {
        (0..levels).fold(Value::IntValue(1), |value, _| {
            Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(value) }] })
        })
    };
    let default = Limits::default();
    let take = |value, limits: &Limits| logs(&protobuf(vec![record(value)]), Encoding::Protobuf, None, limits);
    assert!(take(deep(40), &default).is_ok());
    assert_eq!(take(deep(5_000), &default).unwrap_err(), OtlpError::TooDeep { limit: 96 });
    let nested = format!("{{\"body\":{}1{}}}", r#"{"arrayValue":{"values":["#.repeat(60), "]}}".repeat(60));
    assert!(matches!(one(&nested), Err(OtlpError::TooDeep { .. } | OtlpError::Json { .. })));

    let empty = protobuf(vec![LogRecord::default(); 11]);
    let few = |limits: Limits| logs(&empty, Encoding::Protobuf, None, &limits).unwrap_err();
    assert_eq!(few(Limits { records_max: 10, ..default }), OtlpError::TooManyRecords { limit: 10 });
    assert_eq!(few(Limits { messages_max: 12, ..default }), OtlpError::TooManyValues { limit: 12 });
    assert_eq!(few(Limits { bytes_max: 400, ..default }), OtlpError::TooLarge { limit: 400 });

    // One record too long and one with too many attributes beside one that is sound.
    let long = record(Value::StringValue("x".repeat(2_000)));
    let many = LogRecord { attributes: vec![KeyValue::default(); 4], ..LogRecord::default() };
    let limits = Limits { attributes_max: 3, record_bytes_max: 1_000, dead_letter_bytes_max: 50, ..default };
    let bytes = protobuf(vec![long, many, record(Value::IntValue(1))]);
    let block = logs(&bytes, Encoding::Protobuf, None, &limits).unwrap();
    assert_eq!(block.records.iter().map(|r| r.number).collect::<Vec<_>>(), [3]);
    assert_eq!(block.dead.iter().map(|d| (d.number, d.bytes.len())).collect::<Vec<_>>(), [(1, 50), (2, 50)]);
}

/// The event in the only record, and whether the record's whole text is its original.
fn event(record: &str) -> String {
    let block = one(record).unwrap();
    let span = &block.records[0];
    assert!(block.original(span).starts_with(r#"{"otlpSignal":"log","#));
    block.json(span).to_owned()
}

#[test]
fn events_of_known_sources_are_found() {
    let trail = r#"{"eventSource":"iam.amazonaws.com","eventName":"CreateUser"}"#;
    let text = serde_json::to_string(trail).unwrap();
    assert_eq!(event(&format!(r#"{{"body":{{"stringValue":{text}}}}}"#)), trail);
    // As attributes, and as a key-value list.
    let members = r#"[{"key":"eventSource","value":{"stringValue":"iam.amazonaws.com"}},{"key":"eventName","value":{"stringValue":"CreateUser"}}]"#;
    assert_eq!(event(&format!(r#"{{"attributes":{members}}}"#)), trail);
    assert_eq!(event(&format!(r#"{{"body":{{"kvlistValue":{{"values":{members}}}}}}}"#)), trail);
    // The Collector's journald receiver moves the time to the record.
    let journal = r#"{"timeUnixNano":"1773743400123456789","body":{"kvlistValue":{"values":[{"key":"MESSAGE","value":{"stringValue":"hi"}},{"key":"_HOSTNAME","value":{"stringValue":"web-1"}}]}}}"#;
    assert_eq!(event(journal), r#"{"MESSAGE":"hi","_HOSTNAME":"web-1","__REALTIME_TIMESTAMP":"1773743400123456"}"#);
    let line =
        event(r#"{"body":{"stringValue":"Mar 17 10:30:00 web-1 sshd[42]: Connection closed by 10.0.0.7 port 22"}}"#);
    assert!(line.starts_with(r#"{"syslog_format":"rfc3164""#), "{line}");
    let iso = event(r#"{"body":{"stringValue":"2026-03-17T10:30:00.1+00:00 web-1 sshd[42]: hello"}}"#);
    assert!(iso.starts_with(r#"{"syslog_format":"iso""#), "{iso}");
    // Its Windows Event Log receiver has names of its own.
    let text = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
    let list = |key: &str, members: &[String]| {
        format!(r#"{{"key":"{key}","value":{{"kvlistValue":{{"values":[{}]}}}}}}"#, members.join(","))
    };
    let number = |key: &str, value: u32| format!(r#"{{"key":"{key}","value":{{"intValue":"{value}"}}}}"#);
    let element = format!(r#"{{"kvlistValue":{{"values":[{}]}}}}"#, text("TargetUserName", "anna"));
    let data = format!(r#"{{"key":"data","value":{{"arrayValue":{{"values":[{element}]}}}}}}"#);
    let members = [
        text("channel", "Security"),
        list("event_id", &[number("id", 4624), number("qualifiers", 0)]),
        list("provider", &[text("name", "Microsoft-Windows-Security-Auditing")]),
        number("record_id", 7),
        list("event_data", &[data]),
    ];
    let windows = event(&format!(r#"{{"body":{{"kvlistValue":{{"values":[{}]}}}}}}"#, members.join(",")));
    assert_eq!(
        windows,
        r#"{"Channel":"Security","EventID":4624,"Provider_Name":"Microsoft-Windows-Security-Auditing","EventRecordID":7,"TargetUserName":"anna"}"#
    );
    // Any other JSON and any other text stay what they are.
    for text in [r#"{\"level\":\"info\"}"#, "2026-03-17T10:30:00Z INFO started", "{", "{} x"] {
        let kept = event(&format!(r#"{{"body":{{"stringValue":"{text}"}}}}"#));
        assert!(kept.starts_with(r#"{"otlpSignal":"log""#), "{kept}");
    }
}

#[test]
fn spans_keep_all_that_they_have() {
    let request = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}],"droppedAttributesCount":1,
        "entityRefs":[{"type":"host","idKeys":["host.id"]}]},"schemaUrl":"r","scopeSpans":[{"scope":{"name":"n","version":"v","attributes":[{"key":"a"}]},"schemaUrl":"c",
        "spans":[{"traceId":"0102","spanId":"03","parentSpanId":"04","traceState":"k=v","flags":257,"name":"GET","kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2",
        "events":[{"timeUnixNano":"3","name":"e","droppedAttributesCount":4}],"links":[{"traceId":"05","spanId":"06","flags":1}],
        "droppedEventsCount":5,"droppedLinksCount":6,"status":{"code":2,"message":"m"}}]}]}]}"#;
    let block = spans(request.as_bytes(), Encoding::Json, &Limits::default()).unwrap();
    let expected = r#"{"otlpSignal":"span","resource":{"service.name":"s"},"resourceDroppedAttributesCount":1,"resourceEntityRefs":[{"type":"host","idKeys":["host.id"],"descriptionKeys":[]}],"resourceSchemaUrl":"r","scope":{"name":"n","version":"v","attributes":{"a":null}},"scopeSchemaUrl":"c","traceId":"0102","spanId":"03","traceState":"k=v","parentSpanId":"04","flags":257,"name":"GET","kind":2,"startTimeUnixNano":1,"endTimeUnixNano":2,"events":[{"timeUnixNano":3,"name":"e","droppedAttributesCount":4}],"droppedEventsCount":5,"links":[{"traceId":"05","spanId":"06","flags":1}],"droppedLinksCount":6,"status":{"code":2,"message":"m"}}"#;
    assert_eq!(*block.json, expected);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".*".prop_map(Value::StringValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        any::<Vec<u8>>().prop_map(Value::BytesValue),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let some = |value| AnyValue { value: Some(value) };
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(move |v| Value::ArrayValue(ArrayValue { values: v.into_iter().map(some).collect() })),
            prop::collection::vec((".*", inner), 0..3).prop_map(move |v| {
                let member = |(key, value)| KeyValue { key, value: Some(some(value)), ..KeyValue::default() };
                Value::KvlistValue(KeyValueList { values: v.into_iter().map(member).collect() })
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_a_json_text(value in any_value()) {
        let block = logs(&protobuf(vec![record(value)]), Encoding::Protobuf, None, &Limits::default()).unwrap();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&block.json).is_ok(), "{}", block.json);
    }

    #[test]
    fn damaged_requests_are_errors_or_records(value in any_value(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = protobuf(vec![record(value); 2]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(block) = logs(&bytes, Encoding::Protobuf, None, &Limits::default()) {
            for record in &block.records {
                prop_assert!(serde_json::from_str::<serde_json::Value>(block.json(record)).is_ok());
            }
        }
        // As JSON it is an error.
        prop_assert!(logs(&bytes, Encoding::Json, None, &Limits::default()).is_err());
    }
}
