//! ATT&CK ids: when two of them mean the same. Rules and tables of different years name one behaviour by different ids.

use std::borrow::Cow;
use tarn_rules::attack::replaced_by;

/// The id as ATT&CK has it now.
pub fn current(id: &str) -> Cow<'_, str> {
    replaced_by(id).map_or(Cow::Borrowed(id), Cow::Owned)
}

/// Whether two ids are the same technique, or one is the other's parent. Two sub-techniques of one parent are not the same.
pub fn same(a: &str, b: &str) -> bool {
    let below = |child: &str, parent: &str| child.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'));
    let (a, b) = (current(a), current(b));
    a == b || below(&a, &b) || below(&b, &a)
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
