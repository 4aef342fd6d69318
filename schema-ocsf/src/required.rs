//! Which leaves a record of a class must have, and what stands in where a log does not say.

use crate::column::LeafType;
use crate::schema::{Attribute, ClassUid, Entity, Requirement, Schema};

/// A leaf that every record of a class must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// Its path.
    pub path: String,
    /// Its type.
    pub leaf_type: LeafType,
    /// What stands in for it: an enum's id for Unknown (0; for `type_uid` the class's), or an enum's only value
    /// (`class_uid`, `category_uid`). Other integers, texts and times have none.
    pub fallback: Option<i64>,
}

impl Schema {
    /// The required leaves of a class, by path: its own and those of its required objects.
    ///
    /// Not among them: what profiles require, what optional objects require once they are there, what a constraint asks
    /// for, and lists of objects (of which OCSF does not say how many there must be).
    pub fn required(&'static self, class: ClassUid) -> Vec<Required> {
        let mut out = Vec::new();
        if let Some(class) = self.class(class) {
            self.required_below(&class.entity, "", &mut out);
        }
        out
    }

    fn required_below(&'static self, entity: &Entity, prefix: &str, out: &mut Vec<Required>) {
        let asked = |a: &&Attribute| a.requirement == Requirement::Required && a.profiles.is_empty();
        for attribute in self.attributes(entity).filter(asked) {
            let path = if prefix.is_empty() { attribute.name.clone() } else { format!("{prefix}.{}", attribute.name) };
            match attribute.object.as_deref().and_then(|o| self.object(o)).filter(|o| !o.is_free_form()) {
                Some(_) if attribute.is_array => {}
                Some(object) => self.required_below(object, &path, out),
                None => {
                    let leaf_type = self.leaf_type(attribute);
                    out.push(Required { path, leaf_type, fallback: fallback(attribute) });
                }
            }
        }
    }
}

fn fallback(attribute: &Attribute) -> Option<i64> {
    let mut ids = attribute.values.keys().filter_map(|id| id.parse::<i64>().ok());
    match (attribute.name.as_str(), attribute.values.len()) {
        _ if attribute.is_array => None,
        ("type_uid", _) => ids.min(),
        (_, 1) => ids.next(),
        _ => ids.find(|id| *id == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fallbacks_are_unknown_or_the_only_value() {
        let of = |class: u32| -> Vec<(String, Option<i64>)> {
            Schema::v1_8().required(ClassUid(class)).into_iter().map(|r| (r.path, r.fallback)).collect()
        };
        let api = of(6003);
        let check = |path: &str, expected: Option<Option<i64>>| {
            assert_eq!(api.iter().find(|(p, _)| p == path).map(|(_, f)| *f), expected, "{path}");
        };
        check("activity_id", Some(Some(0)));
        check("severity_id", Some(Some(0)));
        check("class_uid", Some(Some(6003)));
        check("category_uid", Some(Some(6)));
        check("type_uid", Some(Some(600_300)));
        check("time", Some(None));
        check("metadata.version", Some(None));
        check("api.operation", Some(None));
        check("metadata.product.name", None);
        check("cloud.provider", None);
        for class in Schema::v1_8().classes() {
            let required = of(class.uid.0);
            assert!(required.len() > 5, "{}", class.entity.name);
            assert!(required.iter().all(|(path, _)| Schema::v1_8().leaf(class.uid, path).is_ok()));
        }
    }
}
