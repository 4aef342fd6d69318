//! Lines of containers as Kubernetes' runtimes write them: `<time> stdout F <line>`, and `P` for a piece of a longer one.
//!
//! A line that is a JSON object is the record; any other is one of `timestamp`, `stream` and `message`. Pieces are joined.
//! **Bounds**: [`WAITING_BYTES_MAX`] of pieces a stream; then they come out as they are. Source: Kubernetes' CRI logging
//! format.

use crate::container::Block;
use crate::json::{end_of_value, push_string};
use chrono::DateTime;

/// Most bytes of pieces that wait for their line's end.
pub const WAITING_BYTES_MAX: usize = 16 << 20;

/// A line that was recognised.
pub struct Line<'a> {
    time: &'a str,
    stream: &'a str,
    whole: bool,
    text: &'a str,
}

/// Reads a line's header; none where it has none.
pub fn parse(line: &str) -> Option<Line<'_>> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ').filter(|(s, _)| matches!(*s, "stdout" | "stderr"))?;
    let (tag, text) = rest.split_once(' ').unwrap_or((rest, ""));
    // Tags may be more than one, parted by colons; the first says whether the line is whole.
    let whole = match tag.split(':').next() {
        Some("F") => true,
        Some("P") => false,
        _ => return None,
    };
    DateTime::parse_from_rfc3339(time).ok()?;
    Some(Line { time, stream, whole, text })
}

struct Waiting {
    number: u64,
    time: String,
    stream: String,
    text: String,
    original: String,
}

/// Joins the pieces of each stream.
#[derive(Default)]
pub struct Decoder {
    waiting: Vec<Waiting>,
}

impl Decoder {
    /// Takes a line with its header read.
    pub fn line(&mut self, original: &str, line: &Line<'_>, number: &mut dyn FnMut() -> u64, block: &mut Block) {
        let at = self.waiting.iter().position(|w| w.stream == line.stream);
        let at = match at {
            Some(at) => {
                let waiting = &mut self.waiting[at];
                waiting.text.push_str(line.text);
                waiting.original.push('\n');
                waiting.original.push_str(original);
                at
            }
            None if line.whole => return push(number(), line.time, line.stream, line.text, original, block),
            None => {
                let [time, stream, text, original] = [line.time, line.stream, line.text, original].map(str::to_owned);
                self.waiting.push(Waiting { number: number(), time, stream, text, original });
                self.waiting.len() - 1
            }
        };
        if line.whole || self.waiting[at].original.len() > WAITING_BYTES_MAX {
            self.waiting.remove(at).push(block);
        }
    }

    /// Numbers of the lines that wait for their end.
    pub fn waiting(&self) -> Vec<u64> {
        self.waiting.iter().map(|w| w.number).collect()
    }

    /// Ends the log: pieces come out as they are.
    pub fn finish(&mut self, block: &mut Block) {
        self.waiting.drain(..).for_each(|w| w.push(block));
    }
}

impl Waiting {
    fn push(self, block: &mut Block) {
        push(self.number, &self.time, &self.stream, &self.text, &self.original, block);
    }
}

fn push(number: u64, time: &str, stream: &str, text: &str, original: &str, block: &mut Block) {
    let object = text.trim();
    if object.starts_with('{') && end_of_value(object.as_bytes(), 0) == Ok(object.len()) {
        return block.push_with_original(number, object, original);
    }
    let mut json = String::with_capacity(text.len() + 96);
    for (key, value) in [("{\"timestamp\":", time), (",\"stream\":", stream), (",\"message\":", text)] {
        json.push_str(key);
        push_string(&mut json, value);
    }
    json.push('}');
    block.push_with_original(number, &json, original);
}
