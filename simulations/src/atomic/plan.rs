//! Which tests run: those on the list of reviewed ones that this machine's executor can take, with their inputs filled.

use super::allowed::Allowed;
use super::definition::Test;
use super::inputs::{self, Unknown};
use super::spec::{ATOMICS, Prerequisite, Spec};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the executors of the list stand.
const SHELLS: [(&str, &str); 2] = [("sh", "/bin/sh"), ("bash", "/bin/bash")];

/// Why a reviewed test cannot run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Impossible {
    /// An executor of another machine.
    #[error("its executor `{0}` is none of sh and bash")]
    Executor(String),
    /// A command that cannot be filled.
    #[error("{0}")]
    Input(#[from] Unknown),
}

/// The test as its sandbox gets it. Prerequisites are made only where the review says that this is harmless.
///
/// # Errors
/// The executor is no shell, or a command names an unknown input.
pub fn plan(test: &Test, allowed: &Allowed, atomics: &Path, limit: Duration) -> Result<Spec, Impossible> {
    let shell = SHELLS.iter().find(|(name, _)| *name == test.executor.name);
    let (_, shell) = shell.ok_or_else(|| Impossible::Executor(test.executor.name.clone()))?;
    let fill = |command: &str| inputs::fill(test, command.trim_end(), Path::new(ATOMICS));
    let mut prerequisites = Vec::new();
    for dependency in &test.dependencies {
        let prepare = Some(&dependency.get_prereq_command).filter(|c| allowed.prepare && !c.trim().is_empty());
        prerequisites.push(Prerequisite {
            description: one_line(&dependency.description),
            check: fill(&dependency.prereq_command)?,
            prepare: prepare.map(|c| fill(c)).transpose()?,
        });
    }
    Ok(Spec {
        atomics: atomics.to_owned(),
        shell: PathBuf::from(shell),
        host: host(&test.guid),
        limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        prerequisites,
        command: fill(&test.executor.command)?,
        cleanup: test.executor.cleanup_command.as_deref().map(fill).transpose()?,
    })
}

/// The host name of a test's sandbox: no two tests share one, so that no rule that counts by host takes them together.
fn host(guid: &str) -> String {
    format!("sandbox-{}", guid.get(..8).unwrap_or(guid))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::definition::parse;
    use super::*;

    const TEST: &str = "attack_technique: T1\natomic_tests:\n- name: x\n  auto_generated_guid: 12345678-0000\n  input_arguments:\n    f: { default: PathToAtomicsFolder/f }\n  dependencies:\n  - description: |\n      f is\n      there\n    prereq_command: 'test -f #{f}'\n    get_prereq_command: 'touch #{f}'\n  executor: { name: sh, command: 'cat #{f}' }\n";

    fn allowed(prepare: bool) -> Allowed {
        let none = String::new;
        Allowed { technique: none(), guid: none(), digest: none(), reason: none(), prepare }
    }

    #[test]
    fn a_plan_has_its_inputs_and_only_harmless_preparations() {
        let test = &parse(TEST).unwrap()[0];
        let planned = |prepare| plan(test, &allowed(prepare), Path::new("/x"), Duration::from_secs(3)).unwrap();
        let spec = planned(true);
        assert_eq!(spec.command, format!("cat {ATOMICS}/f"));
        assert_eq!(
            (spec.shell.as_path(), spec.limit_ms, spec.host.as_str()),
            (Path::new("/bin/sh"), 3000, "sandbox-12345678")
        );
        assert_eq!(spec.prerequisites[0].description, "f is there");
        assert_eq!(spec.prerequisites[0].prepare.as_deref(), Some(&*format!("touch {ATOMICS}/f")));
        assert_eq!(planned(false).prerequisites[0].prepare, None);
    }

    #[test]
    fn another_machines_executor_is_refused() {
        let test = &parse(&TEST.replace("name: sh", "name: powershell")).unwrap()[0];
        let refused = plan(test, &allowed(true), Path::new("/x"), Duration::from_secs(3)).unwrap_err();
        assert_eq!(refused, Impossible::Executor("powershell".into()));
    }
}
