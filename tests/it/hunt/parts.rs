//! Files that are for hunts, others, and both in one table: a hunt finds in all what `tarn detect` finds in the log.

use super::{check_same, findings};
use crate::command::{files, tarn, text};
use std::fmt::Write;

/// Keywords everywhere, in one service, beside a field, and fields with and without a column (modelled on T1003.001 and T1059.001).
const RULES: &str = r"
title: A tool's words in any event
id: 6c0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e11
logsource: {product: windows}
detection:
  keywords: ['tarnadump::', 'Tarn Printer']
  filter: {EventID: 15}
  condition: keywords and not filter
---
title: The tool's words in a channel
id: 6c0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e12
logsource: {product: windows, service: application}
detection:
  keywords: [tarnakatz.exe]
  condition: keywords
---
title: A number or the tool's words in a channel
id: 6c0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e15
logsource: {product: windows, service: application}
detection:
  keywords: [tarnakatz.exe]
  selection: {EventID: 1001}
  condition: keywords or selection
---
title: An image or the tool's words
id: 6c0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e13
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: \rare.exe}
  keywords: ['tarnadump::']
  condition: selection or keywords
---
title: An image without a hint
id: 6c0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e14
logsource: {product: windows, category: process_creation}
detection:
  selection: {CommandLine|contains|all: [' -enc ', run], User: 'LAB\u6'}
  filter: {ParentImage: null}
  other: {IntegrityLevel: High}
  condition: selection and not filter and other
";

/// Windows events as NXLog writes them.
fn log(rows: usize) -> String {
    let mut log = String::new();
    for row in 0..rows {
        let time = format!("2026-03-{}T{:02}:{:02}:{:02}", 17 + row / 4000, row / 170 % 24, row / 60 % 60, row % 60);
        let parent = if row % 5 == 0 { "" } else { r#""ParentImage":"C:\\Windows\\explorer.exe","# };
        let message = match row {
            2_777 => r"loaded TARNADUMP::sam",
            3_111 => r"\u0074arn\u0061dump::lsa",
            // The filter's event, and words that are no values of it.
            3_222 => "tarnadump::now of 15",
            _ => "A process was created",
        };
        let image = if row == 5_001 { "rare" } else { "cmd" };
        let level = if row % 3 == 0 { "High" } else { "Medium" };
        let id = if row == 3_222 { 15 } else { 1 };
        let _ = match row % 7 {
            0 => writeln!(
                log,
                r#"{{"SourceName":"App {row}","Channel":"Application","Hostname":"lab","EventID":{},"EventTime":"{time}","Message":"row {row}","Faulting":"{}"}}"#,
                if row == 4_907 { 1001 } else { 1000 },
                if row == 4_900 { r"C:\\Temp\\TarnaKatz.exe" } else { "none" },
            ),
            _ => writeln!(
                log,
                r#"{{"SourceName":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"lab","EventID":{id},"UtcTime":"{time}.000","EventTime":"{time}",{parent}"Image":"C:\\Windows\\{image}.exe","CommandLine":"cmd -enc run {row}","User":"LAB\\u{}","IntegrityLevel":"{level}","Message":"{message} {row}"}}"#,
                row % 9,
            ),
        };
    }
    log
}

/// How the names of files that are for hunts end.
const FOR_HUNTS: &str = ".hunt.zstd.parquet";

#[test]
fn parts_of_a_table_are_hunted_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("rules.yml"), RULES).unwrap();
    let log = log(6_000);
    std::fs::write(path("all.ndjson"), &log).unwrap();
    let (rules, all) = (path("rules.yml"), path("all.ndjson"));
    let streamed = findings(&tarn(&["detect", "--rules", text(&rules), text(&all)]).ok());
    let titled = |title: &str| streamed.values().filter(|f| f["rule"]["title"] == title).count();
    assert_eq!(titled("A tool's words in any event"), 2);
    assert_eq!(titled("The tool's words in a channel"), 1);
    assert_eq!(titled("A number or the tool's words in a channel"), 2);
    assert_eq!(titled("An image or the tool's words"), 3);
    assert!(titled("An image without a hint") > 50);

    // The first lines again and again in small files, which no hunt reads in a way of its own, and the others in large ones.
    let lines: Vec<&str> = log.lines().collect();
    let mut names = Vec::new();
    for (at, lines) in lines[..2000].chunks(200).chain([&lines[2000..]]).enumerate() {
        let name = path(&format!("part-{at}.ndjson"));
        std::fs::write(&name, lines.join("\n")).unwrap();
        names.push(name);
    }
    let lake = path("lake");
    for name in &names {
        tarn(&["ingest", "--lake", text(&lake), text(name)]).ok();
    }
    let hunt = || findings(&tarn(&["hunt", "--lake", text(&lake), "--rules", text(&rules)]).ok());
    // Uids are those of other files: what was found is told by the event's text.
    let events = |found: &std::collections::BTreeMap<String, serde_json::Value>| {
        let mut events: Vec<String> =
            found.values().map(|f| format!("{} {}", f["rule"]["title"], f["event"])).collect();
        events.sort();
        events
    };
    let table = lake.join("tables/process_activity");
    let (for_hunts, all) = (files(&table, FOR_HUNTS).len(), files(&table, ".zstd.parquet").len());
    assert!(0 < for_hunts && for_hunts < all, "both kinds of files, not {for_hunts} of {all}");
    let hunted = hunt();
    assert_eq!(events(&hunted), events(&streamed));
    tarn(&["lake", "compact", "--lake", text(&lake)]).ok();
    check_same(&hunt(), &hunted);
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("rules.yml"), RULES).unwrap();
    std::fs::write(path("all.ndjson"), log(6_000)).unwrap();
    // Pages alone, and what stands between them and the footer, too.
    for share in [2, 1] {
        let lake = path(&format!("lake-{share}"));
        tarn(&["ingest", "--lake", text(&lake), text(&path("all.ndjson"))]).ok();
        let files = files(&lake.join("tables/process_activity"), FOR_HUNTS);
        for file in &files {
            let mut bytes = std::fs::read(file).unwrap();
            let footer = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().unwrap()) as usize;
            let damaged = 4..(bytes.len() - 8 - footer) / share;
            bytes[damaged].fill(0xff);
            std::fs::write(file, bytes).unwrap();
        }
        let hunt = tarn(&["hunt", "--lake", text(&lake), "--rules", text(&path("rules.yml"))]);
        assert_eq!(hunt.code, 1, "{}", hunt.stderr);
        let is_named = |file: &std::path::PathBuf| hunt.stderr.contains(file.file_name().unwrap().to_str().unwrap());
        assert!(files.iter().any(is_named), "{}", hunt.stderr);
        assert!(hunt.stderr.contains("restore the file from a copy"), "{}", hunt.stderr);
    }
}
