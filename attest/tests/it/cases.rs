//! The conformance suite's cases, where they are: folders of a bundle and what it is to be verified by. They are from
//! sigstore-conformance's `test/assets/bundle-verify`, whose README says what stands in a folder.

use serde_json::Value;
use std::path::{Path, PathBuf};
use tarn_attest::{Artifact, Attestation, RequestedSigner, Verification, conformance};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
pub const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// One case.
#[derive(Clone)]
pub struct Case {
    pub bundle: Vec<u8>,
    pub artifact: Vec<u8>,
    pub identity: String,
    pub issuer: String,
    pub key: Option<Vec<u8>>,
    pub trusted_root: Option<Vec<u8>>,
}

/// The folder of cases; says that the test is skipped where it is not there.
pub fn folder() -> Option<PathBuf> {
    let data = std::env::var_os("TARN_TEST_DATA").map(PathBuf::from);
    let data = data.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let folder = data.join("sigstore-bundles");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no {}", folder.display());
    None
}

impl Case {
    pub fn read(folder: &Path) -> Self {
        let optional = |name: &str| std::fs::read(folder.join(name)).ok();
        let text = |name: &str, default: &str| {
            optional(name).map_or(default.to_owned(), |t| String::from_utf8(t).unwrap().trim().to_owned())
        };
        Self {
            bundle: std::fs::read(folder.join("bundle.sigstore.json")).unwrap(),
            artifact: optional("artifact").unwrap_or_else(|| std::fs::read(folder.join("../a.txt")).unwrap()),
            identity: text("identity", IDENTITY),
            issuer: text("issuer", ISSUER),
            key: optional("key.pub"),
            trusted_root: optional("trusted_root.json"),
        }
    }

    /// The case of a name, where the cases are.
    pub fn named(name: &str) -> Option<Self> {
        folder().map(|folder| Self::read(&folder.join(name)))
    }

    pub fn signer(&self) -> RequestedSigner<'_> {
        match &self.key {
            Some(key) => RequestedSigner::Key(key),
            None => RequestedSigner::Identity { identity: &self.identity, issuer: &self.issuer },
        }
    }

    pub fn verify_of<'a>(&'a self, artifact: Artifact<'a>) -> Verification<Attestation> {
        conformance::verify_bundle(artifact, &self.bundle, self.signer(), self.trusted_root.as_deref())
    }

    pub fn verify(&self) -> Verification<Attestation> {
        self.verify_of(Artifact::Bytes(&self.artifact))
    }

    /// The same case with another bundle.
    pub fn tampered(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut bundle = self.json();
        change(&mut bundle);
        Self { bundle: bundle.to_string().into_bytes(), ..self.clone() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bundle).unwrap()
    }
}
