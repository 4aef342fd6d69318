//! What a node says that runs: the images in a Pod's status, which it writes to the API server.

use crate::Digest;
use serde_json::Value;
use std::collections::BTreeMap;

/// Containers of one Pod that are looked at.
const CONTAINERS_MAX: usize = 256;

/// The digests of the images that an API server's record says are running, by the containers' names. A runtime that names an
/// image by its configuration alone (`sha256:…` without a name) says nothing that could be compared.
pub(super) fn running(event: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk_text(event, &mut found);
    found
}

fn walk_text(text: &str, found: &mut BTreeMap<String, String>) {
    if text.contains("imageID")
        && let Ok(event) = serde_json::from_str(text)
    {
        walk(&event, found);
    }
}

/// Statuses stand where a cloud's wrapping puts them.
fn walk(value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) => {
            let text = |name: &str| object.get(name).and_then(Value::as_str);
            if let (Some(container), Some(image)) = (text("name"), text("imageID").and_then(digest))
                && found.len() < CONTAINERS_MAX
            {
                found.insert(container.to_owned(), image);
            }
            object.values().for_each(|value| walk(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
        // AKS has the event as a text.
        Value::String(text) if text.starts_with('{') => walk_text(text, found),
        _ => {}
    }
}

/// `docker-pullable://name@sha256:…` and the same without a scheme.
fn digest(image: &str) -> Option<String> {
    image.rsplit_once('@')?.1.parse::<Digest>().ok().map(|digest| digest.to_string())
}
