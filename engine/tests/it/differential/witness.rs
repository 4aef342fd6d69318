//! Values that an item of a rule asks for, or nearly, and events of them.

use super::event::{Event, Json, put};
use super::generate::{FIELDS, Maker};
use super::rule::{Item, PLACEHOLDERS, Rule, Val};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;

/// Regular expressions, and texts that they are near to.
pub const REGEXES: [(&str, [&str; 2]); 24] = [
    ("^abc", ["abcd", "x\nabc"]),
    (r"\d+", ["a12", "١"]),
    ("[a-c]{2,}x?", ["ABx", "acb"]),
    ("a.c", ["abc", "a\nc"]),
    ("^b$", ["a\nb\nc", "b"]),
    ("(?:foo|bar)baz", ["xFOObaz", "barbaz"]),
    ("straße", ["STRAßE", "straße"]),
    ("k", ["K", "k"]),
    ("ſ|ẞ", ["s", "ß"]),
    (r"\bcmd\.exe\b", ["run cmd.exe /c", "xcmd.exe"]),
    ("[[:alpha:]]+", ["é", "a"]),
    (r"\w{3}\s", ["ab_ c", "日本語\u{3000}"]),
    (r"a\{b\}", ["a{b}", "ab"]),
    ("x{a}", ["x{a}", "xa"]),
    ("", ["", "x"]),
    ("a|b", ["b", "c"]),
    (r"\\Temp\\", [r"C:\Temp\x", r"C:\temp\"]),
    ("[^a-z]", ["abc", "ABC"]),
    ("^.*$", ["", "\n"]),
    (r"\/etc\/", ["/etc/passwd", "/ETC/"]),
    ("^$", ["", "\n"]),
    ("é$", ["caf\u{e9}", "cafe\u{301}"]),
    (r"^1\d*$", ["1", "1000"]),
    ("true|null", ["true", "null"]),
];

/// Networks.
pub const NETWORKS: [&str; 7] =
    ["10.0.0.0/8", "192.168.1.0/24", "::1/128", "fe80::/10", "2001:db8::/32", "0.0.0.0/0", "10.1.2.3/32"];
const ADDRESSES: [&str; 11] = [
    "10.1.2.3",
    "10.0.0.1",
    "192.168.1.77",
    "192.168.2.1",
    "::1",
    "FE80::1",
    "2001:db8:0:0:0:0:0:1",
    "::ffff:10.1.2.3",
    "010.1.2.3",
    " 10.1.2.3",
    "10.1.2",
];

/// Command lines with flags.
pub const FLAGS: [&str; 8] = ["-f", " -f /x", "/c", "start-b", "–x", "a-b-c", "—―", "-a -b -c -d -e -f"];
const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// Parts of times, and values of them.
pub const PARTS: [(&str, &[u32]); 6] = [
    ("minute", &[0, 30, 5]),
    ("hour", &[12, 4, 0]),
    ("day", &[10, 11, 30]),
    ("week", &[28, 1]),
    ("month", &[7, 12]),
    ("year", &[2024, 2025]),
];
const TIMES: [&str; 12] = [
    "2024-07-10T12:30:00Z",
    "2024-07-10T23:30:00-05:00",
    "2024-07-10T12:30:05.123456789Z",
    "2024-07-10 12:30:00",
    "2024-12-30T00:05:00Z",
    "2024-07-10",
    "10/Jul/2024:12:30:00 +0000",
    "7/10/2024 12:30:00 PM",
    "1720614600",
    "1720614600123",
    "2024-07-10T12:30",
    "noon",
];

/// An event.
pub fn event(maker: &mut Maker, rules: &[Rule]) -> Event {
    let mut members: Vec<(String, Json)> = Vec::new();
    let flat = maker.chance(10);
    let kind = maker.pick(&["call", "logon", "call", "logoff", "Call", "other"]);
    match maker.rng.random_range(0..20) {
        0 => {}
        1 => put(&mut members, "Kind", Json::List(vec![Json::Text("x".into()), Json::Text(kind.into())]), flat),
        _ => put(&mut members, "Kind", Json::Text(kind.into()), flat),
    }
    for _ in 0..maker.up_to(2) {
        let rule = &rules[maker.rng.random_range(0..rules.len())];
        for item in rule.selections.iter().flat_map(|(_, s)| s.items()) {
            if maker.chance(80) {
                let field = item.field.unwrap_or_else(|| maker.pick(&["A", "B", "X", "O.k"]));
                let value = witness(maker, &item);
                if let (true, Val::Text(other)) = (item.has("fieldref"), &item.values[0]) {
                    let near = if maker.chance(60) { value.clone() } else { mutated(maker, value.clone()) };
                    put(&mut members, other, near, flat);
                }
                put(&mut members, field, value, flat);
            }
        }
    }
    for _ in 0..maker.up_to(4) {
        let field = maker.pick(&FIELDS);
        let value = other(maker);
        put(&mut members, field, value, flat);
    }
    let (escaped, space) = (maker.pick(&[0, 0, 0, 1, 3]), maker.pick(&["", " "]));
    Event::new(members, escaped, space)
}

/// A value that no rule asks for in particular.
fn other(maker: &mut Maker) -> Json {
    match maker.rng.random_range(0..20) {
        0 => Json::Null,
        1 => Json::Bool(maker.chance(50)),
        2..5 => Json::Number(maker.number()),
        5 => Json::Text(maker.number()),
        6 => Json::Text(maker.pick(&ADDRESSES).into()),
        7 => Json::Text(maker.pick(&TIMES).into()),
        8 => Json::List(Vec::new()),
        9 => Json::List((0..maker.up_to(3)).map(|_| Json::Text(maker.text())).collect()),
        10 => Json::Object(vec![("k".into(), Json::Text(maker.text())), ("z".into(), Json::Null)]),
        11 => Json::List(vec![Json::Object(vec![("k".into(), Json::Text(maker.text()))]), Json::Number("1".into())]),
        _ => Json::Text(maker.text()),
    }
}

/// What an item asks for, in more than half of all cases.
fn witness(maker: &mut Maker, item: &Item) -> Json {
    let value = &item.values[maker.rng.random_range(0..item.values.len())];
    let exact = match value {
        _ if item.has("exists") || item.has("fieldref") => other(maker),
        _ if item.has("cidr") => Json::Text(maker.pick(&ADDRESSES).into()),
        _ if PARTS.iter().any(|(part, _)| item.has(part)) => match maker.pick(&TIMES) {
            time if maker.chance(50) && time.bytes().all(|b| b.is_ascii_digit()) => Json::Number(time.into()),
            time => Json::Text(time.into()),
        },
        Val::Number(n) if maker.chance(60) => Json::Number(n.clone()),
        Val::Number(n) if maker.chance(60) => Json::Text(n.clone()),
        Val::Number(n) => match maker.pick(&["0", "+", "", ""]) {
            "" => Json::Text(maker.pick(&["inf", "1e999"]).into()),
            before => Json::Text(before.to_owned() + n),
        },
        Val::Bool(b) if maker.chance(60) => Json::Bool(*b),
        Val::Bool(b) if maker.chance(60) => Json::Text(b.to_string()),
        Val::Bool(_) => Json::Text(maker.pick(&["1", "yes", "0", "TRUE"]).into()),
        Val::Null => Json::Null,
        Val::Text(pattern) if item.has("re") => {
            let texts = REGEXES.iter().find(|(regex, _)| regex == pattern).map_or(["", "x"], |(_, texts)| *texts);
            Json::Text(maker.pick(&texts).into())
        }
        Val::Text(text) => Json::Text(spelled(maker, item, text)),
    };
    if maker.chance(45) { mutated(maker, exact) } else { exact }
}

/// A text of a form, as the item's modifiers want it.
fn spelled(maker: &mut Maker, item: &Item, pattern: &str) -> String {
    let mut text = pattern.to_owned();
    for (name, values) in PLACEHOLDERS.iter().filter(|_| item.has("expand")) {
        text = text.replace(&format!("%{name}%"), maker.pick(values));
    }
    let mut text = of_pattern(maker, &text);
    if item.has("windash") {
        text = text.chars().map(|c| if DASHES.contains(&c) { maker.pick(&DASHES) } else { c }).collect();
    }
    let order: Option<fn(u16) -> [u8; 2]> = match () {
        () if item.has("utf16be") => Some(u16::to_be_bytes),
        () if item.has("wide") || item.has("utf16le") || item.has("utf16") => Some(u16::to_le_bytes),
        () => None,
    };
    let mut bytes = if item.has("utf16") { vec![0xff, 0xfe] } else { Vec::new() };
    match order {
        Some(order) => bytes.extend(text.encode_utf16().flat_map(order)),
        None => bytes.extend(text.as_bytes()),
    }
    if item.has("base64offset") {
        let (before, after) = (maker.up_to(4) - 1, maker.up_to(4) - 1);
        text = STANDARD.encode([vec![b'!'; before], bytes, vec![b'~'; after]].concat());
    } else if item.has("base64") {
        text = STANDARD.encode(bytes);
    } else if order.is_some() {
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    let (before, after) = (maker.text(), maker.text());
    match () {
        () if item.has("contains") || item.field.is_none() => before + &text + &after,
        () if item.has("startswith") => text + &after,
        () if item.has("endswith") => before + &text,
        () => text,
    }
}

/// A text of a rule's pattern.
fn of_pattern(maker: &mut Maker, pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if matches!(chars.peek(), Some('*' | '?' | '\\')) => out.extend(chars.next()),
            '*' => out += maker.pick(&["", "z", "\n", "日x", "abc"]),
            '?' => out += maker.pick(&["q", "\n", "é", "", "😀"]),
            c => out.push(c),
        }
    }
    out
}

fn mutated(maker: &mut Maker, value: Json) -> Json {
    let text = |value: &Json| value.text().unwrap_or_default();
    match maker.rng.random_range(0..18) {
        0 => Json::Text(text(&value).to_uppercase()),
        1 => Json::Text(text(&value).to_lowercase()),
        2 => Json::Text(text(&value).chars().map(odd).collect()),
        3 => Json::Text(maker.text() + &text(&value)),
        4 => Json::Text(text(&value) + &maker.text()),
        5 => Json::Text(text(&value).chars().skip(1).collect()),
        6 => Json::Text(text(&value) + "\n"),
        7 => Json::Text(format!("\n{} ", text(&value))),
        8 => Json::Text(text(&value)),
        9 => match text(&value) {
            number if serde_json::from_str::<serde_json::Number>(&number).is_ok() => Json::Number(number.trim().into()),
            other => Json::Text(other),
        },
        10 => Json::List(vec![value]),
        11 => Json::List(vec![other(maker), value, Json::Null]),
        12 => Json::List(vec![Json::List(vec![value]), Json::Text(maker.text())]),
        13 => Json::Object(vec![("k".into(), value), ("m".into(), Json::Object(vec![("n".into(), Json::Bool(true))]))]),
        14 => Json::Null,
        15 => Json::Text(text(&value).replace('a', "A")),
        16 => Json::Text(text(&value).replace(['a', 'b'], "")),
        _ => other(maker),
    }
}

/// A character that some fold to the same, and some do not.
fn odd(c: char) -> char {
    match c {
        's' => 'ſ',
        'k' => 'K',
        'i' => 'İ',
        'ß' => 'ẞ',
        'ς' | 'σ' => 'Σ',
        'Σ' => 'ς',
        'ǆ' => 'ǅ',
        c => c,
    }
}
