//! Regular expressions: PCRE's notation, as far as Sigma allows it, in the notation of the `regex` crate.
//!
//! Look-around, back-references and possessive quantifiers are not Sigma's (modifiers appendix) and give an error. `\d`,
//! `\w`, `\s` and `\b` know all of Unicode; `$` is the very end of the text.

use super::LowerError;
use super::modifiers::Modifiers;

const BYTES_MAX: usize = 32 << 10;
const PROGRAM_BYTES_MAX: usize = 4 << 20;

/// The pattern of a value, with the item's flags and anchors in it.
pub fn lower(modifiers: &Modifiers, source: &str) -> Result<String, LowerError> {
    if source.len() > BYTES_MAX {
        return Err(LowerError::TooMuch { what: "bytes of a regular expression", limit: BYTES_MAX });
    }
    let mut text = translate(source);
    // Unanchored search is what `contains` asks for.
    text = match (modifiers.any_before, modifiers.any_after) {
        (false, true) => format!(r"\A(?:{text})"),
        (true, false) => format!(r"(?:{text})\z"),
        _ => text,
    };
    if !modifiers.flags.is_empty() {
        text = format!("(?{}){text}", unique(&modifiers.flags));
    }
    match regex::RegexBuilder::new(&text).size_limit(PROGRAM_BYTES_MAX).nest_limit(100).build() {
        Ok(_) => Ok(text),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(modifiers.wrong(&format!("the regular expression {source:?} does not compile: {reason}")))
        }
    }
}

fn unique(flags: &str) -> String {
    let mut out = String::new();
    flags.chars().for_each(|c| {
        if !out.contains(c) {
            out.push(c)
        }
    });
    out
}

/// PCRE's spelling in the other notation, where they differ. Translating twice changes nothing more.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    // Inside a class: how many characters of it were seen.
    let mut class: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, &mut class) {
            ('\\', seen) => {
                let inside = seen.is_some();
                if let Some(seen) = seen {
                    *seen += 1;
                }
                match chars.next() {
                    // Words' ends in one notation, plain characters in the other.
                    Some(c @ ('<' | '>')) => out.push(c),
                    Some('Z') if !inside => out.push_str(r"\n?\z"),
                    Some('h') if inside => out.push_str(r" \t"),
                    Some('h') => out.push_str(r"[ \t]"),
                    Some('e') => out.push_str(r"\x1B"),
                    Some('/') => out.push('/'),
                    Some(c @ ('"' | '\'' | '`' | '%' | '@' | '!' | ',' | ':' | ';' | '=' | '_')) => out.push(c),
                    // A class or a code point in braces: to its end as it is.
                    Some(c @ ('p' | 'P' | 'x' | 'u' | 'U')) if chars.peek() == Some(&'{') => {
                        out.extend(['\\', c]);
                        for c in chars.by_ref() {
                            out.push(c);
                            if c == '}' {
                                break;
                            }
                        }
                    }
                    Some(c) => out.extend(['\\', c]),
                    None => out.push('\\'),
                }
            }
            ('[', None) => {
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                class = Some(0);
            }
            // `[]a]` and `[^]a]` hold a bracket.
            (']', Some(0)) => {
                class = Some(1);
                out.push_str(r"\]");
            }
            (']', Some(_)) => {
                class = None;
                out.push(']');
            }
            ('[', Some(_)) if chars.peek() == Some(&':') => {
                // A POSIX class: to its end as it is.
                class = Some(1);
                out.push('[');
                while let Some(c) = chars.next() {
                    out.push(c);
                    if c == ':' && chars.peek() == Some(&']') {
                        chars.next();
                        out.push(']');
                        break;
                    }
                }
            }
            ('[', Some(seen)) => {
                *seen += 1;
                out.push_str(r"\[");
            }
            // Set operations are not PCRE's.
            (c @ ('&' | '~'), Some(seen)) => {
                *seen += 1;
                out.extend(['\\', c]);
            }
            ('-', Some(seen)) if chars.peek() == Some(&'-') => {
                *seen += 1;
                out.push_str(r"\-");
            }
            ('{', None) if !quantifies(chars.clone()) => out.push_str(r"\{"),
            (c, seen) => {
                if let Some(seen) = seen {
                    *seen += 1;
                }
                out.push(c);
            }
        }
    }
    out
}

/// Whether what follows a brace makes a quantifier of it: `{2}`, `{2,}`, `{2,5}`.
fn quantifies(rest: impl Iterator<Item = char>) -> bool {
    let inside: String = rest.take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '}')).collect();
    let Some((bounds, _)) = inside.split_once('}') else { return false };
    let (least, most) = bounds.split_once(',').unwrap_or((bounds, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn the_notations_meet() {
        for (pcre, expected) in [
            (r"a\<b\>", "a<b>"),
            (r"[^[]x", r"[^\[]x"),
            (r"[]a]", r"[\]a]"),
            (r"[[:alpha:]_]", r"[[:alpha:]_]"),
            (r"[a&&b~]", r"[a\&\&b\~]"),
            (r"\h+[\h]", r"[ \t]+[ \t]"),
            (r"^C:\\Win\/x\d{2}$", r"^C:\\Win/x\d{2}$"),
            (r"\[x\]", r"\[x\]"),
            (r"x{abc}a{2}b{2,}c{2,5}{", r"x\{abc}a{2}b{2,}c{2,5}\{"),
            (r"\p{L}\x{41}{", r"\p{L}\x{41}\{"),
        ] {
            assert_eq!(translate(pcre), expected);
            assert_eq!(translate(expected), expected);
            assert!(regex::Regex::new(expected).is_ok(), "{expected}");
        }
    }
}
