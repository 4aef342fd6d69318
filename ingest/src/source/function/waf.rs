//! AWS WAF's web ACL logs: what a list hides from rules and columns. Source: AWS, "Log fields for web ACL traffic".

use super::Made;
use crate::decode::object::Object;
use crate::json::{Members, at, text};

/// The record with `header`, its request's headers by their names in lower case (a repeated one's values parted by a
/// comma, RFC 9110, section 5.3), and `target`, the URI with its arguments.
pub fn waf(json: &str) -> Option<String> {
    let request = at(json, "httpRequest")?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs(at(request, "headers").unwrap_or_default()) {
        let name = name.to_ascii_lowercase();
        match headers.iter_mut().find(|(own, _)| *own == name) {
            Some((_, own)) => *own = format!("{own}, {value}"),
            None => headers.push((name, value)),
        }
    }
    let mut header = Object::new();
    headers.iter().for_each(|(name, value)| header.text(name, value));
    let mut object = Object::of(json, &["header", "target"]);
    object.raw("header", &header.finish());
    let part = |name| at(request, name).map(text).unwrap_or_default();
    let (uri, args) = (part("uri"), part("args"));
    if !uri.is_empty() {
        object.text("target", &if args.is_empty() { uri.into_owned() } else { format!("{uri}?{args}") });
    }
    Some(object.finish())
}

/// The headers as objects of OCSF.
pub fn waf_headers(texts: &[&str]) -> Made {
    let header = |(name, value)| vec![("name", name), ("value", value)];
    let made: Vec<_> = texts.iter().flat_map(|list| pairs(list)).map(header).collect();
    if made.is_empty() { Made::Nothing } else { Made::Objects(made) }
}

/// The names of the labels that rules added.
pub fn names(texts: &[&str]) -> Made {
    let items = texts.iter().flat_map(|list| Members::of(list));
    let made: Vec<_> = items.filter_map(|(_, item)| at(item, "name").map(|name| text(name).into_owned())).collect();
    if made.is_empty() { Made::Nothing } else { Made::Texts(made) }
}

fn pairs(list: &str) -> impl Iterator<Item = (String, String)> {
    let part = |item, name| at(item, name).map(|raw| text(raw).into_owned());
    Members::of(list).filter_map(move |(_, item)| Some((part(item, "name")?, part(item, "value")?)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_and_target_are_members() {
        let made = waf(concat!(
            r#"{"action":"ALLOW","target":1,"httpRequest":{"uri":"/a","args":"x=1","headers":[{"name":"Host","value":"h"},"#,
            r#"{"name":"X-A","value":"1"},{"name":"x-a","value":"2"},{"name":"y"},7]}}"#
        ));
        let made: serde_json::Value = serde_json::from_str(&made.unwrap()).unwrap();
        assert_eq!(made["header"], serde_json::json!({ "host": "h", "x-a": "1, 2" }));
        assert_eq!((&made["target"], &made["action"]), (&"/a?x=1".into(), &"ALLOW".into()));
        assert_eq!(waf(r#"{"httpRequest":null}"#).unwrap(), r#"{"httpRequest":null,"header":{}}"#);
        assert_eq!(waf("{}"), None);
        assert_eq!(names(&[r#"[{"name":"awswaf:a"},{"x":1},2]"#]), Made::Texts(vec!["awswaf:a".into()]));
    }
}
