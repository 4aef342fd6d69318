//! Route 53 Resolver's query logs. Source: AWS, "Values that appear in VPC Resolver query logs".

use super::Made;
use crate::decode::object::Object;
use crate::json::{Kind, Members, at, kind, push_string, text};

/// The record with `query`, its name without the root's dot, and `answer`, the data of its answers.
pub fn resolver_query(json: &str) -> Option<String> {
    let name = at(json, "query_name").filter(|raw| kind(raw) == Kind::String).map(text)?;
    let mut object = Object::of(json, &["query", "answer"]);
    object.text("query", if name.len() > 1 { name.strip_suffix('.').unwrap_or(&name) } else { &name });
    let mut data = String::from("[");
    for (_, answer) in Members::of(at(json, "answers").unwrap_or_default()) {
        if let Some(raw) = at(answer, "Rdata") {
            data.push_str(if data.len() > 1 { "," } else { "" });
            push_string(&mut data, &text(raw));
        }
    }
    if data.len() > 1 {
        object.raw("answer", &format!("{data}]"));
    }
    Some(object.finish())
}

/// The answers as objects of OCSF.
pub fn resolver_answers(texts: &[&str]) -> Made {
    let answer = |(_, item)| {
        let part = |name, child| at(item, name).map(|raw| (child, text(raw).into_owned()));
        part("Rdata", "rdata")?;
        Some([part("Rdata", "rdata"), part("Type", "type"), part("Class", "class")].into_iter().flatten().collect())
    };
    let made: Vec<_> = texts.iter().flat_map(|list| Members::of(list)).filter_map(answer).collect();
    if made.is_empty() { Made::Nothing } else { Made::Objects(made) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_end_without_a_dot() {
        let made = resolver_query(
            r#"{"query_name":"a.example.","answers":[{"Rdata":"192.0.2.1"},{"Type":"A"},1,{"Rdata":"x\"y"}]}"#,
        );
        let made: serde_json::Value = serde_json::from_str(&made.unwrap()).unwrap();
        assert_eq!((&made["query"], &made["answer"]), (&"a.example".into(), &serde_json::json!(["192.0.2.1", "x\"y"])));
        assert_eq!(resolver_query(r#"{"query_name":"."}"#).unwrap(), r#"{"query_name":".","query":"."}"#);
        assert_eq!(resolver_query(r#"{"query_name":null,"answers":null}"#), None);
        assert_eq!(resolver_query("{}"), None);
        assert_eq!(resolver_answers(&["[{\"Type\":\"A\"}]"]), Made::Nothing);
    }
}
