//! ATT&CK in tags: `attack.t1059.001`, `attack.execution`.

/// Enterprise tactics of ATT&CK v17: tag, id, name. `stealth` and `defense-impairment` are v19's names.
const TACTICS: &[(&str, &str, &str)] = &[
    ("reconnaissance", "TA0043", "Reconnaissance"),
    ("resource-development", "TA0042", "Resource Development"),
    ("initial-access", "TA0001", "Initial Access"),
    ("execution", "TA0002", "Execution"),
    ("persistence", "TA0003", "Persistence"),
    ("privilege-escalation", "TA0004", "Privilege Escalation"),
    ("defense-evasion", "TA0005", "Defense Evasion"),
    ("stealth", "TA0005", "Stealth"),
    ("defense-impairment", "TA0112", "Defense Impairment"),
    ("credential-access", "TA0006", "Credential Access"),
    ("discovery", "TA0007", "Discovery"),
    ("lateral-movement", "TA0008", "Lateral Movement"),
    ("collection", "TA0009", "Collection"),
    ("command-and-control", "TA0011", "Command and Control"),
    ("exfiltration", "TA0010", "Exfiltration"),
    ("impact", "TA0040", "Impact"),
];

/// A tactic: id and name.
pub type Tactic = (&'static str, &'static str);

/// What a rule's tags say of ATT&CK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttackTags {
    /// Technique and sub-technique ids, such as `T1059.001`.
    pub techniques: Vec<String>,
    /// Tactics.
    pub tactics: Vec<Tactic>,
}

/// Reads tags; others than ATT&CK's are left out.
pub fn tags(tags: &[String]) -> AttackTags {
    let mut out = AttackTags::default();
    for tag in tags {
        let Some(name) = tag.to_ascii_lowercase().strip_prefix("attack.").map(str::to_owned) else { continue };
        let tag = name.replace('_', "-");
        if let Some((_, id, caption)) = TACTICS.iter().find(|(t, _, _)| *t == tag) {
            out.tactics.push((id, caption));
        } else if is_technique(&name) {
            out.techniques.push(name.to_ascii_uppercase());
        }
    }
    out
}

fn is_technique(name: &str) -> bool {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    match name.strip_prefix('t').map(|rest| rest.split_once('.').map_or((rest, None), |(a, b)| (a, Some(b)))) {
        Some((technique, None)) => digits(technique, 4),
        Some((technique, Some(sub))) => digits(technique, 4) && digits(sub, 3),
        None => false,
    }
}
