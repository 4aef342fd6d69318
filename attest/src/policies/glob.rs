//! Patterns of images' names: `*` is any text within a part of the path, `**` any text.

/// A pattern.
#[derive(Clone, Debug)]
pub(super) struct Glob(regex_lite::Regex);

impl Glob {
    /// Reads one.
    ///
    /// **Errors**: an empty one, one with a tag or digest, or one that is too large.
    pub(super) fn read(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("a pattern of no characters matches nothing".to_owned());
        }
        let last = pattern.rsplit('/').next().unwrap_or(pattern);
        // A lone colon may be a registry's port, and a pattern of the registry alone matches no image.
        if pattern.contains('@') || last.contains(':') {
            return Err(format!("expected a name without tag and digest, got {pattern:?}"));
        }
        let parts = pattern.split("**").map(|part| {
            let literals = part.split('*').map(regex_lite::escape);
            literals.collect::<Vec<_>>().join("[^/]*")
        });
        let regex = format!("^(?s:{})$", parts.collect::<Vec<_>>().join(".*"));
        regex_lite::Regex::new(&regex).map(Self).map_err(|e| format!("{pattern:?}: {e}"))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}
