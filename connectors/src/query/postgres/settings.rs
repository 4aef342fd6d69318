//! Settings of a connection: what `SET` changes, `SHOW` and `current_setting` answer, and clients are told at the start.

use std::collections::BTreeMap;

/// PostgreSQL's version, as far as clients ask for it to choose their questions.
pub const SERVER_VERSION: &str = "15.0";
/// Settings of a connection, and the bytes of one.
const SETTINGS_MAX: usize = 64;
const BYTES_MAX: usize = 1024;

/// What a setting is until it is set.
const DEFAULTS: [(&str, &str); 22] = [
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, MDY"),
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_read_only", "on"),
    ("extra_float_digits", "1"),
    ("in_hot_standby", "on"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("is_superuser", "off"),
    ("max_identifier_length", "63"),
    ("search_path", "public"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("server_version_num", "150000"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("timezone", "UTC"),
    ("transaction_isolation", "repeatable read"),
    ("transaction_read_only", "on"),
];

/// What the server tells its clients of, in their spelling ("ParameterStatus" in the manual's section 55.2.7).
pub const REPORTED: [&str; 11] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "server_encoding",
    "server_version",
    "standard_conforming_strings",
    "TimeZone",
];

/// Of one connection.
#[derive(Debug, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// A setting's value; names have no case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        let set = self.0.get(&name).map(String::as_str);
        set.or_else(|| default(&name))
    }

    /// Sets it for this connection; `None` gives it its default again. `false` when there are too many, or too long ones.
    pub fn set(&mut self, name: &str, value: Option<String>) -> bool {
        let name = name.to_ascii_lowercase();
        let Some(value) = value else {
            self.0.remove(&name);
            return true;
        };
        let fits = name.len() + value.len() <= BYTES_MAX && (self.0.len() < SETTINGS_MAX || self.0.contains_key(&name));
        if fits {
            self.0.insert(name, value);
        }
        fits
    }

    /// All of them as at the start.
    pub fn reset(&mut self) {
        self.0.clear();
    }
}

/// What a setting is until it is set; its name in lower case.
pub fn default(name: &str) -> Option<&'static str> {
    DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}
