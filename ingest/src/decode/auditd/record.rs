//! One line of an audit log as a record: its event's id, its type and its fields.
//!
//! Takes auditd's own lines, ausearch's interpreted ones, the kernel's (`audit: type=1300 audit(…):`) and any of them
//! behind a prefix such as a syslog header. Source: the audit project's record format and field dictionary.

use super::{encoded, types};

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

/// Whether a line only separates events: ausearch writes `----`, and for records that it did not interpret
/// `time->Tue Mar 17 10:31:20 2026`, between them.
pub fn is_separator(line: &str) -> bool {
    let line = line.trim_end();
    line == "----" || line.strip_prefix("time->").is_some_and(is_asctime)
}

/// asctime(3)'s form.
fn is_asctime(text: &str) -> bool {
    let digits = |at: usize| text.as_bytes()[at].is_ascii_digit();
    let mark = |at: usize, mark: u8| text.as_bytes()[at] == mark;
    text.len() == 24 && mark(13, b':') && mark(16, b':') && [12, 15, 18, 20, 21, 22, 23].into_iter().all(digits)
}

/// What stands before a record's fields.
pub struct Header<'a> {
    id: EventId,
    kind: &'a str,
    body: &'a str,
    interpreted: bool,
}

/// `[node=N] type=T [msg=]audit(time:serial):` at the line's start, behind the kernel's own words (`[12.345] audit:`) or
/// at the start of a syslog message; none for any other line. Inside a message it would be what somebody wrote there:
/// who tries to log in as `x type=…` must not make audit records.
pub fn header(line: &str) -> Option<Header<'_>> {
    // Lines of other formats come here too, and most have no parenthesis.
    let mut open = memchr::memchr_iter(b'(', line.as_bytes());
    let (head, rest) = open.find_map(|at| Some((line[..at].strip_suffix("audit")?, &line[at + 1..])))?;
    let (stamp, rest) = rest.split_once(')')?;
    let (time, serial) = stamp.rsplit_once(':')?;
    if serial.is_empty() || !serial.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let head = head.strip_suffix("msg=").unwrap_or(head).trim_end();
    let (head, kind) = last_word(head, "type=")?;
    let (head, node) = last_word(head, "node=").map_or((head, None), |(head, node)| (head, Some(node)));
    let host = host_before(head)?;
    let numeric = !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let time = if numeric { time.to_owned() } else { interpreted_time(time)? };
    let id = EventId { node: node.map(str::to_owned).or(host), time, serial: serial.to_owned() };
    let body = rest.trim_start_matches([' ', ':']);
    // ausearch ends its interpreted records with a space.
    let body = if numeric { body } else { body.strip_suffix(' ').unwrap_or(body) };
    Some(Header { id, kind, body, interpreted: !numeric })
}

/// The value of `key=value` at a text's end, and what stands before it.
fn last_word<'a>(text: &'a str, key: &str) -> Option<(&'a str, &'a str)> {
    let (before, word) = text.rsplit_once(' ').unwrap_or(("", text));
    // RFC 5424 lets a message begin with a byte order mark.
    let value = word.trim_start_matches('\u{feff}').strip_prefix(key).filter(|v| !v.is_empty())?;
    Some((before.trim_end(), value))
}

/// The host that the text before a record names, if it names one; nothing for a text that no record stands behind.
fn host_before(text: &str) -> Option<Option<String>> {
    if text.is_empty() {
        return Some(None);
    }
    let text = text.strip_suffix("audit:").map_or(text, str::trim_end);
    let text = text.strip_suffix(']').map_or(text, |inner| match inner.rsplit_once('[') {
        Some((before, clock)) if clock.bytes().all(|b| b.is_ascii_digit() || b". ".contains(&b)) => before.trim_end(),
        _ => text,
    });
    let priority =
        |t: &str| t.strip_prefix('<').and_then(|t| t.strip_suffix('>')).is_some_and(|t| t.parse::<u8>().is_ok());
    if text.is_empty() || priority(text) {
        return Some(None);
    }
    crate::decode::syslog::bare_header(text)
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

/// Reads the record behind a header.
pub fn read(header: Header<'_>) -> Record {
    let kind = types::name(header.kind).unwrap_or(header.kind).to_owned();
    let mut fields = Vec::new();
    // log_format=ENRICHED: a group separator, then the names that numbers stand for, in upper case.
    for part in header.body.split('\u{1d}') {
        Reader { rest: part, kind: &kind, interpreted: header.interpreted, fields: &mut fields, words: Vec::new() }
            .read();
    }
    Record { id: header.id, kind, fields }
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
