//! Our own rules, as they stand in the binary: `rules/sigma/`, by log source, without their test events.

use crate::load::{LoadOptions, Ruleset, is_rule, load_texts};
use include_dir::{Dir, include_dir};
use std::path::Path;

static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sigma");

/// The pack's rules; a test rules out errors among them.
pub fn pack() -> Ruleset {
    let mut texts: Vec<(&Path, &str)> = Vec::new();
    let mut folders = vec![&FOLDER];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        let rules = folder.files().filter(|f| is_rule(f.path()));
        texts.extend(rules.filter_map(|f| Some((f.path(), f.contents_utf8()?))));
    }
    texts.sort();
    load_texts(&texts, &LoadOptions::default())
}
