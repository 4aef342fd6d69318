//! Tetragon's JSON export: command lines, and what a call's arguments are about. Source: Cilium, "Tetragon gRPC API" and
//! its policies for files and sockets.

use crate::decode::object::Object;
use crate::json::{Members, at, text};

/// The events.
const EVENTS: [&str; 8] = [
    "process_exec",
    "process_exit",
    "process_kprobe",
    "process_tracepoint",
    "process_uprobe",
    "process_lsm",
    "process_loader",
    "process_throttle",
];
/// Arguments of calls that name a file, in the order in which they are looked at.
const FILES: [&str; 3] = ["file_arg.path", "path_arg.path", "linux_binprm_arg.path"];
/// Names of the members that are added.
const OWN: [&str; 7] = ["event_type", "cmdline", "parent_cmdline", "sock", "initiated", "target", "access"];

/// The event's members at the top, with `event_type` (which it is), `cmdline` and `parent_cmdline` (binary and arguments,
/// which Tetragon parts), and of a call's arguments `sock` (the first socket; of an address `daddr` and `dport`),
/// `initiated` (the call connects it), `target` (the first file) and `access` (what is done to it: read or write).
pub fn tetragon(json: &str) -> Option<String> {
    let (name, event) = Members::of(json).find(|(key, _)| EVENTS.contains(key))?;
    let mut object = Object::of(json, &[&[name], &OWN[..]].concat());
    object.text("event_type", name);
    for (key, value) in Members::of(event).filter(|(key, _)| !OWN.contains(key) && at(json, key).is_none()) {
        object.raw(key, value);
    }
    for (process, name) in [("process", "cmdline"), ("parent", "parent_cmdline")] {
        if let Some(line) = at(event, process).and_then(command_line) {
            object.text(name, &line);
        }
    }
    let arguments: Vec<&str> =
        Members::of(at(event, "args").unwrap_or_default()).map(|(_, argument)| argument).collect();
    let find = |path: &str| arguments.iter().find_map(|argument| at(argument, path));
    let function = at(event, "function_name").map(text).unwrap_or_default();
    let socket = find("sock_arg").map(str::to_owned).or_else(|| find("sockaddr_arg").map(address));
    if let Some(sock) = socket {
        object.raw("sock", &sock);
        object.raw("initiated", if function.contains("connect") { "true" } else { "false" });
    }
    if let Some(file) = FILES.iter().find_map(|path| find(path)) {
        object.raw("target", file);
        // Linux's MAY_WRITE and MAY_READ.
        match (&*function, find("int_arg")) {
            ("security_file_permission", Some("2")) | ("security_path_truncate", _) => object.text("access", "write"),
            ("security_file_permission", Some("4")) => object.text("access", "read"),
            _ => {}
        }
    }
    Some(object.finish())
}

fn command_line(process: &str) -> Option<String> {
    let part = |name| at(process, name).map(text).filter(|part| !part.is_empty() && part != "null");
    let binary = part("binary")?;
    Some(part("arguments").map_or_else(|| binary.to_string(), |arguments| format!("{binary} {arguments}")))
}

/// A socket's address by the names that a socket has.
fn address(sockaddr: &str) -> String {
    let mut sock = Object::of(sockaddr, &["daddr", "dport"]);
    for (own, name) in [("addr", "daddr"), ("port", "dport")] {
        if let Some(raw) = at(sockaddr, own) {
            sock.raw(name, raw);
        }
    }
    sock.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(json: &str) -> serde_json::Value {
        serde_json::from_str(&tetragon(json).unwrap()).unwrap()
    }

    #[test]
    fn events_are_at_the_top() {
        let made = read(concat!(
            r#"{"process_kprobe":{"process":{"binary":"/bin/cat","arguments":"/etc/shadow -n"},"parent":{"binary":"/bin/sh"},"#,
            r#""function_name":"security_file_permission","args":[{"file_arg":{"path":"/etc/shadow"}},{"int_arg":4}],"#,
            r#""sock":1},"node_name":"n1","time":"2026-03-17T10:30:00Z","target":7}"#
        ));
        assert_eq!(
            (&made["event_type"], &made["cmdline"]),
            (&"process_kprobe".into(), &"/bin/cat /etc/shadow -n".into())
        );
        assert_eq!((&made["parent_cmdline"], &made["target"]), (&"/bin/sh".into(), &"/etc/shadow".into()));
        assert_eq!((&made["access"], &made["node_name"], made.get("sock")), (&"read".into(), &"n1".into(), None));
        assert_eq!(tetragon(r#"{"process_exec":null}"#).unwrap(), r#"{"event_type":"process_exec"}"#);
        assert_eq!(tetragon(r#"{"rate_limit_info":{}}"#), None);
    }

    #[test]
    fn sockets_and_their_addresses_have_one_name() {
        let call = |function: &str, argument: &str| {
            let made =
                read(&format!("{{\"process_kprobe\":{{\"function_name\":\"{function}\",\"args\":[7,{argument}]}}}}"));
            (made["sock"]["daddr"].clone(), made["sock"]["dport"].clone(), made["initiated"].clone())
        };
        let expected = ("192.0.2.1".into(), 443.into(), true.into());
        assert_eq!(call("tcp_connect", r#"{"sock_arg":{"daddr":"192.0.2.1","dport":443}}"#), expected);
        assert_eq!(call("security_socket_connect", r#"{"sockaddr_arg":{"addr":"192.0.2.1","port":443}}"#), expected);
        assert_eq!(call("tcp_close", r#"{"sock_arg":{}}"#).2, false);
    }
}
