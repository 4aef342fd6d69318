//! A report in Markdown, as it is pasted into a ticket or a pull request.

use super::table;
use crate::score::{Scorecard, Technique};
use std::fmt::Write;

/// The report.
pub fn report(card: &Scorecard) -> String {
    let run = &card.run;
    let mut out = format!(
        "# What was detected\n\n{} `{}`, {} to {}.\n\n",
        run.kind,
        run.id,
        run.started.format("%Y-%m-%d %H:%M:%S"),
        run.ended.format("%Y-%m-%d %H:%M:%S UTC"),
    );
    for line in table::summary(card).lines() {
        // Writing to a String does not fail.
        let _ = match line.strip_prefix("  ") {
            Some(inner) => writeln!(out, "  * {}", text(inner)),
            None => writeln!(out, "* {}", text(line)),
        };
    }
    out.push_str("\nIntervals are Wilson's, 95 %.\n\n");
    out.push_str(
        "| technique | ATT&CK | verdict | rules that fired | first alert |\n| --- | --- | --- | --- | --- |\n",
    );
    for technique in &card.techniques {
        let attack: Vec<String> = technique.attack.iter().map(|id| format!("[{id}]({})", address(id))).collect();
        let latency = technique.outcome.as_ref().and_then(|o| o.latency_ms);
        let _ = writeln!(
            out,
            "| `{}`<br>{} | {} | {} | {} | {} |",
            technique.id,
            text(&technique.name),
            attack.join(" "),
            technique.verdict(),
            rules(technique),
            latency.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms")),
        );
    }
    out
}

fn rules(technique: &Technique) -> String {
    let Some(outcome) = &technique.outcome else {
        return text(technique.skipped.as_deref().unwrap_or("nothing ran"));
    };
    let rule = |r: &crate::score::Fired| {
        let times = if r.findings > 1 { format!(" × {}", r.findings) } else { String::new() };
        format!("{} ({}){times}", text(&r.title), r.level)
    };
    outcome.rules.iter().map(rule).collect::<Vec<_>>().join("<br>")
}

fn address(id: &str) -> String {
    format!("https://attack.mitre.org/techniques/{}/", id.replace('.', "/"))
}

/// Text in a cell: titles are other people's.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
