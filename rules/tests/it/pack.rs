//! Our own rules: every one loads without a warning, says where it comes from, and has test events. Whether these decide as
//! they say is for `tarn rules test`, which knows the log sources.

use std::path::{Path, PathBuf};
use tarn_rules::{LoadOptions, Rule, events, load};

fn rules() -> Vec<Rule> {
    let set = load(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("sigma")], &LoadOptions::default());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    set.rules
}

#[test]
fn every_rule_has_events_that_fire_it_and_look_alikes() {
    for rule in rules() {
        let tests = events::of_rule(&rule.about.file).unwrap().unwrap_or_default();
        let firing = tests.iter().filter(|t| t.fires).count();
        let file = rule.about.file.display();
        assert!(firing >= 1 && tests.len() - firing >= 2, "{file}: {firing} of {} events fire it", tests.len());
    }
}

#[test]
fn every_rule_is_described() {
    let rules = rules();
    assert!(rules.len() >= 14, "{} rules", rules.len());
    let ids: std::collections::HashSet<&str> = rules.iter().map(|r| r.about.id.as_str()).collect();
    assert_eq!(ids.len(), rules.len());
    for rule in &rules {
        let told = !rule.about.references.is_empty()
            && !rule.about.false_positives.is_empty()
            && rule.about.description.is_some();
        // What another product found may be any technique.
        let name = rule.about.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of_others = ["aws_guardduty_", "lnx_falco_", "lnx_tetragon_"].iter().any(|of| name.starts_with(of));
        let tagged = !rule.about.attack.techniques.is_empty() && !rule.about.attack.tactics.is_empty();
        assert!(told && (tagged || of_others), "{name}");
        assert!(rule.about.warnings.is_empty(), "{}: {:?}", rule.about.file.display(), rule.about.warnings);
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
