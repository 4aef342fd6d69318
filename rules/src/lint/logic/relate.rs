//! What one test of a value says about another test of the same field.

use crate::expr::{Compare, Number, Part, Pattern, Test, fold};
use std::borrow::Cow;
use std::net::IpAddr;

/// Whether every value that `a` holds for is one that `b` holds for. Of a list as well: the same element does both.
pub fn implies(a: &Test, b: &Test) -> bool {
    match (a, b) {
        _ if a == b => true,
        (Test::Text { .. } | Test::Regex(_) | Test::Cidr(_) | Test::Number(..) | Test::Time(..), Test::Exists) => true,
        (Test::Text { pattern: p, cased }, Test::Text { pattern: q, cased: also }) => match (cased, also) {
            (false, true) => *q == Pattern::Any,
            (true, false) => within(&folded(p), q),
            _ => within(p, q),
        },
        (Test::Number(c, n), Test::Number(d, m)) => number_implies((*c, *n), (*d, *m)),
        (Test::Cidr(a), Test::Cidr(b)) => b.contains(a),
        _ => false,
    }
}

/// Whether no single value is one that both hold for; a list may still have an element for each.
pub fn excludes(a: &Test, b: &Test) -> bool {
    match (a, b) {
        (Test::Text { pattern: p, .. }, Test::Text { pattern: q, .. }) => apart(&folded(p), &folded(q)),
        (Test::Text { .. } | Test::Regex(_) | Test::Cidr(_) | Test::Number(..), Test::Null) => true,
        (Test::Null, Test::Text { .. } | Test::Regex(_) | Test::Cidr(_) | Test::Number(..)) => true,
        (Test::Number(c, n), Test::Number(d, m)) => number_excludes((*c, *n), (*d, *m)),
        (Test::Number(c, n), Test::Text { pattern: Pattern::Exact(t), .. })
        | (Test::Text { pattern: Pattern::Exact(t), .. }, Test::Number(c, n)) => {
            Number::parse(t).is_none_or(|value| !c.holds(value, *n))
        }
        (Test::Cidr(a), Test::Cidr(b)) => !a.contains(b) && !b.contains(a),
        (Test::Cidr(net), Test::Text { pattern: Pattern::Exact(t), .. })
        | (Test::Text { pattern: Pattern::Exact(t), .. }, Test::Cidr(net)) => {
            t.parse::<IpAddr>().is_ok_and(|ip| !net.contains(&ip))
        }
        _ => false,
    }
}

/// Whether every text of one form has the other.
fn within(p: &Pattern, q: &Pattern) -> bool {
    use Pattern::{Any, Contains, Exact, Glob, Prefix, Suffix};
    match (p, q) {
        (_, Any) => true,
        (Exact(t), q) => q.matches(t),
        (Prefix(t), Prefix(u)) => t.starts_with(u.as_str()),
        (Suffix(t), Suffix(u)) => t.ends_with(u.as_str()),
        (Prefix(t) | Suffix(t) | Contains(t), Contains(u)) => t.contains(u.as_str()),
        (Glob(parts), Contains(u)) => parts.iter().any(|p| matches!(p, Part::Text(t) if t.contains(u.as_str()))),
        (Glob(parts), Prefix(u)) => matches!(parts.first(), Some(Part::Text(t)) if t.starts_with(u.as_str())),
        (Glob(parts), Suffix(u)) => matches!(parts.last(), Some(Part::Text(t)) if t.ends_with(u.as_str())),
        _ => p == q,
    }
}

/// Whether no text has both forms.
fn apart(p: &Pattern, q: &Pattern) -> bool {
    use Pattern::{Exact, Prefix, Suffix};
    match (p, q) {
        (Exact(t), q) | (q, Exact(t)) => !q.matches(t),
        (Prefix(t), Prefix(u)) => !t.starts_with(u.as_str()) && !u.starts_with(t.as_str()),
        (Suffix(t), Suffix(u)) => !t.ends_with(u.as_str()) && !u.ends_with(t.as_str()),
        _ => false,
    }
}

/// The form without case; most are that already.
fn folded(pattern: &Pattern) -> Cow<'_, Pattern> {
    let lower = |t: &String| !t.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    use Pattern::{Any, Contains, Exact, Glob, Prefix, Suffix};
    let new = match pattern {
        Exact(t) if lower(t) => Exact(fold(t)),
        Prefix(t) if lower(t) => Prefix(fold(t)),
        Suffix(t) if lower(t) => Suffix(fold(t)),
        Contains(t) if lower(t) => Contains(fold(t)),
        Glob(parts) => Glob(
            parts
                .iter()
                .map(|part| match part {
                    Part::Text(t) => Part::Text(fold(t)),
                    other => other.clone(),
                })
                .collect(),
        ),
        Any | Exact(_) | Prefix(_) | Suffix(_) | Contains(_) => return Cow::Borrowed(pattern),
    };
    Cow::Owned(new)
}

type Bound = (Compare, Number);

fn number_implies((c, n): Bound, (d, m): Bound) -> bool {
    use Compare::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    match (c, d) {
        (Equal, _) => d.holds(n, m),
        (Less, Less | LessOrEqual) | (LessOrEqual, LessOrEqual) => LessOrEqual.holds(n, m),
        (LessOrEqual, Less) => Less.holds(n, m),
        (Greater, Greater | GreaterOrEqual) | (GreaterOrEqual, GreaterOrEqual) => GreaterOrEqual.holds(n, m),
        (GreaterOrEqual, Greater) => Greater.holds(n, m),
        _ => false,
    }
}

fn number_excludes((c, n): Bound, (d, m): Bound) -> bool {
    use Compare::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    match (c, d) {
        (Equal, _) => !d.holds(n, m),
        (_, Equal) => !c.holds(m, n),
        (LessOrEqual, GreaterOrEqual) => Less.holds(n, m),
        (GreaterOrEqual, LessOrEqual) => Greater.holds(n, m),
        (Less | LessOrEqual, Greater | GreaterOrEqual) => LessOrEqual.holds(n, m),
        (Greater | GreaterOrEqual, Less | LessOrEqual) => GreaterOrEqual.holds(n, m),
        _ => false,
    }
}
