//! Tags: their form, and whether ATT&CK's ids are there and fit the tactics beside them.

use super::{Check, Out, Run, Severity, Subject, distance};
use crate::attack;

pub const CHECKS: &[Check] = &[
    Check {
        name: "tag",
        severity: Severity::Warning,
        about: "a tag that is not `namespace.name` in small letters, or is there twice",
        run: Run::Each(form),
    },
    Check {
        name: "attack-revoked",
        severity: Severity::Warning,
        about: "a technique or tactic that ATT&CK revoked",
        run: Run::Each(revoked),
    },
    Check {
        name: "attack-unknown",
        severity: Severity::Note,
        about: "a technique or tactic of ATT&CK that we do not know",
        run: Run::Each(unknown),
    },
    Check {
        name: "attack-tactic",
        severity: Severity::Note,
        about: "a technique none of whose tactics is among the tags",
        run: Run::Each(tactic),
    },
    Check {
        name: "attack-none",
        severity: Severity::Note,
        about: "no tag of ATT&CK or ATLAS: coverage does not see the rule",
        run: Run::Each(none),
    },
];

fn tags(subject: &Subject<'_>) -> Vec<String> {
    subject.document.content.texts("tags")
}

fn line(subject: &Subject<'_>, tag: &str) -> usize {
    subject.line_behind(&["tags:", tag])
}

fn form(subject: &Subject<'_>, out: &mut Out<'_>) {
    let tags = tags(subject);
    for (i, tag) in tags.iter().enumerate() {
        let part = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
        };
        if !tag.split_once('.').is_some_and(|(namespace, name)| part(namespace) && part(name)) {
            let hint = "write it as `attack.t1059.001`, `cve.2026-1234`, `atlas.aml.t0051`";
            out.say(subject, line(subject, tag), format!("the tag {tag:?} is not `namespace.name`"), hint);
        }
        if tags[..i].contains(tag) {
            let at = line(subject, tag);
            out.say_as(Severity::Note, subject, at, format!("the tag {tag:?} is there twice"), "take one of them out");
        }
    }
}

/// What stands behind `attack.`, as written.
fn of_attack(tags: &[String]) -> impl Iterator<Item = (&str, String)> {
    tags.iter().filter_map(|tag| Some((tag.as_str(), tag.to_ascii_lowercase().strip_prefix("attack.")?.to_owned())))
}

fn revoked(subject: &Subject<'_>, out: &mut Out<'_>) {
    let tags = tags(subject);
    for (tag, name) in of_attack(&tags) {
        if let Some(new) = attack::replaced_by(&name.to_ascii_uppercase()) {
            let message = format!("ATT&CK revoked {}", name.to_ascii_uppercase());
            out.say(subject, line(subject, tag), message, format!("write `attack.{}`", new.to_ascii_lowercase()));
        }
        if name.replace('_', "-") == "defense-evasion" {
            let hint = "write `attack.stealth` or `attack.defense-impairment`, whichever its techniques are of";
            out.say(subject, line(subject, tag), "ATT&CK v19 has no Defense Evasion any more", hint);
        }
    }
}

fn unknown(subject: &Subject<'_>, out: &mut Out<'_>) {
    let tags = tags(subject);
    for (tag, name) in of_attack(&tags) {
        let id = name.to_ascii_uppercase();
        if attack::is_technique(&name) {
            if attack::tactics_of(&id).is_none() && attack::replaced_by(&id).is_none() {
                let hint = format!("look at attack.mitre.org; this is ATT&CK Enterprise v{}", attack::VERSION);
                out.say(subject, line(subject, tag), format!("we know no technique {id}"), hint);
            }
        } else if !is_object(&name) && attack::tactic(&name).is_none() {
            let near = attack::tactics()
                .map(|(_, tactic)| tactic.to_ascii_lowercase().replace(' ', "-"))
                .find(|tactic| distance(tactic, &name) <= 3);
            let hint = near.map_or("a tactic, a technique (t1059), a group (g0016) or a tool (s0002)".into(), |near| {
                format!("write `attack.{near}`")
            });
            out.say(subject, line(subject, tag), format!("ATT&CK has no tactic {name:?}"), hint);
        }
    }
    for tag in tags.iter().filter(|t| t.starts_with("atlas.aml.t") && attack::atlas(t).is_none()) {
        let hint = "write it as `atlas.aml.t0051` or `atlas.aml.t0051.000`";
        out.say(subject, line(subject, tag), format!("the tag {tag:?} is no technique of ATLAS"), hint);
    }
}

/// Groups, software, campaigns, mitigations, data sources, detection strategies, analytics; tactics by id.
fn is_object(name: &str) -> bool {
    let digits = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let letters = &name[..name.len() - digits.len()];
    ["g", "s", "c", "m", "ds", "dc", "det", "an", "ta"].contains(&letters)
        && digits.len() == 4
        && digits.bytes().all(|b| b.is_ascii_digit())
}

fn tactic(subject: &Subject<'_>, out: &mut Out<'_>) {
    let tags = tags(subject);
    let said = attack::tags(&tags);
    // Stealth and what it was called before have one id.
    if said.tactics.is_empty() {
        return;
    }
    for id in &said.techniques {
        let Some(its) = attack::tactics_of(id) else { continue };
        let old = said.tactics.iter().any(|(_, name)| *name == "Defense Evasion");
        let fits = |(tactic, _): &attack::Tactic| {
            said.tactics.iter().any(|(t, _)| t == tactic) || (old && ["TA0005", "TA0112"].contains(tactic))
        };
        if !its.iter().any(fits) {
            let names: Vec<String> = its
                .iter()
                .map(|(_, name)| format!("`attack.{}`", name.to_ascii_lowercase().replace(' ', "-")))
                .collect();
            let tag = format!("attack.{}", id.to_ascii_lowercase());
            let message = format!("no tactic of {id} is among the tags");
            out.say(subject, line(subject, &tag), message, format!("add {}, or another technique", names.join(" or ")));
        }
    }
}

fn none(subject: &Subject<'_>, out: &mut Out<'_>) {
    let tags = tags(subject);
    let named = of_attack(&tags).next().is_some() || tags.iter().any(|t| attack::atlas(t).is_some());
    if !named && !subject.is_filter() {
        let hint = "add the technique that it sees, such as `attack.t1059.001`: coverage goes by it";
        out.say(subject, subject.line("title"), "no tag is of ATT&CK or ATLAS", hint);
    }
}
