//! Each attack of `docs/threat-model.md` has a test, and that test is in the sources.

use std::collections::BTreeSet;
use std::path::Path;

/// The tests of a folder, each as `file::name`.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let (source, file) = (std::fs::read_to_string(&path).unwrap(), path.file_stem().unwrap().to_string_lossy());
            found.extend(functions(&source).into_iter().map(|name| format!("{file}::{name}")));
        }
    }
}

/// The names of the functions that are tests and are run.
fn functions(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.lines().map(str::trim) {
        match line {
            "#[test]" => is_test = true,
            _ if line.starts_with("#[tokio::test") => is_test = true,
            _ if line.starts_with("#[ignore") => is_ignored = true,
            _ if line.starts_with("#[") || line.starts_with("//") => {}
            _ => {
                let name =
                    line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
                found.extend(name.filter(|_| is_test && !is_ignored));
                (is_test, is_ignored) = (false, false);
            }
        }
    }
    found
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What is wrong with a page: a row without a test, or with one that is not in the folder that its section names.
fn defects(page: &str, known: impl Fn(&str) -> BTreeSet<String>) -> (usize, Vec<String>) {
    let (mut rows, mut defects, mut there) = (0, Vec::new(), BTreeSet::new());
    for (line, number) in page.lines().zip(1..) {
        if line.starts_with("## ") {
            there.clear();
        } else if let Some(rest) = line.strip_prefix("Tests are in ") {
            there = quoted(rest).filter(|text| text.ends_with('/')).flat_map(&known).collect();
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").collect();
        if !line.starts_with("| ")
            || line.starts_with("| ---")
            || cells.last().is_some_and(|cell| cell.trim() == "test")
        {
            continue;
        }
        rows += 1;
        let named: Vec<&str> = cells.last().into_iter().flat_map(|cell| quoted(cell)).collect();
        if named.is_empty() {
            defects.push(format!("line {number}: no test: {line}"));
        }
        defects.extend(
            named.iter().filter(|name| !there.contains(**name)).map(|name| format!("line {number}: no {name}")),
        );
    }
    (rows, defects)
}

#[test]
fn every_attack_has_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let (rows, defects) = defects(&page, |folder| {
        let mut found = BTreeSet::new();
        tests(&root.join(folder), &mut found);
        found
    });
    assert!(rows > 100, "only {rows} rows: has the form of the page changed?");
    assert!(defects.is_empty(), "docs/threat-model.md\n{}", defects.join("\n"));
}

#[test]
fn a_row_without_a_test_is_a_defect() {
    let page = "## A\nTests are in `a/`.\n| attack | test |\n| --- | --- |\n| one | `x::there` |\n| two | `x::gone` |\n| `three` | |";
    let (rows, defects) = defects(page, |_| BTreeSet::from(["x::there".to_owned()]));
    assert_eq!((rows, defects), (3, vec!["line 6: no x::gone".into(), "line 7: no test: | `three` | |".into()]));
    let source =
        "#[test]\nfn a() {\n}\n#[tokio::test]\n// why\nasync fn b() {}\nfn c() {}\n#[test]\n#[ignore]\nfn d() {}";
    assert_eq!(functions(source), ["a", "b"]);
}
