//! Where messages begin and end in a stream: octet counting, or a line each; told apart message by message.
//!
//! A message that begins with a count of bytes and a space is as long as that says (RFC 6587, section 3.4.1; RFC 5425,
//! section 4.3, always does); any other ends with a line feed, or a NUL as some devices write (section 3.4.2).

use std::ops::Range;

/// Digits of a count at most.
const DIGITS_MAX: usize = 9;

/// A message in [`Framing`]'s bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// All of it, without its frame.
    Message(Range<usize>),
    /// The first bytes of one that is longer than the limit; the rest is skipped.
    TooLong {
        /// Those bytes.
        kept: Range<usize>,
    },
    /// A stream that ended within a message.
    Cut(Range<usize>),
}

/// What is skipped of a message that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(usize),
    Line,
}

/// Bytes of a stream, taken apart.
///
/// **Bounds**: a message's limit, and what was read at once.
#[derive(Debug)]
pub struct Framing {
    bytes: Vec<u8>,
    at: usize,
    skip: Skip,
    message_bytes_max: usize,
}

impl Framing {
    /// Nothing yet.
    pub fn new(message_bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), at: 0, skip: Skip::Nothing, message_bytes_max }
    }

    /// Where the stream's next bytes are added; what [`Framing::frame`] gave is gone then.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.at);
        self.at = 0;
        &mut self.bytes
    }

    /// The bytes of a frame.
    pub fn text(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// The next message; none until there are more bytes.
    pub fn frame(&mut self) -> Option<Frame> {
        self.pass();
        if self.skip != Skip::Nothing {
            return None;
        }
        let rest = &self.bytes[self.at..];
        let digits = rest.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
        let counted = digits > 0 && digits <= DIGITS_MAX && rest[0] != b'0';
        match rest.get(digits) {
            // A count may go on.
            None if digits == rest.len() && digits <= DIGITS_MAX => None,
            Some(b' ') if counted => self.counted(digits),
            _ => self.line(),
        }
    }

    /// What is left when the stream has ended.
    pub fn finish(&mut self) -> Option<Frame> {
        let rest = self.at..self.bytes.len();
        self.at = self.bytes.len();
        (self.skip == Skip::Nothing && !self.text(&rest).trim_ascii().is_empty()).then_some(Frame::Cut(rest))
    }

    /// Skips the rest of a message that was too long, and the ends of lines between messages.
    fn pass(&mut self) {
        let rest = &self.bytes[self.at..];
        match self.skip {
            Skip::Bytes(left) => {
                let there = left.min(rest.len());
                self.at += there;
                self.skip = if there == left { Skip::Nothing } else { Skip::Bytes(left - there) };
            }
            Skip::Line => match end_of_line(rest) {
                Some(end) => {
                    self.at += end + 1;
                    self.skip = Skip::Nothing;
                }
                None => self.at = self.bytes.len(),
            },
            Skip::Nothing => {}
        }
        if self.skip == Skip::Nothing {
            let between = self.bytes[self.at..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0));
            self.at += between.count();
        }
    }

    fn counted(&mut self, digits: usize) -> Option<Frame> {
        let count = std::str::from_utf8(&self.bytes[self.at..self.at + digits]).ok()?.parse::<usize>().ok()?;
        let start = self.at + digits + 1;
        let there = self.bytes.len() - start;
        if count > self.message_bytes_max {
            if there < self.message_bytes_max {
                return None;
            }
            let kept = start..start + self.message_bytes_max;
            self.at = kept.end;
            self.skip = Skip::Bytes(count - self.message_bytes_max);
            return Some(Frame::TooLong { kept });
        }
        if there < count {
            return None;
        }
        self.at = start + count;
        Some(Frame::Message(start..start + count))
    }

    fn line(&mut self) -> Option<Frame> {
        let rest = &self.bytes[self.at..];
        let end = end_of_line(&rest[..rest.len().min(self.message_bytes_max + 1)]);
        match end {
            Some(end) => {
                let message = self.at..self.at + end;
                self.at += end + 1;
                Some(Frame::Message(message))
            }
            None if rest.len() > self.message_bytes_max => {
                let kept = self.at..self.at + self.message_bytes_max;
                self.at = kept.end;
                self.skip = Skip::Line;
                Some(Frame::TooLong { kept })
            }
            None => None,
        }
    }
}

fn end_of_line(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', 0, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a stream that comes in pieces of `piece` bytes: messages, `~` before too long ones, `!` before cut ones.
    fn frames(stream: &[u8], piece: usize) -> Vec<String> {
        let mut framing = Framing::new(8);
        let mut found = Vec::new();
        let mut tell = |framing: &Framing, frame: Frame| {
            let (mark, range) = match frame {
                Frame::Message(range) => ("", range),
                Frame::TooLong { kept } => ("~", kept),
                Frame::Cut(range) => ("!", range),
            };
            found.push(format!("{mark}{}", String::from_utf8_lossy(framing.text(&range))));
        };
        for piece in stream.chunks(piece) {
            framing.room().extend_from_slice(piece);
            while let Some(frame) = framing.frame() {
                tell(&framing, frame);
            }
        }
        if let Some(frame) = framing.finish() {
            tell(&framing, frame);
        }
        found
    }

    #[test]
    fn pieces_change_nothing() {
        for (stream, expected) in [
            ("<1>a\n<2>b\r\n\n<3>c\0", vec!["<1>a", "<2>b\r", "<3>c"]),
            ("4 <1>a4 a\nb\n<2>c\n3 xyz", vec!["<1>a", "a\nb\n", "<2>c", "xyz"]),
            ("2026-1\n12:3\n", vec!["2026-1", "12:3"]),
            ("123456789012\nok\n", vec!["~12345678", "ok"]),
            ("0 a\nok\n", vec!["0 a", "ok"]),
            ("10 0123456789ok\n", vec!["~01234567", "ok"]),
            ("0123456789abc\nok\n", vec!["~01234567", "ok"]),
            ("01234567\n", vec!["01234567"]),
            ("9999999 ab", vec!["!9999999 ab"]),
            ("5 ab", vec!["!5 ab"]),
            ("ab", vec!["!ab"]),
            ("17", vec!["!17"]),
            ("", vec![]),
        ] {
            for piece in [1, 2, 3, 100] {
                assert_eq!(frames(stream.as_bytes(), piece), expected, "{stream:?} by {piece}");
            }
        }
    }
}
