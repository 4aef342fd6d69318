//! `tarn enclave broker`: the key broker as a server.

use super::ledger::LedgerRecorder;
use super::provenance::{EvidenceFile, LakeEvidence};
use super::store::StoreArgs;
use crate::command::arguments::LakeArgs;
use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use crate::command::serve::init_logs;
use crate::command::{Usage, block_on, ledger_key};
use crate::recording::{Recorder, Rows};
use anyhow::Context;
use chrono::Utc;
use clap::Args as ClapArgs;
use reqwest::Url;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_enclave::broker::{Broker, Limits, Parts, Provenance, router};
use tarn_enclave::evidence::nitro::{HardwareRoot, Nitro};
use tarn_enclave::evidence::token::{HardwareKeys, Issuer, Service, Tokens};
use tarn_enclave::policy::{Mode, Policies};
use tarn_enclave::simulated::SimulatedRoot;
use tarn_enclave::verifiers::Verifiers;
use tokio::signal::unix::{SignalKind, signal};

/// Who issues the tokens of Confidential Space.
const GOOGLE_ISSUER: &str = "https://confidentialcomputing.googleapis.com";

/// Release keys to attested workloads, by the protocol of Confidential Containers (KBS 0.4.0)
#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  tarn enclave broker --store keys.json --wrapping-key wrapping.key --policy policy.cedar --nitro-root root.der --lake ./lake --ledger-key evidence.key"
)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Who may have which key, in Cedar
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    lake: LakeArgs,
    /// The signing key of the lake's evidence ledger, where every attempt is recorded before a key goes out: a file, or one
    /// of AWS KMS, awskms:///KEY?name=NAME
    #[arg(long, value_name = "FILE_OR_KMS_KEY")]
    ledger_key: String,
    /// Hand rows to the daemon over this lake, so that its rules see them; its token is read from TARN_TOKEN
    #[arg(long, value_name = "URL")]
    to: Option<Url>,
    /// Evidence that passed, by the image's digest, in JSON; without it, what the lake's tables have and its ledger proves
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// Count only what passed by this trust policy, by its name (docs/attest.md); repeat it for more
    #[arg(long = "trust-policy", value_name = "NAME", conflicts_with = "evidence")]
    trust_policies: Vec<String>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8087")]
    listen: SocketAddr,
    #[command(flatten)]
    roots: Roots,
    /// Put simulated evidence to the policies as well, which production refuses
    #[arg(long)]
    trial: bool,
}

/// Whose word counts.
#[derive(ClapArgs)]
struct Roots {
    /// AWS's root certificate for Nitro, in DER
    #[arg(long, value_name = "FILE", conflicts_with = "simulated_root")]
    nitro_root: Option<PathBuf>,
    /// A simulated root, of `tarn enclave authority`
    #[arg(long, value_name = "FILE")]
    simulated_root: Option<PathBuf>,
    /// The key set of Azure Attestation (JWKS)
    #[arg(long, value_name = "FILE", requires = "azure_issuer")]
    azure_keys: Option<PathBuf>,
    /// The issuer of its tokens
    #[arg(long, value_name = "URL", requires = "azure_keys")]
    azure_issuer: Option<String>,
    /// The key set of Confidential Space (JWKS)
    #[arg(long, value_name = "FILE", requires = "google_audience")]
    google_keys: Option<PathBuf>,
    /// The audience that its tokens must name
    #[arg(long, value_name = "TEXT", requires = "google_keys")]
    google_audience: Option<String>,
    /// Look at samples, of machines without hardware
    #[arg(long)]
    sample: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mode = if self.trial { Mode::Trial } else { Mode::Production };
        let policy = NamedFile::by("--policy", &self.policy);
        let policies = Policies::new(&policy.text(SMALL_BYTES_MAX)?, mode).map_err(|e| policy.wrong(e))?;
        let verifiers = self.roots.verifiers()?;
        let evidence = self.evidence.as_deref().map(EvidenceFile::read).transpose()?;
        block_on(async {
            init_logs(None)?;
            let signer = ledger_key::signer(&self.ledger_key).await.context("--ledger-key")?;
            let keys = self.store.open().await?;
            let lake = self.lake.open_or_create().await?;
            let provenance: Arc<dyn Provenance> = match evidence {
                Some(file) => Arc::new(file),
                None => Arc::new(LakeEvidence::new(&lake, signer.public(), self.trust_policies)),
            };
            let recorder = Arc::new(LedgerRecorder(Recorder::open(Rows::new(&lake, self.to.as_ref())?, signer).await?));
            let parts = Parts {
                verifiers,
                policies,
                keys,
                provenance,
                recorder: recorder.clone(),
                clock: Arc::new(Utc::now),
                limits: Limits::default(),
            };
            let router = router(Arc::new(Broker::new(parts)?));
            let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let listener = tokio::net::TcpListener::bind(self.listen).await.with_context(|| self.listen.to_string())?;
            eprintln!("listening on http://{}", listener.local_addr()?);
            let stop = async move {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
            };
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).with_graceful_shutdown(stop).await?;
            recorder.0.finish().await?;
            Ok(ExitCode::SUCCESS)
        })?
    }
}

impl Roots {
    fn verifiers(&self) -> anyhow::Result<Verifiers> {
        let nitro = match (&self.nitro_root, &self.simulated_root) {
            (Some(path), _) => Some(nitro_root(NamedFile::by("--nitro-root", path))?),
            (None, Some(path)) => Some(simulated_root(NamedFile::by("--simulated-root", path))?),
            (None, None) => None,
        };
        let mut tokens = Vec::new();
        if let (Some(path), Some(issuer)) = (&self.azure_keys, &self.azure_issuer) {
            let issuer = Issuer { issuer: issuer.clone(), audience: None };
            tokens.push(Tokens::new(Service::AzureMaa, keys(NamedFile::by("--azure-keys", path))?, issuer));
        }
        if let (Some(path), Some(audience)) = (&self.google_keys, &self.google_audience) {
            let issuer = Issuer { issuer: GOOGLE_ISSUER.to_owned(), audience: Some(audience.clone()) };
            tokens.push(Tokens::new(Service::ConfidentialSpace, keys(NamedFile::by("--google-keys", path))?, issuer));
        }
        if nitro.is_none() && tokens.is_empty() && !self.sample {
            return Err(Usage("no evidence is taken: give a root, a key set, or --sample".to_owned()).into());
        }
        Ok(Verifiers { nitro, tokens, sample: self.sample })
    }
}

fn nitro_root(file: NamedFile<'_>) -> Result<Nitro, Usage> {
    let root = HardwareRoot::from_der(&file.bytes(SMALL_BYTES_MAX)?);
    Ok(Nitro::new(root.map_err(|error| file.wrong(error))?))
}

fn simulated_root(file: NamedFile<'_>) -> Result<Nitro, Usage> {
    let root = SimulatedRoot::from_text(&file.text(SMALL_BYTES_MAX)?);
    Ok(Nitro::simulated(&root.map_err(|error| file.wrong(error))?))
}

fn keys(file: NamedFile<'_>) -> Result<HardwareKeys, Usage> {
    HardwareKeys::from_jwks(&file.bytes(SMALL_BYTES_MAX)?).map_err(|error| file.wrong(error))
}
