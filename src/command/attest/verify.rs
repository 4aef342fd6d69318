//! `tarn attest verify`: a bundle or an envelope about an artifact, step by step.

use super::source::ImageArgs;
use super::{Signed, document, image, report};
use crate::command::Usage;
use crate::command::arguments::key_value;
use crate::command::named_file::NamedFile;
use crate::output::Format;
use clap::{ArgGroup, Args as ClapArgs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_attest::evidence::provenance::{self, ExpectedMaterial, Source};
use tarn_attest::evidence::vsa;
use tarn_attest::policy::Expectation;
use tarn_attest::{Algorithm, Digest, Request, RequestedSigner};

/// Verify a Sigstore bundle or a DSSE envelope about a file or a digest, or what is attached to an image
///
/// Nothing is asked over the network but a registry, with --image; an image by its tag is its digest at that moment, and the
/// digest is what is verified. Of what is attached to an image, one document must pass, and anything else is shown.
///
/// Prints every check with what came of it. Exit code 1 when one fails; the reasons are in docs/attest.md.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn attest verify --identity me@example.com --issuer https://accounts.example.com release.tar.gz
  tarn attest verify --bundle app.sigstore.json --key build.pub \\
    --provenance-builder https://builder.example/build.yml \\
    --provenance-source https://github.com/o/r@refs/tags/v1 sha256:0123…
  tarn attest verify --bundle app.intoto.json --key cosign.pub app
  tarn attest verify --layout app-oci --key build.pub --sbom v1
  tarn attest verify --image registry.example/team/app:v1 --policies policies.toml")]
pub struct Args {
    /// The bundle, or with a key a bare DSSE envelope; the file's name and .sigstore.json by default
    #[arg(long, value_name = "FILE", conflicts_with_all = ["layout", "image"])]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    signer: SignerArgs,
    /// The trusted root; that of Sigstore's public instance by default
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What was signed: a file, or its digest (sha256:…); in a layout a digest or tag, or nothing for its only image
    #[arg(value_name = "FILE_OR_DIGEST", required_unless_present_any = ["layout", "image"])]
    artifact: Option<String>,
    // Last, as its heading would go on.
    #[command(flatten)]
    expected: ExpectedArgs,
}

/// Who must have signed.
#[derive(ClapArgs)]
#[command(group(ArgGroup::new("who").required(true).args(["policies"])))]
struct SignerArgs {
    /// The trust policies (docs/attest.md), instead of a signer and what must have been said
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trusted_root", "issuer", "predicate_type", "sbom",
        "provenance_builder", "provenance_build_type", "provenance_source", "provenance_entry_point",
        "provenance_parameter", "provenance_material", "summary_verifier"])]
    policies: Option<PathBuf>,
    /// The policy to verify by; the only one of the file by default
    #[arg(long, value_name = "NAME", requires = "policies")]
    policy: Option<String>,
    /// Who must have signed, exactly: an address or a URI
    #[arg(long, value_name = "IDENTITY", requires = "issuer", group = "who")]
    identity: Option<String>,
    /// Who must have signed: a regular expression of all of it
    #[arg(long, value_name = "REGEX", requires = "issuer", group = "who")]
    identity_pattern: Option<String>,
    /// Who must have vouched for them, exactly
    #[arg(long, value_name = "URL", conflicts_with = "key")]
    issuer: Option<String>,
    /// The public key that must have signed, instead of an identity
    #[arg(long, value_name = "FILE", group = "who")]
    key: Option<PathBuf>,
}

/// What must have been said.
#[derive(ClapArgs)]
#[command(next_help_heading = "What must have been said")]
struct ExpectedArgs {
    /// The statement's predicate type
    #[arg(long, value_name = "URI")]
    predicate_type: Option<String>,
    /// A bill of materials that can be read: CycloneDX or SPDX
    #[arg(long)]
    sbom: bool,
    /// SLSA provenance by this builder; without @… of its own, by any version of it
    #[arg(long, value_name = "URI")]
    provenance_builder: Option<String>,
    /// SLSA provenance of this kind of build
    #[arg(long, value_name = "URI")]
    provenance_build_type: Option<String>,
    /// SLSA provenance of a build from this repository, and reference: https://github.com/o/r@refs/tags/v1
    #[arg(long, value_name = "SOURCE", value_parser = |text: &str| text.parse::<Source>())]
    provenance_source: Option<Source>,
    /// The commit that it was built from
    #[arg(long, value_name = "HEX", requires = "provenance_source", value_parser = commit)]
    provenance_commit: Option<Digest>,
    /// SLSA provenance of a build by this workflow, file or target
    #[arg(long, value_name = "NAME")]
    provenance_entry_point: Option<String>,
    /// SLSA provenance of a build with this parameter, such as workflow.ref=refs/heads/main; repeat it for more
    #[arg(long, value_name = "PATH=VALUE", value_parser = key_value)]
    provenance_parameter: Vec<(String, String)>,
    /// SLSA provenance of a build that this went into: its URI, and in one argument with it a digest; repeat it for more
    #[arg(long, value_name = "URI [DIGEST]", value_parser = |text: &str| text.parse::<ExpectedMaterial>())]
    provenance_material: Vec<ExpectedMaterial>,
    /// A SLSA verification summary by this verifier
    #[arg(long, value_name = "URI")]
    summary_verifier: Option<String>,
    /// The name under which it looked at the artifact
    #[arg(long, value_name = "URI", requires = "summary_verifier")]
    summary_resource: Option<String>,
    /// A level that it must reach, such as SLSA_BUILD_LEVEL_3; repeat it for more
    #[arg(long, value_name = "LEVEL", requires = "summary_verifier")]
    summary_level: Vec<String>,
    /// How old it may be, in days
    #[arg(long, value_name = "DAYS", requires = "summary_verifier")]
    summary_age_max: Option<u32>,
}

fn commit(text: &str) -> Result<Digest, String> {
    Digest::from_hex(Algorithm::GitCommit, text).map_err(|e| e.to_string())
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let expectation = self.expected.expectation()?;
        if let Some(path) = &self.signer.policies {
            let policies = super::policies(path)?;
            let policy = self.image.policy(&policies, self.signer.policy.as_deref())?;
            if self.image.is_given() {
                return image::examine(self.image.read(self.artifact.as_deref())?, policy, self.format);
            }
            let (mut signed, bundle) = read(self.artifact.as_deref(), self.bundle.as_deref())?;
            return report(&policy.verify(signed.artifact(), &bundle, chrono::Utc::now()), self.format);
        }
        let of = |option, path: Option<&Path>| path.map(|path| document(NamedFile::by(option, path))).transpose();
        let key = of("--key", self.signer.key.as_deref())?;
        let root = of("--trusted-root", self.trusted_root.as_deref())?;
        let issuer = self.signer.issuer.as_deref().unwrap_or_default();
        let signer = match (&key, &self.signer.identity, &self.signer.identity_pattern) {
            (Some(key), ..) => RequestedSigner::Key(key),
            (None, Some(identity), _) => RequestedSigner::Identity { identity, issuer },
            (None, None, Some(pattern)) => RequestedSigner::Pattern { pattern, issuer },
            (None, None, None) => return Err(Usage("expected --identity and --issuer, or --key".into()).into()),
        };
        if self.image.is_given() {
            let asked = image::Asked { signer, expectation, trusted_root: root.as_deref() };
            let (policy, verifier) = asked.policy()?;
            return image::verify(self.image.read(self.artifact.as_deref())?, &policy, &verifier, self.format);
        }
        let (mut signed, bundle) = read(self.artifact.as_deref(), self.bundle.as_deref())?;
        let artifact = signed.artifact();
        let request = Request { artifact, bundle: &bundle, signer, expectation, trusted_root: root.as_deref() };
        report(&request.verify(), self.format)
    }
}

/// What was signed, and the bundle about it.
fn read(artifact: Option<&str>, bundle: Option<&Path>) -> anyhow::Result<(Signed, Vec<u8>)> {
    let Some(name) = artifact else { return Err(Usage("expected a file or a digest".into()).into()) };
    let signed = Signed::named(name)?;
    let bundle = match (bundle, &signed) {
        (Some(path), _) => document(NamedFile::by("--bundle", path))?,
        (None, Signed::Digest(_)) => return Err(Usage("a digest needs --bundle".into()).into()),
        (None, _) => document(NamedFile::argument(Path::new(&format!("{name}.sigstore.json"))))?,
    };
    Ok((signed, bundle))
}

impl ExpectedArgs {
    /// What was asked for.
    ///
    /// **Errors**: [`Usage`] for two kinds of statement, of which a bundle holds one.
    fn expectation(self) -> anyhow::Result<Option<Expectation>> {
        let provenance = self.provenance_builder.is_some()
            || self.provenance_build_type.is_some()
            || self.provenance_source.is_some()
            || self.provenance_entry_point.is_some()
            || !self.provenance_parameter.is_empty()
            || !self.provenance_material.is_empty();
        let kinds = [self.predicate_type.is_some(), self.sbom, provenance, self.summary_verifier.is_some()];
        if kinds.iter().filter(|asked| **asked).count() > 1 {
            let of = "--predicate-type, --sbom, --provenance-… and --summary-…";
            return Err(Usage(format!("a bundle holds one statement: expected one kind of {of}")).into());
        }
        let commit = self.provenance_commit;
        Ok(if let Some(predicate_type) = self.predicate_type {
            Some(Expectation::PredicateType(predicate_type))
        } else if let Some(verifier) = self.summary_verifier {
            let days = self.summary_age_max.map(i64::from).map(chrono::TimeDelta::days);
            Some(Expectation::Summary(vsa::Expectations {
                verifier,
                resource_uri: self.summary_resource,
                levels: self.summary_level,
                fresh: days.map(|age_max| vsa::Fresh { now: chrono::Utc::now(), age_max }),
            }))
        } else if provenance {
            Some(Expectation::Provenance(provenance::Expectations {
                builder: self.provenance_builder,
                build_type: self.provenance_build_type,
                source: self.provenance_source.map(|source| Source { commit, ..source }),
                entry_point: self.provenance_entry_point,
                parameters: self.provenance_parameter.into_iter().collect(),
                materials: self.provenance_material,
                ..provenance::Expectations::default()
            }))
        } else {
            self.sbom.then_some(Expectation::Sbom)
        })
    }
}
