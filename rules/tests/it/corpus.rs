//! Every rule of the SigmaHQ corpus loads, or is one of the few that say why not.

use std::path::PathBuf;
use tarn_rules::{LoadOptions, load};

#[test]
fn the_corpus_loads() {
    let data = std::env::var_os("TARN_TEST_DATA").map_or_else(|| PathBuf::from("../../shared/data"), PathBuf::from);
    let sigma = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(data).join("sigmahq");
    if !sigma.is_dir() {
        println!("skipped: no {}", sigma.display());
        return;
    }
    let folders = ["rules", "rules-compliance", "rules-dfir", "rules-emerging-threats", "rules-threat-hunting"];
    let paths: Vec<PathBuf> = folders.iter().map(|f| sigma.join(f)).collect();
    let options = LoadOptions::default();
    let set = load(&paths, &options);
    for error in &set.errors {
        println!("{error}");
    }
    assert!(set.rules.len() > 3_000, "{} rules", set.rules.len());
    let mut odd = std::collections::BTreeMap::<&str, usize>::new();
    set.rules
        .iter()
        .flat_map(|r| &r.about.warnings)
        .for_each(|w| *odd.entry(w.split(['"', ':']).next().unwrap_or_default()).or_default() += 1);
    println!("{} rules; warnings: {odd:?}", set.rules.len());
    // What is printed reads as the same condition.
    for rule in &set.rules {
        let text = format!("title: t\nlogsource: {{product: x}}\n{}", tarn_rules::print::detection(&rule.condition));
        let again = tarn_rules::parse(&rule.about.file, &text, &options);
        let same = again.rules.first().is_some_and(|r| r.condition == rule.condition);
        assert!(same, "{}: {:?}", rule.about.file.display(), again.errors);
    }
    // What is left asks for values that only a site knows.
    assert!(set.errors.iter().all(|e| e.reason.contains("placeholder")), "{:?}", set.errors);
}
