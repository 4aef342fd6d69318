//! `tarn serve`: the daemon.

use super::{Usage, block_on};
use crate::config;
use crate::serve::Server;
use crate::serve::config::{Config, TracesConfig};
use crate::serve::traces::Traces;
use anyhow::Context as _;
use clap::Args as ClapArgs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_lake::StoreOptions;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Take events in, match them, keep them and answer SQL, until told to stop
///
/// What is acknowledged is on disk, is seen by SQL at once, meets every rule, and is in the lake exactly once, whatever is
/// killed and when. SIGHUP reads rules, sinks, routes and certificates again; SIGTERM finishes what was taken in, and stops.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn serve --lake ./lake --state ./state --rules path/to/sigma/rules
  tarn serve --config tarn.toml

  curl --data-binary @events.ndjson http://127.0.0.1:4318/v1/ingest
  curl http://127.0.0.1:4318/v1/sql -H 'Content-Type: text/plain' -d 'SELECT count(*) FROM api_activity'

docs/serve.md has every key of the configuration.")]
pub struct Args {
    /// The configuration, TOML; variables TARN_SERVE__KEY__KEY go over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The lake (overrides the key `lake`)
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// The folder of the durable log and what must survive a restart (overrides `state`)
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Sigma rules (overrides `rules`); Tarn's own by default
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        without_huge_pages();
        let config = self.configuration()?;
        let store = StoreOptions::new(config::store_options());
        block_on(async {
            let _traces = init_logs(config.traces.as_ref())?;
            let (mut term, mut int, mut hup) =
                (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
            let mut server = Server::start(config, &store).await?;
            for (protocol, address) in &server.addresses {
                tracing::info!(%address, ?protocol, "listening");
            }
            tracing::info!("serving");
            let failure = loop {
                tokio::select! {
                    _ = term.recv() => break None,
                    _ = int.recv() => break None,
                    _ = hup.recv() => match tokio::task::block_in_place(|| server.reload(&self.configuration()?)) {
                        Ok(()) => tracing::info!("rules, sinks, routes and certificates were read again"),
                        Err(error) => tracing::error!(error = format!("{error:#}"), "nothing was reloaded"),
                    },
                    error = server.failed() => break Some(error),
                }
            };
            match failure {
                None => {
                    tracing::info!("stopping");
                    server.stop().await?;
                    Ok(ExitCode::SUCCESS)
                }
                // What is in the log is there at the next start.
                Some(error) => Err(error),
            }
        })?
    }

    fn configuration(&self) -> anyhow::Result<Config> {
        let mut over: Vec<(String, String)> = config::serve_variables().collect();
        let mut set = |key: &str, value: String| over.push((format!("TARN_SERVE__{key}"), value));
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        if let Some(lake) = &self.lake {
            set("LAKE", quoted(lake));
        }
        let text = |path: &PathBuf| path.to_str().map(str::to_owned);
        let utf8 = || Usage("paths have to be UTF-8".into());
        if let Some(state) = &self.state {
            set("STATE", quoted(&text(state).ok_or_else(utf8)?));
        }
        if !self.rules.is_empty() {
            let rules: Option<Vec<String>> = self.rules.iter().map(|path| Some(quoted(&text(path)?))).collect();
            set("RULES", format!("[{}]", rules.ok_or_else(utf8)?.join(",")));
        }
        let read = Config::read(self.config.as_deref(), over.into_iter());
        if self.config.is_some() { read.context("--config") } else { read }
    }
}

/// Structured logs on stderr: JSON where that is no terminal; `RUST_LOG` chooses what. Traces, where they are wanted.
///
/// **Errors**: as [`Traces::open`].
pub(super) fn init_logs(traces: Option<&TracesConfig>) -> anyhow::Result<Option<Traces>> {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("warn,tarn=info,tarn_lake=info,tarn_connectors=info"));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = if std::io::stderr().is_terminal() { logs.boxed() } else { logs.json().boxed() };
    // What fails in sending traces is a log, and what sends them is not traced.
    let traces = traces.map(Traces::open).transpose()?;
    let spans = traces.as_ref().map(Traces::layer);
    // A second call, which does not happen, would change nothing.
    let _ = tracing_subscriber::registry().with(logs.with_filter(filter)).with(spans).try_init();
    Ok(traces)
}

/// Memory in pages of the usual size: huge ones are quicker to get, but a process that runs for months would keep more of them
/// than it needs. A system that cannot leave them out, or has none, serves as well.
fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_thp_disable(true).ok();
}
