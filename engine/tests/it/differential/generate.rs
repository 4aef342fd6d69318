//! Rules and events from a seed. A batch has few texts, so that its rules and events meet often; an event is made of
//! what one or two of the batch's rules ask for, changed a little.

use super::event::Event;
use super::rule::{Rule, Val};
use super::witness;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Fields of rules.
pub const FIELDS: [&str; 13] = ["A", "A", "B", "L", "N", "F", "T", "P", "W", "R", "O", "O.k", "O.m.n"];

const TEXTS: [&str; 65] = [
    "abc",
    "ABC",
    "aBcd",
    "x",
    "cmd.exe",
    "CMD.EXE",
    r"C:\Windows\Temp",
    r"\\srv\share",
    "-enc",
    "/c",
    "start-b",
    " -f /x",
    "—e ―v",
    "straße",
    "STRASSE",
    "ẞ",
    "ſ",
    "s",
    "K",
    "k",
    "İ",
    "i",
    "ı",
    "i\u{307}",
    "ΟΔΟΣ",
    "οδος",
    "οδοσ",
    "é",
    "e\u{301}",
    "É",
    "日本",
    "😀",
    "Ǆ",
    "ǆ",
    "ﬁ",
    "10.0.0.1",
    "::1",
    "1",
    "01",
    "1.0",
    "1e3",
    "-0",
    "true",
    "True",
    "null",
    "",
    " ",
    "%",
    "_",
    "a%b_c",
    "a*b",
    "a?b",
    r"a\*b",
    r"\",
    r"\\",
    "\"q\"",
    "\t",
    "a\nb",
    "\r\n",
    "{x}",
    "[y]",
    "a'b",
    "2024-07-10T12:30:00Z",
    "аbс",
    "inf",
];
const RAW: [&str; 17] = [
    "", "*", "?", "**", "?*", "*?*", r"\*", r"\?", r"\\", r"\\*", r"\\\*", r"a\", r"\a", "*a*b*", "a?c", r"*\*",
    r"x\\?",
];
const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "-1",
    "2",
    "5",
    "10",
    "443",
    "4625",
    "65535",
    "65536",
    "1.0",
    "1.5",
    "0.1",
    "-0.5",
    "100.25",
    "1000",
    "9007199254740993",
    "9007199254740992",
    "12345678901234567890",
    "1e3",
];

/// Rules and events.
pub struct Batch {
    pub rules: Vec<Rule>,
    pub events: Vec<Event>,
}

/// What makes them.
pub struct Maker {
    pub rng: ChaCha8Rng,
    pool: Vec<String>,
}

impl Batch {
    /// The batch of a seed.
    pub fn new(seed: u64, rules: usize, events: usize) -> Self {
        let mut maker = Maker { rng: ChaCha8Rng::seed_from_u64(seed), pool: Vec::new() };
        maker.pool = (0..10).map(|_| maker.pick(&TEXTS).to_owned()).collect();
        let rules: Vec<Rule> = (0..rules).map(|_| maker.rule()).collect();
        let events = (0..events).map(|_| witness::event(&mut maker, &rules)).collect();
        Self { rules, events }
    }
}

impl Maker {
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        *list.choose(&mut self.rng).unwrap()
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    pub fn up_to(&mut self, most: usize) -> usize {
        self.rng.random_range(1..=most)
    }

    /// A text of the batch, or two of them.
    pub fn text(&mut self) -> String {
        let one = |maker: &mut Self| maker.pool.choose(&mut maker.rng).unwrap().clone();
        let first = one(self);
        if self.chance(25) { first + &one(self) } else { first }
    }

    pub fn number(&mut self) -> String {
        self.pick(&NUMBERS).to_owned()
    }

    /// A text as a rule writes it.
    pub fn pattern(&mut self) -> String {
        if self.chance(12) {
            return self.pick(&RAW).to_owned();
        }
        let text = self.text();
        let mut out = String::new();
        for c in text.chars() {
            if matches!(c, '*' | '?') && self.chance(70) || c == '\\' && self.chance(30) {
                out.push('\\');
            }
            out.push(c);
            if self.chance(4) {
                out.push(self.pick(&['*', '?']));
            }
        }
        match self.rng.random_range(0..8) {
            0 => out + "*",
            1 => format!("*{out}"),
            2 => format!("*{out}*"),
            _ => out,
        }
    }

    pub fn value(&mut self) -> Val {
        match self.rng.random_range(0..100) {
            0..70 => Val::Text(self.pattern()),
            70..88 => Val::Number(self.number()),
            88..95 => Val::Bool(self.chance(50)),
            _ => Val::Null,
        }
    }

    pub fn list(&mut self, mut value: impl FnMut(&mut Self) -> Val) -> Vec<Val> {
        let many = if self.chance(40) { self.up_to(4) } else { 1 };
        (0..many).map(|_| value(self)).collect()
    }
}
