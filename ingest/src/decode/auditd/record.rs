//! One line of an audit log as a record: its event's id, its type and its fields.
//!
//! Takes auditd's own lines, ausearch's interpreted ones, the kernel's (`audit: type=1300 audit(…):`) and any of them
//! behind a prefix such as a syslog header. Source: the audit project's record format and field dictionary.

use super::{encoded, types};
use crate::dead_letter::Reason;

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub value: String,
}

/// What tells events apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    pub node: Option<String>,
    /// The seconds with their fraction; ausearch's interpreted time as `YYYY-MM-DD hh:mm:ss.fff`.
    pub time: String,
    pub serial: String,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: EventId,
    pub kind: String,
    pub fields: Vec<Field>,
}

/// Whether a line holds an audit record.
pub fn looks_like(line: &str) -> bool {
    header(line).is_some()
}

/// Whether a line only separates events: ausearch writes `----` and `time->…` between them.
pub fn is_separator(line: &str) -> bool {
    line.starts_with("----") || line.starts_with("time->")
}

struct Header<'a> {
    id: EventId,
    kind: &'a str,
    body: &'a str,
    interpreted: bool,
}

/// `[node=N] [type=T] [msg=]audit(time:serial):` wherever it begins; none when there is no such header.
fn header(line: &str) -> Option<Header<'_>> {
    let at = line.find("audit(")?;
    let (head, rest) = (&line[..at], &line[at + "audit(".len()..]);
    let (stamp, rest) = rest.split_once(')')?;
    let (time, serial) = stamp.rsplit_once(':')?;
    if serial.is_empty() || !serial.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = |key: &str| {
        let found = head.match_indices(key).find(|(i, _)| *i == 0 || head.as_bytes()[i - 1] == b' ')?.0 + key.len();
        let value = head[found..].split(' ').next()?;
        (!value.is_empty()).then_some(value)
    };
    let numeric = !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let time = if numeric { time.to_owned() } else { interpreted_time(time)? };
    let node = value("node=").map(str::to_owned).or_else(|| syslog_host(head));
    let id = EventId { node, time, serial: serial.to_owned() };
    let body = rest.trim_start_matches([' ', ':']);
    // ausearch ends its interpreted records with a space.
    let body = if numeric { body } else { body.strip_suffix(' ').unwrap_or(body) };
    Some(Header { id, kind: value("type=")?, body, interpreted: !numeric })
}

/// ausearch's `11/24/2023 10:11:12.123` with the date turned round; other locales' dates as they are.
fn interpreted_time(text: &str) -> Option<String> {
    let (date, clock) = text.split_once(' ')?;
    let parts: Vec<&str> = date.split('/').collect();
    let digits = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
    match parts[..] {
        [month, day, year] if parts.iter().all(digits) && month.len() <= 2 && day.len() <= 2 => {
            let year = if year.len() == 2 { format!("20{year}") } else { year.to_owned() };
            Some(format!("{year}-{month:0>2}-{day:0>2} {clock}"))
        }
        _ if date.bytes().any(|b| b.is_ascii_digit()) && clock.contains(':') => Some(text.to_owned()),
        _ => None,
    }
}

/// The host of a syslog header that stands before the record.
fn syslog_host(head: &str) -> Option<String> {
    let end = head.find("node=").or_else(|| head.find("type=")).unwrap_or(head.len());
    crate::decode::syslog::hostname(head[..end].trim_end())
}

/// Reads a line.
///
/// **Errors**: a line without an audit header.
pub fn parse(line: &str) -> Result<Record, Reason> {
    let header = header(line)
        .ok_or_else(|| Reason::Decoder("no audit record: expected type=… msg=audit(time:serial)".into()))?;
    let kind = types::name(header.kind).unwrap_or(header.kind).to_owned();
    let mut fields = Vec::new();
    // log_format=ENRICHED: a group separator, then the names that numbers stand for, in upper case.
    for part in header.body.split('\u{1d}') {
        Reader { rest: part, kind: &kind, interpreted: header.interpreted, fields: &mut fields, words: Vec::new() }
            .read();
    }
    Ok(Record { id: header.id, kind, fields })
}

struct Reader<'a, 'b> {
    rest: &'a str,
    kind: &'a str,
    interpreted: bool,
    fields: &'b mut Vec<Field>,
    words: Vec<&'a str>,
}

impl<'a> Reader<'a, '_> {
    fn read(mut self) {
        if matches!(self.kind, "AVC" | "USER_AVC" | "SELINUX_ERR") {
            self.access_vector();
        }
        let mut prefix = "";
        loop {
            self.rest = self.rest.trim_start_matches(' ');
            if self.rest.is_empty() {
                break;
            }
            let end = self.rest.find([' ', '=']).unwrap_or(self.rest.len());
            let (word, after) = self.rest.split_at(end);
            match after.strip_prefix('=') {
                Some(value) if !word.trim_start_matches('(').is_empty() => {
                    self.rest = value;
                    let key = word.trim_start_matches('(');
                    let name = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}-{key}") };
                    prefix = "";
                    self.value(name);
                }
                // Nothing before the sign: it is a word like any other.
                Some(value) => {
                    let end = value.find(' ').unwrap_or(value.len());
                    self.words.push(&self.rest[..word.len() + 1 + end]);
                    self.rest = &value[end..];
                }
                None => {
                    self.rest = after;
                    match (word, self.fields.last_mut()) {
                        // Kernels before 3.x: `old auid=… new auid=…`.
                        ("old" | "new", _) => prefix = word,
                        // shadow-utils: `op=adding user to group`.
                        (word, Some(last)) if last.name == "op" && word != ":" => {
                            last.value.push(' ');
                            last.value.push_str(word);
                        }
                        (":" | "for" | ")", _) => {}
                        (word, _) => self.words.push(word),
                    }
                }
            }
        }
        if !self.words.is_empty() {
            let value = self.words.join(" ");
            self.push("text".into(), value);
        }
    }

    fn push(&mut self, name: String, value: String) {
        self.fields.push(Field { name, value });
    }

    /// `avc:  denied  { read write } for  …` under the names that ausearch searches by.
    fn access_vector(&mut self) {
        let Some(at) = self.rest.find("avc:") else { return };
        let (Some(open), Some(close)) = (self.rest[at..].find('{'), self.rest[at..].find('}')) else { return };
        if open > close {
            return;
        }
        let result = self.rest[at + "avc:".len()..at + open].trim();
        let permissions = self.rest[at + open + 1..at + close].trim();
        self.push("seresult".into(), result.to_owned());
        self.push("seperms".into(), permissions.split_whitespace().collect::<Vec<_>>().join(","));
        // USER_AVC has fields before the message: they are read as well, the vector itself not again.
        let (before, after) = (&self.rest[..at], &self.rest[at + close + 1..]);
        let quoted = before.trim_end().ends_with("msg='");
        let before = before.trim_end().strip_suffix("msg='").unwrap_or(before);
        let mut inner = Reader {
            rest: before,
            kind: "",
            interpreted: self.interpreted,
            fields: &mut *self.fields,
            words: Vec::new(),
        };
        inner.rest = before;
        inner.read();
        self.rest = if quoted { after.trim_end().strip_suffix('\'').unwrap_or(after) } else { after };
    }

    /// Where a value ends that ausearch decoded and wrote with its spaces; none for one that is a word.
    fn interpreted_end(&self, name: &str) -> Option<usize> {
        match (self.kind, name) {
            // Their records' last fields.
            (_, "proctitle" | "data") | ("CWD", "cwd") => Some(self.rest.len()),
            ("EXECVE", name) => encoded::argument(name).map(|number| self.argument_end(name, number)),
            // `exit=EINPROGRESS(Operation now in progress)`.
            (_, "exit") => {
                let open = self.rest.find(['(', ' ']).filter(|at| self.rest[*at..].starts_with('('))?;
                self.rest[open..].find(')').map(|close| open + close + 1)
            }
            _ => None,
        }
    }

    /// An argument goes on to the one after it, and the last one, by `argc`, to the line's end.
    fn argument_end(&self, name: &str, number: u32) -> usize {
        let count = self.fields.first().filter(|f| f.name == "argc").and_then(|f| f.value.parse::<u32>().ok());
        let last = count.is_some_and(|count| count <= number.saturating_add(1));
        let follows = |text: &str| {
            let Some((next, _)) = text.split(' ').next().and_then(|word| word.split_once('=')) else { return false };
            match encoded::argument(next.strip_suffix("_len").unwrap_or(next)) {
                Some(n) if n == number => name.contains('[') && next.contains('['),
                Some(n) => !last && n.checked_sub(1) == Some(number),
                None => false,
            }
        };
        let next = self.rest.match_indices(" a").find(|(at, _)| follows(&self.rest[at + 1..]));
        next.map_or(self.rest.len(), |(at, _)| at)
    }

    fn value(&mut self, name: String) {
        let first = self.rest.as_bytes().first().copied();
        // ausearch decoded arguments: a quote is the argument's own.
        let first = first.filter(|_| !(self.interpreted && self.kind == "EXECVE" && encoded::is_argument(&name)));
        match first {
            Some(b'"') => {
                let inner = &self.rest[1..];
                let end = inner.find('"').unwrap_or(inner.len());
                let value = inner[..end].to_owned();
                self.rest = inner.get(end + 1..).unwrap_or("");
                self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                self.push(name, value);
            }
            // A user-space message: its own fields, up to the last quote.
            Some(b'\'') if name == "msg" => {
                let inner = &self.rest[1..];
                let end = inner.rfind('\'').unwrap_or(inner.len());
                let (message, rest) = (&inner[..end], inner.get(end + 1..).unwrap_or(""));
                self.rest = rest;
                Reader {
                    rest: message,
                    kind: self.kind,
                    interpreted: self.interpreted,
                    fields: &mut *self.fields,
                    words: Vec::new(),
                }
                .read();
            }
            Some(b'\'') => {
                let inner = &self.rest[1..];
                let end = inner.find('\'').unwrap_or(inner.len());
                let value = inner[..end].to_owned();
                self.rest = inner.get(end + 1..).unwrap_or("");
                self.push(name, value);
            }
            // ausearch and ENRICHED write a socket address as a group of its own.
            Some(b'{') if name.eq_ignore_ascii_case("saddr") => {
                let inner = &self.rest[1..];
                let end = inner.find('}').unwrap_or(inner.len());
                let (group, rest) = (&inner[..end], inner.get(end + 1..).unwrap_or(""));
                self.rest = rest;
                Reader { rest: group, kind: "", interpreted: true, fields: &mut *self.fields, words: Vec::new() }
                    .read();
            }
            _ => {
                let whole = if self.interpreted { self.interpreted_end(&name) } else { None };
                let (raw, rest) = self.rest.split_at(whole.or_else(|| self.rest.find(' ')).unwrap_or(self.rest.len()));
                self.rest = rest;
                let bare = whole.is_none() && !raw.contains('(');
                let value = if bare { raw.trim_end_matches([',', ')']) } else { raw };
                let decoded = if self.interpreted { None } else { encoded::text(self.kind, &name, value) };
                self.push(name, decoded.unwrap_or_else(|| value.to_owned()));
            }
        }
    }
}
