//! A daemon to talk to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Two findings in each event that it fires on would be two rules; this is one.
pub const RULE: &str = "title: Trail Stopped
id: 6a2c7d0e-3b0f-4a53-9f4e-0c5c2c2d9b11
status: test
description: Logging of an account ends.
logsource:
  product: aws
  service: cloudtrail
detection:
  selection:
    eventSource: cloudtrail.amazonaws.com
    eventName: StopLogging
  condition: selection
level: high
";

/// A CloudTrail record; every third stops a trail, which [`RULE`] is for.
pub fn event(id: &str, number: usize) -> String {
    let name = if number.is_multiple_of(3) { "StopLogging" } else { "DescribeTrails" };
    let time = chrono::DateTime::from_timestamp(1_767_225_600 + number as i64, 0).unwrap().to_rfc3339();
    format!(
        r#"{{"eventVersion":"1.09","eventID":"{id}","eventTime":"{time}","eventSource":"cloudtrail.amazonaws.com","eventName":"{name}","awsRegion":"eu-north-1","sourceIPAddress":"192.0.2.{}","userIdentity":{{"type":"IAMUser","userName":"u{}"}},"eventType":"AwsApiCall","recipientAccountId":"111122223333"}}"#,
        number % 250,
        number % 7
    ) + "\n"
}

pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    /// By protocol.
    listening: Vec<(String, SocketAddr)>,
}

/// An answer: its status and body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Daemon {
    /// Starts one on a lake and a state in `folder`, with [`RULE`]; `over` are more variables.
    pub fn start(folder: &Path, over: &[(&str, &str)]) -> Option<Self> {
        std::fs::write(folder.join("rule.yml"), RULE).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
        command.arg("serve").current_dir(folder).stderr(Stdio::piped()).stdout(Stdio::null());
        for (key, value) in [
            ("LAKE", "lake"),
            ("STATE", "state"),
            ("RULES", "['rule.yml']"),
            ("LISTEN__HTTP", "['127.0.0.1:0']"),
            ("LISTEN__GRPC", "['127.0.0.1:0']"),
            ("LISTEN__POSTGRES", "['127.0.0.1:0']"),
            ("LISTEN__FLIGHT_SQL", "['127.0.0.1:0']"),
            ("COMMIT__SECONDS", "1"),
        ] {
            command.env(format!("TARN_SERVE__{key}"), value);
        }
        command.envs(over.iter().copied());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (send, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if std::env::var_os("TARN_SERVE_LOGS").is_some() {
                    println!("{line}");
                }
                // Nobody listens after the start.
                let _ = send.send(serde_json::from_str::<serde_json::Value>(&line).unwrap_or_default());
            }
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut listening = Vec::new();
        while let Ok(line) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            let fields = &line["fields"];
            match (fields["message"].as_str(), fields["protocol"].as_str(), fields["address"].as_str()) {
                (Some("serving"), ..) => {
                    let http = listening.iter().find(|(protocol, _)| protocol == "Http");
                    let address = http.map(|(_, address)| *address).unwrap();
                    return Some(Self { child, address, listening });
                }
                (_, Some(protocol), Some(address)) => listening.push((protocol.to_owned(), address.parse().unwrap())),
                _ => {}
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        None
    }

    /// Where a protocol is spoken.
    pub fn at(&self, protocol: &str) -> SocketAddr {
        self.listening.iter().find(|(name, _)| name == protocol).unwrap().1
    }

    /// `SIGTERM`, and whether it went well.
    pub fn stop(mut self) -> bool {
        self.signal("TERM");
        self.child.wait().unwrap().success()
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits until it has died by itself.
    pub fn died(mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return !status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        false
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        request(self.address, "POST", path, "", body).unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.address, "GET", path, "", "").unwrap()
    }

    /// A metric's value.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// The titles of what its rules found.
    pub fn titles(&self) -> Vec<String> {
        let found: serde_json::Value = serde_json::from_str(&self.get("/v1/findings").body).unwrap();
        let found = found["findings"].as_array().unwrap();
        found.iter().map(|finding| finding["finding_info"]["title"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until its rules found something.
    pub fn finds(&self, title: &str) {
        self.wait(title, |daemon| daemon.titles().iter().any(|found| found == title));
    }

    /// Waits until a condition holds.
    pub fn wait(&self, what: &str, holds: impl FnMut(&Self) -> bool) {
        self.wait_for(Duration::from_secs(30), what, holds);
    }

    /// Waits for so long at most.
    pub fn wait_for(&self, longest: Duration, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + longest;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what} has not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One request on a connection of its own; none when the connection broke.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
    let mut stream = begin(address, method, path, headers, body.len())?;
    stream.write_all(body.as_bytes()).ok()?;
    answer(stream)
}

/// The head of a request whose body does not come.
pub fn announce(address: SocketAddr, method: &str, path: &str, headers: &str, length: usize) -> Option<Answer> {
    answer(begin(address, method, path, headers, length)?)
}

fn begin(address: SocketAddr, method: &str, path: &str, headers: &str, length: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: tarn\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    Some(stream)
}

fn answer(mut stream: TcpStream) -> Option<Answer> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") { whole(body) } else { body.to_owned() };
    Some(Answer { status, body })
}

/// A body that came in chunks (RFC 9112 section 7.1).
fn whole(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&rest[..size]);
        chunks = rest[size..].trim_start_matches("\r\n");
    }
    body
}
