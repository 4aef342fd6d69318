//! Long values that no other event has, batch after batch: a hunt finds in them what `tarn detect` finds in the log.

use super::{check_same, findings};
use crate::command::{tarn, text};
use std::fmt::Write;

/// Texts within such values, and such values as groups (modelled on T1003.001).
const RULES: &str = r"
title: A module on the stack
name: module
id: 7d0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e21
logsource: {product: windows, category: process_access}
detection:
  selection: {CallTrace|contains: '\TarnDump.dll+'}
  condition: selection
---
title: An address outside of any module
id: 7d0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e22
logsource: {product: windows, category: process_access}
detection:
  selection: {CallTrace|endswith: '|UNKNOWN(00C0FFEE)', TargetImage|endswith: \lsass.exe}
  filter: {SourceImage|re: 'trusted-[0-9]+\.exe$'}
  condition: selection and not filter
---
title: Twice from one place
id: 7d0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e23
correlation:
  type: event_count
  rules: module
  group-by: [CallTrace]
  timespan: 6h
  condition: {gte: 2}
  generate: true
";

/// Sysmon's process accesses as NXLog writes them; texts with escapes, without and beyond ASCII.
fn log(rows: usize) -> String {
    let mut log = String::new();
    for row in 0..rows {
        // Some come twice, one behind the other or far apart.
        let own = if row % 211 == 1 { row - 1 } else { row % 9_000 };
        let module = if own % 420 == 0 { "tarndump" } else { "tarnhelp" };
        let end = if own % 700 == 0 { "|UNKNOWN(00c0ffee)" } else { "" };
        let place = if own % 3 == 0 { "C:/Café" } else { r"C:\\Windows\\System32" };
        let modules: String = (0..8).map(|n| format!(r"{place}\\{:x}.dll+{:x}|", own * 8 + n, own * 31 + n)).collect();
        let (minute, second) = (row / 60 % 60, row % 60);
        let time = format!("2026-03-17T{:02}:{minute:02}:{second:02}", row / 3_600);
        let source = if row % 1_400 == 0 { format!("trusted-{row}") } else { format!("tool-{}", row % 50) };
        let target = if row % 2 == 0 { "lsass" } else { "notepad" };
        let _ = writeln!(
            log,
            r#"{{"SourceName":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"lab","EventID":10,"UtcTime":"{time}.000","EventTime":"{time}","SourceImage":"C:\\Temp\\{source}.exe","TargetImage":"C:\\Windows\\System32\\{target}.exe","CallTrace":"{modules}{place}\\{module}.dll+1{end}","GrantedAccess":"0x1010"}}"#,
        );
    }
    log
}

#[test]
fn values_that_never_come_again_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("rules.yml"), RULES).unwrap();
    std::fs::write(path("log.ndjson"), log(27_000)).unwrap();
    let (rules, log, lake) = (path("rules.yml"), path("log.ndjson"), path("lake"));
    let streamed = findings(&tarn(&["detect", "--rules", text(&rules), text(&log)]).ok());
    let titled = |title: &str| streamed.values().filter(|f| f["rule"]["title"] == title).count();
    assert!(titled("A module on the stack") >= 60);
    assert!(titled("An address outside of any module") >= 20);
    assert!(titled("Twice from one place") >= 1);
    tarn(&["ingest", "--lake", text(&lake), text(&log)]).ok();
    for threads in ["1", "3"] {
        let hunt = tarn(&["hunt", "--lake", text(&lake), "--rules", text(&rules), "--threads", threads]).ok();
        check_same(&findings(&hunt), &streamed);
    }
}
