//! ATT&CK and ATLAS in tags: `attack.t1059.001`, `attack.execution`, `atlas.aml.t0051`; which ids there are, and which
//! replaced which.

mod table;

pub use table::VERSION;

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
        if let Some(tactic) = tactic(&name) {
            out.tactics.push(tactic);
        } else if is_technique(&name) {
            out.techniques.push(name.to_ascii_uppercase());
        }
    }
    out
}

/// The tactic of a tag without its `attack.`; Defense Evasion is what v18 and before called Stealth.
pub fn tactic(tag: &str) -> Option<Tactic> {
    let tag = tag.replace('_', "-");
    if tag == "defense-evasion" {
        return Some(("TA0005", "Defense Evasion"));
    }
    table::TACTICS.iter().find(|(_, t, _, _)| *t == tag).map(|(_, _, id, name)| (*id, *name))
}

/// The tactics of ATT&CK Enterprise, in the order of its matrix.
pub fn tactics() -> impl Iterator<Item = Tactic> {
    table::TACTICS.iter().map(|(_, _, id, name)| (*id, *name))
}

/// The tactics of a technique or sub-technique that is in ATT&CK Enterprise now, as far as we know it.
pub fn tactics_of(id: &str) -> Option<Vec<Tactic>> {
    let (technique, sub) = id.strip_prefix('T')?.split_once('.').map_or((&id[1..], None), |(t, s)| (t, Some(s)));
    let row =
        rows(table::TECHNIQUES).find(|row| row.starts_with(technique) && row[technique.len()..].starts_with(' '))?;
    let mut cells = row.split(' ').skip(1);
    let (short, subs) = (cells.next()?, cells.next().unwrap_or_default());
    if let Some(sub) = sub {
        let n: u16 = sub.parse().ok().filter(|_| sub.len() == 3)?;
        let holds = |range: &str| {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            from.parse().is_ok_and(|from: u16| from <= n) && to.parse().is_ok_and(|to: u16| n <= to)
        };
        subs.split(',').find(|range| holds(range))?;
    }
    let named =
        |short: &str| table::TACTICS.iter().find(|(s, _, _, _)| *s == short).map(|(_, _, id, name)| (*id, *name));
    Some(short.split('+').filter_map(named).collect())
}

/// What replaced an id that ATT&CK revoked.
pub fn replaced_by(id: &str) -> Option<String> {
    let old = id.strip_prefix('T')?;
    let row = rows(table::REVOKED).find_map(|row| row.strip_prefix(old)?.strip_prefix(' '))?;
    Some(format!("T{row}"))
}

/// Every technique of ATT&CK Enterprise, without sub-techniques.
pub fn techniques() -> impl Iterator<Item = String> {
    rows(table::TECHNIQUES).filter_map(|row| Some(format!("T{}", row.split(' ').next()?)))
}

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.split(';').map(str::trim)
}

/// The ATLAS technique of a tag, such as `AML.T0051.000`.
pub fn atlas(tag: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let id = lower.strip_prefix("atlas.")?.strip_prefix("aml.").filter(|id| is_technique(id))?;
    Some(format!("AML.{}", id.to_ascii_uppercase()))
}

/// Whether a text has the form of a technique's id in a tag.
pub fn is_technique(name: &str) -> bool {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    match name.strip_prefix('t').map(|rest| rest.split_once('.').map_or((rest, None), |(a, b)| (a, Some(b)))) {
        Some((technique, None)) => digits(technique, 4),
        Some((technique, Some(sub))) => digits(technique, 4) && digits(sub, 3),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_are_known_with_their_tactics() {
        let names = |id: &str| tactics_of(id).unwrap().iter().map(|(_, name)| *name).collect::<Vec<_>>();
        assert_eq!(names("T1059.013"), ["Execution"]);
        assert_eq!(names("T1078.004"), ["Initial Access", "Persistence", "Privilege Escalation", "Stealth"]);
        assert_eq!(names("T1685.002"), ["Defense Impairment"]);
        for unknown in ["T1059.014", "T1562.001", "T1059.1", "T105", "T0800", "T"] {
            assert_eq!(tactics_of(unknown), None, "{unknown}");
        }
        assert_eq!(techniques().count(), 222);
    }

    #[test]
    fn what_is_revoked_is_replaced_by_what_is_there() {
        assert_eq!(replaced_by("T1562.008").unwrap(), "T1685.002");
        assert_eq!(replaced_by("T1059"), None);
        for row in rows(table::REVOKED) {
            let (old, new) = row.split_once(' ').unwrap();
            assert!(tactics_of(&format!("T{old}")).is_none() && tactics_of(&format!("T{new}")).is_some(), "{row}");
        }
        for row in rows(table::TECHNIQUES) {
            let id = format!("T{}", row.split(' ').next().unwrap());
            let short = row.split(' ').nth(1).unwrap();
            assert_eq!(tactics_of(&id).unwrap().len(), short.split('+').count(), "{row}");
        }
    }

    #[test]
    fn atlas_has_ids_of_its_own() {
        assert_eq!(atlas("atlas.aml.t0051.000").unwrap(), "AML.T0051.000");
        assert_eq!(atlas("attack.t1059"), None);
        assert_eq!(atlas("atlas.aml.t51"), None);
    }
}
