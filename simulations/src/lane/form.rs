//! The form of a value: which of its characters another value of the same kind would have otherwise.
//!
//! Times stay times, and numbers, GUIDs, hashes and identifiers keep their length and each character's class; words stay,
//! unless there is too little else (numbers of two digits stay then, too). What varies is told by classes and by what stays, so a made value has its original's
//! form again: values of one form can be numbered, and those of two forms are never equal.

use super::leaves::Scalar;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Values of a form that are enough without its words.
const ENOUGH: u64 = 1 << 20;
/// What a form counts up to; the characters beyond are drawn.
const COUNTED_MAX: u64 = 1 << 40;
/// A longer run of letters and digits varies at its end alone, so that what it says stays about the same.
const RUN_MAX: usize = 64;
/// That end's length.
const RUN_END: usize = 32;
/// A run of letters and digits that long is an identifier.
const IDENTIFIER_MIN: usize = 16;

/// One place of a text that varies: a letter, or a decimal number of one or two digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    at: usize,
    width: u8,
    /// The character, or the digit `0`, that `low` is counted from.
    zero: u8,
    low: u8,
    radix: u8,
}

/// The form of one text. Reused for one after the other.
#[derive(Debug, Default)]
pub struct Form {
    places: Vec<Place>,
    /// Numbers of two digits, and words: what varies where the rest is too little.
    pairs: Vec<Range<usize>>,
    words: Vec<Range<usize>>,
    blank: Vec<u8>,
}

impl Form {
    /// Reads the form of a string as JSON spells it, or of a number.
    pub fn read(&mut self, text: &[u8], scalar: Scalar) {
        self.places.clear();
        self.pairs.clear();
        self.words.clear();
        match scalar {
            Scalar::Word => {}
            Scalar::Number => self.number(text),
            Scalar::Text => {
                self.text(text);
                if self.size() < ENOUGH {
                    std::mem::take(&mut self.pairs).into_iter().for_each(|pair| self.digits(text, pair));
                }
                if self.size() < ENOUGH {
                    self.add_words(text);
                }
            }
        }
    }

    /// How many values are counted; 1 for what cannot vary.
    pub fn capacity(&self) -> u64 {
        self.counted().1
    }

    /// A hash that texts of one form share, and no others.
    pub fn template(&mut self, text: &[u8]) -> u64 {
        self.blank.clear();
        self.blank.extend_from_slice(text);
        for place in &self.places {
            self.blank[place.at..place.at + place.width as usize].fill(0);
        }
        super::hash((&self.blank, &self.places))
    }

    /// Overwrites the text with the `n`-th of its form, `n` less than the capacity; the rest is drawn.
    pub fn write(&self, text: &mut [u8], mut n: u64, rng: &mut ChaCha8Rng) {
        let (first, _) = self.counted();
        for (i, place) in self.places.iter().enumerate().rev() {
            let radix = u64::from(place.radix);
            let digit = if i >= first { n % radix } else { u64::from(rng.random_range(0..place.radix)) };
            n = if i >= first { n / radix } else { n };
            let value = place.low + digit as u8;
            if place.width == 2 {
                text[place.at] = place.zero + value / 10;
                text[place.at + 1] = place.zero + value % 10;
            } else {
                text[place.at] = place.zero + value;
            }
        }
    }

    /// From which place on values are counted, and how many there are.
    fn counted(&self) -> (usize, u64) {
        let mut capacity: u64 = 1;
        for (i, place) in self.places.iter().enumerate().rev() {
            if capacity >= COUNTED_MAX {
                return (i + 1, capacity);
            }
            capacity *= u64::from(place.radix);
        }
        (0, capacity)
    }

    fn size(&self) -> u64 {
        self.places.iter().fold(1, |size: u64, p| size.saturating_mul(p.radix.into()))
    }

    fn place(&mut self, at: usize, width: u8, low: u8, radix: u8) {
        self.places.push(Place { at, width, zero: b'0', low, radix });
    }

    /// The digits of a number before any exponent.
    fn number(&mut self, text: &[u8]) {
        let end = text.iter().position(|b| matches!(b, b'e' | b'E')).unwrap_or(text.len());
        let mut at = 0;
        while at < end {
            let run = run(&text[..end], at, u8::is_ascii_digit);
            self.digits(text, run.clone());
            at = run.end.max(at + 1);
        }
    }

    fn text(&mut self, text: &[u8]) {
        let mut at = 0;
        while at < text.len() {
            if text[at] == b'\\' {
                at += if text.get(at + 1) == Some(&b'u') { 6 } else { 2 };
                continue;
            }
            if let Some(end) = self.time(text, at) {
                at = end;
                continue;
            }
            let run = run(text, at, u8::is_ascii_alphanumeric);
            at = run.end.max(at + 1);
            if !run.is_empty() {
                self.run(text, run);
            }
        }
    }

    /// A run of letters and digits.
    fn run(&mut self, text: &[u8], run: Range<usize>) {
        let of = &text[run.clone()];
        let digits = of.iter().filter(|b| b.is_ascii_digit()).count();
        let is_hex = of.iter().all(u8::is_ascii_hexdigit);
        if digits == of.len() && digits == 2 {
            self.pairs.push(run);
        } else if digits == of.len() {
            self.digits(text, run);
        } else if digits == 0 {
            self.words.push(run);
        } else if of.starts_with(b"0x") && of[2..].iter().all(u8::is_ascii_hexdigit) {
            self.identifier(text, run.start + 2..run.end, 6);
        } else if is_hex && of.len() >= 4 {
            self.identifier(text, run, 6);
        } else if of.len() >= IDENTIFIER_MIN {
            self.identifier(text, run.clone(), 26);
            // One letter that is no hex digit stays, so that the run stays none.
            let kept = of.iter().position(|b| !b.is_ascii_hexdigit()).map(|i| run.start + i);
            self.places.retain(|place| Some(place.at) != kept);
        }
    }

    /// A number keeps its first digit; one of three or five digits, which may be a byte of an address or a port, stays
    /// below 250 and 65,000, and one of nineteen and more keeps to its integer type.
    fn digits(&mut self, text: &[u8], run: Range<usize>) {
        let (len, first) = (run.len(), text.get(run.start).copied().unwrap_or(b'0'));
        let kept = if len >= 19 { 3 } else { 1 };
        for at in run.start + kept..run.end {
            let is_bounded = at == run.start + 1 && matches!(len, 3 | 5) && first >= b'2';
            self.place(at, 1, 0, if is_bounded { 5 } else { 10 });
        }
    }

    /// A hash, a GUID's part, a key: digits stay digits, letters are of the first `letters` of their case.
    fn identifier(&mut self, text: &[u8], run: Range<usize>, letters: u8) {
        let start = if run.len() > RUN_MAX { run.end - RUN_END } else { run.start };
        for (at, byte) in text.iter().enumerate().take(run.end).skip(start) {
            match byte {
                b'0'..=b'9' => self.place(at, 1, 0, 10),
                b'a'..=b'z' => self.places.push(Place { at, width: 1, zero: b'a', low: 0, radix: letters }),
                _ => self.places.push(Place { at, width: 1, zero: b'A', low: 0, radix: letters }),
            }
        }
    }

    /// Letters of whole words, from the last one on: a file's name rather than its folder's, and not its extension.
    fn add_words(&mut self, text: &[u8]) {
        let mut words = std::mem::take(&mut self.words);
        let is_name = |word: &Range<usize>| word.len() >= 4 && (word.start == 0 || text[word.start - 1] != b'.');
        if words.iter().any(is_name) {
            words.retain(is_name);
        } else {
            words.retain(|word| word.len() >= 3);
        }
        for word in words.iter().rev() {
            self.identifier(text, word.clone(), 26);
            if self.size() >= ENOUGH {
                break;
            }
        }
        self.words = words;
    }

    /// `2026-03-17T08:09:10.123+01:00`, with or without its time, fraction and zone, or a bare `08:09:10`; the end of it.
    fn time(&mut self, text: &[u8], at: usize) -> Option<usize> {
        if at > 0 && text[at - 1] == b':' {
            return None;
        }
        let rest = &text[at..];
        if !fits(rest, b"dddd-dd-dd") || !(rest.starts_with(b"19") || rest.starts_with(b"20")) {
            let is_clock =
                fits(rest, b"dd:dd:dd") && !rest.get(8).is_some_and(|b| *b == b':' || b.is_ascii_alphanumeric());
            return is_clock.then(|| self.clock(text, at));
        }
        if rest.get(10).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        self.place(at + 8, 2, 1, 28);
        if !matches!(rest.get(10), Some(b'T' | b' ')) || !fits(&rest[11..], b"dd:dd:dd") {
            return Some(at + 10);
        }
        let mut end = self.clock(text, at + 11);
        if matches!(text.get(end), Some(b'+' | b'-')) && fits(&text[end + 1..], b"dd:dd") {
            end += 6;
        }
        Some(end)
    }

    /// Hours, minutes, seconds and their fraction.
    fn clock(&mut self, text: &[u8], at: usize) -> usize {
        self.place(at, 2, 0, 24);
        self.place(at + 3, 2, 0, 60);
        self.place(at + 6, 2, 0, 60);
        let end = at + 8;
        if !matches!(text.get(end), Some(b'.' | b',')) {
            return end;
        }
        let fraction = run(text, end + 1, u8::is_ascii_digit);
        fraction.clone().for_each(|at| self.place(at, 1, 0, 10));
        fraction.end
    }
}

/// The bytes from `at` on that are of a class.
fn run(text: &[u8], at: usize, class: impl Fn(&u8) -> bool) -> Range<usize> {
    let len = text[at.min(text.len())..].iter().take_while(|b| class(b)).count();
    at..at + len
}

/// Whether a text begins in a pattern, in which `d` is a digit.
fn fits(text: &[u8], pattern: &[u8]) -> bool {
    let fit = |(byte, pattern): (&u8, &u8)| if *pattern == b'd' { byte.is_ascii_digit() } else { byte == pattern };
    text.len() >= pattern.len() && text.iter().zip(pattern).all(fit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::HashSet;

    /// The text with `_` for what varies.
    fn shown(text: &str, scalar: Scalar) -> String {
        let mut form = Form::default();
        form.read(text.as_bytes(), scalar);
        let mut shown = text.as_bytes().to_vec();
        form.places.iter().for_each(|p| shown[p.at..p.at + p.width as usize].fill(b'_'));
        String::from_utf8(shown).unwrap_or_default()
    }

    #[test]
    fn what_varies() {
        for (text, varies) in [
            ("2026-03-17T08:09:10.123Z", "2026-03-__T__:__:__.___Z"),
            ("at 2026-03-17 08:09:10+02:00", "at 2026-03-__ __:__:__+02:00"),
            ("17/Mar/2026:08:09:10", "1_/Mar/2___:0_:0_:1_"),
            ("{5770385F-C22A-43E0-BF4C-06F5698FFBD9}", "{________-____-____-____-____________}"),
            ("S-1-5-21-1004336348-1104", "S-1-5-21-1_________-1___"),
            ("203.0.113.77", "2__.0.1__.7_"),
            ("SHA256=0A1B2C,MD5=FF00", "SHA256=______,MD5=____"),
            (r"C:\\Windows\\System32\\svchost.exe", r"C:\\Windows\\System32\\_______.exe"),
            (r"a\u00e6b\n2026-03-17", r"a\u00e6b\n2026-03-__"),
            ("0x1010a", "0x_____"),
            ("AKIAIOSFODNN7EXAMPLE", "_K__________________"),
            ("-", "-"),
        ] {
            assert_eq!(shown(text, Scalar::Text), varies);
        }
        for (text, varies) in
            [("4624", "4___"), ("-1.25e10", "-1.2_e10"), ("7", "7"), ("18446744073709551615", "184_________________")]
        {
            assert_eq!(shown(text, Scalar::Number), varies);
        }
    }

    #[test]
    fn values_of_a_form_are_distinct_and_of_that_form() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for text in ["65123", "10.20.30.40", "ab12-x", "2026-03-17", "z1234567890abcdef", "cmd.exe /c 42", "0xfe"] {
            let mut form = Form::default();
            form.read(text.as_bytes(), Scalar::Text);
            let (template, capacity) = (form.template(text.as_bytes()), form.capacity());
            let mut made = HashSet::new();
            for n in 0..capacity.min(2_000) {
                let mut bytes = text.as_bytes().to_vec();
                form.write(&mut bytes, n, &mut rng);
                let mut again = Form::default();
                again.read(&bytes, Scalar::Text);
                assert_eq!(again.template(&bytes), template, "{}", String::from_utf8_lossy(&bytes));
                made.insert(bytes);
            }
            assert_eq!(made.len() as u64, capacity.min(2_000), "{text}");
        }
    }
}
