//! Our own rules: every one loads without a warning, says where it comes from, and has test events. Whether these decide as
//! they say is for `tarn rules test`, which knows the log sources.

use std::path::{Path, PathBuf};
use tarn_rules::{About, LoadOptions, events, load};

/// Rules and correlations, and whether each is a correlation.
fn rules() -> Vec<(About, bool)> {
    let set = load(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("sigma")], &LoadOptions::default());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    let correlations = set.correlations.into_iter().map(|c| (c.about, true));
    set.rules.into_iter().map(|r| (r.about, false)).chain(correlations).collect()
}

#[test]
fn every_rule_has_cases_that_fire_it_and_look_alikes() {
    let mut without = Vec::new();
    for (about, is_correlation) in rules() {
        let mut cases = events::of_rule(&about.file).unwrap().unwrap_or_default();
        cases.retain(|case| case.is_sequence() == is_correlation && case.is_for(&about));
        let firing = cases.iter().filter(|case| case.fires).count();
        if firing < 1 || cases.len() - firing < 2 {
            without.push(format!("{}: {}: {firing} of {} fire it", about.file.display(), about.title, cases.len()));
        }
    }
    assert!(without.is_empty(), "{}", without.join("\n"));
}

#[test]
fn every_rule_is_described() {
    let rules = rules();
    assert!(rules.len() >= 14, "{} rules", rules.len());
    let ids: std::collections::HashSet<&str> = rules.iter().map(|(about, _)| about.id.as_str()).collect();
    assert_eq!(ids.len(), rules.len());
    for (about, _) in &rules {
        let told = !about.references.is_empty() && !about.false_positives.is_empty() && about.description.is_some();
        // What another product found may be any technique.
        let name = about.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of_others = ["aws_guardduty_", "lnx_falco_", "lnx_tetragon_"].iter().any(|of| name.starts_with(of));
        let tagged = !about.attack.techniques.is_empty() && !about.attack.tactics.is_empty();
        assert!(told && (tagged || of_others), "{name}");
        assert!(about.warnings.is_empty(), "{}: {:?}", about.file.display(), about.warnings);
    }
}

#[test]
fn no_events_file_is_without_its_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sigma");
    let files: Vec<PathBuf> =
        walkdir::WalkDir::new(folder).into_iter().flatten().map(|e| e.into_path()).filter(|p| p.is_file()).collect();
    for file in files.iter().filter(|f| events::is_events_file(&f.to_string_lossy())) {
        let rule = PathBuf::from(file.to_string_lossy().replace(".events.", "."));
        assert!(files.contains(&rule), "{}", file.display());
    }
}
