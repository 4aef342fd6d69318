#![allow(clippy::unwrap_used)]
use super::*;

fn event_data(channel: &str, id: u32, own: &str, ecs: &str) -> serde_json::Value {
    let record =
        format!(r#"{{"winlog":{{"channel":"{channel}","event_id":{id},"event_data":{own}}},"message":"m",{ecs}}}"#);
    let made: serde_json::Value = serde_json::from_str(&winlogbeat(&record).unwrap()).unwrap();
    assert_eq!(made["message"], "m");
    made["winlog"]["event_data"].clone()
}

const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";

#[test]
fn what_event_data_has_wins() {
    let ecs = r#""process":{"executable":"C:\\b.exe","pid":7,"args":["b","x y"],"command_line":null},"user.name":"u","user.domain":"D""#;
    let made = event_data(SYSMON, 1, r#"{"Image":"C:\\a.exe"}"#, ecs);
    let expected = serde_json::json!({"Image": "C:\\a.exe", "ProcessId": 7, "CommandLine": "b x y", "User": "D\\u"});
    assert_eq!(made, expected);
}

#[test]
fn values_are_spelled_as_the_vendor_does() {
    let ecs = r#""file":{"hash":{"md5":"0a","sha1":"0b"},"pe":{"imphash":"0c"},"path":"C:\\x.dll"}"#;
    assert_eq!(event_data(SYSMON, 7, "{}", ecs)["Hashes"], "SHA1=0B,MD5=0A,IMPHASH=0C");
    let ecs = r#""registry":{"path":"HKLM\\x","data":{"type":"SZ_DWORD","strings":["26"]}}"#;
    assert_eq!(event_data(SYSMON, 13, "{ }", ecs)["Details"], "DWORD (0x0000001a)");
    let ecs = r#""network":{"direction":"egress","type":"ipv4"}"#;
    let made = event_data(SYSMON, 3, "null", ecs);
    assert_eq!((&made["Initiated"], &made["DestinationIsIpv6"]), (&"true".into(), &"false".into()));
    let ecs = r#""powershell":{"command":{"invocation_details":[{"type":"CommandInvocation","related_command":"A","value":"\"A\""},{"type":"ParameterBinding","related_command":"A","name":"\"p\"","value":"\"v\""},{"value":"loose"}]}}"#;
    let made = event_data("Microsoft-Windows-PowerShell/Operational", 4103, "{}", ecs);
    assert_eq!(made["Payload"], "CommandInvocation(A): \"A\"\nParameterBinding(A): name=\"p\"; value=\"v\"\nloose");
}

#[test]
fn an_event_with_the_vendors_names_stays() {
    for record in [
        r#"{"winlog":{"channel":"System","event_data":{"a":1}},"process":{"pid":1}}"#,
        r#"{"winlog":{"channel":"Security","event_id":4625,"event_data":{"ProcessId":"0x1"}},"process":{"pid":1}}"#,
        r#"{"winlog":{"channel":"Security"},"message":"process"}"#,
    ] {
        assert_eq!(winlogbeat(record), None, "{record}");
    }
}
