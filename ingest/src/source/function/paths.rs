//! Parts of file paths, of either system.

use super::Made;

fn split(path: &str) -> Option<(&str, &str)> {
    path.rfind(['\\', '/']).map(|i| (&path[..i], &path[i + 1..]))
}

/// The last part of a path.
pub fn basename(texts: &[&str]) -> Made {
    let Some(path) = texts.iter().find(|t| !t.is_empty()) else { return Made::Nothing };
    let name = split(path).map_or(*path, |(_, name)| name);
    if name.is_empty() { Made::Nothing } else { Made::Text(name.to_owned()) }
}

/// The folder of a path.
pub fn dirname(texts: &[&str]) -> Made {
    texts
        .iter()
        .find_map(|t| split(t))
        .filter(|(folder, _)| !folder.is_empty())
        .map_or(Made::Nothing, |(f, _)| Made::Text(f.to_owned()))
}
