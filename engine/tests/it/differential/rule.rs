//! A generated rule: what it is made of, and how it is written.

use std::fmt::Write;

/// A value of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    Text(String),
    /// As it is spelled.
    Number(String),
    Bool(bool),
    Null,
}

/// A field with its modifiers and values.
#[derive(Clone, Debug)]
pub struct Item {
    /// None for keywords.
    pub field: Option<&'static str>,
    pub modifiers: Vec<&'static str>,
    pub values: Vec<Val>,
}

/// A named selection.
#[derive(Clone, Debug)]
pub enum Selection {
    /// All of them hold.
    All(Vec<Item>),
    /// One of these holds.
    Any(Vec<Vec<Item>>),
    /// A list of keywords.
    Words(Vec<Val>),
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub selections: Vec<(&'static str, Selection)>,
    pub condition: String,
}

/// Values of the placeholders that rules name with `expand`.
pub const PLACEHOLDERS: [(&str, [&str; 2]); 2] = [("few", ["abc", r"x\*?z"]), ("names", ["Straße", "*.exe"])];

impl Item {
    pub fn has(&self, modifier: &str) -> bool {
        self.modifiers.contains(&modifier)
    }

    /// The same with one of its values: `all` is gone.
    pub fn single(&self, value: &Val) -> Self {
        let modifiers = self.modifiers.iter().copied().filter(|m| *m != "all").collect();
        Self { field: self.field, modifiers, values: vec![value.clone()] }
    }

    fn key(&self) -> String {
        let mut key = self.field.unwrap_or_default().to_owned();
        self.modifiers.iter().for_each(|m| write!(key, "|{m}").unwrap());
        key
    }

    /// The same for who has placeholders of other kinds: `expand` worked out.
    pub fn expanded(&self) -> Self {
        let mut out = self.clone();
        out.modifiers.retain(|m| *m != "expand");
        if self.has("expand") {
            for (name, values) in PLACEHOLDERS {
                let name = format!("%{name}%");
                let each = |v: &Val| match v {
                    Val::Text(t) if t.contains(&name) => {
                        values.iter().map(|value| Val::Text(t.replace(&name, value))).collect()
                    }
                    v => vec![v.clone()],
                };
                out.values = out.values.iter().flat_map(each).collect();
            }
        }
        out
    }
}

impl Selection {
    pub fn items(&self) -> Vec<Item> {
        match self {
            Self::All(items) => items.clone(),
            Self::Any(lists) => lists.concat(),
            Self::Words(values) => vec![Item { field: None, modifiers: Vec::new(), values: values.clone() }],
        }
    }

    fn each(&self, change: impl Fn(&Item) -> Item) -> Self {
        match self {
            Self::All(items) => Self::All(items.iter().map(change).collect()),
            Self::Any(lists) => Self::Any(lists.iter().map(|l| l.iter().map(&change).collect()).collect()),
            Self::Words(values) => Self::Words(values.clone()),
        }
    }
}

impl Rule {
    /// A rule that asks for one item.
    pub fn of(item: Item) -> Self {
        let selection = match (&item.field, item.modifiers.is_empty()) {
            (None, true) => Selection::Words(item.values),
            _ => Selection::All(vec![item]),
        };
        Self::of_selection(selection)
    }

    /// A rule that asks for one selection.
    pub fn of_selection(selection: Selection) -> Self {
        Self { selections: vec![("sel", selection)], condition: "sel".into() }
    }

    /// Whether it asks for a field, also by reference.
    pub fn names(&self, field: &str) -> bool {
        let refers = |i: &Item| i.has("fieldref") && i.values.contains(&Val::Text(field.into()));
        self.selections.iter().flat_map(|(_, s)| s.items()).any(|i| i.field == Some(field) || refers(&i))
    }

    /// The rule with placeholders' values in their place.
    pub fn expanded(&self) -> Self {
        let selections = self.selections.iter().map(|(n, s)| (*n, s.each(Item::expanded))).collect();
        Self { selections, condition: self.condition.clone() }
    }

    /// The rule as YAML.
    pub fn yaml(&self, title: &str, product: &str) -> String {
        let mut out = format!("title: {title}\nlogsource:\n    product: {product}\n    category: any\ndetection:\n");
        for (name, selection) in &self.selections {
            writeln!(out, "    {name}:").unwrap();
            match selection {
                Selection::All(items) => items.iter().for_each(|i| entry(&mut out, "        ", i)),
                Selection::Any(lists) => {
                    for items in lists {
                        let mut text = String::new();
                        items.iter().for_each(|i| entry(&mut text, "          ", i));
                        out.push_str(&text.replacen("          ", "        - ", 1));
                    }
                }
                Selection::Words(values) => values.iter().for_each(|v| writeln!(out, "        - {}", text(v)).unwrap()),
            }
        }
        writeln!(out, "    condition: {}", self.condition).unwrap();
        out
    }
}

fn entry(out: &mut String, margin: &str, item: &Item) {
    write!(out, "{margin}'{}':", item.key()).unwrap();
    match item.values.as_slice() {
        [one] => writeln!(out, " {}", text(one)).unwrap(),
        list => {
            out.push('\n');
            list.iter().for_each(|v| writeln!(out, "{margin}    - {}", text(v)).unwrap());
        }
    }
}

fn text(value: &Val) -> String {
    match value {
        Val::Null => "null".into(),
        Val::Bool(b) => b.to_string(),
        Val::Number(n) => n.clone(),
        // As people write them where that can be; else JSON, which is YAML.
        Val::Text(t) if t.chars().all(|c| c >= ' ' && c != '\'') => format!("'{t}'"),
        Val::Text(t) => serde_json::to_string(t).unwrap(),
    }
}
