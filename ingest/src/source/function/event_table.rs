//! Tables that keep an event's EventData in one column, as the text of its JSON or its XML.

use super::task_command::unescape;
use crate::json::{Kind, Members, at, end_of_value, kind, push_string, text};

/// The row with EventData as an object; none when it is one already.
pub fn event_table(row: &str) -> Option<String> {
    let raw = at(row, "EventData").filter(|raw| kind(raw) == Kind::String)?;
    let data = text(raw);
    let data = data.trim();
    let object = if data.starts_with('{') && end_of_value(data.as_bytes(), 0) == Ok(data.len()) {
        data.to_owned()
    } else {
        items(data)?
    };
    let mut out = String::from("{");
    for (i, (key, value)) in Members::of(row).enumerate() {
        out.push_str(if i > 0 { ",\"" } else { "\"" });
        out.push_str(key);
        out.push_str("\":");
        out.push_str(if key == "EventData" { &object } else { value });
    }
    out.push('}');
    Some(out)
}

/// `<Data Name="x">value</Data>` elements as a JSON object.
fn items(xml: &str) -> Option<String> {
    let mut out = String::from("{");
    for item in xml.split("<Data").skip(1) {
        let Some((tag, rest)) = item.split_once('>') else { continue };
        let Some(name) = tag.split_once("Name=").and_then(|(_, n)| n.get(1..)?.split(['"', '\'']).next()) else {
            continue;
        };
        let value = if tag.ends_with('/') { "" } else { rest.split("</Data>").next().unwrap_or("") };
        if out.len() > 1 {
            out.push(',');
        }
        push_string(&mut out, name);
        out.push(':');
        push_string(&mut out, &unescape(value));
    }
    out.push('}');
    (out.len() > 2).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_text_becomes_an_object() {
        let row = r#"{"Channel":"System","EventData":"{\"param1\":\"a\"}"}"#;
        assert_eq!(event_table(row).as_deref(), Some(r#"{"Channel":"System","EventData":{"param1":"a"}}"#));
        let row = r#"{"EventData":"<DataItem><EventData><Data Name=\"a\">1 &lt; 2</Data><Data Name=\"b\"/></EventData></DataItem>"}"#;
        assert_eq!(event_table(row).as_deref(), Some(r#"{"EventData":{"a":"1 < 2","b":""}}"#));
        assert_eq!(event_table(r#"{"EventData":{"a":1}}"#), None);
        assert_eq!(event_table(r#"{"EventData":"words"}"#), None);
    }
}
