//! Uids as they are remembered: the usual spellings as their sixteen bytes.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A uid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uid {
    /// A UUID in lower case with its dashes.
    Uuid([u8; 16]),
    /// 32 hexadecimal digits in lower case.
    Hex([u8; 16]),
    /// Any other.
    Text(Box<str>),
}

/// Where a UUID's dashes are.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl Uid {
    /// A text's.
    pub fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let found = match bytes.len() {
            32 => sixteen(bytes.iter().copied()).map(Self::Hex),
            36 if DASHES.iter().all(|at| bytes[*at] == b'-') => {
                let digits = bytes.iter().enumerate().filter(|(at, _)| !DASHES.contains(at)).map(|(_, b)| *b);
                sixteen(digits).map(Self::Uuid)
            }
            _ => None,
        };
        found.unwrap_or_else(|| Self::Text(text.into()))
    }

    /// Its text.
    pub fn text(&self) -> Arc<str> {
        let digits = |bytes: &[u8; 16], dashes: bool| {
            let mut out = String::with_capacity(36);
            for byte in bytes {
                if dashes && DASHES.contains(&out.len()) {
                    out.push('-');
                }
                out.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
            }
            out.into()
        };
        match self {
            Self::Uuid(bytes) => digits(bytes, true),
            Self::Hex(bytes) => digits(bytes, false),
            Self::Text(text) => (&**text).into(),
        }
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        let text = if let Self::Text(text) = self { text.len() } else { 0 };
        size_of::<Self>() + text
    }
}

/// The bytes of 32 digits in lower case.
fn sixteen(mut digits: impl Iterator<Item = u8>) -> Option<[u8; 16]> {
    let mut digit = || match digits.next()? {
        b @ b'0'..=b'9' => Some(b - b'0'),
        b @ b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 16];
    for byte in &mut out {
        *byte = digit()? << 4 | digit()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::Uid;

    #[test]
    fn every_text_comes_back() {
        for (text, size) in [
            ("0123456789abcdef0123456789abcdef", 24),
            ("01234567-89ab-cdef-0123-456789abcdef", 24),
            ("0123456789ABCDEF0123456789abcdef", 56),
            ("0123456789abcdef0123456789abcde-", 56),
            ("01234567-89ab-cdef-0123-456789abcdeg", 60),
            ("01234567889ab-cdef-0123-456789abcdef", 60),
            ("äääääääääääääääääää", 62),
            ("", 24),
        ] {
            let uid = Uid::new(text);
            assert_eq!((&*uid.text(), uid.size()), (text, size));
        }
    }
}
