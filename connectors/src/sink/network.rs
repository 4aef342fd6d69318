//! Which addresses alerts may be sent to.
//!
//! Whoever may write a target's URL, or answer for its name in DNS, must not reach through this process what only this
//! process can reach: loopback, private networks, link-local addresses, cloud metadata. So the addresses that a name
//! resolves to are checked where they are handed to the connection, each time; literal addresses, which never go
//! through the resolver, are checked beforehand. Redirects and proxies are off (see `http`), so there is no other way.

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use thiserror::Error;

/// An address that alerts may not be sent to.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{address} is loopback, private, link-local, or otherwise not public; allow_networks can allow it")]
pub struct AddressDenied {
    /// The address.
    pub address: IpAddr,
}

/// A name of which no address is left.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name:?} has no address")]
struct NoAddress {
    name: String,
}

/// Networks that are not public, or that reach them: RFC 6890 and its registries, and the metadata services of clouds.
const CLOSED_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared address space, with Alibaba's metadata at 100.100.100.200.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, with most clouds' metadata at 169.254.169.254.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // IETF assignments, with Oracle's metadata at 192.0.0.192.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Azure's metadata and agent, a public address by its number.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Multicast, reserved, broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The same for IPv6. Global unicast is 2000::/3; what lies outside is handled apart.
const CLOSED_V6: &[(Ipv6Addr, u8)] = &[
    // Teredo and 6to4 carry IPv4 addresses inside.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
];

/// A network in configuration: an address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl TryFrom<String> for Network {
    type Error = ipnet::AddrParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// Public addresses, and those of networks that were allowed.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    allowed: Arc<[Network]>,
}

impl Reach {
    /// Public addresses and these networks.
    pub fn new(allowed: &[Network]) -> Self {
        Self { allowed: allowed.into() }
    }

    /// Whether an address may be connected to.
    ///
    /// **Errors**: [`AddressDenied`].
    pub fn check(&self, address: IpAddr) -> Result<(), AddressDenied> {
        let meant = plain(address);
        let allowed = self.allowed.iter().any(|Network(net)| net.contains(&meant) || net.contains(&address));
        if allowed || is_public(meant) { Ok(()) } else { Err(AddressDenied { address }) }
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped (`::ffff:0:0/96`), or translated (NAT64, `64:ff9b::/96`).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into(),
        _ => address,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !CLOSED_V4.iter().any(|(net, length)| same_v4(v4, *net, *length)),
        IpAddr::V6(v6) => {
            let global = v6.segments()[0] & 0xe000 == 0x2000;
            global && !CLOSED_V6.iter().any(|(net, length)| same_v6(v6, *net, *length))
        }
    }
}

fn same_v4(address: Ipv4Addr, net: Ipv4Addr, length: u8) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= u32::from(length)
}

fn same_v6(address: Ipv6Addr, net: Ipv6Addr, length: u8) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= u32::from(length)
}

/// Resolves names as the system does, and hands on only what may be connected to.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut denied = None;
            let mut open: Vec<SocketAddr> = Vec::new();
            for address in found {
                match reach.check(address.ip()) {
                    Ok(()) => open.push(address),
                    Err(error) => denied = Some(error),
                }
            }
            match (open.is_empty(), denied) {
                (false, _) => Ok(Box::new(open.into_iter()) as Addrs),
                (true, Some(denied)) => Err(denied.into()),
                (true, None) => Err(NoAddress { name: name.as_str().to_owned() }.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn open(address: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<Network> = allowed.iter().map(|net| Network(net.parse().unwrap())).collect();
        Reach::new(&allowed).check(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_public_addresses_are_open() {
        for closed in [
            "0.0.0.0",
            "10.1.2.3",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.31.0.1",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.0.1",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "fe80::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "2002:7f00:1::",
            "2001:0:1::",
            "2001:db8::1",
            "::7f00:1",
        ] {
            assert!(!open(closed, &[]), "{closed}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "168.63.129.17", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(open(public, &[]), "{public}");
        }
    }

    #[test]
    fn networks_can_be_allowed() {
        assert!(open("10.1.2.3", &["10.1.0.0/16"]));
        assert!(open("::ffff:10.1.2.3", &["10.1.0.0/16"]));
        assert!(!open("10.2.2.3", &["10.1.0.0/16"]));
        assert!(open("::1", &["::1/128"]));
        assert!(!open("169.254.169.254", &["10.0.0.0/8", "127.0.0.0/8"]));
    }
}
