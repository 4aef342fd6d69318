//! `tarn attest admission`: the admission webhook as a server.

mod rotation;
mod source;

use super::{document, policies};
use crate::command::arguments::{LakeArgs, key_value};
use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use crate::command::serve::init_logs;
use crate::command::{Usage, block_on, ledger_key};
use crate::recording::{Recorder, Rows};
use anyhow::Context as _;
use async_trait::async_trait;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use chrono::Utc;
use clap::{Args as ClapArgs, ValueEnum};
use futures::future::try_join_all;
use reqwest::Url;
use rotation::{PERIOD, Rotating, digest_of};
use source::SourceArgs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tarn_attest::admission::{self, Admission, Limits, Parts, Summarizer, router};
use tarn_attest::ledger::Entry;
use tarn_attest::{Digest, Policies};
use tarn_connectors::listen::{Listener, Peer, Tls, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// How long answers may take after the process was told to stop: as long as an API server waits.
const DRAIN: Duration = Duration::from_secs(30);

/// Answer a Kubernetes API server whether workloads may run, by what is attached to their images
///
/// POST /validate takes AdmissionReviews (admission.k8s.io/v1). Every verification and every decision is a record in the
/// lake's evidence ledger before there is an answer, and a row of its tables soon after. Policies, credentials of registries
/// and the certificate are read again when their files change, and by SIGHUP; SIGTERM finishes what was asked, and stops.
/// docs/admission.md has the webhook's configuration.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn attest admission --policies policies.toml --layout ./layouts --lake ./lake --ledger-key evidence.key
  tarn attest admission --policies policies.toml --registry registry.example --lake s3://bucket/lake \\
    --ledger-key evidence.key --mode enforce --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key --tls-client-ca apiserver-ca.crt \\
    --vsa-key vsa.key --vsa-verifier https://example.com/admission")]
pub struct Args {
    /// The address to listen on; beyond loopback, TLS is needed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The trust policies (docs/attest.md): the first one whose `images` fits is an image's
    #[arg(long, value_name = "FILE")]
    policies: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
    /// What becomes of a workload with an image that is not attested
    #[arg(long, value_enum, default_value_t = Mode::Warn)]
    mode: Mode,
    /// For how many seconds what is known of an image counts
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3600))]
    known_for: u64,
    #[command(flatten)]
    records: RecordsArgs,
    #[command(flatten)]
    summaries: SummariesArgs,
    #[command(flatten)]
    tls: TlsArgs,
}

/// What becomes of a workload with an image that is not attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// It may run, and whoever asks for it is warned
    Warn,
    /// It may not run; neither where that cannot be told, or not recorded
    Enforce,
}

/// Where records go.
#[derive(ClapArgs)]
struct RecordsArgs {
    /// The lake that records go to (a folder or a URL); without it, nothing is recorded
    #[arg(long, value_name = "URL", requires = "ledger_key")]
    lake: Option<String>,
    /// An option of the lake's object store, such as aws_region=eu-north-1
    #[arg(long = "store-option", value_name = "KEY=VALUE", value_parser = key_value, requires = "lake")]
    store_options: Vec<(String, String)>,
    /// The signing key of the lake's evidence ledger: a file, or one of AWS KMS, awskms:///KEY?name=NAME
    #[arg(long, value_name = "FILE_OR_KMS_KEY", requires = "lake")]
    ledger_key: Option<String>,
    /// Hand rows to the daemon over this lake, so that its rules see them; its token is read from TARN_TOKEN
    #[arg(long, value_name = "URL", requires = "lake")]
    to: Option<Url>,
}

/// Verification summaries.
#[derive(ClapArgs)]
struct SummariesArgs {
    /// Sign a SLSA verification summary of each image that passed, with this key (PKCS#8 PEM; P-256 or Ed25519)
    #[arg(long, value_name = "FILE", requires = "vsa_verifier")]
    vsa_key: Option<PathBuf>,
    /// The URI that summaries name as their verifier
    #[arg(long, value_name = "URI", requires = "vsa_key")]
    vsa_verifier: Option<String>,
}

/// Who may connect.
#[derive(ClapArgs)]
struct TlsArgs {
    /// The certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Roots of clients' certificates: only who shows one may ask
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Beyond loopback, let anybody ask who reaches the address, as API servers show no certificate by default
    #[arg(long, conflicts_with = "tls_client_ca")]
    any_client: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        init_logs(None)?;
        let (version, by) = ruled(&self.policies)?;
        let (source, asked) = self.source.open()?;
        let summarizer = self.summaries.open()?;
        let tls = self.tls.open(self.listen)?;
        block_on(async move {
            let (mut term, mut int, mut hup) =
                (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
            // The address first: a webhook that cannot be reached records nothing.
            let listener = Listener::bind(self.listen, tls.clone().map(|(_, tls)| tls), true).await?;
            let recorder = self.records.open().await?;
            let admission = Arc::new(Admission::new(Parts {
                policies: by,
                mode: self.mode.into(),
                source,
                recorder: recorder.clone().map(|recorder| recorder as Arc<dyn admission::Recorder>),
                summarizer,
                clock: Arc::new(Utc::now),
                limits: Limits { known_for: Duration::from_secs(self.known_for), ..Limits::default() },
            }));
            let mut rotating: Vec<Rotating> = asked.into_iter().collect();
            if let Some((digest, tls)) = tls.clone() {
                let read = move || self.tls.digest().map(|digest| (digest, ()));
                rotating.push(Rotating::new("certificates", digest, read, move |()| Ok(tls.reload()?)));
            }
            let (read, replaced) = (move || ruled(&self.policies), admission.clone());
            rotating.push(Rotating::new("policies", version, read, move |read| {
                replaced.replace(read);
                Ok(())
            }));
            let scheme = if tls.is_some() { "https" } else { "http" };
            eprintln!("listening on {scheme}://{}", listener.address);
            let stop = CancellationToken::new();
            let app = router(admission.clone()).layer(from_fn(connected));
            let serving = tokio::spawn(listener.serve(app, CONNECTIONS_MAX, stop.clone(), DRAIN));
            let mut period = interval(PERIOD);
            period.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = term.recv() => break,
                    _ = int.recv() => break,
                    _ = period.tick() => block_in_place(|| rotating.iter_mut().for_each(Rotating::look)),
                    _ = hup.recv() => block_in_place(|| rotating.iter_mut().for_each(Rotating::reload)),
                }
            }
            admission.stop();
            stop.cancel();
            serving.await?;
            if let Some(recorder) = recorder {
                recorder.0.finish().await?;
            }
            Ok(ExitCode::SUCCESS)
        })?
    }
}

impl From<Mode> for admission::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Warn => Self::Warn,
            Mode::Enforce => Self::Enforce,
        }
    }
}

/// A policy file's policies, and what tells them from changed ones: it, and what it names.
fn ruled(path: &Path) -> anyhow::Result<(Digest, Policies)> {
    let read = policies(path)?;
    let named = read.iter().map(|policy| {
        let by = policy.by();
        format!("\n{:?} {:?}", by.key, by.trusted_root)
    });
    let all: String = [read.version().to_owned()].into_iter().chain(named).collect();
    Ok((Digest::sha256(all.as_bytes()), read))
}

impl RecordsArgs {
    async fn open(&self) -> anyhow::Result<Option<Arc<LedgerRecorder>>> {
        let (Some(lake), Some(key)) = (&self.lake, &self.ledger_key) else {
            eprintln!("nothing is recorded: that takes --lake and --ledger-key");
            return Ok(None);
        };
        let signer = ledger_key::signer(key).await.context("--ledger-key")?;
        let lake = LakeArgs { lake: lake.clone(), store_options: self.store_options.clone() };
        let recorder = Recorder::open(Rows::new(&lake.open_or_create().await?, self.to.as_ref())?, signer).await?;
        Ok(Some(Arc::new(LedgerRecorder(recorder))))
    }
}

impl SummariesArgs {
    fn open(&self) -> anyhow::Result<Option<Summarizer>> {
        let (Some(path), Some(verifier)) = (&self.vsa_key, &self.vsa_verifier) else { return Ok(None) };
        let key = NamedFile::by("--vsa-key", path);
        let summarizer = Summarizer::read(&document(key)?, verifier);
        Ok(Some(summarizer.map_err(|e| match e {
            admission::SummarizerError::Verifier(_) => Usage(format!("--vsa-verifier: {e}")),
            _ => key.wrong(e),
        })?))
    }
}

impl TlsArgs {
    /// What tells the files from changed ones.
    fn digest(&self) -> anyhow::Result<Digest> {
        let all =
            [("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key), ("--tls-client-ca", &self.tls_client_ca)];
        let read = |(option, path): (_, &Option<PathBuf>)| {
            path.as_deref().map(|path| NamedFile::by(option, path).bytes(SMALL_BYTES_MAX))
        };
        let files = all.into_iter().filter_map(read).collect::<Result<Vec<_>, Usage>>()?;
        Ok(digest_of(files.iter().map(|bytes| Some(bytes.as_slice()))))
    }

    fn open(&self, listen: SocketAddr) -> anyhow::Result<Option<(Digest, Tls)>> {
        let beyond = !listen.ip().is_loopback();
        let needs =
            |what: &str| Usage(format!("{listen} can be reached from other machines: that needs {what}")).into();
        let (Some(certificate), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) else {
            return if beyond { Err(needs("--tls-cert and --tls-key")) } else { Ok(None) };
        };
        if beyond && self.tls_client_ca.is_none() && !self.any_client {
            return Err(needs("--tls-client-ca, or --any-client"));
        }
        // Before they are read: a change in between is one to come.
        let digest = self.digest()?;
        let tls = Tls::open(TlsFiles { certificate, key, client_ca: self.tls_client_ca.clone() });
        Ok(Some((digest, tls.map_err(|e| Usage(format!("{:#}", anyhow::Error::from(e))))?)))
    }
}

/// Where a request comes from, as its connection says.
async fn connected(mut request: Request, next: Next) -> Response {
    if let Some(address) = request.extensions().get::<Peer>().map(|peer| peer.address) {
        request.extensions_mut().insert(ConnectInfo(address));
    }
    next.run(request).await
}

/// The lake's ledger and tables.
struct LedgerRecorder(Recorder);

#[async_trait]
impl admission::Recorder for LedgerRecorder {
    async fn record(&self, entries: Vec<Entry>) -> Result<(), String> {
        // Together, they are appended together.
        try_join_all(entries.into_iter().map(|entry| self.0.record(entry))).await.map(drop)
    }
}
