//! Items, selections and conditions of generated rules: every modifier, in the combinations that make sense.

use super::generate::{FIELDS, Maker};
use super::rule::{Item, Rule, Selection, Val};
use super::witness;
use rand::Rng;

impl Maker {
    fn item(&mut self) -> Item {
        let field = Some(self.pick(&FIELDS));
        let mut modifiers: Vec<&'static str> = Vec::new();
        let pattern = |maker: &mut Self| Val::Text(maker.pattern());
        let encoded = |maker: &mut Self| match maker.text() {
            text if text.len() > 3 && !text.contains(['*', '?', '\\']) => Val::Text(text),
            _ => Val::Text(maker.pick(&["whoami", "cmd /c", "IEX (", "http://", "пуск"]).to_owned()),
        };
        let mut values = match self.rng.random_range(0..100) {
            0..22 => self.list(Self::value),
            22..44 => {
                modifiers.push(self.pick(&["contains", "startswith", "endswith"]));
                self.list(|m| if m.chance(90) { Val::Text(m.pattern()) } else { Val::Number(m.number()) })
            }
            44..49 => {
                modifiers.push("contains");
                self.list(pattern)
            }
            49..56 => {
                modifiers.push("re");
                modifiers.extend(["i", "m", "s"].into_iter().filter(|_| self.chance(30)));
                self.list(|m| Val::Text(m.pick(&witness::REGEXES).0.to_owned()))
            }
            56..60 => {
                modifiers.push("cidr");
                self.list(|m| Val::Text(m.pick(&witness::NETWORKS).to_owned()))
            }
            60..67 => {
                modifiers.extend(self.pick(&[
                    &["base64"][..],
                    &["base64offset"],
                    &["base64offset"],
                    &["wide", "base64"],
                    &["utf16le", "base64offset"],
                    &["utf16be", "base64"],
                    &["utf16", "base64offset"],
                ]));
                if self.chance(80) {
                    modifiers.push("contains");
                }
                self.list(encoded)
            }
            67..68 => {
                modifiers.extend([self.pick(&["wide", "utf16le", "utf16be"]), "contains"]);
                vec![Val::Text(self.pick(&["abc", "x", "cmd.exe"]).to_owned())]
            }
            68..73 => {
                modifiers.push("windash");
                if self.chance(70) {
                    modifiers.push("contains");
                }
                self.list(|m| if m.chance(70) { Val::Text(m.pick(&witness::FLAGS).to_owned()) } else { pattern(m) })
            }
            73..78 => {
                modifiers.push(self.pick(&["lt", "lte", "gt", "gte"]));
                self.list(|m| Val::Number(m.number()))
            }
            78..82 => {
                modifiers.push("exists");
                return Item { field, modifiers, values: vec![Val::Bool(self.chance(50))] };
            }
            82..88 => {
                modifiers.push("fieldref");
                if self.chance(50) {
                    modifiers.push(self.pick(&["contains", "startswith", "endswith"]));
                }
                self.list(|m| Val::Text(m.pick(&FIELDS).to_owned()))
            }
            88..91 => {
                modifiers.push("expand");
                if self.chance(50) {
                    modifiers.push("contains");
                }
                self.list(|m| Val::Text(m.pick(&["%few%", "%names%", "a%few%", "%few%*%names%"]).to_owned()))
            }
            91..95 => {
                let (part, most) = self.pick(&witness::PARTS);
                modifiers.push(part);
                if self.chance(30) {
                    modifiers.push(self.pick(&["lt", "gte"]));
                }
                self.list(|m| Val::Number(m.pick(most).to_string()))
            }
            _ => {
                modifiers.push("neq");
                self.list(Self::value)
            }
        };
        let compares = modifiers.iter().any(|m| matches!(*m, "lt" | "lte" | "gt" | "gte"));
        let at = if self.chance(50) { modifiers.len() } else { 0 };
        let textual = ["re", "cidr", "fieldref"].iter().all(|m| !modifiers.contains(m)) && !compares;
        let timed = witness::PARTS.iter().any(|(part, _)| modifiers.contains(part));
        if values.len() > 1 && self.chance(30) && !modifiers.iter().any(|m| matches!(*m, "neq" | "expand")) {
            modifiers.push("all");
        }
        if textual && !timed && self.chance(10) {
            modifiers.insert(at, "cased");
        }
        if !compares && !modifiers.contains(&"neq") && self.chance(if modifiers.contains(&"fieldref") { 20 } else { 5 })
        {
            modifiers.push("neq");
        }
        // Null has no place in a text.
        if modifiers.iter().any(|m| !matches!(*m, "all" | "neq" | "cased")) {
            values.iter_mut().filter(|v| **v == Val::Null).for_each(|v| *v = Val::Text("x".into()));
        }
        Item { field, modifiers, values }
    }

    fn word(&mut self) -> Val {
        if self.chance(90) { Val::Text(self.pattern()) } else { Val::Number(self.number()) }
    }

    fn selection(&mut self) -> Selection {
        match self.rng.random_range(0..100) {
            0..7 => Selection::Words((0..self.up_to(3)).map(|_| self.word()).collect()),
            7..13 => {
                let modifiers: &[&str] = self.pick(&[
                    &["all"][..],
                    &["all"],
                    &["contains"],
                    &["startswith"],
                    &["endswith", "all"],
                    &["re"],
                    &["cased"],
                ]);
                let re = modifiers.contains(&"re");
                let word = |m: &mut Self| if re { Val::Text(m.pick(&witness::REGEXES).0.to_owned()) } else { m.word() };
                let values = (0..self.up_to(3)).map(|_| word(self)).collect();
                Selection::All(vec![Item { field: None, modifiers: modifiers.to_vec(), values }])
            }
            13..23 => {
                let list = |m: &mut Self| (0..m.up_to(2)).map(|_| m.item()).collect();
                Selection::Any((0..self.up_to(3)).map(|_| distinct(list(self))).collect())
            }
            _ => Selection::All(distinct((0..self.up_to(3)).map(|_| self.item()).collect())),
        }
    }

    /// A rule.
    pub fn rule(&mut self) -> Rule {
        let names = ["sel", "sel_b", "filter_x", "_hidden"];
        let many = if self.chance(45) { 1 } else { self.rng.random_range(2..=4) };
        let selections: Vec<_> = names[..many].iter().map(|n| (*n, self.selection())).collect();
        let condition = match many {
            1 if self.chance(85) => "sel".to_owned(),
            _ => self.condition(&names[..many], 2),
        };
        Rule { selections, condition }
    }

    fn condition(&mut self, names: &[&str], depth: usize) -> String {
        match self.rng.random_range(0..10) {
            _ if depth == 0 => self.pick(names).to_owned(),
            0 => format!("not {}", self.condition(names, 0)),
            1 => self.pick(&["1 of them", "all of them", "1 of sel*", "all of sel*", "not 1 of sel*"]).to_owned(),
            2 => format!("not ({})", self.condition(names, depth - 1)),
            3..6 => format!("{} and {}", self.condition(names, depth - 1), self.condition(names, depth - 1)),
            6..8 => format!("{} or not {}", self.condition(names, depth - 1), self.condition(names, 0)),
            8 => format!("({} or {}) and sel", self.condition(names, depth - 1), self.condition(names, 0)),
            _ => self.pick(names).to_owned(),
        }
    }
}

/// Keys of a mapping come once.
fn distinct(items: Vec<Item>) -> Vec<Item> {
    let mut out: Vec<Item> = Vec::new();
    for item in items {
        let key = |i: &Item| (i.field, i.expanded().modifiers);
        if out.iter().all(|o| key(o) != key(&item)) {
            out.push(item);
        }
    }
    out
}
