//! The daemon that a simulation goes through: one that runs, or one of our own for the time of it.

use crate::command::arguments::{PlaceholderArgs, load_rules};
use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use crate::config;
use anyhow::Context;
use clap::Args;
use reqwest::Url;
use std::path::PathBuf;
use std::time::Duration;
use tarn_rules::Ruleset;
use tarn_simulations::daemon::{Client, Embedded, EmbeddedOptions, WatchOptions};
use tokio::signal::unix::{SignalKind, signal};

/// Where it goes, and with which rules.
#[derive(Args, Clone, Debug)]
pub struct TargetArgs {
    /// A daemon that runs, such as http://127.0.0.1:4318; without it, one is started for this run, on loopback
    #[arg(long, value_name = "URL")]
    pub to: Option<Url>,
    /// The file with its token; TARN_TOKEN otherwise
    #[arg(long, value_name = "FILE", requires = "to")]
    pub token_file: Option<PathBuf>,
    /// Rules: files or folders, Tarn's own by default. With --to, the rules that run there, to know which are expected
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// A folder of log sources of your own, for the daemon that is started
    #[arg(long, value_name = "FOLDER")]
    pub sources: Option<PathBuf>,
    /// Keep the lake of the daemon that is started, in this folder; a later run adds to it
    #[arg(long, value_name = "FOLDER", conflicts_with = "to")]
    pub keep: Option<PathBuf>,
    /// The longest wait for findings after the last record, seconds [default: 30; with --to, 330, as correlations there
    /// wait for late events]
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
}

/// The daemon.
pub struct Target {
    /// How to talk to it.
    pub client: Client,
    embedded: Option<Embedded>,
}

impl TargetArgs {
    /// The rules that run, as far as we know.
    ///
    /// **Errors**: [`Usage`] when a path is not there.
    pub fn ruleset(&self) -> anyhow::Result<Ruleset> {
        match self.rules.as_slice() {
            [] => Ok(tarn_rules::pack()),
            paths => load_rules(paths, &PlaceholderArgs { placeholders: Vec::new() }).context("--rules"),
        }
    }

    /// How long to wait for the last findings.
    pub fn watch(&self) -> WatchOptions {
        let default = if self.to.is_some() { 330 } else { 30 };
        WatchOptions { wait: Duration::from_secs(self.wait.unwrap_or(default)) }
    }

    /// Starts the daemon, where none is named.
    ///
    /// **Errors**: it does not start; a token that cannot be read.
    pub async fn open(&self) -> anyhow::Result<Target> {
        if let Some(url) = &self.to {
            let token = match &self.token_file {
                Some(path) => Some(NamedFile::by("--token-file", path).text(SMALL_BYTES_MAX)?.trim().to_owned()),
                None => config::secret("TARN_TOKEN"),
            };
            return Ok(Target { client: Client::new(url.clone(), token)?, embedded: None });
        }
        let options = EmbeddedOptions {
            program: std::env::current_exe().context("cannot find the tarn program")?,
            folder: self.keep.clone(),
            rules: self.rules.clone(),
            sources: self.sources.clone(),
        };
        let embedded = Embedded::start(&options).await?;
        Ok(Target { client: embedded.client.clone(), embedded: Some(embedded) })
    }
}

impl Target {
    /// Stops the daemon, if it is ours.
    ///
    /// **Errors**: it does not end well.
    pub async fn close(self) -> anyhow::Result<()> {
        match self.embedded {
            Some(embedded) => Ok(embedded.stop().await?),
            None => Ok(()),
        }
    }
}

/// Runs `work` until it ends or somebody ends it; what it holds is dropped then.
///
/// **Errors**: its own; it was interrupted.
pub async fn interruptible<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        done = work => done,
        _ = term.recv() => anyhow::bail!("terminated"),
        _ = int.recv() => anyhow::bail!("interrupted"),
    }
}
