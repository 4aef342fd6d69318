//! Literals of which one is in every text that a regular expression matches, so that few texts are worth trying.
//!
//! They are in the text without case ([`expr::fold`]). That is not so of texts with [`LONG_S`]: regular expressions take it for
//! the other case of `s`, but it is a letter of its own.

use regex_syntax::hir::{Class, Hir, HirKind};
use tarn_rules::expr;

/// The letter that is `s` where case does not count, and folds to itself.
pub const LONG_S: char = 'ſ';
/// The one that folds to `k`.
const KELVIN: char = '\u{212a}';

/// Shorter literals are in too many texts.
const LENGTH_MIN: usize = 2;
/// More alternatives are no better than trying.
const ALTERNATIVES_MAX: usize = 32;

/// The literals, lower-cased; none when nothing can be said, or nothing useful.
pub fn of(pattern: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    match needs(&hir) {
        Needs::Exactly(text) => Some(vec![text]),
        Needs::OneOf(texts) => Some(texts),
        Needs::Nothing => None,
    }
    .filter(|texts| texts.iter().all(|t| t.len() >= LENGTH_MIN))
}

/// What a text needs to match.
enum Needs {
    /// This, and no more.
    Exactly(String),
    /// One of these, and perhaps more.
    OneOf(Vec<String>),
    Nothing,
}

fn needs(hir: &Hir) -> Needs {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Needs::Exactly(String::new()),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => Needs::Exactly(expr::fold(text)),
            Err(_) => Needs::Nothing,
        },
        HirKind::Class(class) => one_letter(class).map_or(Needs::Nothing, |c| Needs::Exactly(c.into())),
        HirKind::Repetition(repetition) if repetition.min == 0 => Needs::Nothing,
        HirKind::Repetition(repetition) => match needs(&repetition.sub) {
            Needs::Exactly(text) => Needs::OneOf(vec![text]),
            other => other,
        },
        HirKind::Capture(capture) => needs(&capture.sub),
        HirKind::Concat(parts) => concatenation(parts),
        HirKind::Alternation(parts) => alternation(parts),
    }
}

/// The one letter of ASCII, whatever its case, that a class allows.
fn one_letter(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let mut letters = class.iter().flat_map(|range| range.start()..=range.end());
    let first = letters.next().filter(char::is_ascii)?.to_ascii_lowercase();
    let is_first = |letter: char| match letter {
        LONG_S => first == 's',
        KELVIN => first == 'k',
        other => other.to_ascii_lowercase() == first,
    };
    letters.all(is_first).then_some(first)
}

fn concatenation(parts: &[Hir]) -> Needs {
    let mut best: Option<Vec<String>> = None;
    let mut run = String::new();
    let mut whole = true;
    let better = |texts: Vec<String>, best: &mut Option<Vec<String>>| {
        let worth = |texts: &Vec<String>| (texts.iter().map(String::len).min(), std::cmp::Reverse(texts.len()));
        if best.as_ref().is_none_or(|known| worth(&texts) > worth(known)) {
            *best = Some(texts);
        }
    };
    for part in parts {
        match needs(part) {
            Needs::Exactly(text) => run.push_str(&text),
            other => {
                whole = false;
                better(vec![std::mem::take(&mut run)], &mut best);
                if let Needs::OneOf(texts) = other {
                    better(texts, &mut best);
                }
            }
        }
    }
    if whole {
        return Needs::Exactly(run);
    }
    better(vec![run], &mut best);
    best.map_or(Needs::Nothing, Needs::OneOf)
}

fn alternation(parts: &[Hir]) -> Needs {
    let mut all = Vec::new();
    for part in parts {
        match needs(part) {
            Needs::Exactly(text) => all.push(text),
            Needs::OneOf(texts) => all.extend(texts),
            Needs::Nothing => return Needs::Nothing,
        }
    }
    if all.len() > ALTERNATIVES_MAX { Needs::Nothing } else { Needs::OneOf(all) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_that_a_match_has() {
        for (pattern, expected) in [
            ("abc", Some(&["abc"][..])),
            ("(?i)ABC-sk", Some(&["abc-sk"])),
            ("aÉ[bB]", Some(&["aéb"])),
            ("xyz[aé]bc", Some(&["xyz"])),
            (r"\bfoo\d+bar{2,}", Some(&["foo"])),
            (r"x(?:one|three)+\s", Some(&["one", "three"])),
            (r"(one|.*)", None),
            (r"a.*b", None),
            (r"(ab)?cd*", None),
            // The alternatives stand for themselves, without what is before them.
            (r"\.(exe|dll)$", Some(&["exe", "dll"])),
        ] {
            let found = of(pattern);
            let texts: Option<Vec<&str>> = found.as_ref().map(|f| f.iter().map(String::as_str).collect());
            assert_eq!(texts.as_deref(), expected, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_match_is_missed(
            pattern in r"(\(\?i\))?([abKSÉ]|\[ab\]|\[aé\]|[ab]\+|[ab]\*|\(ab\|[bk]a\)|\(s\|b\)\?|\.|\\b){1,8}",
            text in "[abkAKsSéÉ\u{212a}İß ]{0,20}",
        ) {
            let regex = regex::Regex::new(&pattern).unwrap();
            if let Some(literals) = of(&pattern) && regex.is_match(&text) {
                let text = expr::fold(&text);
                prop_assert!(literals.iter().any(|l| text.contains(l.as_str())), "{} {:?} {}", pattern, literals, text);
            }
        }
    }
}
