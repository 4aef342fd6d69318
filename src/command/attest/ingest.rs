//! `tarn attest ingest`: bundles, envelopes and bills of materials, verified and kept as records.

use super::keep::{self, Read};
use super::source::ImageArgs;
use super::{Signed, document};
use crate::command::arguments::LakeArgs;
use crate::command::named_file::NamedFile;
use crate::command::{Usage, block_on};
use crate::input::{self, Input};
use crate::output::{Format, print_rows};
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;
use reqwest::Url;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_attest::intake::{Document, Given, IntakeError, Taken, is_document, take, take_attached};
use tarn_attest::ocsf::{ArtifactType, Named};
use tarn_attest::{Digest, TrustPolicy};

/// Verify bundles, envelopes and SBOMs, and record what came of it in a lake
///
/// Prints a row a record. What failed is recorded as well, and no reason for another exit code; what was recorded
/// before, by its uid, adds nothing. A bundle is verified for the file beside it (its name without .sigstore.json), else
/// for every subject that it names itself; what is attached to an image, for the image.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn attest ingest --lake ./lake --policies policies.toml release/
  tarn attest ingest --lake ./lake --policies policies.toml --policy release-images --ledger-key evidence.key \\
    --artifact sha256:0123… provenance.sigstore.json
  tarn attest ingest --lake ./lake --policies policies.toml --image registry.example/team/app:v1")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// The trust policies (docs/attest.md)
    #[arg(long, value_name = "FILE")]
    policies: PathBuf,
    /// The policy to verify by; the only one of the file by default
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    #[command(flatten)]
    image: ImageArgs,
    /// What all of the documents are about: a file, or a digest (sha256:…); in a layout, the image's digest or tag
    #[arg(long, value_name = "FILE_OR_DIGEST")]
    artifact: Option<String>,
    /// The key of the lake's evidence ledger, to which the records go as well: a file, or one of AWS KMS,
    /// awskms:///KEY?name=NAME
    #[arg(long, value_name = "FILE_OR_KMS_KEY")]
    ledger_key: Option<String>,
    /// Hand rows to the daemon over this lake, so that its rules see them; its token is read from TARN_TOKEN
    #[arg(long, value_name = "URL")]
    to: Option<Url>,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Sigstore bundles, DSSE envelopes, SBOMs: files, or folders, of whose *.json those that are one are read
    #[arg(value_name = "PATH", required_unless_present_any = ["layout", "image"], conflicts_with_all = ["layout", "image"])]
    paths: Vec<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let policies = super::policies(&self.policies)?;
        let policy = self.image.policy(&policies, self.policy.as_deref())?;
        let now = Utc::now();
        let found = if self.image.is_given() { self.attached(policy, now)? } else { self.files(policy, now)? };
        let Intake { mut read, unread, others } = found;
        let added = block_on(keep::keep(&self.lake, &mut read, self.ledger_key.as_deref(), self.to.as_ref()))??;
        let rows: Vec<_> =
            read.iter().flat_map(|read| read.taken.iter().map(|taken| row(read, taken, &added))).collect();
        print_rows(&rows, Format::or_default(self.format))?;
        let failed = read.iter().flat_map(|read| &read.taken).filter(|t| matches!(t.verdict, Some(Err(_)))).count();
        eprintln!("records: {}, failed: {failed}, new: {}, documents of no use: {unread}", rows.len(), added.len());
        if others > 0 {
            eprintln!("neither bundle, envelope nor SBOM, left alone: {others}");
        }
        Ok(if unread == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The records of files.
    fn files(&self, policy: &TrustPolicy, now: DateTime<Utc>) -> anyhow::Result<Intake> {
        let mut intake = Intake::default();
        for Found { path, named } in documents(&self.paths)? {
            let bytes = document(NamedFile::argument(&path))?;
            if !named && !is_document(&bytes) {
                intake.others += 1;
                continue;
            }
            let taken = self.take(policy, &path, &bytes, now)?;
            intake.add(path, taken.map(|taken| Some((taken, bytes))));
        }
        Ok(intake)
    }

    /// The records of what is attached to an image.
    fn attached(&self, policy: &TrustPolicy, now: DateTime<Utc>) -> anyhow::Result<Intake> {
        let image = self.image.read(self.artifact.as_deref())?;
        let mut intake = Intake::default();
        for attached in &image.attached {
            let uri = image.manifest(&attached.manifest);
            let taken = take_attached(policy, attached, &image.digest, &image.named, Some(&uri), now);
            intake.add(uri.into(), taken.map(|taken| taken.map(|(taken, bytes)| (vec![taken], bytes.into_owned()))));
        }
        Ok(intake)
    }

    /// The records of a document.
    fn take(
        &self,
        policy: &TrustPolicy,
        path: &Path,
        bytes: &[u8],
        now: DateTime<Utc>,
    ) -> anyhow::Result<Result<Vec<Taken>, IntakeError>> {
        let (uri, file) = (path.display().to_string(), path.file_name().unwrap_or_default().to_string_lossy());
        let document = Document { bytes, uri: Some(&uri), name: &file };
        let signed = match &self.artifact {
            Some(name) => Some((name.clone(), Signed::named(name)?)),
            None => beside(path).map(|name| Signed::named(&name).map(|signed| (name, signed))).transpose()?,
        };
        Ok(match signed {
            None => take(policy, document, None, now),
            Some((_, Signed::Digest(digest))) => {
                let named = Named { digest: Some(digest), name: None, uri: None, kind: ArtifactType::Unknown };
                take(policy, document, Some(&Given { named, bytes: None }), now)
            }
            Some((name, Signed::Bytes(bytes))) => {
                let named = of_file(&name, Digest::sha256(&bytes));
                take(policy, document, Some(&Given { named, bytes: Some(&bytes) }), now)
            }
            Some((name, Signed::Large(mut file))) => {
                let digest = Digest::sha256_of(&mut file).map_err(|e| Usage(format!("{name}: {e}")))?;
                take(policy, document, Some(&Given { named: of_file(&name, digest), bytes: None }), now)
            }
        })
    }
}

/// The records of a document, and the bytes that they are of; none of what is no document.
type TakenOf = Option<(Vec<Taken>, Vec<u8>)>;

/// What came of the documents.
#[derive(Default)]
struct Intake {
    read: Vec<Read>,
    /// Documents of which no record is made.
    unread: usize,
    /// What is no document.
    others: usize,
}

impl Intake {
    fn add(&mut self, path: PathBuf, taken: Result<TakenOf, IntakeError>) {
        match taken {
            Ok(Some((taken, bytes))) => self.read.push(Read { path, bytes: bytes.into(), taken }),
            Ok(None) => self.others += 1,
            Err(error) => {
                eprintln!("error: {}: {error}", path.display());
                self.unread += 1;
            }
        }
    }
}

fn of_file(name: &str, digest: Digest) -> Named {
    let file = Path::new(name).file_name().map(|file| file.to_string_lossy().into_owned());
    Named { digest: Some(digest), name: file, uri: Some(name.to_owned()), kind: ArtifactType::File }
}

/// The file that a bundle lies beside, where there is one.
fn beside(path: &Path) -> Option<String> {
    let name = path.to_str()?.strip_suffix(".sigstore.json")?;
    Path::new(name).is_file().then(|| name.to_owned())
}

/// A file that may be a document.
struct Found {
    path: PathBuf,
    /// Whether a user, or its name, says that it is one: then it counts whatever is in it.
    named: bool,
}

/// Documents as users name them: files as they are, and those of a folder that are JSON.
fn documents(paths: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let mut documents = Vec::new();
    for path in paths {
        let whole = path.is_dir();
        for input in input::expand(std::slice::from_ref(path))? {
            match input {
                Input::File(path) if !whole => documents.push(Found { path, named: true }),
                Input::File(path) if path.extension().is_some_and(|e| e == "json") => {
                    let named = path.to_string_lossy().ends_with(".sigstore.json");
                    documents.push(Found { path, named });
                }
                Input::File(_) => {}
                Input::Stdin => return Err(Usage("a document is a file, not standard input".into()).into()),
            }
        }
    }
    if documents.is_empty() {
        return Err(Usage("there is no document: of a folder, *.json are read".into()).into());
    }
    Ok(documents)
}

fn row(read: &Read, taken: &Taken, added: &HashSet<String>) -> Map<String, Value> {
    let (verdict, reason) = taken.outcome();
    let artifact = taken.artifact.digest.as_ref().map(Digest::to_string).or_else(|| taken.artifact.name.clone());
    let cells = [
        ("document", json!(read.path.display().to_string())),
        ("artifact", json!(artifact)),
        ("verdict", json!(verdict)),
        ("reason", json!(reason)),
        ("components", json!(taken.components.len())),
        ("new", json!(added.contains(&taken.evidence.uid))),
        ("uid", json!(taken.evidence.uid)),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
