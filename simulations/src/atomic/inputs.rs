//! Commands with their inputs filled in: `#{name}` by the argument's default, `PathToAtomicsFolder` by the folder's place.

use super::definition::Test;
use std::path::Path;

/// The folder's placeholder in commands and defaults; with a `$` before it, a variable of the shell.
const FOLDER: &str = "PathToAtomicsFolder";
/// A default may name another input; more rounds than this are a circle.
const ROUNDS_MAX: usize = 4;

/// An input that a command names and the test does not have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the command names an input `{0}` that the test does not have")]
pub struct Unknown(pub String);

/// The command, filled.
///
/// # Errors
/// The command names an input that the test does not have.
pub fn fill(test: &Test, command: &str, folder: &Path) -> Result<String, Unknown> {
    let mut filled = command.to_owned();
    for _ in 0..ROUNDS_MAX {
        for (name, value) in &test.inputs {
            filled = filled.replace(&format!("#{{{name}}}"), value);
        }
    }
    if let Some(name) = unfilled(&filled) {
        return Err(Unknown(name.to_owned()));
    }
    // `$PathToAtomicsFolder` is the shell's to fill: it is in the environment.
    let folder = folder.to_string_lossy();
    let mut out = String::with_capacity(filled.len());
    let mut rest = filled.as_str();
    while let Some(at) = rest.find(FOLDER) {
        let variable = rest[..at].ends_with('$') || rest[..at].ends_with("${");
        out.push_str(&rest[..at]);
        out.push_str(if variable { FOLDER } else { &folder });
        rest = &rest[at + FOLDER.len()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The first `#{name}` left; a shell's `${#name}` is another thing.
fn unfilled(command: &str) -> Option<&str> {
    command.split("#{").skip(1).find_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        (!name.is_empty() && name.chars().all(word)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::definition::parse;
    use super::*;

    fn filled(command: &str) -> Result<String, Unknown> {
        let test = "attack_technique: T1\natomic_tests:\n- name: x\n  executor: { name: sh }\n  input_arguments:\n    file: { default: 'PathToAtomicsFolder/T1/#{part}' }\n    part: { default: src/a b }\n";
        fill(&parse(test).unwrap()[0], command, Path::new("/atomics"))
    }

    #[test]
    fn inputs_and_the_folder_are_filled() {
        for (command, expected) in [
            ("cat '#{file}'", "cat '/atomics/T1/src/a b'"),
            ("sh $PathToAtomicsFolder/x; ls PathToAtomicsFolder", "sh $PathToAtomicsFolder/x; ls /atomics"),
            ("echo ${PathToAtomicsFolder}", "echo ${PathToAtomicsFolder}"),
            ("echo ${#HISTFILE[@]} #{part}", "echo ${#HISTFILE[@]} src/a b"),
        ] {
            assert_eq!(filled(command).as_deref(), Ok(expected));
        }
        assert_eq!(filled("echo #{nobody}"), Err(Unknown("nobody".into())));
    }
}
