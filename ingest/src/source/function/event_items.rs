//! EventData as a list of `Data` elements with their names in attributes, which is what converters of XML make of it.
//!
//! `{"Data":[{"@Name":"Image","#text":"…"}]}` means `{"Image":"…"}`; the attribute and the text go by several names.

use crate::json::{Kind, Members, at, kind, push_string, text};

const NAMES: &[&str] = &["@Name", "#attributes.Name", "$.Name", "-Name", "_Name", "Name"];
const TEXTS: &[&str] = &["#text", "_", "$t", "$text", "content", "Value", "text"];

/// The event with EventData's items as members; none when there is no such list.
pub fn event_items(event: &str) -> Option<String> {
    let data = at(event, "Event.EventData.Data")?;
    let items: Vec<&str> = match kind(data) {
        Kind::Array => Members::of(data).map(|(_, item)| item).collect(),
        Kind::Object => vec![data],
        _ => return None,
    };
    let name = |item: &str| NAMES.iter().find_map(|n| at(item, n)).map(|n| text(n).into_owned());
    if !items.iter().any(|item| kind(item) == Kind::Object && name(item).is_some()) {
        return None;
    }
    let mut members = String::new();
    let mut add = |key: &str, raw: &str| {
        if !members.is_empty() {
            members.push(',');
        }
        push_string(&mut members, key);
        members.push(':');
        members.push_str(raw);
    };
    for item in items {
        match (kind(item), name(item)) {
            (Kind::Object, Some(name)) => add(&name, TEXTS.iter().find_map(|t| at(item, t)).unwrap_or("null")),
            (Kind::Object, None) => add("Data", TEXTS.iter().find_map(|t| at(item, t)).unwrap_or(item)),
            _ => add("Data", item),
        }
    }
    let mut out = String::from("{");
    let object = |out: &mut String, raw: &str, replaced: &str, by: &dyn Fn(&mut String, &str)| {
        for (i, (key, value)) in Members::of(raw).enumerate() {
            out.push_str(if i > 0 { ",\"" } else { "\"" });
            out.push_str(key);
            out.push_str("\":");
            if key == replaced { by(out, value) } else { out.push_str(value) }
        }
    };
    object(&mut out, event, "Event", &|out, event| {
        out.push('{');
        object(out, event, "EventData", &|out, data| {
            out.push('{');
            out.push_str(&members);
            for (key, value) in Members::of(data).filter(|(key, _)| *key != "Data") {
                out.push_str(&format!(",\"{key}\":{value}"));
            }
            out.push('}');
        });
        out.push('}');
    });
    out.push('}');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_become_members() {
        let event = r##"{"Event":{"System":{"EventID":1},"EventData":{"@x":1,"Data":[{"@Name":"Image","#text":"a\\b"},{"@Name":"User"},"loose"]}}}"##;
        let expected =
            r#"{"Event":{"System":{"EventID":1},"EventData":{"Image":"a\\b","User":null,"Data":"loose","@x":1}}}"#;
        assert_eq!(event_items(event).as_deref(), Some(expected));
        assert_eq!(event_items(r#"{"Event":{"EventData":{"Data":["a","b"]}}}"#), None);
    }
}
