//! Captured actions as LAUREL writes them: an audit event a JSON object.
//!
//! Follows LAUREL's README and auditd's records SYSCALL, EXECVE, CWD, PATH, SOCKADDR and PROCTITLE. What a sandbox has no
//! truth for (inodes, devices, the session's terminal) is left out or as audit writes it for nothing.

use super::spec::{Action, Captured, Change, Process, UID, USER};
use serde_json::{Map, Value, json};

/// What tells one event from all others.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// The host.
    pub node: &'a str,
    /// The event's serial number.
    pub serial: u64,
    /// Added to process ids, so that no two sandboxes share one.
    pub pid_base: i32,
}

impl Identity<'_> {
    /// audit's own id, `seconds.millis:serial`.
    #[must_use]
    pub fn audit_id(&self, captured: &Captured) -> String {
        let millis = captured.time_us.div_euclid(1000);
        format!("{}.{:03}:{}", millis.div_euclid(1000), millis.rem_euclid(1000), self.serial)
    }
}

/// Bytes in LAUREL's spelling: what is no text, and `%`, percent-encoded.
#[must_use]
pub fn spell(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    // `0x` and `0o` at the beginning are how LAUREL marks numbers.
    let number = bytes.starts_with(b"0x") || bytes.starts_with(b"0o");
    for (i, chunk) in bytes.utf8_chunks().enumerate() {
        for (at, c) in chunk.valid().char_indices() {
            match c {
                '%' | '\u{7f}' | '\0'..='\u{1f}' => out.push_str(&format!("%{:02X}", c as u32)),
                '0' if number && i == 0 && at == 0 => out.push_str("%30"),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The event.
#[must_use]
pub fn event(captured: &Captured, identity: Identity<'_>) -> Value {
    let process = &captured.process;
    let mut event = Map::new();
    event.insert("ID".into(), identity.audit_id(captured).into());
    event.insert("NODE".into(), identity.node.into());
    let (call, exit, items) = match &captured.action {
        Action::Exec => (("execve", execve()), 0, 1),
        Action::File { call, change, exit, .. } => {
            ((call.name.as_str(), call.number), *exit, if matches!(change, Change::Renamed(_)) { 4 } else { 2 })
        }
        Action::Connect { call, exit, .. } => ((call.name.as_str(), call.number), *exit, 0),
    };
    event.insert("SYSCALL".into(), syscall(captured, identity, call, exit, items));
    match &captured.action {
        Action::Exec => {
            event.insert("EXECVE".into(), json!({"argc": process.arguments.len(), "ARGV": process.arguments}));
            event.insert("CWD".into(), json!({"cwd": process.directory}));
            event.insert("PATH".into(), json!([{"item": 0, "name": process.exe, "nametype": "NORMAL"}]));
        }
        Action::File { change, path, .. } => {
            event.insert("CWD".into(), json!({"cwd": process.directory}));
            event.insert("PATH".into(), paths(change, path));
        }
        Action::Connect { address, .. } => {
            let family = if address.is_ipv4() { "inet" } else { "inet6" };
            let address = json!({"saddr_fam": family, "addr": address.ip().to_string(), "port": address.port()});
            event.insert("SOCKADDR".into(), json!([{"SADDR": address}]));
        }
    }
    event.insert("PROCTITLE".into(), json!({"ARGV": process.arguments}));
    if let Some(parent) = &captured.parent {
        event.insert("PARENT_INFO".into(), parent_info(parent, identity));
    }
    Value::Object(event)
}

fn syscall(captured: &Captured, identity: Identity<'_>, call: (&str, i64), exit: i64, items: u32) -> Value {
    let process = &captured.process;
    let (arch, machine) = architecture();
    json!({
        "arch": arch, "syscall": call.1, "success": if exit < 0 { "no" } else { "yes" }, "exit": exit, "items": items,
        "ppid": shifted(process.parent_pid, identity), "pid": shifted(process.pid, identity),
        "auid": UID, "uid": UID, "gid": UID, "euid": UID, "suid": UID, "fsuid": UID, "egid": UID, "sgid": UID,
        "fsgid": UID, "tty": "(none)", "ses": 1, "comm": process.comm, "exe": process.exe, "key": null,
        "ARCH": machine, "SYSCALL": call.0, "AUID": USER, "UID": USER, "GID": USER, "EUID": USER, "SUID": USER,
        "FSUID": USER, "EGID": USER, "SGID": USER, "FSGID": USER,
    })
}

fn parent_info(parent: &Process, identity: Identity<'_>) -> Value {
    json!({
        "ARGV": parent.arguments, "comm": parent.comm, "exe": parent.exe,
        "pid": shifted(parent.pid, identity), "ppid": shifted(parent.parent_pid, identity),
    })
}

/// A process id that no other sandbox has; 1 is the sandbox's own and stays.
fn shifted(pid: i32, identity: Identity<'_>) -> i32 {
    if pid <= 1 { pid } else { pid + identity.pid_base }
}

fn paths(change: &Change, path: &str) -> Value {
    let item = |number: u32, name: &str, kind: &str| json!({"item": number, "name": name, "nametype": kind});
    let folder = |path: &str| match path.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/"),
        None => "/".to_owned(),
    };
    match change {
        Change::Created => json!([item(0, &folder(path), "PARENT"), item(1, path, "CREATE")]),
        Change::Deleted => json!([item(0, &folder(path), "PARENT"), item(1, path, "DELETE")]),
        Change::Renamed(from) => json!([
            item(0, &folder(from), "PARENT"),
            item(1, &folder(path), "PARENT"),
            item(2, from, "DELETE"),
            item(3, path, "CREATE"),
        ]),
        Change::Used => json!([item(0, path, "NORMAL")]),
    }
}

/// audit's code and name of this machine.
fn architecture() -> (&'static str, &'static str) {
    if cfg!(target_arch = "aarch64") { ("0xc00000b7", "aarch64") } else { ("0xc000003e", "x86_64") }
}

fn execve() -> i64 {
    if cfg!(target_arch = "aarch64") { 221 } else { 59 }
}

#[cfg(test)]
mod tests {
    use super::super::spec::Call;
    use super::*;

    fn captured(action: Action) -> Captured {
        let process = |pid, parent_pid, exe: &str, arguments: &[&str]| Process {
            pid,
            parent_pid,
            exe: exe.into(),
            comm: exe.rsplit('/').next().unwrap_or("").into(),
            arguments: arguments.iter().map(|a| spell(a.as_bytes())).collect(),
            directory: "/home/user".into(),
        };
        Captured {
            time_us: 1_773_743_490_500_123,
            process: process(7, 3, "/usr/bin/find", &["find", "/", "-name", "100%"]),
            parent: Some(process(3, 1, "/usr/bin/dash", &["sh", "-c", "find / -name 100%"])),
            action,
        }
    }

    const IDENTITY: Identity<'_> = Identity { node: "host", serial: 12, pid_base: 5000 };

    #[test]
    fn an_execution_has_the_records_of_one() {
        let event = event(&captured(Action::Exec), IDENTITY);
        for (at, expected) in [
            ("/ID", json!("1773743490.500:12")),
            ("/NODE", json!("host")),
            ("/SYSCALL/SYSCALL", json!("execve")),
            ("/SYSCALL/pid", json!(5007)),
            ("/SYSCALL/exe", json!("/usr/bin/find")),
            ("/EXECVE/ARGV/3", json!("100%25")),
            ("/CWD/cwd", json!("/home/user")),
            ("/PARENT_INFO/exe", json!("/usr/bin/dash")),
            ("/PARENT_INFO/ppid", json!(1)),
        ] {
            assert_eq!(event.pointer(at), Some(&expected), "{at}");
        }
    }

    #[test]
    fn a_file_has_the_paths_that_audit_names() {
        let call = Call { number: 82, name: "rename".into() };
        let renamed = Change::Renamed("/tmp/a".into());
        let action = Action::File { call, change: renamed, path: "/tmp/b/c".into(), exit: 0 };
        let event = event(&captured(action), IDENTITY);
        let names: Vec<_> =
            (0..4).filter_map(|i| event.pointer(&format!("/PATH/{i}/name")).and_then(Value::as_str)).collect();
        assert_eq!(names, ["/tmp/", "/tmp/b/", "/tmp/a", "/tmp/b/c"]);
        assert_eq!(event.pointer("/SYSCALL/success"), Some(&json!("yes")));
    }

    #[test]
    fn bytes_are_spelled_so_that_they_come_back() {
        for (bytes, spelled) in [
            (&b"a b"[..], "a b"),
            (b"100%", "100%25"),
            (b"a\nb", "a%0Ab"),
            (b"\xff\xfe", "%FF%FE"),
            ("é".as_bytes(), "é"),
            (b"0x41", "%30x41"),
        ] {
            assert_eq!(spell(bytes), spelled);
        }
    }
}
