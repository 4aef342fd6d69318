//! A JSON object's text, written member by member by decoders of lines and functions of shapes.

use crate::json::{Members, push_string, unescape};

/// An object that grows.
pub struct Object(String);

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    /// An object with the members of another, but for the named ones.
    pub fn of(json: &str, except: &[&str]) -> Self {
        let mut object = Self::new();
        for (key, value) in Members::of(json).filter(|(key, _)| !except.contains(key)) {
            object.raw(&unescape(key), value);
        }
        object
    }

    /// Adds a value by its JSON text.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.push_str(json);
    }

    /// Adds a text.
    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        push_string(&mut self.0, value);
    }

    /// Adds a whole number where the text is one as JSON writes it, else the text.
    pub fn number(&mut self, key: &str, value: &str) {
        let digits = (1..=18).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
        if !digits || (value.len() > 1 && value.starts_with('0')) {
            return self.text(key, value);
        }
        self.key(key);
        self.0.push_str(value);
    }

    /// Its text.
    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_string(&mut self.0, key);
        self.0.push(':');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_json_does() {
        let mut object = Object::new();
        for (key, value) in
            [("a", "0"), ("b", "443"), ("c", "007"), ("d", "1234567890123456789"), ("e", "-"), ("f", "")]
        {
            object.number(key, value);
        }
        assert_eq!(object.finish(), r#"{"a":0,"b":443,"c":"007","d":"1234567890123456789","e":"-","f":""}"#);
    }
}
