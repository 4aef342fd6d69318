//! Names that a sender may have meant.

/// Names that are told at most.
const NAMES_MAX: usize = 3;
/// A longer name is not compared.
const LENGTH_MAX: usize = 64;

/// The known names that are nearest to `name`: a few letters apart, or one within the other.
pub fn names<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    if name.len() > LENGTH_MAX {
        return Vec::new();
    }
    let wanted = name.to_lowercase().replace(['-', '.', ' '], "_");
    let near = |known: &'a str| {
        let apart = distance(wanted.as_bytes(), known.as_bytes());
        let within = wanted.len() >= 3 && (known.contains(&wanted) || wanted.contains(known));
        (apart <= 1 + known.len() / 4 || within).then_some((apart, known))
    };
    let mut found: Vec<_> = known.filter_map(near).collect();
    found.sort_unstable();
    found.into_iter().take(NAMES_MAX).map(|(_, known)| known).collect()
}

/// How many bytes have to be added, left out or changed.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cheapest = (before + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            before = std::mem::replace(&mut row[j + 1], cheapest);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["windows", "aws_cloudtrail", "kubernetes", "linux_auditd", "json"];
        let close = |name| names(name, known.into_iter());
        assert_eq!(close("cloudtrail"), ["aws_cloudtrail"]);
        assert_eq!(close("AWS-Cloudtrial"), ["aws_cloudtrail"]);
        assert_eq!(close("window"), ["windows"]);
        assert_eq!(close("auditd"), ["linux_auditd"]);
        assert!(close("okta").is_empty() && close("").is_empty() && close(&"x".repeat(1000)).is_empty());
    }
}
