//! Named functions of the mapping language: what is really code. One row here each.
//!
//! A function gets the values of its fields as texts (absent ones are empty) and gives what to write. The original
//! stays in `unmapped` wherever a function gives another text.

mod addresses;
mod auditbeat;
mod call_trace;
mod dns_results;
mod event_items;
mod event_table;
mod guardduty;
mod hashes;
mod journald;
mod kubernetes;
mod laurel;
mod lines;
mod objects;
mod path_name;
mod paths;
mod privileges;
mod registry_data;
mod request_line;
mod resolver;
mod signature;
mod syslog_object;
mod task_command;
mod tetragon;
mod unflatten;
mod waf;
mod winlogbeat;
mod words;

/// What a function gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// Nothing to write.
    Nothing,
    /// One value, converted by the column's type.
    Text(String),
    /// Elements of a list.
    Texts(Vec<String>),
    /// Objects of a list of objects, by child.
    Objects(Vec<Vec<(&'static str, String)>>),
}

/// A function of texts.
pub type Function = fn(&[&str]) -> Made;

/// A function that turns a wrapped event's JSON into the source's own.
pub type ShapeFunction = fn(&str) -> Option<String>;

const FUNCTIONS: &[(&str, Function)] = &[
    ("account_domain", words::account_domain),
    ("account_name", words::account_name),
    ("aws_resources", objects::aws_resources),
    ("aws_verb", words::aws_verb),
    ("basename", paths::basename),
    ("cloudtrail_tags", objects::cloudtrail_tags),
    ("call_trace", call_trace::call_trace),
    ("console_status", words::console_status),
    ("dirname", paths::dirname),
    ("dns_results", dns_results::dns_results),
    ("elements", words::elements),
    ("first_ip", addresses::first_ip),
    ("groups", objects::groups),
    ("guardduty_evidence", guardduty::guardduty_evidence),
    ("guardduty_resources", guardduty::guardduty_resources),
    ("hex_int", words::hex_int),
    ("ip", addresses::ip),
    ("known", words::known),
    ("lines", lines::lines),
    ("kubernetes_resource", objects::kubernetes_resource),
    ("lower", words::lower),
    ("names", waf::names),
    ("not_empty", words::not_empty),
    ("not_ip", addresses::not_ip),
    ("path_name", path_name::path_name),
    ("port", addresses::port),
    ("privileges", privileges::privileges),
    ("registry_integer", registry_data::registry_integer),
    ("registry_type", registry_data::registry_type),
    ("request_method", request_line::method),
    ("request_target", request_line::target),
    ("request_version", request_line::version),
    ("resolver_answers", resolver::resolver_answers),
    ("s3_resources", objects::s3_resources),
    ("s3_tags", objects::s3_tags),
    ("status_of_code", words::status_of_code),
    ("status_of_error", words::status_of_error),
    ("sysmon_hashes", hashes::sysmon),
    ("sysmon_signature", signature::sysmon_signature),
    ("task_command", task_command::task_command),
    ("waf_headers", waf::waf_headers),
    ("yes_no", words::yes_no),
];

const SHAPES: &[(&str, ShapeFunction)] = &[
    ("syslog_object", syslog_object::syslog_object),
    ("auditbeat", auditbeat::auditbeat),
    ("journald", journald::journald),
    ("laurel", laurel::laurel),
    ("event_items", event_items::event_items),
    ("event_table", event_table::event_table),
    ("gke_audit", kubernetes::gke),
    ("resolver_query", resolver::resolver_query),
    ("tetragon", tetragon::tetragon),
    ("waf", waf::waf),
    ("winlogbeat", winlogbeat::winlogbeat),
];

/// The function with a name.
pub fn named(name: &str) -> Option<Function> {
    FUNCTIONS.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

/// The shape function with a name.
pub fn shape_named(name: &str) -> Option<ShapeFunction> {
    SHAPES.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_make_nothing() {
        // An API call without an error code succeeded.
        let says_so = ["status_of_error", "console_status"];
        for (name, function) in FUNCTIONS.iter().filter(|(name, _)| !says_so.contains(name)) {
            let made = function(&["", "", "", ""]);
            assert!(matches!(&made, Made::Nothing), "{name}: {made:?}");
        }
    }
}
