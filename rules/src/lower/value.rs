//! One value of an item, by the item's modifiers.

use super::encode::Bytes;
use super::modifiers::{Kind, Modifiers, Step};
use super::{COMBINATIONS_MAX, LowerError, Placeholders, encode, regex};
use crate::expr::{Compare, Expr, Item, Number, Part, Pattern, Test, fold};
use crate::parse::yaml::Yaml;

/// The expression of one value.
pub fn lower(modifiers: &Modifiers, value: &Yaml, placeholders: &Placeholders) -> Result<Expr, LowerError> {
    let item = |test| Expr::Item(Item { field: modifiers.field.clone(), test });
    let Some(text) = value.scalar() else {
        return match modifiers.kind {
            // A value without a text: null. It has no place in a text, a number or a keyword.
            Kind::Text
                if modifiers.steps.is_empty()
                    && !modifiers.any_before
                    && !modifiers.any_after
                    && modifiers.field.is_some() =>
            {
                Ok(item(Test::Null))
            }
            _ => Err(modifiers.wrong("null is no value for this")),
        };
    };
    let quoted = |problem: &str| modifiers.wrong(&format!("{text:?} {problem}"));
    Ok(match modifiers.kind {
        Kind::Exists => match (value, text.to_ascii_lowercase().as_str()) {
            (Yaml::Bool(true), _) | (Yaml::Text(_), "yes") => item(Test::Exists),
            (Yaml::Bool(false), _) | (Yaml::Text(_), "no") => Expr::Not(Box::new(item(Test::Exists))),
            _ => return Err(quoted("is neither true nor false")),
        },
        Kind::Regex => {
            let sources = if modifiers.expand { expand(&text, placeholders, true)? } else { vec![text] };
            Expr::Or(
                sources
                    .iter()
                    .map(|s| regex::lower(modifiers, s).map(|r| item(Test::Regex(r))))
                    .collect::<Result<_, _>>()?,
            )
        }
        Kind::Cidr => item(Test::Cidr(network(&text).ok_or_else(|| quoted("is no network"))?)),
        Kind::FieldRef(how) => {
            if parts(&text).iter().any(|p| !matches!(p, Part::Text(_))) {
                return Err(quoted("has wildcards, and is to be the name of a field"));
            }
            item(Test::Field(how, text))
        }
        Kind::Compare(compare) => {
            let n = Number::parse(&text).filter(|_| matches!(value, Yaml::Number(_)));
            let n = n.ok_or_else(|| quoted("is no number"))?;
            item(match modifiers.part {
                Some(part) => Test::Time(part, compare, n),
                None => Test::Number(compare, n),
            })
        }
        // A decimal number is one number however it is spelled, in the rule and in the event.
        Kind::Text if modifiers.is_plain() && matches!(value, Yaml::Number(n) if n.contains(['.', 'e', 'E'])) => {
            let n = Number::parse(&text).ok_or_else(|| quoted("is no number"))?;
            item(Test::Number(Compare::Equal, n))
        }
        Kind::Text => {
            let encoded = modifiers.steps.iter().any(|s| matches!(s, Step::Base64 | Step::Base64Offset));
            if encoded && !matches!(value, Yaml::Text(_)) {
                return Err(quoted("is no text; put it in quotes"));
            }
            texts(modifiers, &text, placeholders)?
        }
    })
}

/// A text value: placeholders, encodings and dashes give several; any of them matches.
fn texts(modifiers: &Modifiers, original: &str, placeholders: &Placeholders) -> Result<Expr, LowerError> {
    let originals = if modifiers.expand { expand(original, placeholders, false)? } else { vec![original.to_owned()] };
    let mut list = Vec::new();
    for original in originals {
        let mut variants = vec![encode::bytes(parts(&original))];
        for step in &modifiers.steps {
            variants = encode::apply(*step, variants, modifiers)?;
        }
        for variant in variants {
            list.push(Expr::Item(Item { field: modifiers.field.clone(), test: text(modifiers, variant)? }));
        }
    }
    Ok(Expr::Or(list))
}

fn text(modifiers: &Modifiers, variant: Vec<Bytes>) -> Result<Test, LowerError> {
    let parts = encode::texts(variant, modifiers)?;
    // A keyword is searched inside values, unless a modifier says where.
    let inside = modifiers.field.is_none() && !modifiers.any_before && !modifiers.any_after;
    let mut around = Vec::with_capacity(parts.len() + 2);
    if modifiers.any_before || inside {
        around.push(Part::Many);
    }
    around.extend(parts);
    if modifiers.any_after || inside {
        around.push(Part::Many);
    }
    let folded = around.into_iter().map(|p| match p {
        Part::Text(t) if !modifiers.cased => Part::Text(fold(&t)),
        part => part,
    });
    Ok(Test::Text { pattern: Pattern::new(folded.collect()), cased: modifiers.cased })
}

/// A value's parts: `*` and `?` are wildcards, `\*`, `\?` and `\\` stand for themselves, any other `\` is one.
fn parts(text: &str) -> Vec<Part> {
    let mut out = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let wildcard = match c {
            '\\' => {
                match chars.peek() {
                    Some(next @ ('*' | '?' | '\\')) => {
                        literal.push(*next);
                        chars.next();
                    }
                    _ => literal.push('\\'),
                }
                continue;
            }
            '*' => Part::Many,
            '?' => Part::One,
            c => {
                literal.push(c);
                continue;
            }
        };
        out.push(Part::Text(std::mem::take(&mut literal)));
        out.push(wildcard);
    }
    out.push(Part::Text(literal));
    out.retain(|p| !matches!(p, Part::Text(t) if t.is_empty()));
    out
}

/// A text with its placeholders' values: `%name%`; `\%` is a plain percent sign. Values are patterns, as the rule's own
/// are; in a regular expression they are literal.
fn expand(original: &str, placeholders: &Placeholders, literal: bool) -> Result<Vec<String>, LowerError> {
    let mut done = vec![String::new()];
    let mut rest = original;
    while let Some(at) = rest.find('%') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let push = |done: &mut Vec<String>, text: &str| done.iter_mut().for_each(|d| d.push_str(text));
        if let Some(before) = before.strip_suffix('\\') {
            push(&mut done, before);
            push(&mut done, "%");
            rest = after;
            continue;
        }
        let name = after.split_once('%').filter(|(name, _)| !name.is_empty());
        let Some((name, after)) = name else {
            push(&mut done, before);
            push(&mut done, "%");
            rest = after;
            continue;
        };
        let values =
            placeholders.get(name).filter(|v| !v.is_empty()).ok_or_else(|| LowerError::Placeholder(name.to_owned()))?;
        if done.len().saturating_mul(values.len()) > COMBINATIONS_MAX {
            return Err(LowerError::TooMuch { what: "combinations of placeholders", limit: COMBINATIONS_MAX });
        }
        let value = |v: &String| if literal { ::regex::escape(v) } else { v.clone() };
        done = done.iter().flat_map(|d| values.iter().map(move |v| format!("{d}{before}{}", value(v)))).collect();
        rest = after;
    }
    done.iter_mut().for_each(|d| d.push_str(rest));
    Ok(done)
}

fn network(text: &str) -> Option<ipnet::IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from))
}
