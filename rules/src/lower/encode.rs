//! Values in other spellings: UTF-16, Base64, dashes. What an encoding makes are bytes; a test wants text again.

use super::LowerError;
use super::modifiers::{Modifiers, Step};
use crate::expr::Part;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A part of a value on its way through encodings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// These bytes.
    Literal(Vec<u8>),
    /// A wildcard.
    Wild(Part),
}

/// Dashes that vary on their own; more of them in one value vary together, or their number would explode.
const DASHES_APART_MAX: u32 = 5;

/// A value's parts as bytes.
pub fn bytes(parts: Vec<Part>) -> Vec<Bytes> {
    let byte = |part| match part {
        Part::Text(text) => Bytes::Literal(text.into_bytes()),
        wild => Bytes::Wild(wild),
    };
    parts.into_iter().map(byte).collect()
}

/// Bytes as text again: UTF-16 of plain ASCII is text with zeros, as pySigma has it; a byte order mark is none.
pub fn texts(parts: Vec<Bytes>, modifiers: &Modifiers) -> Result<Vec<Part>, LowerError> {
    let text = |part| match part {
        Bytes::Wild(part) => Ok(part),
        Bytes::Literal(bytes) => String::from_utf8(bytes)
            .map(Part::Text)
            .map_err(|_| modifiers.wrong("UTF-16 of this value is no text; base64 or base64offset has to follow")),
    };
    parts.into_iter().map(text).collect()
}

/// One step over every variant.
pub fn apply(step: Step, variants: Vec<Vec<Bytes>>, modifiers: &Modifiers) -> Result<Vec<Vec<Bytes>>, LowerError> {
    let mut out = Vec::new();
    for parts in variants {
        match step {
            Step::Windash => out.extend(windash(&parts)),
            Step::Utf16Le => out.push(utf16(parts, u16::to_le_bytes, modifiers)?),
            Step::Utf16Be => out.push(utf16(parts, u16::to_be_bytes, modifiers)?),
            Step::Utf16Bom => {
                let mut encoded = utf16(parts, u16::to_le_bytes, modifiers)?;
                match encoded.first_mut() {
                    Some(Bytes::Literal(bytes)) => drop(bytes.splice(0..0, [0xff, 0xfe])),
                    _ => encoded.insert(0, Bytes::Literal(vec![0xff, 0xfe])),
                }
                out.push(encoded);
            }
            Step::Base64 => out.push(vec![Bytes::Literal(STANDARD.encode(literal(&parts, modifiers)?).into_bytes())]),
            Step::Base64Offset => {
                let bytes = literal(&parts, modifiers)?;
                let shifted: Vec<String> = (0..3).map(|offset| base64_at(&bytes, offset)).collect();
                if shifted.iter().any(String::is_empty) {
                    return Err(modifiers.wrong("too short for base64offset: nothing of it is sure to be seen"));
                }
                out.extend(shifted.into_iter().map(|s| vec![Bytes::Literal(s.into_bytes())]));
            }
        }
    }
    Ok(out)
}

fn literal(parts: &[Bytes], modifiers: &Modifiers) -> Result<Vec<u8>, LowerError> {
    match parts {
        [] => Ok(Vec::new()),
        [Bytes::Literal(bytes)] => Ok(bytes.clone()),
        _ => Err(modifiers.wrong("a value with wildcards has no Base64")),
    }
}

fn utf16(parts: Vec<Bytes>, order: fn(u16) -> [u8; 2], modifiers: &Modifiers) -> Result<Vec<Bytes>, LowerError> {
    let encode = |part| match part {
        Bytes::Literal(bytes) => String::from_utf8(bytes)
            .map(|text| Bytes::Literal(text.encode_utf16().flat_map(order).collect()))
            .map_err(|_| modifiers.wrong("UTF-16 of what is no text any more")),
        wild => Ok(wild),
    };
    parts.into_iter().map(encode).collect()
}

/// The characters of Base64 that bytes have in common wherever they begin `offset` bytes into a group of three.
fn base64_at(bytes: &[u8], offset: usize) -> String {
    let mut padded = vec![b' '; offset];
    padded.extend(bytes);
    let encoded = STANDARD.encode(&padded);
    let start = [0, 2, 3][offset];
    let trailing = [0, 3, 2][padded.len() % 3];
    encoded.get(start..encoded.len().saturating_sub(trailing)).unwrap_or("").to_owned()
}

/// Variants of a command line's dashes: `-`, `/` and the Unicode dashes that Windows programs take as well, wherever they
/// stand (modifiers appendix; pySigma asks for the beginning of a flag).
fn windash(parts: &[Bytes]) -> Vec<Vec<Bytes>> {
    const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
    let mut out: Vec<Vec<Bytes>> = vec![Vec::new()];
    for part in parts {
        let text = match part {
            Bytes::Literal(bytes) => String::from_utf8_lossy(bytes),
            Bytes::Wild(_) => {
                out.iter_mut().for_each(|v| v.push(part.clone()));
                continue;
            }
        };
        let chars: Vec<char> = text.chars().collect();
        let flags: Vec<usize> = (0..chars.len()).filter(|i| DASHES.contains(&chars[*i])).collect();
        let apart = u32::try_from(flags.len()).ok().filter(|n| *n <= DASHES_APART_MAX && out.len() == 1);
        let total = apart.map_or(DASHES.len(), |n| DASHES.len().pow(n));
        let spelled = |mut n: usize| {
            let mut chars = chars.clone();
            for at in &flags {
                chars[*at] = DASHES[n % DASHES.len()];
                if apart.is_some() {
                    n /= DASHES.len();
                }
            }
            Bytes::Literal(chars.into_iter().collect::<String>().into_bytes())
        };
        let mut variants: Vec<Bytes> = (0..if flags.is_empty() { 1 } else { total }).map(spelled).collect();
        if apart.is_none() && !flags.is_empty() {
            // The rule's own spelling is none of those that vary together.
            variants.retain(|v| v != part);
            variants.insert(0, part.clone());
        }
        // A value that is cut by wildcards keeps one spelling per variant.
        out = match (out.len(), variants.len()) {
            (_, 1) => out.into_iter().map(|v| [v, vec![variants[0].clone()]].concat()).collect(),
            (1, _) => variants.into_iter().map(|p| [out[0].clone(), vec![p]].concat()).collect(),
            (many, few) if many * few <= 625 => {
                out.iter().flat_map(|v| variants.iter().map(move |p| [v.clone(), vec![p.clone()]].concat())).collect()
            }
            (_, few) => {
                out.into_iter().enumerate().map(|(i, v)| [v, vec![variants[i % few].clone()]].concat()).collect()
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spellings(text: &str) -> Vec<String> {
        let variants = windash(&[Bytes::Literal(text.into())]);
        variants
            .into_iter()
            .flat_map(|v| {
                v.into_iter().map(|p| {
                    if let Bytes::Literal(b) = p { String::from_utf8_lossy(&b).into_owned() } else { String::new() }
                })
            })
            .collect()
    }

    #[test]
    fn dashes_vary_wherever_they_stand() {
        assert!(spellings("start/b").contains(&"start-b".to_owned()));
        assert_eq!(spellings("-param-name").len(), 25);
        assert!(spellings(" /f -x").contains(&" \u{2015}f /x".to_owned()) && spellings(" /f -x").len() == 25);
        assert_eq!(spellings("-a -b -c -d -e").len(), 3125);
        let many = spellings("-a -b -c -d -e /f");
        assert!(many.len() == 6 && many[0] == "-a -b -c -d -e /f", "{many:?}");
    }

    #[test]
    fn base64_is_found_at_every_offset() {
        for text in ["abc", "abcd", "abcde", "\u{20ac}uro", "http://"] {
            for before in 0..6 {
                for after in 0..4 {
                    let whole =
                        STANDARD.encode([vec![0xa5; before], text.as_bytes().to_vec(), vec![0x5a; after]].concat());
                    let found = (0..3).any(|offset| whole.contains(&base64_at(text.as_bytes(), offset)));
                    assert!(found, "{text} behind {before} before {after}");
                }
            }
        }
    }
}
