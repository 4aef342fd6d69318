//! Reading: a variable `TARN_SERVE__LISTEN__HTTP` stands for the key `listen.http`; its value is TOML where that parses,
//! else a text. Unknown keys are errors.

use super::Config;
use crate::command::Usage;
use serde::Deserialize;
use std::path::Path;

/// What variables begin with.
const PREFIX: &str = "TARN_SERVE__";

impl Config {
    /// Reads a file, and the environment over it.
    ///
    /// **Errors**: [`Usage`], which names the file, and the key or the place in it.
    pub fn read(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let (name, text) = match path {
            None => ("the environment".to_owned(), String::new()),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|e| Usage(format!("{name}: {e}")))?;
                (name, text)
            }
        };
        Self::parse(&name, &text, environment)
    }

    pub(super) fn parse(
        name: &str,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Usage(format!("{name}: {}", e.to_string().trim_end()));
        let mut table: toml::Table = text.parse().map_err(|e| wrong(&e))?;
        let mut changed = false;
        for (variable, value) in environment {
            let Some(keys) = variable.strip_prefix(PREFIX) else { continue };
            let keys = keys.to_lowercase();
            set(&mut table, &keys.split("__").collect::<Vec<_>>(), value)
                .map_err(|key| wrong(&format!("{variable}: {key} is no table")))?;
            changed = true;
        }
        for key in ["lake", "state"] {
            if !table.contains_key(key) {
                let upper = key.to_uppercase();
                return Err(wrong(&format!("{key} is not given: as --{key}, as a key, or as {PREFIX}{upper}")).into());
            }
        }
        // The text itself knows lines; what the environment changed only knows keys.
        let parsed = if changed { Self::deserialize(table) } else { toml::from_str(text) };
        let config: Self = parsed.map_err(|e| wrong(&e))?;
        config.check().map_err(|e| wrong(&e))?;
        Ok(config)
    }
}

/// Sets a key; the error is the key that stands in the way.
fn set(table: &mut toml::Table, keys: &[&str], value: String) -> Result<(), String> {
    match keys {
        [] => Ok(()),
        [key] => {
            let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
            table.insert((*key).to_owned(), parsed.unwrap_or(toml::Value::String(value)));
            Ok(())
        }
        [key, rest @ ..] => {
            let inner = table.entry((*key).to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            set(inner.as_table_mut().ok_or_else(|| (*key).to_owned())?, rest, value)
        }
    }
}
