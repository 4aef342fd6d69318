//! Addresses: OCSF wants IPs that are IPs, logs hold host names and placeholders there too.

use super::Made;
use std::net::IpAddr;

fn parsed(text: &str) -> Option<IpAddr> {
    text.trim().parse().ok()
}

/// The text where it is an IP address.
pub fn ip(texts: &[&str]) -> Made {
    texts.iter().find(|t| parsed(t).is_some()).map_or(Made::Nothing, |t| Made::Text(t.trim().to_owned()))
}

/// The text where it is none, such as `ec2.amazonaws.com`; the placeholders `-` and `?` are nothing.
pub fn not_ip(texts: &[&str]) -> Made {
    let name = texts.iter().find(|t| !t.trim().is_empty() && !matches!(**t, "-" | "?") && parsed(t).is_none());
    name.map_or(Made::Nothing, |t| Made::Text((*t).to_owned()))
}

/// A port from 0 to 65,535.
pub fn port(texts: &[&str]) -> Made {
    texts.iter().find_map(|t| t.trim().parse::<u16>().ok()).map_or(Made::Nothing, |p| Made::Text(p.to_string()))
}

/// The first IP address of a JSON array.
pub fn first_ip(texts: &[&str]) -> Made {
    let all = texts.iter().flat_map(|t| crate::json::Members::of(t)).map(|(_, v)| crate::json::text(v).into_owned());
    all.into_iter().find(|t| parsed(t).is_some()).map_or(Made::Nothing, Made::Text)
}
