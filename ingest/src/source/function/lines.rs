//! A list of texts as one text.

use super::Made;
use crate::json::{Members, text};

/// The elements of a JSON array, a line each; another value as it is.
pub fn lines(texts: &[&str]) -> Made {
    let Some(value) = texts.first().filter(|t| !t.is_empty()) else { return Made::Nothing };
    if !value.starts_with('[') {
        return Made::Text((*value).to_owned());
    }
    let elements: Vec<String> = Members::of(value).map(|(_, v)| text(v).into_owned()).collect();
    Made::Text(elements.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_lines() {
        assert_eq!(lines(&[r#"["a","b"]"#]), Made::Text("a\nb".into()));
        assert_eq!(lines(&["a"]), Made::Text("a".into()));
    }
}
