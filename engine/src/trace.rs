//! Why a rule did or did not fire on an event: its condition, part by part, as the matcher evaluated it.

use std::fmt::{self, Write};
use tarn_ingest::fields::FieldValue;
use tarn_rules::Item;

/// A rule's evaluation on one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The source of the event.
    pub source: String,
    /// The kind that the event is, by the source's mapping.
    pub kind: String,
    /// The log sources that the event belongs to.
    pub logsources: Vec<String>,
    /// The condition; none where the event is not of the rule's log source.
    pub condition: Option<Step>,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Whether it holds.
    pub holds: bool,
    /// What it is.
    pub part: Part,
}

/// What a part of a condition is.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// All of these.
    And(Vec<Step>),
    /// One of these.
    Or(Vec<Step>),
    /// Not this.
    Not(Box<Step>),
    /// A test, and what the event has in its fields (none: the field is absent).
    Item(Item, Vec<(String, Option<FieldValue>)>),
}

impl Trace {
    /// Whether the rule fires.
    pub fn fires(&self) -> bool {
        self.condition.as_ref().is_some_and(|step| step.holds)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "event of source {}, kind {}", self.source, self.kind)?;
        writeln!(f, "log sources {}", self.logsources.join("; "))?;
        match &self.condition {
            None => writeln!(f, "does not fire: the event is not of the rule's log source"),
            Some(step) => {
                writeln!(f, "{}", if step.holds { "fires" } else { "does not fire" })?;
                step.write(f, 1)
            }
        }
    }
}

impl Step {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let mark = if self.holds { "yes" } else { "no " };
        write!(f, "{:indent$}{mark} ", "", indent = 2 * depth)?;
        match &self.part {
            Part::And(steps) | Part::Or(steps) => {
                f.write_str(if matches!(self.part, Part::And(_)) { "all of\n" } else { "one of\n" })?;
                steps.iter().try_for_each(|step| step.write(f, depth + 1))
            }
            Part::Not(step) => {
                f.write_str("not\n")?;
                step.write(f, depth + 1)
            }
            Part::Item(item, values) => {
                write!(f, "{item}")?;
                for (field, value) in values {
                    let mut shown = String::new();
                    match value {
                        None => shown.push_str("absent"),
                        Some(value) => show(value, &mut shown),
                    }
                    write!(f, "    [{field}: {shown}]")?;
                }
                f.write_char('\n')
            }
        }
    }
}

/// Longest text of a value that is shown, bytes.
const SHOWN_MAX: usize = 400;

fn show(value: &FieldValue, out: &mut String) {
    match value {
        FieldValue::Null => out.push_str("null"),
        FieldValue::Text(text) if text.len() > SHOWN_MAX => {
            let end = text.floor_char_boundary(SHOWN_MAX);
            let _ = write!(out, "{:?} and {} bytes more", &text[..end], text.len() - end);
        }
        FieldValue::Text(text) => {
            let _ = write!(out, "{text:?}");
        }
        FieldValue::List(values) => {
            out.push('(');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                if out.len() > SHOWN_MAX {
                    let _ = write!(out, "and {} more", values.len() - i);
                    break;
                }
                show(value, out);
            }
            out.push(')');
        }
    }
}
