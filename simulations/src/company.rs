//! The company whose day it is: people, machines, buckets, pods. All names are invented; addresses are from the
//! documentation ranges of RFC 5737 and from private ones.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The AWS account that the day happens in.
pub const ACCOUNT: &str = "111122223333";
/// The Windows domain.
pub const DOMAIN: &str = "FJORD";

/// People, by login.
pub const PEOPLE: &[&str] = &[
    "a.lind", "b.okafor", "c.moreau", "d.sato", "e.novak", "f.haddad", "g.silva", "h.berg", "i.petrov", "j.wu",
    "k.ames", "l.rossi",
];
/// Operators, who use the cloud and the cluster by hand.
pub const OPERATORS: &[&str] = &["h.berg", "d.sato", "l.rossi"];
/// Workstations, one a person.
pub const WORKSTATIONS: &[&str] = &[
    "WS-101", "WS-102", "WS-103", "WS-104", "WS-105", "WS-106", "WS-107", "WS-108", "WS-109", "WS-110", "WS-111",
    "WS-112",
];
/// Buckets that applications use.
pub const BUCKETS: &[&str] = &["fjord-invoices", "fjord-web-assets", "fjord-etl-landing", "fjord-backups"];
/// Roles that applications assume.
pub const ROLES: &[&str] = &["etl-runner", "invoice-api", "backup-agent", "web-deployer"];
/// Namespaces and their deployments in the cluster.
pub const DEPLOYMENTS: &[(&str, &str)] = &[
    ("shop", "cart"),
    ("shop", "checkout"),
    ("shop", "catalog"),
    ("billing", "invoices"),
    ("platform", "ingress"),
    ("platform", "metrics"),
];

/// One of a list, each as likely.
pub fn pick<'a, T: ?Sized>(rng: &mut ChaCha8Rng, of: &'a [&'a T]) -> &'a T {
    of[rng.random_range(0..of.len())]
}

/// A made-up UUID, as event ids are written.
pub fn uuid(rng: &mut ChaCha8Rng) -> String {
    let n: u128 = rng.random();
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        (n >> 96) as u32,
        (n >> 80) as u16,
        (n >> 64) & 0xfff,
        (n >> 48) & 0xfff,
        n & 0xffff_ffff_ffff
    )
}

/// The office's address for a person, as AWS sees it.
pub fn office_address(person: &str) -> String {
    let n = PEOPLE.iter().position(|p| *p == person).unwrap_or(0);
    format!("198.51.100.{}", 10 + n)
}
