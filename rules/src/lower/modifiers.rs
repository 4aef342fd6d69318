//! The modifiers of one key: which there are, and which go together.

use super::LowerError;
use crate::expr::{Compare, FieldTest, TimePart};
use crate::parse::detection::RawItem;

/// What an item's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Texts, numbers, booleans, null.
    Text,
    /// Whether the field is there.
    Exists,
    /// Regular expressions.
    Regex,
    /// Networks.
    Cidr,
    /// Names of other fields.
    FieldRef(FieldTest),
    /// Numbers to compare with.
    Compare(Compare),
}

/// A step that changes texts, in the order in which the rule names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every dash a Windows program takes.
    Windash,
    /// UTF-16, little endian.
    Utf16Le,
    /// UTF-16, big endian.
    Utf16Be,
    /// UTF-16, little endian behind its byte order mark.
    Utf16Bom,
    /// Base64.
    Base64,
    /// Base64 at each of three offsets.
    Base64Offset,
}

/// The modifiers of one key.
#[derive(Clone, Debug)]
pub struct Modifiers {
    /// The whole key, for messages.
    pub key: String,
    /// The field; none for keywords.
    pub field: Option<String>,
    /// What the values are.
    pub kind: Kind,
    /// All values have to match.
    pub all: bool,
    /// Case counts.
    pub cased: bool,
    /// Values hold placeholders.
    pub expand: bool,
    /// The field has to differ.
    pub negate: bool,
    /// Anything may stand before the value.
    pub any_before: bool,
    /// Anything may stand behind the value.
    pub any_after: bool,
    /// Changes of the text, in order.
    pub steps: Vec<Step>,
    /// Flags of a regular expression.
    pub flags: String,
    /// The part of a time that is compared.
    pub part: Option<TimePart>,
}

impl Modifiers {
    /// Reads a key's modifiers.
    pub fn new(raw: &RawItem) -> Result<Self, LowerError> {
        let mut out = Self {
            key: raw.key.clone(),
            field: raw.field.clone(),
            kind: Kind::Text,
            all: false,
            cased: false,
            expand: false,
            negate: false,
            any_before: false,
            any_after: false,
            steps: Vec::new(),
            flags: String::new(),
            part: None,
        };
        for name in &raw.modifiers {
            out.order(name)?;
            out.add(name)?;
        }
        if out.part.is_some() && out.kind == Kind::Text {
            out.kind = Kind::Compare(Compare::Equal);
        }
        out.kind = match (out.kind, out.any_before, out.any_after) {
            (Kind::FieldRef(_), true, true) => Kind::FieldRef(FieldTest::Contains),
            (Kind::FieldRef(_), true, false) => Kind::FieldRef(FieldTest::EndsWith),
            (Kind::FieldRef(_), false, true) => Kind::FieldRef(FieldTest::StartsWith),
            (kind, _, _) => kind,
        };
        match out.problem() {
            Some(problem) => Err(out.wrong(problem)),
            None => Ok(out),
        }
    }

    /// Modifiers are applied in the order given: what comes too late has nothing to work on.
    fn order(&self, name: &str) -> Result<(), LowerError> {
        let around = self.any_before || self.any_after;
        let problem = match name {
            "base64" | "base64offset" if around => "an encoding comes before contains, startswith and endswith",
            "re" | "cidr" | "fieldref" | "gt" | "gte" | "lt" | "lte" | "exists" if around => {
                "what a value is comes before contains, startswith and endswith"
            }
            "i" | "ignorecase" | "m" | "multiline" | "s" | "dotall" if self.kind != Kind::Regex => {
                "i, m and s follow re"
            }
            "cased" if self.kind == Kind::Regex => "a regular expression minds case; i makes it not",
            "expand" if !self.steps.is_empty() => "expand comes before encodings",
            _ => return Ok(()),
        };
        Err(self.wrong(problem))
    }

    /// Whether its values are compared whole, as they are.
    pub fn is_plain(&self) -> bool {
        !self.any_before
            && !self.any_after
            && self.steps.is_empty()
            && !self.cased
            && !self.expand
            && self.field.is_some()
    }

    fn add(&mut self, name: &str) -> Result<(), LowerError> {
        match name {
            "contains" => (self.any_before, self.any_after) = (true, true),
            "startswith" => self.any_after = true,
            "endswith" => self.any_before = true,
            "all" => self.all = true,
            "cased" => self.cased = true,
            "expand" => self.expand = true,
            "neq" => self.negate = true,
            "windash" => self.steps.push(Step::Windash),
            "wide" | "utf16le" => self.steps.push(Step::Utf16Le),
            "utf16be" => self.steps.push(Step::Utf16Be),
            "utf16" => self.steps.push(Step::Utf16Bom),
            "base64" => self.steps.push(Step::Base64),
            "base64offset" => self.steps.push(Step::Base64Offset),
            "re" => self.set(Kind::Regex)?,
            "cidr" => self.set(Kind::Cidr)?,
            "exists" => self.set(Kind::Exists)?,
            "fieldref" => self.set(Kind::FieldRef(FieldTest::Equals))?,
            "gt" => self.set(Kind::Compare(Compare::Greater))?,
            "gte" => self.set(Kind::Compare(Compare::GreaterOrEqual))?,
            "lt" => self.set(Kind::Compare(Compare::Less))?,
            "lte" => self.set(Kind::Compare(Compare::LessOrEqual))?,
            "i" | "ignorecase" => self.flags.push('i'),
            "m" | "multiline" => self.flags.push('m'),
            "s" | "dotall" => self.flags.push('s'),
            "minute" => self.take(TimePart::Minute)?,
            "hour" => self.take(TimePart::Hour)?,
            "day" => self.take(TimePart::Day)?,
            "week" => self.take(TimePart::Week)?,
            "month" => self.take(TimePart::Month)?,
            "year" => self.take(TimePart::Year)?,
            "not" => return Err(self.wrong("`not` is no modifier; a condition negates, or `neq`")),
            "" => return Err(self.wrong("an empty modifier")),
            other => return Err(self.wrong(&format!("Sigma has no modifier {other:?}"))),
        }
        Ok(())
    }

    fn set(&mut self, kind: Kind) -> Result<(), LowerError> {
        if self.kind != Kind::Text {
            return Err(self.wrong("modifiers that exclude each other"));
        }
        self.kind = kind;
        Ok(())
    }

    fn take(&mut self, part: TimePart) -> Result<(), LowerError> {
        match self.part.replace(part) {
            Some(_) => Err(self.wrong("two parts of a time")),
            None => Ok(()),
        }
    }

    /// What does not go together. `all` and `neq` are of the list, not of its values, and go with everything.
    fn problem(&self) -> Option<&'static str> {
        let around = self.any_before || self.any_after;
        let plain = !around && self.steps.is_empty() && !self.cased && !self.expand;
        Some(match self.kind {
            _ if self.negate && self.field.is_none() => "neq needs a field",
            _ if self.kind != Kind::Regex && !self.flags.is_empty() => "i, m and s follow re",
            _ if self.part.is_some() && !matches!(self.kind, Kind::Compare(_)) => "a part of a time is a number",
            Kind::Exists if !plain || self.field.is_none() || self.negate || self.all => {
                "exists stands alone on a field"
            }
            Kind::Cidr if !plain => "cidr stands alone",
            Kind::Compare(_) if !plain => "numbers compare without text modifiers",
            Kind::Compare(_) if self.field.is_none() => "a comparison needs a field",
            Kind::Compare(c) if self.negate && c != Compare::Equal => "neq and another comparison",
            Kind::Regex if !self.steps.is_empty() => "re takes no encodings",
            Kind::FieldRef(_) if self.field.is_none() => "fieldref needs a field",
            Kind::FieldRef(_) if !self.steps.is_empty() || self.cased || self.expand => {
                "fieldref takes a field's name as it is"
            }
            _ => return None,
        })
    }

    /// An error that names the key.
    pub fn wrong(&self, problem: &str) -> LowerError {
        LowerError::Modifier { field: self.key.clone(), problem: problem.to_owned() }
    }
}
