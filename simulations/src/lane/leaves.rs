//! The scalars of a JSON text, where they stand in it. The text is known to be valid; nothing is unescaped or copied.

use std::ops::Range;

/// Gives every string (what is between its quotes) and number of a valid JSON text to `see`, with the path of its member:
/// names as they are spelled, set apart by dots, `[]` for the elements of an array. **Bounds**: what is nested deeper than
/// 128 levels is passed over.
pub fn leaves(json: &str, see: &mut impl FnMut(&str, Range<usize>, Scalar)) {
    Walk { json: json.as_bytes(), at: 0, depth: 0, path: String::new(), text: json, see }.value();
}

const DEPTH_MAX: usize = 128;

/// What a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string, without its quotes.
    Text,
    /// A number.
    Number,
    /// `true`, `false` or `null`.
    Word,
}

struct Walk<'a, F> {
    text: &'a str,
    json: &'a [u8],
    at: usize,
    depth: usize,
    path: String,
    see: &'a mut F,
}

impl<F: FnMut(&str, Range<usize>, Scalar)> Walk<'_, F> {
    fn value(&mut self) {
        match self.peek() {
            Some(b'{' | b'[') if self.depth == DEPTH_MAX => self.pass_over(),
            Some(open @ (b'{' | b'[')) => {
                self.depth += 1;
                if open == b'{' {
                    self.object()
                } else {
                    self.array()
                }
                self.depth -= 1;
            }
            Some(b'"') => {
                let inside = self.string();
                (self.see)(&self.path, inside, Scalar::Text);
            }
            Some(first) => {
                let start = self.at;
                while self.json.get(self.at).is_some_and(|b| !matches!(b, b',' | b'}' | b']' | b' ' | b'\t'..=b'\r')) {
                    self.at += 1;
                }
                let scalar = if first.is_ascii_alphabetic() { Scalar::Word } else { Scalar::Number };
                (self.see)(&self.path, start..self.at, scalar);
            }
            None => {}
        }
    }

    fn object(&mut self) {
        self.at += 1;
        while self.peek().is_some_and(|b| b != b'}') {
            let name = self.string();
            self.peek();
            self.at += 1;
            let outer = self.path.len();
            if outer > 0 {
                self.path.push('.');
            }
            self.path.push_str(&self.text[name]);
            self.value();
            self.path.truncate(outer);
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn array(&mut self) {
        self.at += 1;
        let outer = self.path.len();
        self.path.push_str("[]");
        while self.peek().is_some_and(|b| b != b']') {
            self.value();
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
        self.path.truncate(outer);
        self.at += 1;
    }

    /// Over an object or an array.
    fn pass_over(&mut self) {
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// Over a string; what is between its quotes.
    fn string(&mut self) -> Range<usize> {
        self.peek();
        let start = self.at + 1;
        self.at = start;
        while let Some(byte) = self.json.get(self.at).filter(|b| **b != b'"') {
            self.at += if *byte == b'\\' { 2 } else { 1 };
        }
        let end = self.at.min(self.json.len());
        self.at += 1;
        start..end
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        while self.json.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_passed_over() {
        let deep = format!(r#"{{"a":{}"]"{},"b":1}}"#, "[{\"c\":".repeat(100_000), "}]".repeat(100_000));
        let mut seen = Vec::new();
        leaves(&deep, &mut |path, at, _| seen.push((path.to_owned(), deep[at].to_owned())));
        assert_eq!(seen, [("b".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn scalars_have_their_members_paths() {
        let json = r#" {"a" : "x\"y", "b":{"c":[1, {"d":null},[]], "e\\":-2.5e3}, "f":{} , "g":true} "#;
        let mut seen = Vec::new();
        leaves(json, &mut |path, at, scalar| seen.push((path.to_owned(), &json[at], scalar)));
        let expected = [
            ("a", r#"x\"y"#, Scalar::Text),
            ("b.c[]", "1", Scalar::Number),
            ("b.c[].d", "null", Scalar::Word),
            (r"b.e\\", "-2.5e3", Scalar::Number),
            ("g", "true", Scalar::Word),
        ];
        assert_eq!(seen, expected.map(|(path, text, scalar)| (path.to_owned(), text, scalar)));
    }
}
