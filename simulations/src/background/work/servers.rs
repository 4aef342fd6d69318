//! Linux machines: an administrator's visit, what timers and packages do, configuration management, a build, an agent that
//! looks after all.

use super::Notes;
use crate::background::linux::{self, Login};
use crate::company::{OPERATORS, PEOPLE, office_address, pick};
use crate::day::Source;
use rand::Rng;

const HOSTS: &[&str] = &["web1", "web2", "db1", "build1"];

/// Programs with their arguments, each after the one before.
type Steps = &'static [&'static [&'static str]];

const VISIT: Steps = &[
    &["ls", "--color=auto", "-la"],
    &["df", "-h"],
    &["free", "-m"],
    &["ps", "aux"],
    &["ss", "-tlnp"],
    &["journalctl", "-u", "invoice-api", "--since", "today"],
    &["tail", "-n", "200", "/var/log/nginx/error.log"],
    &["grep", "-i", "timeout", "/var/log/nginx/error.log"],
    &["curl", "-sS", "http://localhost:8080/healthz"],
    &["git", "-C", "/srv/invoice-api", "log", "--oneline", "-5"],
    &["crontab", "-l"],
    &["uptime"],
    &["last", "-n", "10"],
];

const VISIT_AS_ROOT: Steps = &[
    &["vim", "/etc/nginx/conf.d/invoice-api.conf"],
    &["/usr/sbin/nginx", "-t"],
    &["systemctl", "reload", "nginx"],
    &["systemctl", "restart", "invoice-api"],
    &["systemctl", "status", "invoice-api"],
    &["journalctl", "-u", "invoice-api", "-n", "50"],
    &["chown", "-R", "invoice:invoice", "/srv/invoice-api/cache"],
];

const TIMERS: Steps = &[
    &["/bin/sh", "-c", "cd / && run-parts --report /etc/cron.hourly"],
    &["run-parts", "--report", "/etc/cron.hourly"],
    &["/usr/sbin/logrotate", "/etc/logrotate.conf"],
    &["gzip", "/var/log/nginx/access.log.1"],
    &["/usr/lib/sysstat/sa1", "1", "1"],
    &["certbot", "-q", "renew"],
    &["systemd-tmpfiles", "--clean"],
    &["find", "/var/lib/php/sessions", "-type", "f", "-mmin", "+120", "-delete"],
    &["restic", "backup", "/etc", "/srv", "--exclude-caches"],
    &["pg_dump", "-Fc", "-f", "/var/backups/postgres/invoices.dump", "invoices"],
    &["/usr/sbin/fstrim", "--listed-in", "/etc/fstab:/proc/self/mountinfo", "--verbose"],
];

const PACKAGES: Steps = &[
    &["python3", "/usr/bin/unattended-upgrade"],
    &[
        "dpkg",
        "--status-fd",
        "11",
        "--no-triggers",
        "--unpack",
        "--auto-deconfigure",
        "/var/cache/apt/archives/openssl_3.0.15-1_amd64.deb",
    ],
    &["dpkg-deb", "--control", "/var/cache/apt/archives/openssl_3.0.15-1_amd64.deb", "/var/lib/dpkg/tmp.ci"],
    &["/bin/sh", "/var/lib/dpkg/info/openssl.postinst", "configure", "3.0.14-1"],
    &["dpkg", "--status-fd", "13", "--configure", "--pending"],
    &["deb-systemd-helper", "was-enabled", "apt-daily.timer"],
    &["systemctl", "--system", "daemon-reload"],
    &["/sbin/ldconfig"],
    &["/usr/bin/rm", "-f", "/var/cache/apt/pkgcache.bin"],
];

const MANAGED: Steps = &[
    &[
        "/bin/sh",
        "-c",
        "/usr/bin/python3 /home/ansible/.ansible/tmp/ansible-tmp-1773743400.1-4711-2030/AnsiballZ_setup.py && sleep 0",
    ],
    &["/usr/bin/python3", "/home/ansible/.ansible/tmp/ansible-tmp-1773743400.1-4711-2030/AnsiballZ_setup.py"],
    &["lsblk", "--list", "--noheadings", "--paths", "--output", "NAME,UUID", "--exclude", "2"],
    &["findmnt", "--list", "--noheadings", "--notruncate"],
    &["/sbin/ip", "address", "show"],
    &["getent", "passwd", "ansible"],
    &["lsb_release", "-a"],
    &["systemctl", "show", "nginx"],
    &["apt-get", "-y", "-o", "Dpkg::Options::=--force-confdef", "install", "nginx"],
    &[
        "/bin/sh",
        "-c",
        "rm -f -r /home/ansible/.ansible/tmp/ansible-tmp-1773743400.1-4711-2030/ > /dev/null 2>&1 && sleep 0",
    ],
];

const BUILD: Steps = &[
    &["git", "fetch", "--depth", "1", "origin", "main"],
    &["npm", "ci", "--no-audit"],
    &["node", "node_modules/.bin/tsc", "-p", "."],
    &["make", "-j4"],
    &["gcc", "-O2", "-c", "src/render.c", "-o", "build/render.o"],
    &["chmod", "+x", "scripts/release.sh"],
    &["bash", "scripts/release.sh"],
    &["tar", "-czf", "dist/shop-1.4.2.tar.gz", "-C", "build", "."],
    &["sha256sum", "dist/shop-1.4.2.tar.gz"],
    &["curl", "-fsSL", "-o", "cache/node.tar.xz", "https://packages.fjord.example/node-v20.tar.xz"],
    &["docker", "build", "-t", "shop:1.4.2", "."],
    &["docker", "push", "registry.fjord.example/shop:1.4.2"],
    &["rsync", "-av", "--delete", "dist/", "web1:/srv/shop/"],
];

const AGENT: Steps = &[
    &["/bin/sh", "/usr/local/lib/node-exporter/textfile.sh"],
    &["cat", "/proc/loadavg"],
    &["awk", "{print $1}", "/proc/uptime"],
    &["ss", "-s"],
    &["who"],
    &["/usr/sbin/smartctl", "-A", "/dev/sda"],
    &["apt-get", "--just-print", "upgrade"],
    &["dmesg", "--level", "err"],
];

/// Signs in by key, looks around, and restarts something as root.
pub(super) fn visit(notes: &mut Notes<'_>) {
    let (person, host) = (pick(notes.rng, OPERATORS), pick(notes.rng, HOSTS));
    let id = account(person);
    sign_in(notes, host, person, id);
    let login = Login { host, user: (person, id), session: Some((person, id)), parent: &["-bash"] };
    run(notes, login, &format!("/home/{person}"), VISIT, 20_000);
    for argv in VISIT_AS_ROOT {
        let command = argv.join(" ");
        let said = format!("{person:>8} : TTY=pts/0 ; PWD=/home/{person} ; USER=root ; COMMAND={}", rooted(&command));
        notes.journal(host, "sudo", &said);
        let sudo: Vec<&str> = ["sudo"].iter().chain(*argv).copied().collect();
        notes.start(login, &format!("/home/{person}"), &sudo);
        let root = Login { user: ("root", 0), parent: &sudo, ..login };
        notes.start(root, &format!("/home/{person}"), argv);
        notes.pause(30_000);
    }
    notes.journal(host, "sshd", &format!("pam_unix(sshd:session): session closed for user {person}"));
}

/// What a machine does by itself: timers, and sometimes packages.
pub(super) fn by_itself(notes: &mut Notes<'_>) {
    let host = pick(notes.rng, HOSTS);
    let root = |parent| Login { host, user: ("root", 0), session: None, parent };
    run(notes, root(&["/usr/sbin/cron", "-f"]), "/", TIMERS, 4_000);
    run(notes, root(&["/usr/lib/apt/apt.systemd.daily", "install"]), "/", PACKAGES, 6_000);
    run(notes, root(&["/usr/bin/prometheus-node-exporter"]), "/", AGENT, 2_000);
}

/// Configuration management, as an account of its own that becomes root.
pub(super) fn managed(notes: &mut Notes<'_>) {
    let host = pick(notes.rng, HOSTS);
    sign_in(notes, host, "ansible", 998);
    let login = Login {
        host,
        user: ("root", 0),
        session: Some(("ansible", 998)),
        parent: &["/bin/sh", "-c", "echo BECOME-SUCCESS-kqzx ; /usr/bin/python3"],
    };
    run(notes, login, "/home/ansible", MANAGED, 3_000);
}

/// A developer builds and releases; the first password is a wrong one.
pub(super) fn build(notes: &mut Notes<'_>) {
    let person = pick(notes.rng, PEOPLE);
    let id = account(person);
    let port = notes.rng.random_range(40_000..60_000);
    notes.journal(
        "build1",
        "sshd",
        &format!("Failed password for {person} from {} port {port} ssh2", office_address(person)),
    );
    sign_in(notes, "build1", person, id);
    let login = Login { host: "build1", user: (person, id), session: Some((person, id)), parent: &["-bash"] };
    run(notes, login, &format!("/home/{person}/shop"), BUILD, 15_000);
}

fn run(notes: &mut Notes<'_>, by: Login<'_>, cwd: &str, steps: Steps, up_to_ms: i64) {
    for argv in steps {
        notes.pause(up_to_ms);
        notes.start(by, cwd, argv);
    }
}

fn sign_in(notes: &mut Notes<'_>, host: &str, person: &str, id: u32) {
    notes.pause(3_000);
    let port = notes.rng.random_range(40_000..60_000);
    let address = office_address(person);
    let key = "ED25519 SHA256:u7Yw3dYkq3l0r2B8m1sQ4c6V9x0ZpT5nJfHgKeLaWbE";
    notes.journal(host, "sshd", &format!("Accepted publickey for {person} from {address} port {port} ssh2: {key}"));
    notes.journal(
        host,
        "sshd",
        &format!("pam_unix(sshd:session): session opened for user {person}(uid={id}) by {person}(uid=0)"),
    );
    notes.journal(host, "systemd-logind", &format!("New session 42 of user {person}."));
}

fn account(person: &str) -> u32 {
    let at = PEOPLE.iter().position(|name| *name == person).unwrap_or(0);
    1_001 + u32::try_from(at).unwrap_or(0)
}

fn rooted(command: &str) -> String {
    if command.starts_with('/') { command.to_owned() } else { format!("/usr/bin/{command}") }
}

impl Notes<'_> {
    fn start(&mut self, by: Login<'_>, cwd: &str, argv: &[&str]) {
        let value = linux::started(self.at, by, cwd, argv, self.rng);
        self.write(Source::Linux, &value);
    }

    fn journal(&mut self, host: &str, program: &str, message: &str) {
        self.pause(400);
        let value = linux::logged(self.at, host, program, message, self.rng);
        self.write(Source::Linux, &value);
    }
}
