//! A daemon of our own: `tarn serve` as a child, on loopback, with a lake that goes with it unless it is given one.
//!
//! It is the real one, with its real receivers, log and lake. What differs is that correlations wait for two seconds of
//! late events instead of five minutes: a replay sends in order.

use super::client::{Client, ClientError};
use reqwest::Url;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// How long a start may take: a lake that is there already may be large.
const START_MAX: Duration = Duration::from_secs(120);
/// How long stopping may take; the daemon itself gives up after a minute.
const STOP_MAX: Duration = Duration::from_secs(75);
/// How late events may be for correlations, seconds.
const LATE_S: u32 = 2;

/// What the daemon is made of.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedOptions {
    /// The `tarn` program.
    pub program: PathBuf,
    /// A folder for its lake and state, which is kept; none: a temporary one.
    pub folder: Option<PathBuf>,
    /// Rules; none: Tarn's own.
    pub rules: Vec<PathBuf>,
    /// A folder of log sources.
    pub sources: Option<PathBuf>,
}

/// A daemon that could not be started or stopped.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// The process could not be started, or not be talked to.
    #[error("cannot run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended before it served.
    #[error("the daemon did not start: {0}")]
    Start(String),
    /// It did not end as it should; the lake may lack its last seconds until the next start.
    #[error("the daemon did not stop well: {0}")]
    Stop(String),
    /// Its address is none.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A running daemon. Dropped, it is killed, and a temporary lake is gone.
pub struct Embedded {
    child: Child,
    program: PathBuf,
    /// Where it answers.
    pub client: Client,
    _temporary: Option<TempDir>,
}

impl Embedded {
    /// Starts one, and waits until it answers.
    ///
    /// **Errors**: with the daemon's own last words.
    pub async fn start(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let run = |source| EmbeddedError::Run { program: options.program.clone(), source };
        let temporary = options.folder.is_none().then(tempfile::tempdir).transpose().map_err(run)?;
        let folder = match (&options.folder, &temporary) {
            (Some(folder), _) => folder.as_path(),
            (None, Some(temporary)) => temporary.path(),
            (None, None) => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(run)?;
        let mut child = command(options, folder).spawn().map_err(run)?;
        let mut lines = match child.stderr.take() {
            Some(stderr) => BufReader::new(stderr).lines(),
            None => return Err(EmbeddedError::Start("it has no output".into())),
        };
        let address = match tokio::time::timeout(START_MAX, address(&mut lines)).await {
            Ok(address) => address.map_err(EmbeddedError::Start)?,
            Err(_) => return Err(EmbeddedError::Start(format!("nothing for {} s", START_MAX.as_secs()))),
        };
        // A pipe that nobody reads would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = Client::new(address, None)?;
        Ok(Self { child, program: options.program.clone(), client, _temporary: temporary })
    }

    /// Stops it; what it took in is in the lake then.
    ///
    /// **Errors**: it did not end well.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        let run = |source| EmbeddedError::Run { program: self.program.clone(), source };
        if let Some(id) = self.child.id() {
            Command::new("kill").args(["-s", "TERM", &id.to_string()]).status().await.map_err(run)?;
        }
        match tokio::time::timeout(STOP_MAX, self.child.wait()).await {
            Ok(status) => match status.map_err(run)? {
                status if status.success() => Ok(()),
                status => Err(EmbeddedError::Stop(status.to_string())),
            },
            Err(_) => Err(EmbeddedError::Stop(format!("it still ran after {} s", STOP_MAX.as_secs()))),
        }
    }
}

fn command(options: &EmbeddedOptions, folder: &Path) -> Command {
    let mut command = Command::new(&options.program);
    command.arg("serve").arg("--lake").arg(folder.join("lake")).arg("--state").arg(folder.join("state"));
    for rules in &options.rules {
        command.arg("--rules").arg(rules);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TARN_SERVE__") {
            command.env_remove(name);
        }
    }
    command.env("TARN_SERVE__LISTEN__HTTP", "['127.0.0.1:0']");
    for protocol in ["GRPC", "POSTGRES", "FLIGHT_SQL"] {
        command.env(format!("TARN_SERVE__LISTEN__{protocol}"), "[]");
    }
    command.env("TARN_SERVE__DETECTION__LATE_SECONDS", LATE_S.to_string());
    if let Some(sources) = &options.sources {
        command.env("TARN_SERVE__SOURCES", sources);
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Reads its logs until it says that it serves.
///
/// **Errors**: its words, if it ends before.
async fn address(lines: &mut Lines<BufReader<ChildStderr>>) -> Result<Url, String> {
    let (mut http, mut words) = (None, String::new());
    while let Ok(Some(line)) = lines.next_line().await {
        let logged: Value = serde_json::from_str(&line).unwrap_or_default();
        let fields = &logged["fields"];
        match (fields["message"].as_str(), fields["protocol"].as_str(), fields["address"].as_str()) {
            (Some("listening"), Some("Http"), Some(address)) => http = Url::parse(&format!("http://{address}")).ok(),
            (Some("serving"), ..) => return http.ok_or_else(|| "it does not listen for HTTP".into()),
            _ if logged.is_null() => {
                words = if words.is_empty() { line } else { format!("{words}\n{line}") };
            }
            _ => {}
        }
    }
    Err(words.trim_start_matches("error: ").to_owned())
}
