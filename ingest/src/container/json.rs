//! JSON containers: objects one a line, pretty-printed or concatenated, arrays, and envelopes of them.
//!
//! A broken record costs itself: reading goes on at the next line that begins as the broken record's did. Lines
//! `Record 7` before each object, as evtx_dump prints them, are no records where the container begins with one.

use super::{Block, ContainerError, Input, Limits, State, envelope, export};
use crate::dead_letter::{DeadLetter, Reason};
use crate::json::{Kind, MemberSpan, Members, Scanner, Stop, end_of_value, kind, skip_space};
use aho_corasick::packed;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// Finds the keys, in quotes, that make an object an envelope or a wrapper.
static WRAPPERS: LazyLock<Option<packed::Searcher>> =
    LazyLock::new(|| packed::Searcher::new(WRAPPING.0.iter().map(|name| [b"\"", *name, b"\""].concat())));

/// The first byte that is no white space.
pub fn first_byte(bytes: &[u8]) -> Option<u8> {
    bytes.get(skip_space(bytes, 0)).copied()
}

/// So many members are room for most records.
const MEMBERS: usize = 64;

/// A text without the white space around it, where that is one object and a record by itself.
pub fn alone(text: &str) -> Option<&str> {
    let object = text.trim_matches([' ', '\n', '\r', '\t']);
    let bytes = object.as_bytes();
    if bytes.first() != Some(&b'{') || bytes.len() > LONG {
        return None;
    }
    // Nearly all have no key that wraps, and another one than those of log events: no list of members is needed to tell.
    let (mut may_wrap, mut is_log_event) = (false, true);
    let end = Scanner::new(bytes).each_member(0, &mut |key, _| {
        let key = &bytes[key];
        may_wrap = may_wrap || wraps(key);
        is_log_event = is_log_event && export::is_of_log_event(key);
    });
    let is_one = end == Ok(bytes.len())
        && match may_wrap {
            true => {
                let mut members = Vec::with_capacity(MEMBERS);
                Scanner::new(bytes).members(0, &mut members).is_ok() && stands_alone(bytes, &members)
            }
            false => !is_log_event,
        };
    is_one.then_some(object)
}

/// Whether an object with these members neither is an envelope nor what an export wraps.
fn stands_alone(bytes: &[u8], members: &[MemberSpan]) -> bool {
    let key = |span: &MemberSpan| &bytes[span.key.start as usize..span.key.end as usize];
    let exported = |m: &MemberSpan| export::NAMES.iter().any(|name| name.as_bytes() == key(m));
    let value = |span: &MemberSpan| &bytes[span.value.start as usize..span.value.end as usize];
    let wrapped = members.iter().any(|m| wraps(key(m)))
        && (members.iter().any(exported) || envelope::may_be(members.iter().map(|m| (key(m), value(m)))));
    !wrapped && !members.iter().all(|m| export::is_of_log_event(key(m)))
}

/// A line `Record <digits>`.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    /// It is this long, with the line's end.
    Whole(usize),
    /// The bytes end inside what may be one.
    Cut,
    /// It is none.
    Absent,
}

fn header(bytes: &[u8]) -> Header {
    const WORD: &[u8] = b"Record ";
    const DIGITS_MAX: usize = 20;
    let there = &bytes[..bytes.len().min(WORD.len())];
    if !WORD.starts_with(there) {
        return Header::Absent;
    }
    let digits = bytes[there.len()..].iter().take_while(|b| b.is_ascii_digit()).count();
    let length = there.len() + digits;
    match &bytes[length..] {
        _ if digits > DIGITS_MAX => Header::Absent,
        [] => Header::Cut,
        _ if digits == 0 => Header::Absent,
        [b'\n', ..] => Header::Whole(length + 1),
        [b'\r', b'\n', ..] => Header::Whole(length + 2),
        [b'\r'] => Header::Cut,
        _ => Header::Absent,
    }
}

/// Whether a container begins with a header line, and with nothing or an object behind it.
pub fn is_headed(start: &[u8]) -> bool {
    let start = &start[skip_space(start, 0)..];
    matches!(header(start), Header::Whole(length) if matches!(first_byte(&start[length..]), None | Some(b'{')))
}

/// Reads JSON values from a stream of bytes.
pub struct JsonReader {
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    /// Inside a top-level array or an envelope's.
    in_array: bool,
    /// Behind an envelope's array: the rest of the envelope is not a record.
    in_envelope: bool,
    /// How far that rest was read.
    tail: Tail,
    /// The buffer begins inside a line of which it lacks more than white space.
    inside_line: bool,
    /// Header lines stand between the records.
    headed: bool,
    /// Records are taken one by one until there is more of the input.
    careful: bool,
}

/// Where reading is in an envelope behind its array.
#[derive(Default)]
struct Tail {
    depth: u32,
    text: bool,
    escaped: bool,
}

/// An object longer than this is looked at for an envelope's array behind its first member, before all of it is there.
const LONG: usize = 4 << 20;
/// Members that stand before an envelope's array, at most.
const MEMBERS_BEFORE_MAX: usize = 64;

impl JsonReader {
    /// A reader whose first bytes were read already.
    pub fn new(start: Vec<u8>) -> Self {
        let headed = is_headed(&start);
        Self {
            buffer: start,
            at: 0,
            ended: false,
            in_array: false,
            in_envelope: false,
            tail: Tail::default(),
            inside_line: false,
            headed,
            careful: false,
        }
    }

    /// Reads the records that fit into about a block; false at the end.
    pub fn read(
        &mut self,
        input: &mut Input,
        state: &mut State,
        limits: &Limits,
        block: &mut Block,
    ) -> Result<bool, ContainerError> {
        self.fill(input, limits.block_bytes)?;
        loop {
            self.between();
            if self.at >= self.buffer.len() {
                return Ok(!self.ended);
            }
            if self.in_envelope && !self.in_array {
                self.leave();
                continue;
            }
            if self.headed && !self.in_array && self.skip_header(input, limits)? {
                continue;
            }
            if !self.headed && self.plain(state, limits, block) {
                if block.is_full(limits) {
                    return Ok(true);
                }
                continue;
            }
            if !self.in_array && self.enter() {
                continue;
            }
            match end_of_value(&self.buffer, self.at) {
                Ok(end) if end - self.at > LONG && !self.in_array && self.enter_envelope(MEMBERS_BEFORE_MAX) => {}
                Ok(end) => {
                    // A number at the end of the buffer may go on.
                    let may_go_on = end == self.buffer.len() && !matches!(self.buffer[end - 1], b'}' | b']' | b'"');
                    if may_go_on && !self.ended {
                        self.fill(input, limits.block_bytes)?;
                        continue;
                    }
                    self.record(end, state, limits, block);
                    if may_go_on {
                        block.unsettled.extend(block.dead.last().map(|d| d.number));
                    }
                    if block.is_full(limits) {
                        return Ok(true);
                    }
                }
                // What is there of a long envelope, or of one that is cut off, is as good as the whole.
                Err(Stop::Incomplete)
                    if (self.ended || self.buffer.len() - self.at > LONG)
                        && !self.in_array
                        && self.enter_envelope(MEMBERS_BEFORE_MAX) => {}
                Err(Stop::Incomplete) if !self.ended => {
                    if self.buffer.len() - self.at > limits.record_bytes_max {
                        self.oversized(input, state, limits, block)?;
                    } else {
                        // Doubling keeps the repeated scans of one long record linear.
                        let want = limits.block_bytes.max(self.buffer.len() - self.at);
                        self.fill(input, want)?;
                    }
                }
                Err(Stop::Incomplete) => self.broken(Reason::Truncated, state, block),
                Err(Stop::Broken { at, expected }) => {
                    let reason = Reason::BrokenJson { at: at - self.at, expected };
                    // The line that the next record begins with may not be there yet.
                    if !self.ended && self.resume().is_none() && self.buffer.len() - self.at < limits.record_bytes_max {
                        let want = limits.block_bytes.max(self.buffer.len() - self.at);
                        self.fill(input, want)?;
                        continue;
                    }
                    self.broken(reason, state, block);
                }
            }
        }
    }

    /// Takes the run of records that begins here: objects that no export wraps, as many as the block has room for. The
    /// block gets their bytes at once, and where their members are. False where no such run begins.
    fn plain(&mut self, state: &mut State, limits: &Limits, block: &mut Block) -> bool {
        let room = limits.block_bytes.saturating_sub(block.size());
        let longest = limits.record_bytes_max.min(LONG);
        let records_max = limits.block_records.saturating_sub(block.dead.len());
        let (records, members) = (block.records.len(), block.index.len());
        let mut scanner = Scanner::new(&self.buffer);
        let (mut end, mut next) = (self.at, self.at);
        while !self.careful
            && next - self.at <= room
            && block.records.len() < records_max
            && self.buffer.get(next) == Some(&b'{')
        {
            let first = block.index.len();
            let scanned = scanner.members(next, &mut block.index);
            let Some(behind) =
                scanned.ok().filter(|end| end - next <= longest && stands_alone(&self.buffer, &block.index[first..]))
            else {
                block.index.truncate(first);
                break;
            };
            block.add_indexed(state.next(), next..behind, first);
            state.offset += (behind - next) as u64;
            end = behind;
            next = skip_space(&self.buffer, end);
            if self.in_array && self.buffer.get(next) == Some(&b',') {
                next = skip_space(&self.buffer, next + 1);
            }
        }
        if end == self.at {
            return false;
        }
        // A line's beginning stays: it tells how the next record is indented.
        let cut = memchr::memrchr(b'\n', &self.buffer[end..next]).map_or(end, |line| end + line + 1);
        if self.give(cut, next, block, records, members).is_none() {
            // One of them is no UTF-8: which, is found one by one.
            state.number -= (block.records.len() - records) as u64;
            state.offset -= block.records[records..].iter().map(|r| r.json.len() as u64).sum::<u64>();
            block.records.truncate(records);
            block.index.truncate(members);
            self.careful = true;
            return false;
        }
        true
    }

    /// Gives the bytes up to `cut` to the block, whose new records and members are told by offsets in the buffer.
    fn give(&mut self, cut: usize, next: usize, block: &mut Block, records: usize, members: usize) -> Option<()> {
        if !block.json.is_empty() {
            let text = std::str::from_utf8(&self.buffer[self.at..cut]).ok()?;
            block.shift(records, members, block.json.len(), self.at);
            Arc::make_mut(&mut block.json).push_str(text);
            self.at = next;
            return Some(());
        }
        // The block's own memory holds what is left, which is little.
        let mut rest = std::mem::take(Arc::make_mut(&mut block.json)).into_bytes();
        rest.extend_from_slice(&self.buffer[cut..]);
        self.buffer.truncate(cut);
        match String::from_utf8(std::mem::take(&mut self.buffer)) {
            Ok(text) => {
                self.inside_line = !text.ends_with('\n');
                *Arc::make_mut(&mut block.json) = text;
                self.buffer = rest;
                self.at = next - cut;
                Some(())
            }
            Err(error) => {
                self.buffer = error.into_bytes();
                self.buffer.extend(rest);
                None
            }
        }
    }

    fn fill(&mut self, input: &mut Input, want: usize) -> Result<(), ContainerError> {
        self.careful = false;
        if self.ended {
            return Ok(());
        }
        // The indentation tells where a next record would begin, should this one be broken.
        let indent = self.indent().len();
        if self.at > 0 {
            self.inside_line = indent == 0 && self.buffer[self.at - 1] != b'\n';
        }
        self.buffer.drain(..self.at - indent);
        self.at = indent;
        if input.read_onto(&mut self.buffer, want)? == 0 {
            self.ended = true;
        }
        Ok(())
    }

    /// Whether a header stood here, or may, and reading has gone on.
    fn skip_header(&mut self, input: &mut Input, limits: &Limits) -> Result<bool, ContainerError> {
        let begins_line = self.at.checked_sub(1).map_or(!self.inside_line, |before| self.buffer[before] == b'\n');
        if !begins_line {
            return Ok(false);
        }
        match header(&self.buffer[self.at..]) {
            Header::Whole(length) => self.at += length,
            Header::Cut if !self.ended => self.fill(input, limits.block_bytes)?,
            // The container ends in a header: a record of which nothing is there yet.
            Header::Cut => self.at = self.buffer.len(),
            Header::Absent => return Ok(false),
        }
        Ok(true)
    }

    /// Skips what stands between records: white space, an array's commas and its end.
    fn between(&mut self) {
        loop {
            self.at = skip_space(&self.buffer, self.at);
            match self.buffer.get(self.at) {
                Some(b',') if self.in_array => self.at += 1,
                Some(b']') if self.in_array => {
                    self.in_array = false;
                    self.at += 1;
                }
                _ => return,
            }
        }
    }

    /// Reads past an envelope's other members, `, "x": 1}`, which hold no record.
    ///
    /// A line's end inside a text, which JSON does not have, ends the envelope as well.
    fn leave(&mut self) {
        while let Some(byte) = self.buffer.get(self.at) {
            self.at += 1;
            match (byte, self.tail.text) {
                (b'\n', true) => self.tail.depth = 0,
                _ if self.tail.escaped => self.tail.escaped = false,
                (b'\\', true) => self.tail.escaped = true,
                (b'"', text) => self.tail.text = !text,
                (b'{' | b'[', false) => self.tail.depth += 1,
                (b'}' | b']', false) => self.tail.depth = self.tail.depth.saturating_sub(1),
                _ => {}
            }
            if self.tail.depth == 0 {
                self.in_envelope = false;
                return;
            }
        }
    }

    /// Steps into an array, or into an envelope whose first member is one of objects.
    fn enter(&mut self) -> bool {
        match self.buffer[self.at] {
            b'[' => {
                self.in_array = true;
                self.at += 1;
                true
            }
            b'{' => self.enter_envelope(1),
            _ => false,
        }
    }

    /// Steps into the array of an envelope, if it is among the first `members` of the object at hand.
    fn enter_envelope(&mut self, members: usize) -> bool {
        let rest = &self.buffer[self.at..];
        let (mut seen, mut at) = (envelope::Seen::default(), 0);
        for _ in 0..members {
            // Behind the brace, and behind every comma.
            let key = skip_space(rest, at + 1);
            let Some(key_end) = rest.get(key).filter(|b| **b == b'"').and_then(|_| end_of_value(rest, key).ok()) else {
                return false;
            };
            let name = std::str::from_utf8(&rest[key + 1..key_end - 1]).unwrap_or_default();
            let value = skip_space(rest, skip_space(rest, key_end) + 1);
            if seen.enters(name, members > 1 && rest.len() > LONG) {
                let first = skip_space(rest, value + 1);
                if rest.get(value) == Some(&b'[') && rest.get(first) == Some(&b'{') {
                    self.at += value + 1;
                    self.in_array = true;
                    self.in_envelope = true;
                    self.tail = Tail { depth: 1, ..Tail::default() };
                    return true;
                }
            }
            let Ok(end) = end_of_value(rest, value) else { return false };
            seen.add(name.as_bytes(), &rest[value..end]);
            at = skip_space(rest, end);
            if rest.get(at) != Some(&b',') {
                return false;
            }
        }
        false
    }

    fn record(&mut self, end: usize, state: &mut State, limits: &Limits, block: &mut Block) {
        let bytes = &self.buffer[self.at..end];
        let offset = Some(state.offset);
        state.offset += bytes.len() as u64;
        self.at = end;
        let mut letter = |reason, state: &mut State| {
            let number = state.next();
            block.dead.push(DeadLetter {
                number,
                offset,
                bytes: bytes[..bytes.len().min(limits.dead_letter_bytes_max)].to_vec(),
                reason,
            });
        };
        if bytes.len() > limits.record_bytes_max {
            return letter(Reason::TooLarge { bytes: bytes.len() as u64, limit: limits.record_bytes_max }, state);
        }
        match std::str::from_utf8(bytes) {
            Err(_) => letter(Reason::NotUtf8, state),
            Ok(record) if bytes[0] == b'{' => {
                if !expand(record, state, block) {
                    block.push(state.next(), record);
                }
            }
            Ok(_) => letter(Reason::NotAnObject, state),
        }
    }

    /// The white space before the record on its line; none where anything else, or more than is usual, stands there.
    fn indent(&self) -> &[u8] {
        const INDENT_MAX: usize = 256;
        let line = match memchr::memrchr(b'\n', &self.buffer[..self.at]) {
            Some(end) => &self.buffer[end + 1..self.at],
            None if self.inside_line => &[],
            None => &self.buffer[..self.at],
        };
        if line.len() <= INDENT_MAX && line.iter().all(u8::is_ascii_whitespace) { line } else { &[] }
    }

    /// Where the next record begins after a broken one: a line with the same indentation and first byte.
    fn resume(&self) -> Option<usize> {
        let indent = self.indent();
        memchr::memchr_iter(b'\n', &self.buffer[self.at..])
            .map(|i| self.at + i + 1)
            .find(|line| self.buffer[*line..].strip_prefix(indent).is_some_and(|rest| rest.starts_with(b"{")))
            .map(|line| line + indent.len())
    }

    fn broken(&mut self, reason: Reason, state: &mut State, block: &mut Block) {
        let number = state.next();
        let end = self.resume().unwrap_or_else(|| {
            block.unsettled.push(number);
            self.buffer.len()
        });
        let bytes = self.buffer[self.at..end].trim_ascii_end().to_vec();
        block.dead.push(DeadLetter { number, offset: Some(state.offset), bytes, reason });
        state.offset += (end - self.at) as u64;
        self.at = end;
    }

    /// A record over the limit: its first bytes are kept, the rest is read past, up to the end of its line.
    fn oversized(
        &mut self,
        input: &mut Input,
        state: &mut State,
        limits: &Limits,
        block: &mut Block,
    ) -> Result<(), ContainerError> {
        let kept =
            self.buffer[self.at..self.at + limits.dead_letter_bytes_max.min(self.buffer.len() - self.at)].to_vec();
        let mut bytes = 0_u64;
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(line) = memchr::memchr(b'\n', rest) {
                bytes += line as u64;
                self.at += line + 1;
                break;
            }
            bytes += rest.len() as u64;
            self.at = self.buffer.len();
            if self.ended {
                break;
            }
            self.fill(input, limits.block_bytes)?;
        }
        let reason = Reason::TooLarge { bytes, limit: limits.record_bytes_max };
        block.dead.push(DeadLetter { number: state.next(), offset: Some(state.offset), bytes: kept, reason });
        state.offset += bytes;
        Ok(())
    }
}

/// Names of members that may make an object an envelope or a wrapper, and by their first byte a bit for each length.
static WRAPPING: LazyLock<(Vec<&[u8]>, [u64; 256])> = LazyLock::new(|| {
    let names: Vec<&[u8]> = envelope::names().chain(export::NAMES.iter().copied()).map(str::as_bytes).collect();
    let mut lengths = [0; 256];
    for (name, first) in names.iter().filter_map(|name| Some((name, name.first()?))) {
        lengths[usize::from(*first)] |= 1 << (name.len() % 64);
    }
    (names, lengths)
});

fn wraps(key: &[u8]) -> bool {
    let (names, lengths) = &*WRAPPING;
    let is_one = |byte: &u8| lengths[usize::from(*byte)] >> (key.len() % 64) & 1 != 0;
    key.first().is_some_and(is_one) && names.contains(&key)
}

/// An envelope whose array is not its first member, or what an export wraps: the records instead of it.
fn expand(record: &str, state: &mut State, block: &mut Block) -> bool {
    // One look tells nearly all records from these, and a search by vectors is faster than that.
    let named = || WRAPPERS.as_ref().is_none_or(|search| search.find(record.as_bytes()).is_some());
    if !(named() && Members::of(record).any(|(key, _)| wraps(key.as_bytes()))) {
        return push_unwrapped(export::log_event(record), record, state, block);
    }
    let array = envelope::array(record).or_else(|| Some((export::list(record)?, false)));
    let Some((array, alone)) = array else { return unwrap(record, state, block) };
    // An envelope with nothing in it.
    if Members::of(array).next().is_none() && alone {
        return true;
    }
    if Members::of(array).any(|(_, item)| kind(item) != Kind::Object) || Members::of(array).next().is_none() {
        return false;
    }
    for (_, item) in Members::of(array) {
        if !unwrap(item, state, block) {
            block.push(state.next(), item);
        }
    }
    true
}

fn unwrap(item: &str, state: &mut State, block: &mut Block) -> bool {
    push_unwrapped(export::unwrap(item), item, state, block)
}

fn push_unwrapped(inner: Option<Cow<'_, str>>, item: &str, state: &mut State, block: &mut Block) -> bool {
    let Some(inner) = inner else { return false };
    block.push_with_original(state.next(), &inner, item);
    true
}
