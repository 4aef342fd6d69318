//! Words and numbers: verbs, status, accounts.

use super::Made;

fn first<'a>(texts: &[&'a str]) -> Option<&'a str> {
    texts.iter().copied().find(|t| !t.is_empty() && *t != "-")
}

fn text(value: Option<impl Into<String>>) -> Made {
    value.map_or(Made::Nothing, |v| Made::Text(v.into()))
}

/// The text, unless it is empty or the placeholder `-`.
pub fn not_empty(texts: &[&str]) -> Made {
    text(first(texts))
}

/// The text, unless it is what audit writes for an id, an account or a terminal that there is none of.
pub fn known(texts: &[&str]) -> Made {
    text(first(texts).filter(|t| !matches!(*t, "?" | "(none)" | "(null)" | "unset" | "4294967295")))
}

/// Lower case.
pub fn lower(texts: &[&str]) -> Made {
    text(first(texts).map(str::to_lowercase))
}

/// `0x1f4` or `500` as 500.
pub fn hex_int(texts: &[&str]) -> Made {
    let parse = |t: &str| match t.strip_prefix("0x").or_else(|| t.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => t.parse().ok(),
    };
    text(first(texts).and_then(parse).map(|n| n.to_string()))
}

/// The name of `DOMAIN\name`, or the whole text.
pub fn account_name(texts: &[&str]) -> Made {
    text(first(texts).map(|t| t.rsplit_once('\\').map_or(t, |(_, name)| name)))
}

/// The domain of `DOMAIN\name`.
pub fn account_domain(texts: &[&str]) -> Made {
    text(first(texts).and_then(|t| t.rsplit_once('\\')).map(|(domain, _)| domain))
}

/// Elements of a JSON array of texts, or the text itself.
pub fn elements(texts: &[&str]) -> Made {
    let Some(value) = first(texts) else { return Made::Nothing };
    if !value.starts_with('[') {
        return Made::Texts(vec![value.to_owned()]);
    }
    Made::Texts(crate::json::Members::of(value).map(|(_, v)| crate::json::text(v).into_owned()).collect())
}

/// API Activity's `activity_id` from an AWS event name's verb (OCSF 1.8.0, class 6003).
pub fn aws_verb(texts: &[&str]) -> Made {
    const CREATE: &[&str] = &[
        "Create",
        "Run",
        "Put",
        "Add",
        "Register",
        "Allocate",
        "Import",
        "Attach",
        "Associate",
        "Start",
        "Request",
        "Generate",
        "Upload",
        "Issue",
    ];
    const READ: &[&str] = &[
        "Get", "Describe", "List", "Head", "Lookup", "Search", "View", "Check", "Batch", "Query", "Scan", "Select",
        "Simulate", "Validate", "Preview", "Decrypt",
    ];
    const UPDATE: &[&str] = &[
        "Update",
        "Modify",
        "Set",
        "Enable",
        "Disable",
        "Change",
        "Replace",
        "Restore",
        "Reset",
        "Tag",
        "Untag",
        "Authorize",
        "Revoke",
        "Rotate",
        "Resume",
        "Suspend",
        "Assign",
        "Copy",
    ];
    const DELETE: &[&str] = &[
        "Delete",
        "Remove",
        "Terminate",
        "Deregister",
        "Detach",
        "Disassociate",
        "Release",
        "Cancel",
        "Stop",
        "Purge",
        "Schedule",
        "Deactivate",
    ];
    let Some(name) = first(texts) else { return Made::Nothing };
    let verb = |verbs: &[&str]| verbs.iter().any(|v| name.starts_with(v));
    let id = match name {
        _ if verb(CREATE) => "1",
        _ if verb(READ) => "2",
        _ if verb(UPDATE) => "3",
        _ if verb(DELETE) => "4",
        _ => "99",
    };
    Made::Text(id.to_owned())
}

/// `status_id` of an error code: absent is Success (1), present is Failure (2).
pub fn status_of_error(texts: &[&str]) -> Made {
    Made::Text(if first(texts).is_some_and(|t| t != "Success") { "2" } else { "1" }.to_owned())
}

/// `status_id` of an HTTP status: below 400 is Success (1), else Failure (2).
pub fn status_of_code(texts: &[&str]) -> Made {
    let code = first(texts).and_then(|t| t.parse::<u32>().ok());
    text(code.map(|code| if code < 400 { "1" } else { "2" }))
}

/// Yes and No as true and false.
pub fn yes_no(texts: &[&str]) -> Made {
    text(first(texts).and_then(|t| match t.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some("true"),
        "no" | "false" => Some("false"),
        _ => None,
    }))
}

/// `status_id` of a console login: its own word, else the error code.
pub fn console_status(texts: &[&str]) -> Made {
    match texts.first().copied() {
        Some("Failure") => Made::Text("2".into()),
        Some("Success") => Made::Text("1".into()),
        _ => status_of_error(texts.get(1..).unwrap_or_default()),
    }
}
