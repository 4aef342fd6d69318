//! What a type asks of a value beyond its JSON type: the greatest length, the range, the pattern.

use crate::schema::Schema;
use regex_lite::Regex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::LazyLock;

/// A type's limits, its own or else those of the type that it narrows.
pub struct Form {
    /// Greatest length, in characters.
    pub max_len: Option<usize>,
    /// Least and greatest number.
    pub range: Option<(i64, i64)>,
    pattern: Option<Regex>,
    is_ip: bool,
}

static FREE: Form = Form { max_len: None, range: None, pattern: None, is_ip: false };

static FORMS: LazyLock<HashMap<&'static str, Form>> = LazyLock::new(|| {
    let schema = Schema::v1_8();
    let of = |name: &'static str| {
        let own = schema.type_named(name)?;
        let base = own.base.as_deref().and_then(|base| schema.type_named(base));
        let either = || [Some(own), base].into_iter().flatten();
        let form = Form {
            max_len: either().find_map(|t| t.max_len),
            range: either().find_map(|t| t.range),
            pattern: either().find_map(|t| t.regex.as_ref()).and_then(|p| Regex::new(p).ok()),
            is_ip: name == "ip_t",
        };
        let limits = form.max_len.is_some() || form.range.is_some() || form.pattern.is_some();
        limits.then_some((name, form))
    };
    schema.types().filter_map(|(name, _)| of(name)).collect()
});

impl Form {
    /// A type's limits; an unknown type has none.
    pub fn of(type_name: &str) -> &'static Self {
        match type_name {
            // Most values, and without limits.
            "string_t" => &FREE,
            name => FORMS.get(name).unwrap_or(&FREE),
        }
    }

    /// Whether the text is longer than the type allows.
    pub fn is_too_long(&self, text: &str) -> bool {
        self.max_len.is_some_and(|max| text.len() > max && text.chars().count() > max)
    }

    /// Whether the type's pattern finds the text, as the schema has it.
    ///
    /// The pattern for addresses is loose (`1x2x3x4` passes); [`Form::matches`] is exact.
    pub fn matches_pattern(&self, text: &str) -> bool {
        match &self.pattern {
            None => true,
            // What parses matches: the pattern is long, and slow to run.
            Some(_) if self.is_ip && text.parse::<IpAddr>().is_ok() => true,
            Some(pattern) => pattern.is_match(text),
        }
    }

    /// Whether the text has the type's form: its pattern, and an address must be one.
    pub fn matches(&self, text: &str) -> bool {
        if !self.is_ip || text.parse::<IpAddr>().is_ok() {
            return self.matches_pattern(text);
        }
        // White space around it, and a zone behind it.
        let address = text.trim().split('%').next().unwrap_or_default();
        address.parse::<IpAddr>().is_ok() && self.matches_pattern(text)
    }

    /// Whether the text can stand in an attribute of the type: its form and its length.
    pub fn fits(&self, text: &str) -> bool {
        !self.is_too_long(text) && self.matches(text)
    }
}

/// Whether a text can stand in an attribute of a type: [`Form::fits`].
pub fn fits(type_name: &str, text: &str) -> bool {
    Form::of(type_name).fits(text)
}

/// Whether a text has its type's form: [`Form::matches`].
pub fn matches(type_name: &str, text: &str) -> bool {
    Form::of(type_name).matches(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pattern_of_the_schema_compiles() {
        for (name, kind) in Schema::v1_8().types() {
            assert_eq!(kind.regex.is_some(), Form::of(name).pattern.is_some(), "{name}");
        }
    }

    #[test]
    fn texts_have_forms() {
        let check = |type_name, text: &str, expected| assert_eq!(fits(type_name, text), expected, "{type_name} {text}");
        for ip in ["10.0.0.1", "::1", "fe80::1%eth0", " 10.0.0.1 ", "::ffff:10.0.0.1"] {
            check("ip_t", ip, true);
        }
        for ip in ["10.0.0.256", "1x2x3x4", "10.0.0.1%eth0", "fe80::1%", "host", "", "010.0.0.1"] {
            check("ip_t", ip, false);
        }
        check("mac_t", "00:1B:44:11:3A:B7", true);
        check("mac_t", "001B.4411.3AB7", false);
        check("email_t", "a@b.c", true);
        check("email_t", "a b", false);
        check("uuid_t", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", true);
        check("uuid_t", "6ba7b810", false);
        check("subnet_t", &"1".repeat(43), false);
        check("string_t", &"1".repeat(43), true);
        assert_eq!(Form::of("port_t").range, Some((0, 65_535)));
    }

    proptest! {
        #[test]
        fn an_address_that_parses_matches_the_schema_pattern(v4: u32, v6: u128, holes: u8) {
            let pattern = Form::of("ip_t").pattern.as_ref().unwrap();
            // Zeroed groups make the shortened spellings.
            let mask = (0..8).filter(|i| holes >> i & 1 == 0).fold(0_u128, |m, i| m | 0xffff << (i * 16));
            for address in [IpAddr::from(v4.to_be_bytes()), IpAddr::from((v6 & mask).to_be_bytes())] {
                prop_assert!(pattern.is_match(&address.to_string()), "{address}");
            }
            let mapped = format!("::ffff:{}", std::net::Ipv4Addr::from(v4));
            prop_assert!(pattern.is_match(&mapped), "{}", mapped);
        }
    }
}
