//! Files of rules: each is read once, however it is named.

use std::fs;
use std::path::PathBuf;
use tarn_rules::{LoadOptions, load};

fn rule(n: u32) -> String {
    format!(
        "title: Rule {n}\nid: 00000000-0000-4000-8000-{n:012}\nlogsource: {{category: test}}\n\
         detection: {{a: {{Field: {n}}}, condition: a}}\n"
    )
}

#[cfg(unix)]
#[test]
fn a_file_of_several_names_is_read_once() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("rules/deep")).unwrap();
    fs::write(at("rules/one.yml"), rule(1)).unwrap();
    fs::write(at("rules/deep/two.yml"), rule(2)).unwrap();
    fs::write(at("rules/deep/no-rule.txt"), rule(3)).unwrap();
    fs::write(at("elsewhere.txt"), rule(4)).unwrap();
    symlink(at("rules/one.yml"), at("rules/deep/again.yml")).unwrap();
    symlink(at("elsewhere.txt"), at("rules/linked.yml")).unwrap();
    symlink(at("rules/deep"), at("again")).unwrap();
    let titles = |paths: &[PathBuf]| {
        let set = load(paths, &LoadOptions::default());
        assert!(set.errors.is_empty(), "{:?}", set.errors);
        set.rules.into_iter().map(|rule| rule.about.title).collect::<Vec<_>>()
    };
    // In a folder, names tell; what the user names is read.
    let all = titles(&[at("rules")]);
    assert_eq!(all, ["Rule 1", "Rule 2", "Rule 4"]);
    let more =
        [at("rules"), at("again"), at("rules/one.yml"), at("again/two.yml"), at("elsewhere.txt"), at("rules/../rules")];
    assert_eq!(titles(&more), all);
    assert_eq!(titles(&[at("again")]), ["Rule 1", "Rule 2"]);
    assert_eq!(titles(&[at("rules/deep/no-rule.txt")]), ["Rule 3"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latin.yml"), b"title: \xe9\n").unwrap();
    fs::write(folder.path().join("one.yml"), rule(1)).unwrap();
    let nowhere = folder.path().join("nowhere");
    let set = load(&[folder.path().to_owned(), nowhere.clone()], &LoadOptions::default());
    assert_eq!(set.rules.len(), 1);
    let errors: Vec<String> = set.errors.iter().map(ToString::to_string).collect();
    assert!(errors.iter().any(|e| e.contains("latin.yml") && e.contains("not UTF-8 at byte 7")), "{errors:?}");
    assert!(errors.iter().any(|e| e.starts_with(&nowhere.display().to_string())), "{errors:?}");
}
