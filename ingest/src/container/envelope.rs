//! Envelopes: objects of which an array's elements are the records.
//!
//! A few names always say so. Others are common in records, too: there the object's other members have to be those of
//! an answer's page or of a delivery, and no more.

use crate::json::{self, Kind, Members, at, kind, text};

/// Keys of envelopes whose arrays hold the records: CloudTrail's files, CloudWatch Logs' subscriptions, Azure's batches.
const ALWAYS: &[&str] = &["Records", "logEvents", "records"];
/// Keys of arrays in pages and deliveries.
const VALUE: &str = "value";
const ITEMS: &str = "items";
const DATA: &str = "data";
/// What else a page of Google's APIs has.
const ITEMS_BESIDE: [&str; 4] = ["kind", "etag", "selfLink", "nextPageToken"];
/// What else a list of Kubernetes objects has; kubectl writes these in the order of the alphabet.
const KUBERNETES_BESIDE: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Names of members that may make an object an envelope.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALWAYS.iter().copied().chain([VALUE, ITEMS, DATA])
}

/// Members seen so far, from the first on.
pub struct Seen {
    /// `kind` ends in `List`, as audit's EventList.
    list: bool,
    /// All are of a list of Kubernetes objects.
    kubernetes: bool,
    /// All are of a page of Graph or Azure Resource Manager.
    odata: bool,
    /// All are of a page of one of Google's APIs.
    google: bool,
    /// `kind` is of one of Google's APIs.
    google_kind: bool,
    /// Okta's event hooks.
    hook: bool,
    count: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { list: false, kubernetes: true, odata: true, google: true, google_kind: false, hook: false, count: 0 }
    }
}

impl Seen {
    /// Takes a member; its value may be cut off.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count += 1;
        let is = |names: &[&str]| names.iter().any(|name| name.as_bytes() == key);
        self.odata &= is(&[VALUE, "nextLink"]) || key.starts_with(b"@odata.") || key.starts_with(b"odata.");
        self.kubernetes &= is(&[ITEMS]) || is(&KUBERNETES_BESIDE);
        self.google &= is(&[ITEMS]) || is(&ITEMS_BESIDE);
        if is(&["kind"]) {
            self.list |= value.ends_with(b"List\"");
            self.google_kind |= value.starts_with(b"\"") && value.contains(&b'#');
        }
        self.hook |= is(&["eventType"]) && value == b"\"com.okta.event_hook\"";
    }

    /// Whether the array under the key that comes next holds the records, whatever comes behind it. `long`: the object
    /// is longer than records are.
    pub fn enters(&self, key: &str, long: bool) -> bool {
        ALWAYS.contains(&key)
            || (key == ITEMS && (self.list || self.google && self.google_kind))
            || (key == ITEMS && self.kubernetes && self.count > 0 && long)
            || (key == VALUE && self.odata && (self.count > 0 || long))
    }

    /// The path of the array with the records, of an object with these members.
    fn path(&self) -> Option<&'static str> {
        match () {
            () if self.odata => Some(VALUE),
            () if self.google && self.google_kind => Some(ITEMS),
            () if self.kubernetes && self.list => Some(ITEMS),
            () if self.hook => Some("data.events"),
            () => None,
        }
    }
}

/// Whether an object with these members may be an envelope.
pub fn may_be<'a>(members: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
    let (mut seen, mut named, mut paged) = (Seen::default(), false, false);
    for (key, value) in members {
        seen.add(key, value);
        named |= ALWAYS.iter().any(|name| name.as_bytes() == key) || (key == ITEMS.as_bytes() && seen.list);
        paged |= [VALUE, ITEMS, DATA].iter().any(|name| name.as_bytes() == key);
    }
    named || (paged && seen.path().is_some())
}

/// The array with the records of an envelope, and whether there is nothing beside it that a record would have.
pub fn array(object: &str) -> Option<(&str, bool)> {
    // A Kubernetes list, such as audit's EventList, says so before its items.
    let mut list = false;
    let named = |(key, value): &(&str, &str)| {
        list |= *key == "kind" && text(value).ends_with("List");
        (ALWAYS.contains(key) || (list && *key == ITEMS)) && kind(value) == Kind::Array
    };
    if let Some((_, found)) = Members::of(object).find(named) {
        return Some((found, Members::of(object).count() == 1));
    }
    let mut seen = Seen::default();
    Members::of(object).for_each(|(key, value)| seen.add(key.as_bytes(), value.as_bytes()));
    let found = at(object, seen.path()?).filter(|raw| json::kind(raw) == Kind::Array)?;
    Some((found, true))
}
