//! AWS VPC and Transit Gateway flow logs: lines of values with a space between, in S3 below a line that names the fields.
//!
//! A record has `flow_log_format` and the fields by AWS's names, numbers as numbers; `-`, which stands for no value, is
//! left out. A header holds until the next one. Without a header only the default format is known, as CloudWatch Logs
//! and Firehose deliver it. **Fails**: a line whose values are not what the header's fields hold. Source: AWS, "Flow log
//! records" of Amazon VPC and "Transit Gateway Flow Log records".

use super::object::Object;
use crate::container::Block;
use crate::dead_letter::Reason;
use std::net::IpAddr;

/// The default format, which is all of version 2.
const DEFAULT: [&str; 14] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
];

/// Fields of later versions and of transit gateways.
const OTHERS: &str = "\
    vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type \
    sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path ecs-cluster-arn \
    ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id ecs-container-id \
    ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason \
    resource-id encryption-status resource-type tgw-id tgw-attachment-id tgw-src-vpc-account-id \
    tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni \
    tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id packets-lost-no-route packets-lost-blackhole \
    packets-lost-mtu-exceeded packets-lost-ttl-expired";

/// Words that no other log has as a column's name.
const TELLING: [&str; 9] = [
    "srcaddr",
    "dstaddr",
    "pkt-srcaddr",
    "pkt-dstaddr",
    "interface-id",
    "log-status",
    "tcp-flags",
    "flow-direction",
    "tgw-id",
];

/// Reads lines by the header above them.
#[derive(Default)]
pub struct Decoder {
    header: Option<Vec<String>>,
}

impl Decoder {
    /// Takes a line that names the fields; false where it is none.
    pub fn header(&mut self, line: &str) -> bool {
        let header = header(line);
        let found = header.is_some();
        self.header = header.or(self.header.take());
        found
    }

    /// Takes a line that is a flow: none where it does not look like one. What a header says counts more than that a line
    /// looks like the default format, which the next log may have.
    pub fn line(&self, line: &str, number: &mut dyn FnMut() -> u64, block: &mut Block) -> Option<Result<(), Reason>> {
        let read = match self.header.as_ref().map(|header| below(header, line)) {
            Some(Ok(json)) => Ok(json),
            Some(Err(reason)) => default_format(line).ok_or(reason),
            None => Ok(default_format(line)?),
        };
        Some(read.map(|json| block.push_with_original(number(), &json, line)))
    }
}

/// The record of a line in the default format, if it is one.
pub fn default_format(line: &str) -> Option<String> {
    let values: Vec<&str> = line.strip_prefix("2 ").map(|_| line.split_ascii_whitespace().collect())?;
    let interface = values.get(2).is_some_and(|id| id.starts_with("eni-"));
    let flow = interface && values.len() == DEFAULT.len() && DEFAULT.iter().zip(&values).all(|(k, v)| fits(k, v));
    flow.then(|| json(DEFAULT.iter().zip(values).map(|(k, v)| (*k, v))))
}

fn header(line: &str) -> Option<Vec<String>> {
    if !line.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let names: Vec<&str> = line.split_ascii_whitespace().collect();
    let known =
        names.iter().filter(|name| DEFAULT.contains(name) || OTHERS.split(' ').any(|own| own == **name)).count();
    let name = |n: &&str| n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    // AWS adds fields: a few may be unknown here.
    let is_header = known >= 2
        && 2 * known >= names.len()
        && names.iter().all(name)
        && names.iter().any(|name| TELLING.contains(name));
    is_header.then(|| names.into_iter().map(str::to_owned).collect())
}

fn below(header: &[String], line: &str) -> Result<String, Reason> {
    let values: Vec<&str> = line.split_ascii_whitespace().collect();
    if values.len() != header.len() {
        let why = format!("a flow log line of {} values below a header of {} fields", values.len(), header.len());
        return Err(Reason::Decoder(why));
    }
    if let Some((name, value)) = header.iter().zip(&values).find(|(name, value)| !fits(name, value)) {
        return Err(Reason::Decoder(format!("a flow log line whose {name} is {value:?}")));
    }
    Ok(json(header.iter().map(String::as_str).zip(values)))
}

/// Whether a value is of its field's type.
fn fits(name: &str, value: &str) -> bool {
    value == "-"
        || match name {
            "srcaddr" | "dstaddr" | "pkt-srcaddr" | "pkt-dstaddr" => value.parse::<IpAddr>().is_ok(),
            "action" => matches!(value, "ACCEPT" | "REJECT"),
            "log-status" => matches!(value, "OK" | "NODATA" | "SKIPDATA"),
            _ => !is_number(name) || value.bytes().all(|b| b.is_ascii_digit()),
        }
}

fn is_number(name: &str) -> bool {
    const NUMBERS: [&str; 10] =
        ["version", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "tcp-flags", "traffic-path"];
    NUMBERS.contains(&name) || name.starts_with("packets-lost-")
}

fn json<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut object = Object::new();
    object.text("flow_log_format", "text");
    for (name, value) in members.filter(|(_, value)| *value != "-") {
        if is_number(name) {
            object.number(name, value);
        } else {
            object.text(name, value);
        }
    }
    object.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(log: &str) -> Vec<String> {
        let (mut decoder, mut block, mut read) = (Decoder::default(), Block::default(), Vec::new());
        for line in log.lines().filter(|line| !line.is_empty()) {
            if decoder.header(line) {
                continue;
            }
            match decoder.line(line, &mut || 1, &mut block) {
                Some(Ok(())) => read.push(block.json(block.records.last().unwrap()).to_owned()),
                Some(Err(reason)) => read.push(format!("!{reason}")),
                None => read.push("?".to_owned()),
            }
        }
        read
    }

    #[test]
    fn the_default_format_needs_no_header() {
        let flow = "2 111122223333 eni-0a1b2c3d4e5f60718 203.0.113.9 10.0.3.20 52110 22 6 12 840 1773743400 1773743460 ACCEPT OK";
        assert_eq!(
            read(flow),
            [concat!(
                r#"{"flow_log_format":"text","version":2,"account-id":"111122223333","interface-id":"eni-0a1b2c3d4e5f60718","srcaddr":"203.0.113.9","#,
                r#""dstaddr":"10.0.3.20","srcport":52110,"dstport":22,"protocol":6,"packets":12,"bytes":840,"#,
                r#""start":1773743400,"end":1773743460,"action":"ACCEPT","log-status":"OK"}"#
            )]
        );
        let none = "2 111122223333 eni-0a1b2c3d4e5f60718 - - - - - - - 1773743400 1773743460 - NODATA";
        assert!(read(none)[0].ends_with(r#""start":1773743400,"end":1773743460,"log-status":"NODATA"}"#));
        for other in [
            "2",
            "2 3 4",
            "2 sheets of paper are what the printer on the first floor has left today",
            &flow.replace("eni-", "ens-"),
            &flow.replace("203.0.113.9", "203.0.113"),
            &flow.replace("ACCEPT", "Accept"),
            &format!("{flow} x"),
            &flow.replacen('2', "3", 1),
        ] {
            assert_eq!(read(other), ["?"], "{other}");
        }
    }

    #[test]
    fn a_header_names_the_fields_until_the_next() {
        let log = "\
srcaddr dstaddr tcp-flags flow-direction a-new-field
10.0.0.5 198.51.100.7 19 egress x
2001:db8::1 - - ingress -
version action vpc-id interface-id
8 REJECT vpc-0aa eni-0bb";
        assert_eq!(
            read(log),
            [
                r#"{"flow_log_format":"text","srcaddr":"10.0.0.5","dstaddr":"198.51.100.7","tcp-flags":19,"flow-direction":"egress","a-new-field":"x"}"#,
                r#"{"flow_log_format":"text","srcaddr":"2001:db8::1","flow-direction":"ingress"}"#,
                r#"{"flow_log_format":"text","version":8,"action":"REJECT","vpc-id":"vpc-0aa","interface-id":"eni-0bb"}"#,
            ]
        );
    }

    #[test]
    fn a_header_counts_more_than_a_likeness() {
        let values = "2 111122223333 eni-0a1b 10.0.0.7 10.0.0.8 443 50000 6 1 40 1773743400 1773743460 ACCEPT OK";
        let swapped = DEFAULT.join(" ").replace("srcport dstport", "dstport srcport");
        let made = read(&format!("{values}\n{swapped}\n{values}\nsrcaddr dstaddr\n{values}"));
        let port = |n: usize, name: &str| made[n].contains(&format!("\"{name}\":443,"));
        assert!(port(0, "srcport") && port(1, "dstport") && port(2, "srcport"), "{made:?}");
    }

    #[test]
    fn what_does_not_fit_the_header_says_why() {
        let log =
            "srcaddr dstaddr dstport action\n10.0.0.5 10.0.0.6 22\n10.0.0.5 x 22 ACCEPT\n10.0.0.5 10.0.0.6 ssh ACCEPT";
        assert_eq!(
            read(log),
            [
                "!a flow log line of 3 values below a header of 4 fields",
                "!a flow log line whose dstaddr is \"x\"",
                "!a flow log line whose dstport is \"ssh\"",
            ]
        );
        for no_header in
            ["start end action", "srcaddr", "the start and the end of srcaddr", "Version srcaddr dstaddr", ""]
        {
            assert_eq!(header(no_header), None, "{no_header}");
        }
    }
}
