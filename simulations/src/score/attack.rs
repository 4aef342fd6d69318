//! ATT&CK ids: when two of them mean the same.
//!
//! Source: ATT&CK for Enterprise; v19 split Impair Defenses (T1562) and moved what clears logs there, so rules and tables
//! of different years name one behaviour by different ids.

/// Revoked ids, and what replaced them.
const REVOKED: &[(&str, &str)] = &[
    ("T1070.001", "T1685.005"),
    ("T1070.002", "T1685.006"),
    ("T1562", "T1685"),
    ("T1562.001", "T1685"),
    ("T1562.002", "T1685.001"),
    ("T1562.003", "T1690"),
    ("T1562.004", "T1686"),
    ("T1562.007", "T1686.001"),
    ("T1562.008", "T1685.002"),
    ("T1562.010", "T1689"),
    ("T1562.012", "T1685.004"),
];

/// The id as ATT&CK has it now.
pub fn current(id: &str) -> &str {
    REVOKED.iter().find(|(old, _)| *old == id).map_or(id, |(_, new)| new)
}

/// Whether two ids are the same technique, or one is the other's parent. Two sub-techniques of one parent are not the same.
pub fn same(a: &str, b: &str) -> bool {
    let below = |child: &str, parent: &str| child.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'));
    let (a, b) = (current(a), current(b));
    a == b || below(a, b) || below(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_children_and_what_replaced_them_are_the_same() {
        for (a, b) in
            [("T1059", "T1059.001"), ("T1059.001", "T1059"), ("T1562.008", "T1685.002"), ("T1562", "T1685.002")]
        {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [("T1059.001", "T1059.003"), ("T1059", "T1053"), ("T105", "T1059"), ("T1562.008", "T1685.001")] {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
