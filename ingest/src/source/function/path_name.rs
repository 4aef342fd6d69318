//! The name that OCSF asks for beside every path.

use super::Made;

/// The last part of a path that is not empty; a path without one is its own name.
pub fn path_name(texts: &[&str]) -> Made {
    let Some(path) = texts.first().copied().filter(|p| !p.is_empty()) else { return Made::Nothing };
    let name = path.rsplit(['\\', '/']).find(|part| !part.is_empty());
    Made::Text(name.unwrap_or(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_name() {
        for (path, name) in [(r"C:\Windows\cmd.exe", "cmd.exe"), (r"\Device\Disk\", "Disk"), ("-", "-"), (r"\", r"\")] {
            assert_eq!(path_name(&[path]), Made::Text(name.into()), "{path}");
        }
        assert_eq!(path_name(&[""]), Made::Nothing);
    }
}
