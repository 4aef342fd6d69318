//! Bodies of webhooks from a minijinja template, within bounds of work and of size.
//!
//! A template of a JSON body writes every value as JSON, quotes included: what an event says cannot leave its place.
//! Unknown names are errors. There are no files to include and nothing to call but minijinja's own filters.

use super::message::Message;
use super::registry::Unrenderable;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use std::io::{self, Write};

/// Instructions of one rendering.
const FUEL: u64 = 200_000;
/// Bytes of a template's source.
pub(super) const SOURCE_BYTES_MAX: usize = 64 * 1024;

/// A compiled template.
#[derive(Debug)]
pub struct Template(Environment<'static>);

/// The only template's name.
const NAME: &str = "body";

impl Template {
    /// Compiles; `json` says whether values are written as JSON, or as they are.
    ///
    /// **Errors**: minijinja's, with the line.
    pub fn compile(source: String, json: bool) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let escape = if json { AutoEscape::Json } else { AutoEscape::None };
        environment.set_auto_escape_callback(move |_| escape);
        environment.add_template_owned(NAME, source)?;
        Ok(Self(environment))
    }

    /// Renders a message: its fields are the template's variables.
    ///
    /// **Errors**: the template's own, out of fuel among them; a body of more than `bytes_max`.
    pub fn render(&self, message: &Message, bytes_max: usize) -> Result<Vec<u8>, Unrenderable> {
        let mut out = Bounded { bytes: Vec::new(), bytes_max, full: false };
        let template = self.0.get_template(NAME).map_err(Unrenderable::Template)?;
        // Through JSON, because a finding is kept as raw JSON text, which only serde_json understands.
        let variables = serde_json::to_value(message)?;
        let rendered = template.render_captured_to(variables, &mut out).map(drop);
        match rendered {
            Ok(()) => Ok(out.bytes),
            Err(_) if out.full => Err(Unrenderable::TooLarge { bytes_max }),
            Err(error) => Err(Unrenderable::Template(error)),
        }
    }
}

struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > self.bytes_max {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
