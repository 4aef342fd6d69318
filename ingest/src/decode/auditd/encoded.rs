//! Values that audit writes as hexadecimal because they hold spaces, quotes or control characters, and socket addresses.
//!
//! Only fields that the audit project documents as encoded are decoded, and only where they stand without quotes.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The field dictionary's "encoded" fields; `saddr` is a structure and not among them.
fn is_encoded(name: &str) -> bool {
    matches!(
        name,
        "acct"
            | "apparmor"
            | "cgroup"
            | "cmd"
            | "comm"
            | "cwd"
            | "data"
            | "device"
            | "dir"
            | "exe"
            | "file"
            | "grp"
            | "invalid_context"
            | "key"
            | "name"
            | "new-chardev"
            | "new-disk"
            | "new-fs"
            | "new-rng"
            | "ocomm"
            | "old-chardev"
            | "old-disk"
            | "old-fs"
            | "old-rng"
            | "path"
            | "proctitle"
            | "vm"
            | "watch"
    )
}

/// The bytes of an even number of hexadecimal digits.
pub fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.is_empty() || !hex.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    hex.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// A field's decoded text; none where the field is not encoded or its value is no hexadecimal text.
///
/// Bytes that are no UTF-8 become U+FFFD; NULs between the words of a process title become spaces.
pub fn text(kind: &str, name: &str, value: &str) -> Option<String> {
    if !(is_encoded(name) || (kind == "EXECVE" && is_argument(name))) {
        return None;
    }
    let mut bytes = bytes(value)?;
    if name == "proctitle" {
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `a0`, `a12`, and the pieces `a1[0]` of a long argument.
pub fn is_argument(name: &str) -> bool {
    argument(name).is_some()
}

/// The number of an argument's name.
pub fn argument(name: &str) -> Option<u32> {
    let rest = name.strip_prefix('a')?;
    let digits = rest.split_once('[').map_or(rest, |(digits, _)| digits);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// A socket address under the names that `ausearch -i` gives its parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SocketAddress {
    /// `inet`, `inet6`, `local`, `netlink` or a family's number.
    pub family: String,
    pub address: Option<String>,
    pub port: Option<u16>,
    pub path: Option<String>,
}

/// Decodes a `struct sockaddr`: the family in the machine's byte order (little-endian; both are tried), the rest in the
/// network's. Source: Linux's `socket.h`, `in.h`, `in6.h`, `un.h`.
pub fn socket_address(hex: &str) -> Option<SocketAddress> {
    let bytes = bytes(hex)?;
    let (low, high) = (*bytes.first()?, *bytes.get(1)?);
    let family = if high == 0 {
        u16::from(low)
    } else if low == 0 {
        u16::from(high)
    } else {
        u16::from_le_bytes([low, high])
    };
    let port = || Some(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    let mut made = SocketAddress::default();
    match family {
        1 => {
            made.family = "local".into();
            let path = &bytes[2..];
            // An abstract socket's name begins with a NUL.
            let (mark, name) = if path.first() == Some(&0) && path.len() > 1 { ("@", &path[1..]) } else { ("", path) };
            let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
            made.path = Some(format!("{mark}{}", String::from_utf8_lossy(&name[..end]))).filter(|p| !p.is_empty());
        }
        2 => {
            made.family = "inet".into();
            made.port = port();
            let octets: Option<[u8; 4]> = bytes.get(4..8).and_then(|b| b.try_into().ok());
            made.address = octets.map(|o| Ipv4Addr::from(o).to_string());
        }
        10 => {
            made.family = "inet6".into();
            made.port = port();
            let octets: Option<[u8; 16]> = bytes.get(8..24).and_then(|b| b.try_into().ok());
            made.address =
                octets.map(Ipv6Addr::from).map(|a| a.to_ipv4_mapped().map_or(a.to_string(), |v4| v4.to_string()));
        }
        16 => made.family = "netlink".into(),
        other => made.family = other.to_string(),
    }
    Some(made)
}
