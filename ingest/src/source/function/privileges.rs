//! `PrivilegeList`: names parted by white space.

use super::Made;

/// Each name. The placeholder `-` is one, for OCSF's classes ask for at least one privilege.
pub fn privileges(texts: &[&str]) -> Made {
    let names: Vec<String> = texts.iter().flat_map(|t| t.split_whitespace()).map(str::to_owned).collect();
    if names.is_empty() { Made::Nothing } else { Made::Texts(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_apart() {
        assert_eq!(
            privileges(&["SeDebugPrivilege\r\n\t\t\tSeTcbPrivilege"]),
            Made::Texts(vec!["SeDebugPrivilege".into(), "SeTcbPrivilege".into()])
        );
    }
}
