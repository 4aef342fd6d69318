//! JSON checked in one pass: everything that RFC 8259 asks of tokens, nesting and control characters.
//!
//! What matters inside a string (its end, an escape, a control character) is found by vectors, 64 bytes at a time, and
//! every 64 bytes are looked at once, however many strings are in them.

use std::ops::Range;
use wide::u8x16;

/// Deepest nesting that is read.
pub const DEPTH_MAX: usize = 128;

/// Why a value does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes end inside the value: more may complete it.
    Incomplete,
    /// The value is broken at this offset.
    Broken {
        /// Offset of the first wrong byte.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
}

fn broken<T>(at: usize, expected: &'static str) -> Result<T, Stop> {
    Err(Stop::Broken { at, expected })
}

/// The offset of the first byte that is no white space.
pub fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The offset behind the value that starts at `at`.
///
/// **Errors**: [`Stop`]. **Bounds**: nesting up to [`DEPTH_MAX`].
pub fn end_of_value(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    Scanner::new(bytes).value(at, 0)
}

/// Where a member of an object is: offsets in the bytes that were scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSpan {
    /// The key between its quotes.
    pub key: Range<u32>,
    /// The value.
    pub value: Range<u32>,
}

/// Bytes per look.
const WINDOW: usize = 64;

/// A pass over bytes, from left to right.
pub struct Scanner<'a> {
    bytes: &'a [u8],
    /// The window at hand, as its offset.
    window: usize,
    /// Which of its bytes end or break a string.
    special: u64,
}

impl<'a> Scanner<'a> {
    /// A pass over `bytes`, of fewer than 4 GiB where members are asked for.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, window: usize::MAX, special: 0 }
    }

    /// The offset behind the object that starts at `at`; `found` gets its members.
    ///
    /// **Errors**: [`Stop`]; then `found` has got some of them.
    pub fn members(&mut self, at: usize, found: &mut Vec<MemberSpan>) -> Result<usize, Stop> {
        self.object(at, 0, &mut |key, value| {
            let range = |r: Range<usize>| r.start as u32..r.end as u32;
            found.push(MemberSpan { key: range(key), value: range(value) });
        })
    }

    fn value(&mut self, at: usize, depth: usize) -> Result<usize, Stop> {
        match self.bytes.get(at) {
            None => Err(Stop::Incomplete),
            Some(b'"') => self.string(at),
            Some(b'{') if depth < DEPTH_MAX => self.object(at, depth, &mut |_, _| {}),
            Some(b'[') if depth < DEPTH_MAX => self.array(at, depth),
            Some(b'{' | b'[') => broken(at, "nesting of at most 128 levels"),
            Some(b't') => literal(self.bytes, at, b"true"),
            Some(b'f') => literal(self.bytes, at, b"false"),
            Some(b'n') => literal(self.bytes, at, b"null"),
            Some(b'-' | b'0'..=b'9') => number(self.bytes, at),
            Some(_) => broken(at, "a JSON value"),
        }
    }

    fn object(
        &mut self,
        at: usize,
        depth: usize,
        found: &mut impl FnMut(Range<usize>, Range<usize>),
    ) -> Result<usize, Stop> {
        let bytes = self.bytes;
        let mut at = skip_space(bytes, at + 1);
        if bytes.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        loop {
            let key = at + 1;
            match bytes.get(at) {
                Some(b'"') => at = self.string(at)?,
                Some(_) => return broken(at, "a key in quotes"),
                None => return Err(Stop::Incomplete),
            }
            let key = key..at - 1;
            at = skip_space(bytes, at);
            match bytes.get(at) {
                Some(b':') => at = skip_space(bytes, at + 1),
                Some(_) => return broken(at, "`:`"),
                None => return Err(Stop::Incomplete),
            }
            let start = at;
            at = self.value(at, depth + 1)?;
            found(key, start..at);
            at = skip_space(bytes, at);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b'}') => return Ok(at + 1),
                Some(_) => return broken(at, "`,` or `}`"),
                None => return Err(Stop::Incomplete),
            }
        }
    }

    fn array(&mut self, at: usize, depth: usize) -> Result<usize, Stop> {
        let bytes = self.bytes;
        let mut at = skip_space(bytes, at + 1);
        if bytes.get(at) == Some(&b']') {
            return Ok(at + 1);
        }
        loop {
            at = self.value(at, depth + 1)?;
            at = skip_space(bytes, at);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b']') => return Ok(at + 1),
                Some(_) => return broken(at, "`,` or `]`"),
                None => return Err(Stop::Incomplete),
            }
        }
    }

    fn string(&mut self, start: usize) -> Result<usize, Stop> {
        let bytes = self.bytes;
        let mut at = start + 1;
        loop {
            at = self.special(at);
            match bytes.get(at) {
                None => return Err(Stop::Incomplete),
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => at = escape(bytes, at)?,
                Some(_) => return broken(at, "an escaped control character"),
            }
        }
    }

    /// The first byte from `at` on that ends or breaks a string; behind the last byte when there is none.
    fn special(&mut self, mut at: usize) -> usize {
        while at < self.bytes.len() {
            let window = at - at % WINDOW;
            if window != self.window {
                self.window = window;
                self.special = special_of(&self.bytes[window..]);
            }
            let rest = self.special >> (at % WINDOW);
            if rest != 0 {
                return at + rest.trailing_zeros() as usize;
            }
            at = window + WINDOW;
        }
        self.bytes.len()
    }
}

/// A bit for each of the next bytes that is a quote, a backslash or a control character.
fn special_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<WINDOW>() {
        Some(window) => special(window),
        None => {
            // What is behind the end is none of these.
            let mut window = [b' '; WINDOW];
            window[..bytes.len()].copy_from_slice(bytes);
            special(&window)
        }
    }
}

#[inline]
fn special(window: &[u8; WINDOW]) -> u64 {
    const LANES: usize = 16;
    let (quote, backslash, last_control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    let (parts, _) = window.as_chunks::<LANES>();
    parts.iter().enumerate().fold(0, |bits, (i, part)| {
        let part = u8x16::new(*part);
        let found = part.simd_eq(quote) | part.simd_eq(backslash) | part.min(last_control).simd_eq(part);
        bits | u64::from(found.to_bitmask()) << (i * LANES)
    })
}

/// The offset behind an escape.
fn escape(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            for i in at + 2..at + 6 {
                match bytes.get(i) {
                    Some(b) if b.is_ascii_hexdigit() => {}
                    Some(_) => return broken(i, "four hexadecimal digits"),
                    None => return Err(Stop::Incomplete),
                }
            }
            Ok(at + 6)
        }
        Some(_) => broken(at + 1, "a JSON escape"),
        None => Err(Stop::Incomplete),
    }
}

fn literal(bytes: &[u8], at: usize, word: &'static [u8]) -> Result<usize, Stop> {
    let there = &bytes[at..bytes.len().min(at + word.len())];
    if there == word {
        Ok(at + word.len())
    } else if word.starts_with(there) {
        Err(Stop::Incomplete)
    } else {
        broken(at, "true, false or null")
    }
}

fn number(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let digits = |mut at: usize| {
        let from = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        match (at > from, at < bytes.len()) {
            (true, _) => Ok(at),
            (false, true) => broken(at, "a digit"),
            (false, false) => Err(Stop::Incomplete),
        }
    };
    let mut at = start + usize::from(bytes[start] == b'-');
    let leading = bytes.get(at) == Some(&b'0');
    let end = digits(at)?;
    if leading && end > at + 1 {
        return broken(at + 1, "no digit after a leading 0");
    }
    at = end;
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = digits(at)?;
    }
    Ok(at)
}
