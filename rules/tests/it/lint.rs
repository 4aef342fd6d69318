//! Each check on a rule that it is for, and on one like it that it must leave alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use tarn_rules::LoadOptions;
use tarn_rules::lint::{Finding, OF_SOURCES, Severity, checks, lint};

const GOOD: &str = "title: Secrets Read in Bulk
id: 3f0b6c1e-52c4-4c0f-8a34-6b1f3a0c9d11
status: experimental
description: Someone reads many secrets at once.
references:
    - https://example.com/secrets
author: An Author
date: 2026-11-20
modified: 2026-11-27
tags:
    - attack.credential-access
    - attack.t1555.006
    - atlas.aml.t0055
logsource:
    product: aws
    service: cloudtrail
detection:
    selection:
        eventSource: secretsmanager.amazonaws.com
        eventName:
            - GetSecretValue
            - BatchGetSecretValue
    filter:
        userIdentity.type: AWSService
    condition: selection and not filter
falsepositives:
    - Backups
level: medium
";

/// The detection section of [`GOOD`].
fn with_detection(section: &str) -> String {
    let (before, rest) = GOOD.split_once("detection:\n").unwrap();
    let (_, after) = rest.split_once("falsepositives:").unwrap();
    format!("{before}detection:\n{section}falsepositives:{after}")
}

fn run(files: &[(&str, &str)], skip: &[&str]) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let skip: Vec<String> = skip.iter().map(|s| (*s).to_owned()).collect();
    lint(&[folder.path().to_owned()], &LoadOptions::default(), &skip).findings
}

/// The findings of one check on one rule.
fn of(check: &str, rule: &str) -> Vec<Finding> {
    run(&[("rule.yml", rule)], &[]).into_iter().filter(|f| f.check == check).collect()
}

/// One replacement in the good rule, and whether the check speaks.
#[track_caller]
fn edits(check: &str, cases: &[(&str, &str, bool)]) {
    for (from, to, speaks) in cases {
        assert!(GOOD.contains(from), "{from}");
        let findings = of(check, &GOOD.replacen(from, to, 1));
        assert_eq!(!findings.is_empty(), *speaks, "{check}: {from:?} -> {to:?}: {findings:?}");
    }
}

/// Detection sections, and the line within (from 1) at which the check speaks, or none.
#[track_caller]
fn sections(check: &str, cases: &[(&str, Option<(usize, Severity)>)]) {
    for (section, expected) in cases {
        let findings = of(check, &with_detection(section));
        let found = findings.first().map(|f| (f.line - 17, f.severity));
        assert_eq!(found, *expected, "{check}:\n{section}{findings:?}");
    }
}

#[test]
fn a_good_rule_has_no_finding() {
    assert_eq!(run(&[("rule.yml", GOOD)], &[]), []);
    let tests = "- {name: a, fires: true, event: {}}\n- {name: b, fires: false, event: {}}\n";
    assert_eq!(run(&[("rule.yml", GOOD), ("rule.events.yml", tests)], &[]), []);
}

#[test]
fn what_does_not_load_is_a_finding_with_its_line() {
    for (from, to, line, why) in [
        ("condition: selection and", "condition: selektion and", 25, "selektion"),
        ("eventSource:", "eventSource|contians:", 19, "contians"),
        ("title: ", "title: [", 2, "YAML"),
    ] {
        let findings = of("load", &GOOD.replacen(from, to, 1));
        assert!(findings.len() == 1 && findings[0].message.contains(why), "{findings:?}");
        assert_eq!((findings[0].line, findings[0].severity), (line, Severity::Error), "{findings:?}");
    }
    // A site's own values are no fault of the rule.
    assert_eq!(of("load", &GOOD.replace("eventSource:", "eventSource|expand: '%sources%' #")), []);
}

#[test]
fn duplicates() {
    let other = |text: &str| text.replace("3f0b6c1e", "4f0b6c1e").replace("Secrets Read in Bulk", "Other Title");
    let narrower = GOOD.replace("- GetSecretValue", "- ListSecrets");
    let speaks = |second: &str| -> BTreeSet<&str> {
        run(&[("a.yml", GOOD), ("b.yml", second)], &[]).into_iter().map(|f| f.check).collect()
    };
    assert_eq!(speaks(&GOOD.replace("3f0b6c1e", "4f0b6c1e")), ["duplicate-detection", "duplicate-title"].into());
    assert_eq!(speaks(&narrower.replace("Bulk", "Lists")), ["duplicate-id"].into());
    // The order of values and keys is no difference, another log source is.
    let turned = other(GOOD).replace(
        "            - GetSecretValue\n            - BatchGetSecretValue",
        "            - BatchGetSecretValue\n            - GetSecretValue",
    );
    assert_eq!(speaks(&turned), ["duplicate-detection"].into());
    assert_eq!(speaks(&other(GOOD).replace("product: aws", "product: okta")), [].into());
    assert_eq!(speaks(&other(&narrower)), [].into());
}

#[test]
fn conditions_that_never_hold() {
    use Severity::{Error, Warning};
    sections(
        "never-true",
        &[
            ("    a: {X: 1}\n    condition: a and not a\n", None),
            ("    a: {X: 1}\n    b: {X: 2}\n    condition: a and b\n", Some((3, Warning))),
            ("    a: {X: 1}\n    b: {X: 2}\n    condition: a or b\n", None),
            ("    a: {X|gt: 5}\n    b: {X|lt: 4}\n    condition: a and b\n", Some((3, Warning))),
            ("    a: {X|gt: 5}\n    b: {X|lt: 7}\n    condition: a and b\n", None),
            ("    a: {X|contains: ab}\n    b: {X|contains: cd}\n    condition: a and b\n", None),
            ("    a: {X|startswith: ab}\n    b: {X: abc}\n    condition: a and b\n", None),
            ("    a: {X: [1, 2]}\n    b: {X: [3, 4]}\n    condition: a and b\n", Some((3, Warning))),
            ("    a: {X: [1, 2]}\n    b: {X: [2, 3]}\n    condition: a and b\n", None),
        ],
    );
    sections(
        "contradiction",
        &[
            ("    a:\n        X: 1\n        X|endswith: 2\n    condition: a\n", Some((1, Warning))),
            ("    a:\n        X: 12\n        X|endswith: 2\n    condition: a\n", None),
            ("    a:\n        X: 1\n        X|exists: false\n    condition: a\n", Some((1, Error))),
            ("    a:\n        X: null\n        X|exists: true\n    condition: a\n", None),
            ("    a:\n        X|contains|all: [a1, b1]\n    condition: a\n", None),
            ("    a:\n        X|cased: AB\n        X: ab\n    condition: a\n", None),
            ("    a:\n        X|cidr: 10.0.0.0/8\n        X: 192.0.2.1\n    condition: a\n", Some((1, Warning))),
        ],
    );
    sections(
        "swallowed-selection",
        &[
            ("    a: {X: 1}\n    condition: a and not a\n", Some((1, Error))),
            (
                "    a:\n        X|endswith: \\a.exe\n    f:\n        X|endswith: .exe\n    condition: a and not f\n",
                Some((1, Error)),
            ),
            (
                "    a:\n        X|endswith: .exe\n    f:\n        X|endswith: \\a.exe\n    condition: a and not f\n",
                None,
            ),
            ("    s1: {X: 1}\n    s2: {X: 2}\n    f: {X: 2, Y: 1}\n    condition: 1 of s* and not f\n", None),
            (
                "    s1: {X: 1}\n    s2: {X: 2, Y: 1}\n    f: {X: 2}\n    condition: 1 of s* and not f\n",
                Some((2, Error)),
            ),
        ],
    );
    sections(
        "idle-filter",
        &[
            ("    a: {X: 1}\n    f: {X: 2}\n    condition: a and not f\n", Some((2, Severity::Note))),
            ("    a: {X: 1}\n    f: {Y: 2}\n    condition: a and not f\n", None),
            (
                "    a: {X|endswith: .exe}\n    f1: {X: c.exe}\n    f2: {X: c.dll}\n    condition: a and not 1 of f*\n",
                Some((3, Severity::Note)),
            ),
        ],
    );
}

#[test]
fn conditions_that_always_hold() {
    use Severity::{Error, Warning};
    sections(
        "always-true",
        &[
            ("    a: {X: 1}\n    condition: a or not a\n", Some((2, Error))),
            (
                "    a:\n        - X|exists: true\n        - X|exists: false\n    b: {Y: 1}\n    condition: a and b\n",
                Some((1, Warning)),
            ),
            ("    a: {X: '*'}\n    condition: a\n", None),
            ("    a: {X: 1}\n    condition: not a\n", None),
        ],
    );
}

#[test]
fn selections_and_values() {
    use Severity::{Note, Warning};
    sections(
        "unused-selection",
        &[
            ("    a: {X: 1}\n    b: {X: 2}\n    condition: a\n", Some((2, Warning))),
            ("    a: {X: 1}\n    _b: {X: 2}\n    condition: a\n", None),
            ("    a: {X: 1}\n    b1: {X: 2}\n    condition: a or 1 of b*\n", None),
        ],
    );
    sections(
        "empty-quantifier",
        &[
            ("    a: {X: 1}\n    condition: a and not 1 of filter_*\n", Some((2, Note))),
            ("    a: {X: 1}\n    filter_x: {Y: 1}\n    condition: a and not 1 of filter_*\n", None),
        ],
    );
    sections(
        "single-all",
        &[
            ("    a:\n        X|contains|all: abc\n    condition: a\n", Some((2, Note))),
            ("    a:\n        X|contains|all: [abc, def]\n    condition: a\n", None),
        ],
    );
    sections(
        "null-in-list",
        &[
            ("    a: {X: [1, null]}\n    condition: a\n", Some((1, Note))),
            ("    a: {X: null}\n    condition: a\n", None),
        ],
    );
    sections(
        "timeframe",
        &[
            ("    a: {X: 1}\n    timeframe: 5m\n    condition: a\n", Some((2, Warning))),
            ("    a: {timeframe: 5m}\n    condition: a\n", None),
        ],
    );
    sections(
        "redundant-value",
        &[
            (
                "    a:\n        X|contains:\n            - abc\n            - xabcx\n    condition: a\n",
                Some((4, Note)),
            ),
            ("    a:\n        X|contains|all:\n            - abc\n            - xabcx\n    condition: a\n", None),
            ("    a:\n        X:\n            - abc\n            - xabcx\n    condition: a\n", None),
            ("    a: {X: [false, 'false']}\n    condition: a\n", None),
        ],
    );
}

#[test]
fn patterns() {
    use Severity::{Note, Warning};
    let item = |item: &str| format!("    a:\n        {item}\n    condition: a\n");
    for (check, text, expected) in [
        ("wildcard-as-modifier", "X: '*abc*'", Some((2, Note))),
        ("wildcard-as-modifier", "X: ['abc*', 'def*']", Some((2, Note))),
        ("wildcard-as-modifier", "X: ['abc*', 'def']", None),
        ("wildcard-as-modifier", "X: 'ab*c'", None),
        ("wildcard-as-modifier", "X: '*'", None),
        ("idle-wildcard", "X|contains: '*abc'", Some((2, Note))),
        ("idle-wildcard", "X|endswith: 'abc*'", None),
        ("idle-wildcard", "X|contains: 'a*c'", None),
        ("short-contains", "X|contains: a", Some((2, Warning))),
        ("short-contains", "X|contains: ' a '", None),
        ("short-contains", "X|startswith: a", None),
        ("short-contains", "X|contains|all: [a, b]", None),
        ("short-contains", "X|contains: б", None),
        ("open-regex", "X|re: .*ab+c", Some((2, Warning))),
        ("open-regex", "X|re: ab+c.*", Some((2, Warning))),
        ("open-regex", "X|re: ab+c.*$", Some((2, Note))),
        ("open-regex", "X|re: ab.*c", None),
        ("open-regex", r"X|re: a\.*", None),
        ("regex-as-modifier", r"X|re: .*a\.exe$", Some((2, Warning))),
        ("regex-as-modifier", "X|re: ^abc", Some((2, Warning))),
        ("regex-as-modifier", r"X|re: \d", None),
        ("regex-as-modifier", r"X|re: ^\*$", None),
        ("regex-as-modifier", "X|re: a|b", None),
        ("regex-as-modifier", "X|re: [abc, 'd+']", None),
    ] {
        sections(check, &[(&item(text), expected)]);
    }
    let hint = |text: &str| of("regex-as-modifier", &with_detection(&item(text)))[0].hint.clone();
    assert!(hint(r"X|re: .*a\.exe$").contains("`X|endswith|cased: 'a.exe'`"));
    assert!(hint(r"X|re: ^a\*$").contains(r"`X|cased: 'a\*'`"));
    assert!(hint("X|re|i: ^abc$").contains("`X: 'abc'`"));
}

#[test]
fn metadata() {
    edits("id", &[("id: 3f0b6c1e-52c4", "id: 3f0b6c1e_52c4", true), ("id: 3", "#", true), ("id: 3", "id: A", false)]);
    edits(
        "title",
        &[
            ("Secrets Read in Bulk", "Secrets", true),
            ("Secrets Read in Bulk", "Secrets read in bulk.", true),
            ("Secrets Read in Bulk", "secrets Read in Bulk", true),
            ("Secrets Read in Bulk", "cmd.exe Reads Secrets", false),
        ],
    );
    edits(
        "description",
        &[
            ("description: S", "#", true),
            ("Someone reads many secrets at once.", "Secrets read in bulk.", true),
            ("Someone reads many secrets at once.", "Reads secrets.", true),
            ("Someone reads many", "Somebody reads many", false),
        ],
    );
    edits("level", &[("level: medium", "", true), ("level: medium", "level: urgent", true), ("medium", "high", false)]);
    edits("status", &[("status: ", "#", true), ("experimental", "draft", true), ("experimental", "test", false)]);
    edits("author", &[("author: ", "#", true)]);
    edits("references", &[("references:\n    -", "#", true), ("https://example.com/secrets", "A Talk", false)]);
    edits("falsepositives", &[("falsepositives:\n    - Backups", "", true), ("- Backups", "- None known", false)]);
    let related = |id: &str, kind: &str| format!("related:\n    - id: {id}\n      type: {kind}\nstatus");
    let id = "4f0b6c1e-52c4-4c0f-8a34-6b1f3a0c9d11";
    edits(
        "related",
        &[
            ("status", &related(id, "similar"), false),
            ("status", &related(id, "cousin"), true),
            ("status", &related("1", "similar"), true),
        ],
    );
    edits(
        "date",
        &[
            ("date: 2026-11-20", "date: 2026/11/20", true),
            ("date: 2026-11-20", "date: 2026-13-20", true),
            ("date: 2026-11-20", "date: 2026-11-28", true),
            ("date: 2026-11-20\n", "", true),
            ("modified: 2026-11-27\n", "", false),
        ],
    );
    edits(
        "misspelt-key",
        &[
            ("falsepositives", "false_positives", true),
            ("references", "reference", true),
            ("author", "custom: x\nauthor", false),
        ],
    );
}

#[test]
fn tags() {
    let all = "    - attack.credential-access\n    - attack.t1555.006\n    - atlas.aml.t0055\n";
    edits(
        "tag",
        &[
            ("attack.credential-access", "attack.Credential-Access", true),
            ("attack.credential-access", "credentials", true),
            ("attack.credential-access", "attack.t1555.006", true),
            ("attack.credential-access", "cve.2026-1234", false),
        ],
    );
    edits(
        "attack-revoked",
        &[
            ("attack.t1555.006", "attack.t1562.008", true),
            ("attack.t1555.006", "attack.defense-evasion", true),
            ("attack.t1555.006", "attack.t1685.002", false),
        ],
    );
    edits(
        "attack-unknown",
        &[
            ("attack.t1555.006", "attack.t1999", true),
            ("attack.t1555.006", "attack.t1555.060", true),
            ("attack.credential-access", "attack.credentials-access", true),
            ("atlas.aml.t0055", "atlas.aml.t55", true),
            ("attack.t1555.006", "attack.g0016", false),
            ("attack.t1555.006", "attack.t1562.008", false),
        ],
    );
    edits(
        "attack-tactic",
        &[
            ("attack.credential-access", "attack.execution", true),
            ("    - attack.credential-access\n", "", false),
            ("attack.t1555.006", "attack.t1999", false),
        ],
    );
    edits(
        "attack-none",
        &[
            (all, "    - cve.2026-1\n", true),
            (all, "    - attack.t1555.006\n", false),
            (all, "    - atlas.aml.t0055\n", false),
        ],
    );
    let hint = &of("attack-revoked", &GOOD.replace("t1555.006", "t1562.008"))[0].hint;
    assert!(hint.contains("attack.t1685.002"), "{hint}");
}

#[test]
fn files() {
    let speaks = |files: &[(&str, &str)], check: &str| run(files, &[]).iter().filter(|f| f.check == check).count();
    assert_eq!(speaks(&[("My-Rule.yml", GOOD)], "file-name"), 1);
    assert_eq!(speaks(&[("my_rule_2.yml", GOOD)], "file-name"), 0);
    let other = GOOD.replace("3f0b6c1e", "4f0b6c1e");
    let both = "- {name: a, fires: true, event: {}}\n- {name: b, fires: false, event: {}}\n";
    let one = "- {name: a, fires: true, event: {}}\n";
    for (files, expected) in [
        // A collection that has none has its tests elsewhere.
        (&[("a.yml", GOOD), ("b.yml", &other)][..], 0),
        (&[("a.yml", GOOD), ("b.yml", &other), ("a.events.yml", both)], 1),
        (&[("a.yml", GOOD), ("a.events.yml", one)], 1),
        (&[("a.yml", GOOD), ("a.events.yml", "- {name: a}\n")], 1),
    ] {
        assert_eq!(speaks(files, "test-events"), expected, "{files:?}");
    }
}

#[test]
fn a_check_that_is_skipped_says_nothing() {
    let bad = GOOD.replace("level: medium", "level: urgent").replace("author: ", "#");
    let names = |skip: &[&str]| run(&[("rule.yml", &bad)], skip).into_iter().map(|f| f.check).collect::<Vec<_>>();
    assert_eq!(names(&[]), ["author", "level"]);
    assert_eq!(names(&["level"]), ["author"]);
}

#[test]
fn every_check_has_a_name_and_stands_in_the_docs() {
    let docs = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/rules.md")).unwrap();
    let mut names = BTreeSet::new();
    for check in checks() {
        assert!(names.insert(check.name), "{}", check.name);
        assert!(
            docs.contains(&format!("| `{}` | {} |", check.name, check.severity)),
            "{} in docs/rules.md",
            check.name
        );
    }
    assert!(OF_SOURCES.iter().all(|c| names.contains(c.name)));
}

#[test]
fn our_own_rules_have_no_error_and_no_warning() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sigma");
    let linted = lint(&[folder], &LoadOptions::default(), &[]);
    let bad: Vec<&Finding> = linted.findings.iter().filter(|f| f.severity > Severity::Note).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// The public rules are well kept: whatever speaks on many of them is wrong.
#[test]
fn the_public_rules_are_mostly_left_alone() {
    let data = std::env::var_os("TARN_TEST_DATA").map_or_else(|| PathBuf::from("../../shared/data"), PathBuf::from);
    let rules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(data).join("sigmahq/rules");
    if !rules.is_dir() {
        println!("skipped: no {}", rules.display());
        return;
    }
    let linted = lint(&[rules], &LoadOptions::default(), &[]);
    let mut counts = std::collections::BTreeMap::<(&str, Severity), usize>::new();
    linted.findings.iter().for_each(|f| *counts.entry((f.check, f.severity)).or_default() += 1);
    println!("{counts:?}");
    for ((check, severity), count) in counts {
        let limit = match severity {
            Severity::Error => 20,
            Severity::Warning => 100,
            Severity::Note => 300,
        };
        assert!(count <= limit, "{check}: {count} {severity}s");
    }
}
