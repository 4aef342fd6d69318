//! Whether a mapping's shapes find the fields that tell an event's time, id and kind.
//!
//! What stands below a `spread` path only the records show, so there any field may be. Time is where mistakes are: a
//! shape that renames what stands around the event, and forgets the time there, gives its events the time of ingest.

use super::compile::MappingError;
use super::definition::{Definition, Shape};

/// Refuses a field of `[source].time`, `uid` or a `when` that no shape finds, and a shape that finds no time.
///
/// **Errors**: [`MappingError`] naming the field, or the shape.
pub fn check(file: &str, definition: &Definition) -> Result<(), MappingError> {
    let shapes = &definition.shape;
    let source = &definition.source;
    let whens = definition.kind.iter().map(|k| &k.when).chain(definition.logsource.iter().map(|l| &l.when));
    let telling = whens.flat_map(|when| when.keys()).map(|name| ("when", name.strip_prefix('!').unwrap_or(name)));
    let time = source.time.iter().map(|t| ("source.time", t.field.as_str()));
    let uid = source.uid.iter().map(|name| ("source.uid", name.as_str()));
    for (key, field) in time.chain(uid).chain(telling) {
        if !shapes.is_empty() && !shapes.iter().any(|shape| finds(shape, field)) {
            return Err(MappingError::new(file, key, &format!("no shape finds {field:?}")));
        }
    }
    let timeless = |shape: &&Shape| !source.time.iter().any(|t| places(shape, &t.field));
    match shapes.iter().find(timeless) {
        Some(shape) if !source.time.is_empty() => {
            let problem = "no field of source.time has a place of its own: expected one in rename";
            Err(MappingError::new(file, &format!("shape {}", shape.name), problem))
        }
        _ => Ok(()),
    }
}

/// Whether records of the shape can have the field.
fn finds(shape: &Shape, field: &str) -> bool {
    unshaped(shape) || renamed(shape, field) || shape.spread.iter().any(|path| spreads(shape, path, field))
}

/// Whether the shape says where the field is, or has no other place for any field.
fn places(shape: &Shape, field: &str) -> bool {
    let around = shape.rename.is_empty() || shape.spread.iter().any(|path| path == ".");
    renamed(shape, field) || (around && finds(shape, field))
}

fn unshaped(shape: &Shape) -> bool {
    shape.rename.is_empty() && shape.spread.is_empty()
}

fn renamed(shape: &Shape, field: &str) -> bool {
    let below = |name: &str| field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    shape.rename.values().any(|name| below(name))
}

/// A renamed key is no longer the field of its own name, and nothing below it is.
fn spreads(shape: &Shape, path: &str, field: &str) -> bool {
    let own = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
    let hides =
        |raw: &String| own.strip_prefix(raw.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    !shape.rename.keys().filter(|raw| path == "." || raw.len() > path.len()).any(hides)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problem(shapes: &str) -> String {
        let text = format!(
            "{shapes}\n[source]\nname = \"s\"\nversion = 1\nvendor_name = \"v\"\nproduct_name = \"p\"\nuid = [\"id\"]\n\
             time = [{{ field = \"ts\", format = \"utc\" }}, {{ field = \"at\", format = \"utc\" }}]\n\
             [[kind]]\nclass = \"base_event\"\nwhen = {{ \"!kind\" = \"x\" }}\n[default]\nclass = \"base_event\"\n"
        );
        let definition: Definition = toml::from_str(&text).unwrap();
        check("s", &definition).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_field_that_no_shape_finds_is_an_error() {
        let shape = |rest: &str| format!("[[shape]]\nname = \"a\"\n{rest}");
        let named = r#""r.ts" = "ts", "r.at" = "at""#;
        for rest in ["", "spread = [\".\"]", "unwrap = \"event\"", "spread = [\"data\"]"] {
            assert_eq!(problem(&shape(rest)), "", "{rest}");
        }
        for (rename, missing) in [
            (format!("{{ {named}, \"r.kind\" = \"kind\" }}"), "source.uid: no shape finds \"id\""),
            (format!("{{ {named}, \"r.id\" = \"id\" }}"), "when: no shape finds \"kind\""),
            ("{ \"r.ts\" = \"ts\" }".to_owned(), "source.time: no shape finds \"at\""),
        ] {
            let problem = problem(&shape(&format!("rename = {rename}")));
            assert!(problem.contains(missing), "{problem}");
        }
        // Its own name is not found where it is renamed.
        let hidden = shape("spread = [\".\"]\nrename = { id = \"x\" }");
        assert!(problem(&hidden).contains("\"id\""));
        assert_eq!(problem(&format!("{hidden}\n[[shape]]\nname = \"b\"")), "");
    }

    #[test]
    fn a_shape_without_a_time_is_an_error() {
        let around =
            "[[shape]]\nname = \"a\"\n[[shape]]\nname = \"b\"\nspread = [\"data\"]\nrename = { code = \"kind\" }";
        assert!(problem(around).contains("shape b"), "{}", problem(around));
        assert_eq!(problem(&around.replace("code = \"kind\"", "\"@timestamp\" = \"ts\"")), "");
        assert_eq!(problem(&around.replace("\"data\"", "\"data\", \".\"")), "");
    }
}
