//! `tarn attest conformance`: the protocol of the Sigstore client conformance suite.

use super::{Signed, document, report};
use crate::command::named_file::NamedFile;
use crate::output::Format;
use clap::{Args as ClapArgs, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_attest::{RequestedSigner, conformance};

/// Answer the Sigstore client conformance suite
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    VerifyBundle(VerifyBundle),
}

/// Verify a bundle as the suite asks for it: exit code 0 where it holds, 1 where not
#[derive(ClapArgs)]
#[command(after_help = "Example:
  tarn attest conformance verify-bundle --bundle a.txt.sigstore.json \\
    --certificate-identity me@example.com --certificate-oidc-issuer https://accounts.example.com a.txt")]
struct VerifyBundle {
    /// The bundle
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Who must have signed, exactly
    #[arg(long, value_name = "IDENTITY", required_unless_present = "key")]
    certificate_identity: Option<String>,
    /// Who must have vouched for them, exactly
    #[arg(long, value_name = "URL", required_unless_present = "key")]
    certificate_oidc_issuer: Option<String>,
    /// The key that must have signed, instead of an identity
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The trusted root; that of Sigstore's public instance by default
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What was signed: a file, or its digest (sha256:…)
    #[arg(value_name = "FILE_OR_DIGEST")]
    artifact: String,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::VerifyBundle(args) => args.run(),
        }
    }
}

impl VerifyBundle {
    fn run(self) -> anyhow::Result<ExitCode> {
        let mut signed = Signed::named(&self.artifact)?;
        let bundle = document(NamedFile::by("--bundle", &self.bundle))?;
        let of = |option, path: Option<&Path>| path.map(|path| document(NamedFile::by(option, path))).transpose();
        let key = of("--key", self.key.as_deref())?;
        let root = of("--trusted-root", self.trusted_root.as_deref())?;
        let signer = match &key {
            Some(key) => RequestedSigner::Key(key),
            None => RequestedSigner::Identity {
                identity: self.certificate_identity.as_deref().unwrap_or_default(),
                issuer: self.certificate_oidc_issuer.as_deref().unwrap_or_default(),
            },
        };
        report(&conformance::verify_bundle(signed.artifact(), &bundle, signer, root.as_deref()), self.format)
    }
}
