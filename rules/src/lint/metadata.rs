//! What a rule has to say of itself, so that others can use it.

use super::{Check, Out, Run, Severity, Subject};
use crate::parse::yaml::Yaml;

pub const CHECKS: &[Check] = &[
    Check { name: "id", severity: Severity::Warning, about: "no id, or one that is no UUID", run: Run::Each(id) },
    Check {
        name: "title",
        severity: Severity::Note,
        about: "a title that is too short or too long for a list of alerts, or no heading",
        run: Run::Each(title),
    },
    Check {
        name: "description",
        severity: Severity::Warning,
        about: "no description, or one that says no more than the title",
        run: Run::Each(description),
    },
    Check {
        name: "level",
        severity: Severity::Warning,
        about: "no level, or one that Sigma does not have",
        run: Run::Each(level),
    },
    Check {
        name: "status",
        severity: Severity::Warning,
        about: "no status, or one that Sigma does not have",
        run: Run::Each(status),
    },
    Check {
        name: "author",
        severity: Severity::Note,
        about: "nobody to ask about the rule",
        run: Run::Each(|s, out| missing(s, out, "author", "name who answers for the rule")),
    },
    Check {
        name: "references",
        severity: Severity::Note,
        about: "no source that an analyst could read",
        run: Run::Each(|s, out| missing(s, out, "references", "link the technique, the report or the API's page")),
    },
    Check {
        name: "falsepositives",
        severity: Severity::Note,
        about: "nothing said of what else looks like this",
        run: Run::Each(|s, out| missing(s, out, "falsepositives", "list the ordinary things that look like it")),
    },
    Check {
        name: "related",
        severity: Severity::Warning,
        about: "a related rule without an id, or of a type that Sigma does not have",
        run: Run::Each(related),
    },
];

const TITLE_CHARS_MIN: usize = 8;
const TITLE_CHARS_MAX: usize = 120;
const DESCRIPTION_CHARS_MIN: usize = 16;
const LEVELS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];
const STATUSES: [&str; 5] = ["stable", "test", "experimental", "deprecated", "unsupported"];
const RELATIONS: [&str; 6] = ["derived", "obsolete", "obsoletes", "merged", "renamed", "similar"];

fn id(subject: &Subject<'_>, out: &mut Out<'_>) {
    if subject.id().is_empty() {
        let hint = "add `id:` with a random UUID: correlations, filters and findings name rules by it";
        return out.say(subject, subject.line("title"), "there is no id", hint);
    }
    if !is_uuid(subject.id()) {
        let message = format!("the id {:?} is no UUID", subject.id());
        out.say(subject, subject.line("id"), message, "write a random one, 8-4-4-4-12 hexadecimal digits");
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|p| p.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|p| p.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn title(subject: &Subject<'_>, out: &mut Out<'_>) {
    let title = subject.title();
    let chars = title.trim().chars().count();
    let mut say = |message: String, hint: &str| out.say(subject, subject.line("title"), message, hint);
    if chars < TITLE_CHARS_MIN {
        say(format!("a title of {chars} characters"), "say what happened, as an analyst should read it in an alert");
    }
    if chars > TITLE_CHARS_MAX {
        let hint = "keep it to what happened; the description has room for the rest";
        say(format!("a title of {chars} characters; {TITLE_CHARS_MAX} fit a list"), hint);
    }
    if title.trim_end().ends_with('.') {
        say("the title ends with a full stop".into(), "take it away: it is a heading");
    }
    // Programs and APIs begin as they are called (`cmd.exe`, `iamKeys`), words do not.
    let first = title.split_whitespace().next().unwrap_or_default();
    if first.len() > 1 && first.chars().all(|c| c.is_ascii_lowercase()) {
        say(format!("the title begins with a small letter ({first:?})"), "begin it with a capital letter");
    }
}

fn description(subject: &Subject<'_>, out: &mut Out<'_>) {
    let text = subject.document.content.text("description").unwrap_or_default();
    let hint = "say what the rule sees, and why that matters, in a sentence or two";
    if text.trim().is_empty() {
        return out.say(subject, subject.line("title"), "there is no description", hint);
    }
    let line = subject.line("description");
    if text.trim().trim_end_matches('.').eq_ignore_ascii_case(subject.title().trim().trim_end_matches('.')) {
        out.say_as(Severity::Note, subject, line, "the description is the title once more", hint);
    } else if text.trim().chars().count() < DESCRIPTION_CHARS_MIN {
        out.say_as(Severity::Note, subject, line, "the description is very short", hint);
    }
}

fn level(subject: &Subject<'_>, out: &mut Out<'_>) {
    // A filter has none of its own.
    if !subject.is_filter() {
        one_of(subject, out, "level", &LEVELS, "medium is assumed");
    }
}

fn status(subject: &Subject<'_>, out: &mut Out<'_>) {
    one_of(subject, out, "status", &STATUSES, "nobody knows how far to trust it");
}

fn one_of(subject: &Subject<'_>, out: &mut Out<'_>, key: &str, known: &[&str], otherwise: &str) {
    let hint = format!("one of {}", known.join(", "));
    match subject.document.content.text(key) {
        None => out.say(subject, subject.line("title"), format!("there is no {key}: {otherwise}"), hint),
        Some(text) if !known.contains(&text.as_str()) => {
            out.say(subject, subject.line(key), format!("Sigma has no {key} {text:?}"), hint);
        }
        Some(_) => {}
    }
}

fn missing(subject: &Subject<'_>, out: &mut Out<'_>, key: &str, hint: &str) {
    let there = subject.document.content.texts(key).iter().any(|text| !text.trim().is_empty());
    if !there && !subject.is_filter() {
        out.say(
            subject,
            subject.line("title"),
            format!("there are no {key}").replace("are no author", "is no author"),
            hint,
        );
    }
}

fn related(subject: &Subject<'_>, out: &mut Out<'_>) {
    let Some(Yaml::List(list)) = subject.document.content.get("related") else { return };
    for entry in list {
        let id = entry.text("id").unwrap_or_default();
        let line = subject.line_behind(&["related:", &id]);
        if !is_uuid(&id) {
            out.say(subject, line, format!("the related rule's id {id:?} is no UUID"), "write the id of that rule");
        }
        let kind = entry.text("type").unwrap_or_default();
        if !RELATIONS.contains(&kind.as_str()) {
            let hint = format!("one of {}", RELATIONS.join(", "));
            out.say(subject, line, format!("Sigma has no relation {kind:?}"), hint);
        }
    }
}
