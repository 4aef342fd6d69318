//! Tests of a record's members: which source it is of, and which of the source's shapes it has.

use super::definition::OneOrMany;
use crate::json;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use thiserror::Error;

/// A form that no text can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FormError {
    /// It is a text like any other.
    #[error("a form without #: expected equals for a text")]
    NoDigits,
    /// Where one ends and the other begins is not said.
    #[error("a form with # beside another # or a digit")]
    Adjacent,
}

/// A text's form: `#` stands for one or more digits, everything else for itself, in upper or lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Digits,
    Text(String),
}

impl Form {
    /// Reads a form.
    ///
    /// **Errors**: [`FormError`].
    pub fn parse(form: &str) -> Result<Self, FormError> {
        let texts: Vec<&str> = form.split('#').collect();
        let last = texts.len() - 1;
        if last == 0 {
            return Err(FormError::NoDigits);
        }
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let mut parts = Vec::new();
        for (i, text) in texts.into_iter().enumerate() {
            let (follows, precedes) = (i > 0, i < last);
            let between = follows && precedes && text.is_empty();
            let beside = follows && digit(text.chars().next()) || precedes && digit(text.chars().next_back());
            if between || beside {
                return Err(FormError::Adjacent);
            }
            if follows {
                parts.push(Part::Digits);
            }
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
        }
        Ok(Self(parts))
    }

    /// Whether a text has the form.
    pub fn fits(&self, text: &str) -> bool {
        let rest = self.0.iter().try_fold(text, |rest, part| match part {
            Part::Digits => {
                let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                (after.len() < rest.len()).then_some(after)
            }
            Part::Text(own) => {
                let (start, after) = rest.split_at_checked(own.len())?;
                start.eq_ignore_ascii_case(own).then_some(after)
            }
        });
        rest == Some("")
    }
}

/// What members a record has to have; all of it has to hold.
#[derive(Debug)]
pub struct Recognition {
    /// Paths of members that are there, null or not.
    has: Vec<String>,
    /// Paths of members of which one is there; empty asks for none.
    any: Vec<String>,
    /// Paths of members that are one of some texts.
    equals: Vec<(String, Vec<String>)>,
    /// Paths of members whose text has one of some forms.
    like: Vec<(String, Vec<Form>)>,
}

impl Recognition {
    /// Compiles a mapping's test.
    ///
    /// **Errors**: the form that is none, and why.
    pub fn new(
        has: &[String],
        any: &[String],
        equals: &BTreeMap<String, OneOrMany>,
        like: &BTreeMap<String, OneOrMany>,
    ) -> Result<Self, (String, FormError)> {
        let forms = |(path, forms): (&String, &OneOrMany)| {
            let parse = |form: String| Form::parse(&form).map_err(|error| (form, error));
            Ok((path.clone(), forms.texts().into_iter().map(parse).collect::<Result<_, _>>()?))
        };
        Ok(Self {
            has: has.to_vec(),
            any: any.to_vec(),
            equals: equals.iter().map(|(path, texts)| (path.clone(), texts.texts())).collect(),
            like: like.iter().map(forms).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a record is meant.
    pub fn holds(&self, record: &Record<'_, '_>) -> bool {
        self.has.iter().all(|path| record.value(path).is_some())
            && (self.any.is_empty() || self.any.iter().any(|path| record.value(path).is_some()))
            && self.equals.iter().all(|(path, texts)| {
                record.text(path).is_some_and(|t| texts.iter().any(|own| t.eq_ignore_ascii_case(own)))
            })
            && self
                .like
                .iter()
                .all(|(path, forms)| record.text(path).is_some_and(|t| forms.iter().any(|form| form.fits(&t))))
    }
}

/// A record's members, and whether more than their keys was looked at.
pub struct Record<'a, 'm> {
    members: &'m [(&'a str, &'a str)],
    values: Cell<bool>,
}

impl<'a, 'm> Record<'a, 'm> {
    /// A record with these members.
    pub fn new(members: &'m [(&'a str, &'a str)]) -> Self {
        Self { members, values: Cell::new(false) }
    }

    /// Whether what was found out so far holds for every record with the same keys.
    pub fn by_keys(&self) -> bool {
        !self.values.get()
    }

    fn member(&self, key: &str) -> Option<&'a str> {
        self.members.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    /// What is at a path: nested, or as one dotted key.
    fn value(&self, path: &str) -> Option<&'a str> {
        self.member(path).or_else(|| {
            let (head, rest) = path.split_once('.')?;
            let head = self.member(head)?;
            self.values.set(true);
            json::at(head, rest)
        })
    }

    fn text(&self, path: &str) -> Option<Cow<'a, str>> {
        let value = self.value(path)?;
        self.values.set(true);
        Some(json::text(value))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn forms_are_whole_texts() {
        let id = Form::parse("#.#:#").unwrap();
        assert!(id.fits("1773743400.123:42") && id.fits("1.2:3"));
        for other in ["", "1773743400.123", "1.2:", ".2:3", "1.2:3 ", "a1.2:3", "1.2:3:4", "1,2:3", "١.2:3"] {
            assert!(!id.fits(other), "{other}");
        }
        assert!(Form::parse("Év-#x").unwrap().fits("Év-007X"));
        assert!(!Form::parse("Év-#x").unwrap().fits("É"));
    }

    #[test]
    fn forms_that_say_nothing_are_errors() {
        for (form, error) in [
            ("", FormError::NoDigits),
            ("abc", FormError::NoDigits),
            ("##", FormError::Adjacent),
            ("a#1", FormError::Adjacent),
            ("1#", FormError::Adjacent),
        ] {
            assert_eq!(Form::parse(form), Err(error), "{form}");
        }
        assert!(Form::parse("#").is_ok() && Form::parse("a1-#.b").is_ok());
    }
}
