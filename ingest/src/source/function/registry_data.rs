//! Sysmon's `Details`: a registry value's data as text, `DWORD (0x00000001)`, `Binary Data`, or the string itself.

use super::Made;

fn inside<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.strip_prefix(word)?.strip_prefix(" (")?.strip_suffix(')')
}

/// OCSF's `type_id` of a registry value. Strings say nothing of their kind, so they stay 0 Unknown.
pub fn registry_type(texts: &[&str]) -> Made {
    let Some(text) = texts.first().filter(|t| !t.is_empty()) else { return Made::Nothing };
    let id = if inside(text, "DWORD").is_some() {
        "2"
    } else if inside(text, "QWORD").is_some() {
        "8"
    } else if *text == "Binary Data" {
        "1"
    } else {
        "0"
    };
    Made::Text(id.to_owned())
}

/// The number of a `DWORD (0x…)`, or of a `QWORD (0x…-0x…)` whose halves stand apart.
pub fn registry_integer(texts: &[&str]) -> Made {
    let hex = |t: &str| u32::from_str_radix(t.trim_start_matches("0x"), 16).ok().map(i64::from);
    let number = texts.first().and_then(|text| match inside(text, "DWORD") {
        Some(number) => hex(number),
        None => {
            let (high, low) = inside(text, "QWORD")?.split_once('-')?;
            Some(hex(high).filter(|h| *h <= i64::from(i32::MAX))? << 32 | hex(low)?)
        }
    });
    number.map_or(Made::Nothing, |n| Made::Text(n.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_tell_type_and_number() {
        for (details, kind, number) in [
            ("DWORD (0x0000001f)", "2", Made::Text("31".into())),
            ("QWORD (0x00000001-0x00000002)", "8", Made::Text("4294967298".into())),
            ("Binary Data", "1", Made::Nothing),
            ("cmd.exe /c start", "0", Made::Nothing),
        ] {
            assert_eq!(registry_type(&[details]), Made::Text(kind.into()), "{details}");
            assert_eq!(registry_integer(&[details]), number, "{details}");
        }
    }
}
