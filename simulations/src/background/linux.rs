//! Ordinary Linux records: processes as LAUREL writes audit's events, and journald's JSON export.
//!
//! Follows LAUREL's README, auditd's records SYSCALL, EXECVE, CWD, PATH and PROCTITLE, and systemd.journal-fields(7).

use chrono::{DateTime, Utc};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Who runs things on which machine.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The machine.
    pub host: &'a str,
    /// The account that runs it, and the one that signed in; root of a service has signed in nowhere.
    pub user: (&'a str, u32),
    /// The account that signed in, and its terminal.
    pub session: Option<(&'a str, u32)>,
    /// The program that starts it, and how that was started.
    pub parent: &'a [&'a str],
}

/// One ordinary event: what a machine's agent starts to look after it, or cron says.
pub fn event(time: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Value {
    const PROGRAMS: &[&[&str]] = &[&["cat", "/proc/loadavg"], &["ss", "-s"], &["who"], &["df", "-P"], &["uptime"]];
    let host = ["web1", "web2", "db1"][rng.random_range(0..3)];
    if rng.random_ratio(1, 5) {
        return logged(
            time,
            host,
            "CRON",
            "pam_unix(cron:session): session opened for user root(uid=0) by root(uid=0)",
            rng,
        );
    }
    let parent = &["/usr/bin/prometheus-node-exporter"];
    let argv = PROGRAMS[rng.random_range(0..PROGRAMS.len())];
    started(time, Login { host, user: ("root", 0), session: None, parent }, "/", argv, rng)
}

/// The audit event of a program that was started.
pub fn started(time: DateTime<Utc>, by: Login<'_>, cwd: &str, argv: &[&str], rng: &mut ChaCha8Rng) -> Value {
    let exe = path_of(argv[0]);
    let comm: String = exe.rsplit('/').next().unwrap_or_default().chars().take(15).collect();
    let (login, auid) = by.session.map_or(("unset", u32::MAX), |(name, id)| (name, id));
    let (pid, serial) = (rng.random_range(2_000..400_000), rng.random_range(10_000..9_000_000));
    let (user, uid) = by.user;
    let (tty, session) = if by.session.is_some() { ("pts0", 42) } else { ("(none)", u32::MAX) };
    json!({
        "ID": format!("{}.{:03}:{serial}", time.timestamp(), time.timestamp_subsec_millis()), "NODE": by.host,
        "SYSCALL": {
            "arch": "0xc000003e", "syscall": 59, "success": "yes", "exit": 0, "items": 2, "ppid": pid - 1, "pid": pid,
            "auid": auid, "uid": uid, "gid": uid, "euid": uid, "suid": uid, "fsuid": uid, "egid": uid, "sgid": uid,
            "fsgid": uid, "tty": tty, "ses": session, "comm": comm, "exe": exe, "key": "exec", "ARCH": "x86_64",
            "SYSCALL": "execve", "AUID": login, "UID": user, "GID": user, "EUID": user,
            "PPID": { "EXE": path_of(by.parent[0]) }
        },
        "EXECVE": { "argc": argv.len(), "ARGV": argv },
        "CWD": { "cwd": cwd },
        "PATH": [{
            "item": 0, "name": exe, "mode": "0o100755", "ouid": 0, "ogid": 0, "nametype": "NORMAL", "OUID": "root",
            "OGID": "root"
        }],
        "PROCTITLE": { "ARGV": argv },
        "PARENT_INFO": { "ARGV": by.parent },
    })
}

/// A message in a machine's journal.
pub fn logged(time: DateTime<Utc>, host: &str, program: &str, message: &str, rng: &mut ChaCha8Rng) -> Value {
    json!({
        "__REALTIME_TIMESTAMP": time.timestamp_micros().to_string(), "_HOSTNAME": host, "PRIORITY": "6",
        "SYSLOG_FACILITY": "10", "SYSLOG_IDENTIFIER": program, "_COMM": program, "_UID": "0",
        "_PID": rng.random_range(500..90_000).to_string(), "_TRANSPORT": "syslog", "MESSAGE": message,
    })
}

fn path_of(program: &str) -> String {
    let program = program.trim_start_matches('-');
    if program.starts_with('/') { program.to_owned() } else { format!("/usr/bin/{program}") }
}
