//! Patterns of routes: `*` is any text, `?` one character, letters match in either case.

/// A pattern. Matching takes time in proportion to pattern times text, and no memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl Glob {
    /// Of its text. Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.chars().flat_map(char::to_lowercase).collect())
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
        let (mut at, mut of_text) = (0, 0);
        // The last `*`, and how much of the text it has taken: the only place to go back to.
        let mut star: Option<(usize, usize)> = None;
        while of_text < text.len() {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, of_text));
                    at += 1;
                }
                Some(c) if *c == '?' || *c == text[of_text] => {
                    at += 1;
                    of_text += 1;
                }
                _ => {
                    let Some((back, taken)) = &mut star else { return false };
                    *taken += 1;
                    (at, of_text) = (*back + 1, *taken);
                }
            }
        }
        self.0[at..].iter().all(|c| *c == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("*", ""),
            ("Mimikatz*", "mimikatz use"),
            ("*cred*dump*", "LSASS Credential Dumping"),
            ("attack.t1059*", "attack.t1059.001"),
            ("10.0.?.7", "10.0.3.7"),
            ("a*b*c", "aXbXbc"),
            ("", ""),
        ] {
            assert!(Glob::new(pattern).matches(text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("", "a"), ("*x", "xy"), ("10.0.?.7", "10.0.33.7"), ("a*b", "abc")] {
            assert!(!Glob::new(pattern).matches(text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_end() {
        assert!(!Glob::new(&"*a".repeat(50)).matches(&"a".repeat(49)));
        assert!(!Glob::new(&format!("{}b", "*a".repeat(200))).matches(&"a".repeat(4_000)));
    }
}
