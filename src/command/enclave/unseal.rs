//! `tarn enclave unseal`: attest, get the key, open the file.

use super::attester::Attester;
use super::seal::{beside, place};
use crate::command::named_file::NamedFile;
use crate::command::{Usage, block_on};
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args as ClapArgs, ValueEnum};
use kbs_types::{Challenge, ErrorInformation, Response};
use reqwest::{Client, RequestBuilder, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tarn_enclave::Secret;
use tarn_enclave::broker::protocol::DECISION;
use tarn_enclave::client::Workload;
use tarn_enclave::evidence::Platform;
use tarn_enclave::keys::KeyName;
use tarn_enclave::sealed::Sealed;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// What attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Evidence {
    /// A document of AWS Nitro, by `/dev/nsm`.
    Nitro,
    /// A document of the same form, by software.
    Simulated,
}

/// Attest to a broker as an enclave, real or simulated, get the key, and open a sealed file
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  tarn enclave unseal model.sealed --broker http://127.0.0.1:8087 --authority authority.txt --out model.bin\n  tarn enclave unseal model.sealed --broker http://127.0.0.1:8087 --evidence nitro --out model.bin"
)]
pub struct Args {
    /// The sealed file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The broker
    #[arg(long, value_name = "URL")]
    broker: String,
    /// What attests: the Nitro Secure Module of the enclave that this runs in, or software in its place
    #[arg(long, value_enum, default_value_t = Evidence::Simulated, value_name = "KIND")]
    evidence: Evidence,
    /// What attests in the place of hardware, of `tarn enclave authority`
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Where the opened file goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Measure this file and not this program, in simulated evidence
    #[arg(long, value_name = "FILE")]
    measure: Option<PathBuf>,
    /// Attest as a simulated enclave in debug mode, which is refused
    #[arg(long)]
    debug: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let file = NamedFile::argument(&self.file);
        let sealed = Sealed::open(BufReader::new(file.open()?)).map_err(|error| file.wrong(error))?;
        let attester = self.attester()?;
        let key = match block_on(self.key(sealed.name(), &attester))?? {
            Ok(key) => key,
            Err(refusal) => {
                eprintln!("refused: {}", refusal.detail);
                return Ok(ExitCode::FAILURE);
            }
        };
        let mut output = beside(&self.out)?;
        let bytes = sealed.unseal(BufWriter::new(&mut output), &key)?;
        place(output, &self.out)?;
        eprintln!("{bytes} bytes opened");
        Ok(ExitCode::SUCCESS)
    }

    /// The key, or the broker's refusal.
    async fn key(&self, name: &KeyName, attester: &Attester) -> anyhow::Result<Result<Secret, ErrorInformation>> {
        let client = Client::builder().timeout(ANSWER_TIME_MAX).build()?;
        let base = format!("{}/kbs/v0", self.broker.trim_end_matches('/'));
        let workload = Workload::new()?;

        let opened = client.post(format!("{base}/auth")).json(&Workload::request(Platform::Nitro)).send().await?;
        let cookie = opened.headers().get(header::SET_COOKIE).and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|value| value.split(';').next()).unwrap_or_default().to_owned();
        let challenge: Challenge = match answer(opened).await? {
            Ok(challenge) => challenge,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let bind = workload.to_bind(&challenge)?;
        let document = attester.document(Some(bind.report_data), bind.public_key)?;
        let evidence = json!({"document": STANDARD.encode(document)});
        let with_cookie = |request: RequestBuilder| request.header(header::COOKIE, &cookie);
        let attestation = workload.attestation(&challenge, evidence)?;
        let attested = with_cookie(client.post(format!("{base}/attest"))).json(&attestation).send().await?;
        tell("attested", &attested);
        if let Err(refusal) = answer::<Value>(attested).await? {
            return Ok(Err(refusal));
        }
        let released = with_cookie(client.get(format!("{base}/resource/{name}"))).send().await?;
        tell("asked", &released);
        match answer::<Response>(released).await? {
            Ok(answer) => Ok(Ok(workload.open(&answer)?)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn attester(&self) -> anyhow::Result<Attester> {
        let simulated = self.measure.is_some() || self.debug;
        match (self.evidence, &self.authority) {
            (Evidence::Simulated, Some(authority)) => {
                Attester::simulated(authority, self.measure.as_deref(), self.debug)
            }
            (Evidence::Simulated, None) => {
                Err(Usage("simulated evidence has an --authority; in an enclave, give --evidence nitro".to_owned())
                    .into())
            }
            (Evidence::Nitro, None) if !simulated => Attester::nitro(),
            (Evidence::Nitro, _) => {
                Err(Usage("--authority, --measure and --debug are of simulated evidence".to_owned()).into())
            }
        }
    }
}

/// Says by which decision, so that its record can be proved.
fn tell(what: &str, answer: &reqwest::Response) {
    if let Some(uid) = answer.headers().get(DECISION).and_then(|uid| uid.to_str().ok()) {
        eprintln!("{what}: decision {uid}");
    }
}

/// An answer within its bounds: what was asked for, or a refusal.
async fn answer<T: DeserializeOwned>(mut response: reqwest::Response) -> anyhow::Result<Result<T, ErrorInformation>> {
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            bail!("the broker's answer is longer than {ANSWER_BYTES_MAX} bytes");
        }
    }
    if status.is_success() {
        return Ok(Ok(serde_json::from_slice(&bytes).context("the broker's answer")?));
    }
    let refusal = serde_json::from_slice(&bytes).with_context(|| format!("the broker answered {status}"))?;
    Ok(Err(refusal))
}
