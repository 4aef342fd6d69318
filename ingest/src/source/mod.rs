//! Log sources: what a record is, where its fields stand, which Sigma log sources it belongs to.
//!
//! A source is `sources/<name>/mapping.toml`; the language is in docs/mapping.md. Everything that a mapping can get
//! wrong is an error when it is loaded.

mod compile;
mod definition;
mod function;
mod home;
mod reach;
mod recognition;
mod time;
mod trie;
mod when;

pub(crate) use compile::{Convert, Place};
pub(crate) use definition::TimeFormat;
pub(crate) use function::Made;
pub(crate) use recognition::Record;
pub(crate) use time::{parse as parse_time, parse_at as parse_time_at};
pub(crate) use trie::{Sink, Trie};
pub(crate) use when::{Values, When};

pub use compile::{FieldHome, Kind, Logsource, MappingError, Source};
pub use home::Condition;

use crate::container::{Block, RecordSpan};
use crate::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tarn_schema_ocsf::{ClassUid, TableSchema};

/// A source's number in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u16);

/// A log source entry's number, over all sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogsourceId(pub u16);

/// Names, and what their mappings say.
macro_rules! mappings {
    ($($name:literal,)*) => { &[$(($name, include_str!(concat!("../../sources/", $name, "/mapping.toml")))),*] };
}

/// The sources in the order in which records are tried on them; the last takes any JSON object.
const BUILTIN: &[(&str, &str)] = mappings![
    "ocsf",
    "windows",
    "aws_cloudtrail",
    "aws_vpc_flow",
    "aws_s3_access",
    "aws_waf",
    "aws_guardduty",
    "aws_route53_resolver",
    "kubernetes",
    "k8s_admission_review",
    "kyverno_policy_report",
    "sigstore_policy_controller",
    "gatekeeper",
    "gcp_audit",
    "gsuite",
    "azure_activity",
    "entra_signin",
    "entra_audit",
    "entra_risk",
    "okta",
    "github",
    "github_webhook",
    "duo",
    "onelogin",
    "auth0",
    "tetragon",
    "falco",
    "linux_auditd",
    "syslog",
    "otlp",
    "json",
];

/// All known sources.
#[derive(Debug)]
pub struct Sources {
    list: Vec<Source>,
    /// Of the tables of all kinds, once a mapper has worked them out.
    pub(crate) tables: OnceLock<BTreeMap<ClassUid, Arc<TableSchema>>>,
}

/// Where a rule's log source can come from: a source, and the entries of which one has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The source.
    pub source: SourceId,
    /// Entries of the rule's category; none when it names no category.
    pub category: Option<Vec<LogsourceId>>,
    /// Entries of the rule's service; none when it names no service.
    pub service: Option<Vec<LogsourceId>>,
}

/// What an event is: its source, its kind and the log source entries that hold for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The source.
    pub source: SourceId,
    /// The kind's number in the source.
    pub kind: u16,
    /// The entries, ascending.
    pub logsources: Vec<LogsourceId>,
}

impl Binding {
    /// Whether events of a route belong to the rule's log source.
    pub fn covers(&self, route: &Route) -> bool {
        let holds = |ids: &Option<Vec<LogsourceId>>| {
            ids.as_ref().is_none_or(|ids| ids.iter().any(|id| route.logsources.contains(id)))
        };
        self.source == route.source && holds(&self.category) && holds(&self.service)
    }

    /// The entries that the rule names, of its category and its service.
    pub fn entries(&self) -> impl Iterator<Item = LogsourceId> + '_ {
        self.category.iter().chain(&self.service).flatten().copied()
    }
}

impl Sources {
    /// The sources that come with Tarn.
    ///
    /// **Errors**: [`MappingError`], which a test rules out for a released build.
    pub fn builtin() -> Result<Self, MappingError> {
        Self::compile(BUILTIN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    /// Those and the ones of a folder (`<folder>/<name>/mapping.toml`): new ones are tried first, one that has a built-in
    /// source's name stands in its place.
    ///
    /// **Errors**: [`MappingError`] naming file and key; a folder's name that is not its source's.
    pub fn with_folder(folder: &Path) -> Result<Self, MappingError> {
        let unreadable =
            |path: &Path, error: std::io::Error| MappingError::new(&path.display().to_string(), "", &error.to_string());
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(|e| unreadable(folder, e))? {
            let path = entry.map_err(|e| unreadable(folder, e))?.path().join("mapping.toml");
            if path.is_file() {
                let text = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?;
                let name = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
                own.insert(name, text);
            }
        }
        let builtin: Vec<(String, String)> = BUILTIN
            .iter()
            .map(|(name, text)| ((*name).to_owned(), own.remove(*name).unwrap_or_else(|| (*text).to_owned())))
            .collect();
        Self::compile(own.into_iter().chain(builtin).collect())
    }

    /// Sources of mapping texts, tried in this order.
    ///
    /// **Errors**: [`MappingError`].
    pub fn compile(texts: Vec<(String, String)>) -> Result<Self, MappingError> {
        let mut list: Vec<Source> = Vec::new();
        let mut logsources = 0;
        for (name, text) in texts {
            let id = SourceId(u16::try_from(list.len()).unwrap_or(u16::MAX));
            let source = Source::compile(id, logsources, &name, &text)?;
            if source.name != name {
                let problem = format!("expected {name:?}, as its folder is called, got {:?}", source.name);
                return Err(MappingError::new(&name, "source.name", &problem));
            }
            if list.iter().any(|s| s.name == name) {
                return Err(MappingError::new(&name, "source.name", "another source has this name"));
            }
            logsources += source.logsources.len() as u16;
            list.push(source);
        }
        Ok(Self { list, tables: OnceLock::new() })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.list.iter()
    }

    /// The source with a number.
    pub fn source(&self, id: SourceId) -> &Source {
        &self.list[id.0 as usize]
    }

    /// The source with a name.
    pub fn named(&self, name: &str) -> Option<&Source> {
        self.list.iter().find(|s| s.name == name)
    }

    /// The source of records that are OCSF when they come, if there is one: the first.
    pub fn native(&self) -> Option<&Source> {
        self.list.iter().find(|s| s.native)
    }

    /// The source of a log source entry.
    pub fn logsource(&self, id: LogsourceId) -> Option<&Logsource> {
        self.list.iter().flat_map(|s| &s.logsources).find(|l| l.id == id)
    }

    /// Every source that a rule's log source can come from.
    pub fn bind(&self, product: Option<&str>, category: Option<&str>, service: Option<&str>) -> Vec<Binding> {
        let same = |a: Option<&str>, b: &Option<String>| {
            a.is_some_and(|a| b.as_deref().is_some_and(|b| a.eq_ignore_ascii_case(b)))
        };
        let mut bindings = Vec::new();
        for source in &self.list {
            let fits = |entry: &&Logsource| match (product, &entry.product) {
                (None, _) => true,
                (Some(p), Some(own)) => p.eq_ignore_ascii_case(own),
                (Some(p), None) => source.products.iter().any(|s| p.eq_ignore_ascii_case(s)),
            };
            let ids = |wanted: Option<&str>, of: fn(&Logsource) -> &Option<String>| {
                wanted.map(|_| {
                    source
                        .logsources
                        .iter()
                        .filter(fits)
                        .filter(|l| same(wanted, of(l)))
                        .map(|l| l.id)
                        .collect::<Vec<_>>()
                })
            };
            let category = ids(category, |l| &l.category);
            let service = ids(service, |l| &l.service);
            let product_known = product.is_none_or(|p| {
                source.products.iter().any(|s| p.eq_ignore_ascii_case(s))
                    || source.logsources.iter().any(|l| same(Some(p), &l.product))
            });
            let named = product.is_some() || category.is_some() || service.is_some();
            let empty = |ids: &Option<Vec<LogsourceId>>| ids.as_ref().is_some_and(Vec::is_empty);
            if named && product_known && !empty(&category) && !empty(&service) {
                bindings.push(Binding { source: source.id, category, service });
            }
        }
        bindings
    }

    /// Whether a source takes this JSON object, other than the last, which takes any.
    pub fn know(&self, object: &str) -> bool {
        let members: Vec<_> = json::Members::of(object).collect();
        let (source, _) = self.recognise(&Record::new(&members), None);
        usize::from(source.0) + 1 < self.list.len()
    }

    /// The source of a block's record: the first that takes it, or `only` that one.
    pub fn of(&self, block: &Block, record: &RecordSpan, only: Option<SourceId>) -> &Source {
        let mut members = Vec::new();
        block.members(record, &mut members);
        let (id, _) = self.recognise(&Record::new(&members), only);
        self.source(id)
    }

    /// The source and shape of a record: the first source that takes it, or `only` that one.
    pub(crate) fn recognise(&self, record: &Record<'_, '_>, only: Option<SourceId>) -> (SourceId, u16) {
        if let Some(id) = only {
            let source = self.source(id);
            return (id, source.shape_of(record).unwrap_or(0));
        }
        let last = SourceId((self.list.len() - 1) as u16);
        let found = self.list.iter().filter(|s| s.recognises(record)).find_map(|s| Some((s.id, s.shape_of(record)?)));
        found.unwrap_or((last, 0))
    }

    /// The name of the source that takes an event found in a log record: not the last, which takes any object, nor OTLP's.
    pub(crate) fn specific(&self, record: &Record<'_, '_>) -> Option<&str> {
        let specific = self.list.split_last().map_or(&[][..], |(_, others)| others);
        let takes = |s: &&Source| s.name != "otlp" && s.recognises(record) && s.shape_of(record).is_some();
        specific.iter().find(takes).map(|s| s.name.as_str())
    }
}

/// A record's own event: where the shape wraps it, what is inside.
pub(crate) fn unwrap<'a>(source: &Source, shape: u16, record: &'a str) -> Cow<'a, str> {
    let Some(shape) = source.shapes.get(shape as usize) else { return Cow::Borrowed(record) };
    let inner = match &shape.unwrap {
        Some(path) => match json::at(record, path) {
            Some(raw) if json::kind(raw) == json::Kind::String => Cow::Owned(json::text(raw).trim().to_owned()),
            Some(raw) => Cow::Borrowed(raw),
            None => Cow::Borrowed(record),
        },
        None => Cow::Borrowed(record),
    };
    let valid = matches!(inner, Cow::Borrowed(_)) || json::end_of_value(inner.as_bytes(), 0) == Ok(inner.len());
    let inner = if valid && inner.starts_with('{') { inner } else { Cow::Borrowed(record) };
    match shape.code.and_then(|code| code(&inner)) {
        Some(made) if json::end_of_value(made.as_bytes(), 0) == Ok(made.len()) => Cow::Owned(made),
        _ => inner,
    }
}

/// Sources shared by lanes.
pub type SharedSources = Arc<Sources>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_is_recognised_by_a_member_s_form() {
        let source = |recognise: &str| {
            let text = format!(
                "[source]\nname = \"mine\"\nversion = 1\nvendor_name = \"v\"\nproduct_name = \"p\"\n\
                 [[recognise]]\n{recognise}\n[default]\nclass = \"base_event\"\n"
            );
            Sources::compile(vec![("mine".to_owned(), text)])
        };
        let sources = source("like = { \"a.id\" = [\"x-#\", \"#/#\"] }").unwrap();
        let takes = |id: &str| sources.list[0].recognises(&Record::new(&[("a", format!("{{\"id\":{id}}}").as_str())]));
        assert!(takes("\"X-12\"") && takes("\"1/2\""));
        assert!(
            !takes("\"x-\"")
                && !takes("12")
                && !takes("null")
                && !sources.list[0].recognises(&Record::new(&[("b", "1")]))
        );
        let error = source("like = { id = \"x\" }").unwrap_err().to_string();
        assert!(error.contains("recognise, like") && error.contains("\"x\": a form without #"), "{error}");
    }

    #[test]
    fn a_list_of_three_columns_is_no_function() {
        let text = "[source]\nname = \"mine\"\nversion = 1\nvendor_name = \"v\"\nproduct_name = \"p\"\n\
                    [fields]\na = [\"message\", \"status_code\", \"status_detail\"]\n[default]\nclass = \"base_event\"\n";
        assert!(Sources::compile(vec![("mine".to_owned(), text.to_owned())]).is_ok());
    }

    #[test]
    fn sources_of_a_folder_come_first_and_replace_by_name() {
        let folder = std::env::temp_dir().join(format!("tarn-sources-{}", std::process::id()));
        let source = |name: &str| {
            format!(
                "[source]\nname = {name:?}\nversion = 9\nvendor_name = \"v\"\nproduct_name = \"p\"\n\
                 [default]\nclass = \"base_event\"\n"
            )
        };
        for (name, text) in [("json", source("json")), ("mine", source("mine"))] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
            std::fs::write(folder.join(name).join("mapping.toml"), text).unwrap();
        }
        let sources = Sources::with_folder(&folder).unwrap();
        let names: Vec<(&str, u32)> = sources.iter().map(|s| (s.name.as_str(), s.version)).collect();
        assert_eq!((names[0], names[names.len() - 1]), (("mine", 9), ("json", 9)));
        std::fs::write(folder.join("mine/mapping.toml"), source("other")).unwrap();
        let error = Sources::with_folder(&folder).unwrap_err().to_string();
        assert!(error.contains("mine") && error.contains("other"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
