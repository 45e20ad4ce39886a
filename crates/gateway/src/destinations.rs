//! Whom the gateway calls when others name the address.
//!
//! An address in a certificate or a message is chosen by a stranger. Without rules it could make us knock at doors inside our own
//! network that are closed to strangers (server-side request forgery).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Who may be called: everybody with a public address, unless there is a list; others only if they are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destinations {
    /// If there are any, only these and the private ones are called.
    pub only: Vec<Destination>,
    /// Called although their addresses may be private: those of our own network or of this machine.
    pub private: Vec<Destination>,
}

/// A host, with a port or with any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    host: String,
    port: Option<u16>,
}

/// The text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no host of the form name, name:port, address or [address]:port")]
pub struct DestinationInvalid {
    text: String,
}

impl Destinations {
    /// Whether this host may be called at all.
    pub fn allow(&self, host: &str, port: u16) -> bool {
        self.only.is_empty() || [&self.only, &self.private].iter().any(|list| names(list, host, port))
    }

    /// Whether this host may be called at this address.
    pub fn allow_address(&self, host: &str, port: u16, address: IpAddr) -> bool {
        is_public(address) || names(&self.private, host, port)
    }
}

fn names(list: &[Destination], host: &str, port: u16) -> bool {
    list.iter().any(|one| one.host.eq_ignore_ascii_case(host) && one.port.is_none_or(|own| own == port))
}

impl FromStr for Destination {
    type Err = DestinationInvalid;

    fn from_str(text: &str) -> Result<Self, DestinationInvalid> {
        let invalid = || DestinationInvalid { text: text.to_owned() };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(invalid)?;
                match rest.strip_prefix(':') {
                    None if !rest.is_empty() => return Err(invalid()),
                    port => (host, port),
                }
            }
            // An IPv6 address without brackets has no port.
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(str::parse).transpose().map_err(|_| invalid())?;
        let is_host = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if host.is_empty() || !(is_host(host) || host.parse::<IpAddr>().is_ok()) {
            return Err(invalid());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (None, _) => f.write_str(&self.host),
            (Some(port), false) => write!(f, "{}:{port}", self.host),
            (Some(port), true) => write!(f, "[{}]:{port}", self.host),
        }
    }
}

/// Whether an address is one of the public internet (IANA special-purpose address registries).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation();
    let special = special
        || match address.octets() {
            // This network; shared address space; IETF protocols; 6to4 relays; benchmarks; reserved and broadcast.
            [0 | 240.., ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => true,
            _ => false,
        };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match address.segments() {
        // IPv4 in other forms: mapped, through NAT64, through 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            embedded(high, low)
        }
        // Teredo and other protocols of the IETF; documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast, the only part that is handed out to the public.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_others() {
        for text in [
            "1.1.1.1",
            "192.0.1.1",
            "100.63.0.1",
            "172.32.0.1",
            "2a00::1",
            "2001:4860::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn private_addresses_need_an_entry() {
        let inside = "10.0.0.1".parse().unwrap();
        let outside = "1.1.1.1".parse().unwrap();
        let rules = Destinations { private: vec!["ocsp.intern:8080".parse().unwrap()], ..Destinations::default() };
        assert!(rules.allow("anybody.example", 80));
        assert!(rules.allow_address("anybody.example", 80, outside));
        assert!(!rules.allow_address("anybody.example", 80, inside));
        assert!(rules.allow_address("OCSP.intern", 8080, inside));
        assert!(!rules.allow_address("ocsp.intern", 80, inside));
    }

    #[test]
    fn with_a_list_nobody_else_is_called() {
        let rules = Destinations {
            only: vec!["ocsp.example".parse().unwrap()],
            private: vec!["[fd00::1]:80".parse().unwrap()],
        };
        assert!(rules.allow("ocsp.example", 8080) && rules.allow("fd00::1", 80));
        assert!(!rules.allow("fd00::1", 81) && !rules.allow("other.example", 80));
        assert!(!rules.allow_address("ocsp.example", 80, "127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn hosts_are_read_and_shown() {
        for text in ["ocsp.example", "ocsp.example:80", "127.0.0.1", "127.0.0.1:8888", "::1", "[::1]:80"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]".parse::<Destination>().unwrap().to_string(), "::1");
        for text in ["", ":80", "a:b", "a:70000", "http://a", "a/b", "[::1", "[::1]x", "[x]:80:", "a b", "u@h"] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
