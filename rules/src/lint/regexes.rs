//! Regular expressions that cost more than they say.

use super::{Check, Out, Run, Severity, Subject};
use crate::parse::detection::RawItem;
use crate::parse::yaml::Yaml;

pub const CHECKS: &[Check] = &[
    Check {
        name: "open-regex",
        severity: Severity::Warning,
        about: "a regular expression that begins or ends with `.*`, which a search does by itself",
        run: Run::Each(open),
    },
    Check {
        name: "regex-as-modifier",
        severity: Severity::Warning,
        about: "a regular expression that is a plain text, with or without its ends",
        run: Run::Each(plain),
    },
];

fn each(subject: &Subject<'_>, mut visit: impl FnMut(&str, &RawItem, &str, usize)) {
    subject.items(&mut |selection, item| {
        if item.modifiers.iter().any(|m| m == "re") && !item.modifiers.iter().any(|m| m == "expand") {
            for value in item.values.iter().filter_map(Yaml::scalar) {
                visit(selection, item, &value, subject.line_of_item(selection, item, Some(&value)));
            }
        }
    });
}

fn open(subject: &Subject<'_>, out: &mut Out<'_>) {
    each(subject, |_, item, source, line| {
        let (inner, begins, ends) = trimmed(source);
        if inner.is_empty() || literal(inner).is_some() {
            return;
        }
        let many = |end| matches!(end, End::Many | End::WholeLine);
        let (open_start, open_end) = (many(begins), many(ends));
        let which = match (open_start, open_end) {
            (true, true) => "begins and ends",
            (true, false) => "begins",
            (false, true) => "ends",
            (false, false) => return,
        };
        let message = format!("{}: the regular expression {which} with `.*`", item.key);
        // With an anchor as well it keeps line breaks out, which may be meant.
        let severity = if [begins, ends].contains(&End::Many) { Severity::Warning } else { Severity::Note };
        let hint = "take it away: `re` finds its pattern anywhere in the text";
        out.say_as(severity, subject, line, message, hint);
    });
}

fn plain(subject: &Subject<'_>, out: &mut Out<'_>) {
    each(subject, |_, item, source, line| {
        // A list with a real pattern in it needs the modifier for all.
        // `^\*$` is how a star by itself is written where no reader shall take it for a wildcard.
        let plain = |source: &str| literal(trimmed(source).0).filter(|t| t.chars().any(|c| !matches!(c, '*' | '?')));
        if !item.values.iter().filter_map(Yaml::scalar).all(|source| plain(&source).is_some()) {
            return;
        }
        let (_, begins, ends) = trimmed(source);
        let Some(text) = plain(source) else { return };
        let modifier = match (begins, ends) {
            (End::Anchor, End::Anchor) => None,
            (End::Anchor, _) => Some("startswith"),
            (_, End::Anchor) => Some("endswith"),
            _ => Some("contains"),
        };
        let field = item.field.as_deref().unwrap_or_default();
        let folds = item.modifiers.iter().any(|m| m == "i" || m == "ignorecase");
        let cased = if folds || !text.chars().any(char::is_alphabetic) { "" } else { "|cased" };
        let key = modifier.map_or_else(|| format!("{field}{cased}"), |m| format!("{field}|{m}{cased}"));
        let message = format!("{}: the regular expression is the plain text {text:?}", item.key);
        let value = text.replace('\\', r"\\").replace('*', r"\*").replace('?', r"\?").replace('\'', "''");
        out.say(subject, line, message, format!("write `{key}: '{value}'`: it says more and costs less"));
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// `^` or `$`.
    Anchor,
    /// `.*`.
    Many,
    /// `^.*` or `.*$`.
    WholeLine,
    /// Nothing.
    Bare,
}

/// A pattern without what stands at its ends.
fn trimmed(source: &str) -> (&str, End, End) {
    let (mut rest, mut begins, mut ends) = (source, End::Bare, End::Bare);
    if let Some(inner) = rest.strip_prefix('^') {
        (rest, begins) = (inner, End::Anchor);
    }
    if let Some(inner) = rest.strip_prefix(".*").filter(|r| !r.starts_with('?')) {
        (rest, begins) = (inner, if begins == End::Anchor { End::WholeLine } else { End::Many });
    }
    let escaped = |text: &str| text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
    if let Some(inner) = rest.strip_suffix('$').filter(|r| !escaped(r)) {
        (rest, ends) = (inner, End::Anchor);
    }
    if let Some(inner) = rest.strip_suffix(".*").filter(|r| !escaped(r)) {
        (rest, ends) = (inner, if ends == End::Anchor { End::WholeLine } else { End::Many });
    }
    (rest, begins, ends)
}

/// The text that a pattern without operators stands for.
fn literal(pattern: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                c if c.is_alphanumeric() => return None,
                c => out.push(c),
            },
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
