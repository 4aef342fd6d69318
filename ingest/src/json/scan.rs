//! JSON checked in one pass: everything that RFC 8259 asks of tokens, nesting and control characters.
//!
//! What matters inside a string (its end, a control character, an escape that is no plain one) is found by vectors, 64 bytes at
//! a time, and every 64 bytes are looked at once, however many strings and escapes are in them.

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
    let mut scanner = Scanner::new(bytes);
    scanner.value(at, 0).ok_or(scanner.stop)
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
    /// The number of the window at hand.
    window: usize,
    /// Which of its bytes end or break a string, or are the second of an escape that has to be looked at.
    special: u64,
    /// Which of its bytes are behind a backslash that begins an escape.
    escaped: u64,
    /// Whether the window ends with such a backslash.
    open: u64,
    /// Why the pass stopped, where offsets are none: they fit in a register, and this does not.
    stop: Stop,
}

impl<'a> Scanner<'a> {
    /// A pass over `bytes`, of fewer than 4 GiB where members are asked for.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, window: usize::MAX, special: 0, escaped: 0, open: 0, stop: Stop::Incomplete }
    }

    /// The offset behind the object that starts at `at`; `found` gets its members.
    ///
    /// **Errors**: [`Stop`]; then `found` has got some of them.
    pub fn members(&mut self, at: usize, found: &mut Vec<MemberSpan>) -> Result<usize, Stop> {
        self.each_member(at, &mut |key, value| {
            let range = |r: Range<usize>| r.start as u32..r.end as u32;
            found.push(MemberSpan { key: range(key), value: range(value) });
        })
    }

    /// The same, where `found` is called with where a member's key, between its quotes, and its value are.
    pub fn each_member(
        &mut self,
        at: usize,
        found: &mut impl FnMut(Range<usize>, Range<usize>),
    ) -> Result<usize, Stop> {
        let end = self.object(at, 0, found);
        end.ok_or(self.stop)
    }

    #[cold]
    fn broken(&mut self, at: usize, expected: &'static str) -> Option<usize> {
        self.stop = Stop::Broken { at, expected };
        None
    }

    /// Stops where something else is expected, or the bytes end.
    #[cold]
    fn unexpected(&mut self, at: usize, expected: &'static str) -> Option<usize> {
        match at < self.bytes.len() {
            true => self.broken(at, expected),
            false => self.incomplete(),
        }
    }

    #[cold]
    fn incomplete(&mut self) -> Option<usize> {
        self.stop = Stop::Incomplete;
        None
    }

    fn value(&mut self, at: usize, depth: usize) -> Option<usize> {
        match self.bytes.get(at) {
            Some(b'"') => self.string(at),
            Some(b'-' | b'0'..=b'9') => self.number(at),
            Some(b'{') if depth < DEPTH_MAX => self.object(at, depth, &mut |_, _| {}),
            Some(b'[') if depth < DEPTH_MAX => self.array(at, depth),
            Some(b'{' | b'[') => self.broken(at, "nesting of at most 128 levels"),
            Some(b't') => self.literal(at, b"true"),
            Some(b'f') => self.literal(at, b"false"),
            Some(b'n') => self.literal(at, b"null"),
            _ => self.unexpected(at, "a JSON value"),
        }
    }

    fn object(&mut self, at: usize, depth: usize, found: &mut impl FnMut(Range<usize>, Range<usize>)) -> Option<usize> {
        let bytes = self.bytes;
        let mut at = skip_space(bytes, at + 1);
        if bytes.get(at) == Some(&b'}') {
            return Some(at + 1);
        }
        loop {
            let key = at + 1;
            if bytes.get(at) != Some(&b'"') {
                return self.unexpected(at, "a key in quotes");
            }
            at = self.string(at)?;
            let key = key..at - 1;
            at = skip_space(bytes, at);
            if bytes.get(at) != Some(&b':') {
                return self.unexpected(at, "`:`");
            }
            let start = skip_space(bytes, at + 1);
            // Most values are strings.
            at = match bytes.get(start) {
                Some(b'"') => self.string(start)?,
                _ => self.value(start, depth + 1)?,
            };
            found(key, start..at);
            at = skip_space(bytes, at);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b'}') => return Some(at + 1),
                _ => return self.unexpected(at, "`,` or `}`"),
            }
        }
    }

    fn array(&mut self, at: usize, depth: usize) -> Option<usize> {
        let bytes = self.bytes;
        let mut at = skip_space(bytes, at + 1);
        if bytes.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        loop {
            at = self.value(at, depth + 1)?;
            at = skip_space(bytes, at);
            match bytes.get(at) {
                Some(b',') => at = skip_space(bytes, at + 1),
                Some(b']') => return Some(at + 1),
                _ => return self.unexpected(at, "`,` or `]`"),
            }
        }
    }

    #[inline(always)]
    fn string(&mut self, start: usize) -> Option<usize> {
        let mut at = start + 1;
        loop {
            at = self.special(at);
            match self.bytes.get(at) {
                Some(b'"') => return Some(at + 1),
                None => return self.incomplete(),
                Some(_) if self.escaped >> (at % WINDOW) & 1 != 0 => at = self.escape(at)?,
                Some(_) => return self.broken(at, "an escaped control character"),
            }
        }
    }

    /// The first byte from `at` on that is special inside a string; behind the last byte when there is none.
    #[inline(always)]
    fn special(&mut self, mut at: usize) -> usize {
        loop {
            let window = at / WINDOW;
            if window != self.window {
                self.look(window);
            }
            let rest = self.special >> (at % WINDOW);
            if rest != 0 {
                return at + rest.trailing_zeros() as usize;
            }
            at = (window + 1) * WINDOW;
            if at >= self.bytes.len() {
                return self.bytes.len();
            }
        }
    }

    /// Looks at a window.
    #[inline(never)]
    fn look(&mut self, window: usize) {
        let bytes = self.bytes.get(window * WINDOW..).unwrap_or_default();
        match bytes.first_chunk() {
            Some(bytes) => self.look_at(window, bytes),
            None => {
                // What is behind the end is not special.
                let mut padded = [b' '; WINDOW];
                padded[..bytes.len()].copy_from_slice(bytes);
                self.look_at(window, &padded);
            }
        }
    }

    #[inline(always)]
    fn look_at(&mut self, window: usize, bytes: &[u8; WINDOW]) {
        // Of one that was left out, no string goes on into the next.
        let before = if window == self.window.wrapping_add(1) { self.open } else { 0 };
        let [quote, backslash] =
            bits(bytes, |part| [part.simd_eq(u8x16::splat(b'"')), part.simd_eq(u8x16::splat(b'\\'))]);
        let least = u8x16::splat(0x1f);
        let (parts, _) = bytes.as_chunks::<16>();
        let lowest = parts.iter().fold(u8x16::splat(0xff), |lowest, part| lowest.min(u8x16::new(*part)));
        // Control characters are rare: which bytes are some is only asked where some are.
        let control = match lowest.min(least).simd_eq(lowest).to_bitmask() {
            0 => 0,
            _ => bits(bytes, |part| [part.min(least).simd_eq(part)])[0],
        };
        let (escaped, open) = escaped(backslash, before);
        let mut special = quote & !escaped | control;
        let mut others = escaped & !(quote | backslash);
        while others != 0 {
            let at = others.trailing_zeros();
            if !matches!(bytes[at as usize], b'n' | b'r' | b't' | b'b' | b'f' | b'/') {
                special |= 1 << at;
            }
            others &= others - 1;
        }
        (self.window, self.special, self.escaped, self.open) = (window, special, escaped, open);
    }

    /// The offset behind an escape whose second byte is at `at`, and none of those that name a character.
    fn escape(&mut self, at: usize) -> Option<usize> {
        if self.bytes.get(at) != Some(&b'u') {
            return self.broken(at, "a JSON escape");
        }
        match (at + 1..at + 5).find(|i| !self.bytes.get(*i).is_some_and(u8::is_ascii_hexdigit)) {
            Some(wrong) => self.unexpected(wrong, "four hexadecimal digits"),
            None => Some(at + 5),
        }
    }

    fn literal(&mut self, at: usize, word: &'static [u8]) -> Option<usize> {
        let there = &self.bytes[at..self.bytes.len().min(at + word.len())];
        if there == word {
            Some(at + word.len())
        } else if word.starts_with(there) {
            self.incomplete()
        } else {
            self.broken(at, "true, false or null")
        }
    }

    fn number(&mut self, start: usize) -> Option<usize> {
        let mut at = start + usize::from(self.bytes[start] == b'-');
        let leading = self.bytes.get(at) == Some(&b'0');
        let end = self.digits(at)?;
        if leading && end > at + 1 {
            return self.broken(at + 1, "no digit after a leading 0");
        }
        at = end;
        if self.bytes.get(at) == Some(&b'.') {
            at = self.digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(at) {
            at += 1;
            at += usize::from(matches!(self.bytes.get(at), Some(b'+' | b'-')));
            at = self.digits(at)?;
        }
        Some(at)
    }

    /// The offset behind one digit or more.
    fn digits(&mut self, from: usize) -> Option<usize> {
        let mut at = from;
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        if at > from { Some(at) } else { self.unexpected(at, "a digit") }
    }
}

/// For each of several questions, a bit for each byte of a window.
#[inline]
fn bits<const N: usize>(window: &[u8; WINDOW], of: impl Fn(u8x16) -> [u8x16; N]) -> [u64; N] {
    const LANES: usize = 16;
    let (parts, _) = window.as_chunks::<LANES>();
    let mut bits = [0; N];
    for (i, part) in parts.iter().enumerate() {
        for (bits, found) in bits.iter_mut().zip(of(u8x16::new(*part))) {
            *bits |= u64::from(found.to_bitmask()) << (i * LANES);
        }
    }
    bits
}

/// Which bytes are behind a backslash that begins an escape, and whether the first byte of the next window is; `before` says
/// that of the first one.
#[inline]
fn escaped(backslash: u64, before: u64) -> (u64, u64) {
    if backslash == 0 {
        return (before, 0);
    }
    // Of a run of backslashes every second one is itself behind one. Adding a run to its first bit carries to its end: by
    // whether that is as odd as its beginning it is known how long it was.
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let backslash = backslash & !before;
    let behind = backslash << 1 | before;
    let odd_starts = backslash & !EVEN & !behind;
    let (carried, open) = odd_starts.overflowing_add(backslash);
    ((EVEN ^ carried << 1) & behind, u64::from(open))
}
