//! The crates' edges are those of `docs/architecture.md`, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Folder → the folders whose crates it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("schema-ocsf", &[]),
    ("ingest", &["schema-ocsf"]),
    ("rules", &[]),
    ("engine", &["schema-ocsf", "ingest", "rules"]),
    ("lake", &["schema-ocsf"]),
    ("connectors", &["schema-ocsf", "ingest"]),
    ("attest", &["schema-ocsf"]),
    ("enclave", &["schema-ocsf", "attest"]),
    ("simulations", &["schema-ocsf", "ingest", "rules", "engine", "lake", "connectors", "attest", "enclave"]),
];

fn dependencies(manifest: &str) -> BTreeSet<String> {
    let start = manifest.find("[dependencies]").unwrap();
    let section = &manifest[start + 1..];
    let section = &section[..section.find("\n[").unwrap_or(section.len())];
    section
        .lines()
        .filter_map(|line| line.strip_prefix("tarn-"))
        .map(|rest| rest.split(['.', ' ', '=']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn crates_use_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    for (folder, may_use) in &allowed {
        let manifest = std::fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
        for used in dependencies(&manifest) {
            assert!(may_use.contains(&used.as_str()), "{folder} may not use {used}: see docs/architecture.md");
        }
    }
}

#[test]
fn every_crate_is_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.join("Cargo.toml").exists() && name != "fuzz" {
            assert!(EDGES.iter().any(|(folder, _)| *folder == name), "{name} is a crate without a row");
        }
    }
}
