//! Plain values: wildcards that a modifier says better, and texts so short that nearly everything has them.

use super::{Check, Out, Run, Severity, Subject};
use crate::expr::{Expr, Pattern, Test};
use crate::lower;
use crate::parse::detection::RawItem;
use crate::parse::yaml::Yaml;

pub const CHECKS: &[Check] = &[
    Check {
        name: "wildcard-as-modifier",
        severity: Severity::Note,
        about: "values with a `*` at an end, where `contains`, `startswith` or `endswith` says it",
        run: Run::Each(wildcards),
    },
    Check {
        name: "idle-wildcard",
        severity: Severity::Note,
        about: "a `*` at an end of a value that the modifier leaves open anyway",
        run: Run::Each(idle),
    },
    Check {
        name: "short-contains",
        severity: Severity::Warning,
        about: "a `contains` or a keyword of one or two letters or digits that stands alone",
        run: Run::Each(short),
    },
];

/// The test of one value of an item, where it is one.
pub fn test(item: &RawItem, value: &Yaml) -> Option<Test> {
    let alone = RawItem { values: vec![value.clone()], ..item.clone() };
    match lower::item_alone(&alone)?.simplify() {
        Expr::Item(item) => Some(item.test),
        _ => None,
    }
}

fn plain(item: &RawItem) -> bool {
    item.field.is_some() && item.modifiers.iter().all(|m| matches!(m.as_str(), "all" | "cased"))
}

fn wildcards(subject: &Subject<'_>, out: &mut Out<'_>) {
    subject.items(&mut |selection, item| {
        if !plain(item) {
            return;
        }
        let forms: Vec<Option<&str>> = item.values.iter().map(|v| modifier(item, v)).collect();
        // A list of mixed forms cannot have one modifier.
        let Some(Some(first)) = forms.first().filter(|f| forms.iter().all(|g| g == *f)) else { return };
        let line = subject.line_of_item(selection, item, None);
        let (field, more) = item.key.split_once('|').map_or((item.key.as_str(), ""), |(f, m)| (f, m));
        let bar = if more.is_empty() { "" } else { "|" };
        let message = format!("{}: wildcards where `{first}` says it", item.key);
        out.say(subject, line, message, format!("write `{field}|{first}{bar}{more}` and the value without `*`"));
    });
}

/// The modifier that says what a value's outer wildcards do.
fn modifier(item: &RawItem, value: &Yaml) -> Option<&'static str> {
    match test(item, value)? {
        Test::Text { pattern: Pattern::Contains(_), .. } => Some("contains"),
        Test::Text { pattern: Pattern::Prefix(_), .. } => Some("startswith"),
        Test::Text { pattern: Pattern::Suffix(_), .. } => Some("endswith"),
        _ => None,
    }
}

fn idle(subject: &Subject<'_>, out: &mut Out<'_>) {
    subject.items(&mut |selection, item| {
        let has = |name: &str| item.modifiers.iter().any(|m| m == name);
        if has("re") || has("fieldref") || has("expand") {
            return;
        }
        for text in item.values.iter().filter_map(|v| if let Yaml::Text(t) = v { Some(t) } else { None }) {
            let before = text.starts_with('*') && (has("contains") || has("endswith"));
            let after = text.ends_with('*') && !text.ends_with("\\*") && (has("contains") || has("startswith"));
            if text.len() > 1 && (before || after) {
                let line = subject.line_of_item(selection, item, Some(text));
                let message = format!("{}: the `*` at the end of {text:?} does nothing", item.key);
                out.say(subject, line, message, "take it away: the modifier leaves that end open");
            }
        }
    });
}

fn short(subject: &Subject<'_>, out: &mut Out<'_>) {
    // What else the rule has may narrow it as well.
    let others = subject.detections().is_some_and(|d| d.selections.len() > 1);
    subject.items(&mut |selection, item| {
        let contains = item.modifiers.iter().any(|m| m == "contains") || item.field.is_none();
        // `all` and the selection's other keys narrow it.
        let narrowed = item.modifiers.iter().any(|m| m == "all" || m == "re") || !stands_alone(subject, selection);
        if !contains || narrowed {
            return;
        }
        for value in item.values.iter().filter_map(Yaml::scalar) {
            let letters = value.chars().filter(|c| !matches!(c, '*' | '?')).count();
            // Rare letters are what a rule on look-alikes is about.
            if letters < 3 && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '*' | '?')) {
                let line = subject.line_of_item(selection, item, Some(&value));
                let message = format!("{}: many texts have {value:?} in them somewhere", item.key);
                let severity = if others { Severity::Note } else { Severity::Warning };
                out.say_as(severity, subject, line, message, "give it the characters around it, or an exact value");
            }
        }
    });
}

/// Whether a selection demands nothing but this one key.
fn stands_alone(subject: &Subject<'_>, selection: &str) -> bool {
    let mut items = 0;
    subject.items(&mut |name, _| items += usize::from(name == selection));
    items == 1
}
