//! Syslog lines: RFC 5424, RFC 3164 and rsyslog's ISO times, with or without the priority.
//!
//! A record has `syslog_format`, `timestamp`, `hostname`, `message`, and where there: `appname`, `procid`, `msgid`,
//! `structured_data` (an object by SD-ID), `facility` and `severity` (numbers), and what [`message`] reads in the words
//! of sshd, sudo, su and the like. Every line that has a header is a record; any other is a dead letter.

pub(crate) mod message;

use crate::container::Block;
use crate::dead_letter::Reason;
use crate::json::push_string;

#[derive(Debug, Default, PartialEq, Eq)]
struct Line<'a> {
    format: &'static str,
    priority: Option<u16>,
    timestamp: &'a str,
    hostname: &'a str,
    app: &'a str,
    process: &'a str,
    message_id: &'a str,
    structured: &'a str,
    message: &'a str,
}

/// Whether a line has one of the forms.
pub fn looks_like(line: &str) -> bool {
    parse(line).is_some()
}

/// The host that a header names, if it names one, for formats that travel inside syslog; nothing for a text that is not
/// a header alone.
pub fn bare_header(text: &str) -> Option<Option<String>> {
    let line = parse(text).filter(|line| line.message.is_empty())?;
    Some((!line.hostname.is_empty() && line.hostname != "-").then(|| line.hostname.to_owned()))
}

/// Makes a record of a line.
///
/// **Errors**: a line without a syslog header.
pub fn line(line: &str, number: &mut dyn FnMut() -> u64, block: &mut Block) -> Result<(), Reason> {
    let parsed = parse(line).ok_or(Reason::UnknownLine)?;
    block.push_with_original(number(), &json(&parsed), line);
    Ok(())
}

fn json(line: &Line<'_>) -> String {
    let mut json = String::with_capacity(2 * line.message.len() + 192);
    json.push('{');
    let mut member = |key: &str, value: &str| {
        if !value.is_empty() && value != "-" {
            if json.len() > 1 {
                json.push(',');
            }
            push_string(&mut json, key);
            json.push(':');
            push_string(&mut json, value);
        }
    };
    member("syslog_format", line.format);
    member("timestamp", line.timestamp);
    member("hostname", line.hostname);
    member("appname", line.app);
    member("procid", line.process);
    member("msgid", line.message_id);
    message::read(line.app, line.message, &mut member);
    if line.structured.starts_with('[') {
        json.push_str(",\"structured_data\":");
        structured_data(&mut json, line.structured);
    }
    if let Some(priority) = line.priority {
        json.push_str(&format!(",\"facility\":{},\"severity\":{}", priority / 8, priority % 8));
    }
    json.push_str(",\"message\":");
    push_string(&mut json, line.message);
    json.push('}');
    json
}

fn parse(line: &str) -> Option<Line<'_>> {
    let (priority, rest) = match line.strip_prefix('<').and_then(|r| r.split_once('>')) {
        Some((digits, rest)) => (Some(digits.parse::<u16>().ok().filter(|p| *p < 192)?), rest),
        None => (None, line),
    };
    if let Some(rest) = rest.strip_prefix("1 ").filter(|_| priority.is_some()) {
        return rfc5424(priority, rest);
    }
    let (format, timestamp, rest) = match iso(rest) {
        Some((time, rest)) => ("iso", time, rest),
        None => bsd(rest).map(|(time, rest)| ("rfc3164", time, rest))?,
    };
    let (hostname, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if hostname.is_empty() || !hostname.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:@[]%".contains(&b)) {
        return None;
    }
    let line = Line { format, priority, timestamp, ..Line::default() };
    // A relay may leave the host out: what stands there is the tag.
    if let Some((app, process)) = hostname.strip_suffix(':').and_then(tag) {
        return Some(Line { app, process, message: rest.trim_start(), ..line });
    }
    let rest = rest.trim_start();
    let tagged = rest.split_once(": ").or_else(|| rest.strip_suffix(':').map(|t| (t, "")));
    match tagged.and_then(|(t, message)| Some((tag(t)?, message))) {
        Some(((app, process), message)) => Some(Line { hostname, app, process, message, ..line }),
        // RFC 3164, section 5.4: a content without a tag.
        None => Some(Line { hostname, message: rest, ..line }),
    }
}

/// `sshd[123]`, `kernel`, `sshd(pam_unix)[123]`: the program and its process.
fn tag(text: &str) -> Option<(&str, &str)> {
    let (app, process) = match text.strip_suffix(']').and_then(|t| t.rsplit_once('[')) {
        Some((app, process)) => (app, process),
        None => (text, ""),
    };
    let valid = !app.is_empty() && app.len() <= 64 && !app.contains([' ', '=', '"', '{', '[', ']']);
    valid.then_some((app, process))
}

/// RFC 5424, section 6: TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG].
fn rfc5424(priority: Option<u16>, rest: &str) -> Option<Line<'_>> {
    let mut parts = rest.splitn(6, ' ');
    let mut next = || parts.next();
    let (timestamp, hostname, app, process, message_id, rest) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let (structured, message) = if rest.starts_with('[') {
        let (mut quoted, mut escaped, mut end) = (false, false, rest.len());
        for (i, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                ']' if !quoted && !rest[i + 1..].starts_with('[') => {
                    end = i + 1;
                    break;
                }
                _ => {}
            }
        }
        (&rest[..end], rest[end..].trim_start())
    } else {
        rest.split_once(' ').unwrap_or((rest, ""))
    };
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    Some(Line { format: "rfc5424", priority, timestamp, hostname, app, process, message_id, structured, message })
}

/// RFC 5424, section 6.3: `[id name="value" …][…]` as an object of objects.
fn structured_data(json: &mut String, text: &str) {
    json.push('{');
    let mut rest = text;
    let mut first = true;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']']).unwrap_or(element.len());
        if !std::mem::replace(&mut first, false) {
            json.push(',');
        }
        push_string(json, &element[..end]);
        json.push_str(":{");
        rest = &element[end..];
        let mut first_parameter = true;
        while let Some((name, value)) =
            rest.trim_start_matches(' ').split_once("=\"").filter(|(n, _)| !n.contains([']', '"']))
        {
            let (mut text, mut escaped, mut end) = (String::new(), false, value.len());
            for (i, c) in value.char_indices() {
                match c {
                    c if escaped => {
                        if !matches!(c, '"' | '\\' | ']') {
                            text.push('\\');
                        }
                        text.push(c);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        end = i + 1;
                        break;
                    }
                    c => text.push(c),
                }
            }
            if !std::mem::replace(&mut first_parameter, false) {
                json.push(',');
            }
            push_string(json, name);
            json.push(':');
            push_string(json, &text);
            rest = &value[end..];
        }
        json.push('}');
        rest = rest.trim_start_matches(' ');
        rest = rest.strip_prefix(']').unwrap_or("");
    }
    json.push('}');
}

/// `2026-03-17T10:30:00.123+01:00 `, and rsyslog's other form with a space instead of the T.
fn iso(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let form = bytes.len() >= 19
        && [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')].iter().all(|(i, c)| bytes[*i] == *c)
        && matches!(bytes[10], b'T' | b' ')
        && bytes[..4].iter().chain(&bytes[5..7]).chain(&bytes[8..10]).chain(&bytes[11..13]).all(u8::is_ascii_digit);
    if !form {
        return None;
    }
    let end = 19 + text.get(19..)?.find(' ')?;
    Some((&text[..end], text[end..].trim_start()))
}

/// `Mar 17 10:30:00 `, RFC 3164, section 4.1.2; some devices put the year behind the day or the time.
fn bsd(text: &str) -> Option<(&str, &str)> {
    const MONTHS: &[&str] = &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let clock = |t: &[u8]| {
        t.len() >= 8 && t[2] == b':' && t[5] == b':' && [0, 1, 3, 4, 6, 7].iter().all(|i| t[*i].is_ascii_digit())
    };
    let bytes = text.as_bytes();
    if !MONTHS.contains(&text.get(..3)?) || bytes.get(3) != Some(&b' ') || bytes.get(6) != Some(&b' ') {
        return None;
    }
    let at = if clock(bytes.get(7..)?) {
        7
    } else if bytes[7..].first().is_some_and(u8::is_ascii_digit)
        && bytes.get(11) == Some(&b' ')
        && clock(bytes.get(12..)?)
    {
        12
    } else {
        return None;
    };
    let rest = text.get(at + 8..)?;
    // Fractions, and the zone or colon that some routers write.
    let end = rest.find(' ').filter(|n| *n == 0 || rest.starts_with(['.', ':', 'Z']))?;
    let time = text[..at + 8 + end].trim_end_matches(':');
    Some((time, rest[end..].trim_start()))
}

#[cfg(test)]
mod tests;
