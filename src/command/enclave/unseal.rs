//! `tarn enclave unseal`: attest, get the key, open the file.

use super::seal::{beside, place};
use super::{measure, small_text};
use crate::command::{Usage, block_on};
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{TimeDelta, Utc};
use clap::Args as ClapArgs;
use kbs_types::{Challenge, ErrorInformation, Response};
use reqwest::{Client, RequestBuilder, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha384};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tarn_enclave::Secret;
use tarn_enclave::broker::protocol::DECISION;
use tarn_enclave::client::{ToBind, Workload};
use tarn_enclave::evidence::Platform;
use tarn_enclave::keys::KeyName;
use tarn_enclave::sealed::Sealed;
use tarn_enclave::simulated::{NsmRequest, SimulatedAuthority};

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Attest to a broker as a simulated enclave, get the key, and open a sealed file
#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  tarn enclave unseal model.sealed --broker http://127.0.0.1:8087 --authority authority.txt --out model.bin"
)]
pub struct Args {
    /// The sealed file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The broker
    #[arg(long, value_name = "URL")]
    broker: String,
    /// What attests in the place of hardware, of `tarn enclave authority`
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,
    /// Where the opened file goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Measure this file and not this program
    #[arg(long, value_name = "FILE")]
    measure: Option<PathBuf>,
    /// Attest as an enclave in debug mode, which is refused
    #[arg(long)]
    debug: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let wrong = |error: std::io::Error| Usage(format!("{}: {error}", self.file.display()));
        let sealed = Sealed::open(BufReader::new(File::open(&self.file).map_err(wrong)?))
            .map_err(|error| Usage(format!("{}: {error}", self.file.display())))?;
        let key = match block_on(self.key(sealed.name()))?? {
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
    async fn key(&self, name: &KeyName) -> anyhow::Result<Result<Secret, ErrorInformation>> {
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
        let evidence = self.evidence(workload.to_bind(&challenge)?)?;
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

    /// A document of a simulated enclave whose image is the file that is measured.
    fn evidence(&self, bind: ToBind) -> anyhow::Result<Value> {
        let text = small_text(&self.authority)?;
        let authority = SimulatedAuthority::from_text(&text);
        let authority = authority.map_err(|error| Usage(format!("{}: {error}", self.authority.display())))?;
        let now = Utc::now();
        let nsm = authority.nsm("tarn-simulated-enclave", now - TimeDelta::minutes(1))?;
        let mut pcrs = vec![measure::of(self.measure.as_deref())?];
        // The kernel and the application of a real image; here there is none but the file.
        pcrs.extend([Sha384::digest(b"simulated kernel").to_vec(), Sha384::digest(b"simulated application").to_vec()]);
        if self.debug {
            pcrs.iter_mut().for_each(|value| value.fill(0));
        }
        let document = nsm.document(&NsmRequest {
            timestamp: now,
            pcrs: (0..).zip(pcrs).collect(),
            nonce: Some(bind.report_data),
            public_key: Some(bind.public_key),
            user_data: None,
        })?;
        Ok(json!({"document": STANDARD.encode(document)}))
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
