//! The bulk API's answer: one item an action, in order, with as much as `filter_path` asks for.

use super::bulk::Item;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What of an answer is asked for, as Elasticsearch's "Response Filtering" says it: `errors,items.*.status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Top-level members; none: all of them.
    top: Option<BTreeSet<String>>,
    /// Members of items; none: all of them.
    item: Option<BTreeSet<String>>,
}

impl Filter {
    /// Reads the parameter. What it cannot say simply (`**`, exclusions, deeper paths) is answered in full.
    pub fn parse(text: Option<&str>) -> Self {
        let (mut top, mut item) = (BTreeSet::new(), BTreeSet::new());
        let mut all_of_items = false;
        for path in text.unwrap_or_default().split(',').map(str::trim).filter(|path| !path.is_empty()) {
            let parts: Vec<&str> = path.split('.').collect();
            match parts[..] {
                _ if path.contains("**") || path.starts_with('-') => return Self::default(),
                ["*"] => return Self::default(),
                ["items"] | ["items", "*"] | ["items", "*", "*"] => all_of_items = true,
                ["items", _, field, ..] => {
                    item.insert(field.to_owned());
                }
                [name, ..] => {
                    top.insert(name.to_owned());
                }
                [] => {}
            }
        }
        let none = top.is_empty() && item.is_empty() && !all_of_items;
        if all_of_items || !item.is_empty() {
            top.insert("items".to_owned());
        }
        Self { top: (!none).then_some(top), item: (!none && !all_of_items).then_some(item) }
    }

    fn wants(set: &Option<BTreeSet<String>>, name: &str) -> bool {
        set.as_ref().is_none_or(|set| set.contains(name))
    }
}

/// The answer to a bulk request that took this long.
pub fn answer(items: &[Item], took_ms: u64, filter: &Filter) -> Value {
    let mut told = Map::new();
    if Filter::wants(&filter.top, "took") {
        told.insert("took".into(), took_ms.into());
    }
    if Filter::wants(&filter.top, "errors") {
        told.insert("errors".into(), items.iter().any(|item| item.refused.is_some()).into());
    }
    if Filter::wants(&filter.top, "items") {
        let list: Vec<Value> = items.iter().filter_map(|item| of_item(item, filter)).collect();
        // As there: what a filter leaves empty is left out.
        if !list.is_empty() {
            told.insert("items".into(), list.into());
        }
    }
    Value::Object(told)
}

fn of_item(item: &Item, filter: &Filter) -> Option<Value> {
    let mut told = Map::new();
    let mut member = |name: &str, value: &dyn Fn() -> Value| {
        if Filter::wants(&filter.item, name) {
            told.insert(name.into(), value());
        }
    };
    member("_index", &|| item.target.index.clone().into());
    member("_id", &|| item.target.id.clone().unwrap_or_else(|| Uuid::new_v4().simple().to_string()).into());
    match &item.refused {
        None => {
            member("_version", &|| 1.into());
            member("result", &|| "created".into());
            member("_shards", &|| json!({ "total": 1, "successful": 1, "failed": 0 }));
            member("_seq_no", &|| 0.into());
            member("_primary_term", &|| 1.into());
            member("status", &|| 201.into());
        }
        Some(refused) => {
            let kind = match refused {
                super::bulk::ItemError::Document(_) => "document_parsing_exception",
                super::bulk::ItemError::Verb { .. } => "illegal_argument_exception",
            };
            member("status", &|| 400.into());
            member("error", &|| json!({ "type": kind, "reason": refused.to_string() }));
        }
    }
    let mut action = Map::new();
    action.insert(item.verb.name().into(), Value::Object(told));
    let empty = action.values().all(|told| told.as_object().is_some_and(Map::is_empty));
    (!empty).then_some(Value::Object(action))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::bulk::{ItemError, Target, Verb};
    use super::*;

    #[test]
    fn filters_leave_what_is_asked_for() {
        let target = Target { index: Some("i".into()), id: Some("7".into()) };
        let good = Item { verb: Verb::Create, target: target.clone(), refused: None };
        let bad = Item { verb: Verb::Index, target, refused: Some(ItemError::Verb { verb: Verb::Index }) };
        let all = [good, bad];
        let told = |filter: &str| answer(&all, 3, &Filter::parse(Some(filter)));
        let mut beats = told("errors,items.*.error,items.*.status");
        assert!(beats["items"][1]["index"]["error"].take()["reason"].is_string());
        assert_eq!(
            beats,
            json!({ "errors": true, "items": [{ "create": { "status": 201 } }, { "index": { "status": 400, "error": null } }] })
        );
        assert_eq!(told("errors,took"), json!({ "took": 3, "errors": true }));
        assert_eq!(told("items.*.error")["items"].as_array().unwrap().len(), 1);
        let full = told("");
        assert_eq!((&full["took"], full["items"][0]["create"]["_id"].as_str()), (&3.into(), Some("7")));
        for filter in ["*", "-took", "**.status"] {
            assert_eq!(told(filter), full, "{filter}");
        }
        assert_eq!(told("items"), json!({ "items": full["items"] }));
    }
}
