//! Whom the gateway calls when others name the address.
//!
//! An address in a certificate or a message is chosen by a stranger. Without rules it could make us knock at doors inside our own
//! network that are closed to strangers (server-side request forgery).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use rohrpost_client::transport::is_internal;

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
        !is_internal(address) || names(&self.private, host, port)
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

#[cfg(test)]
mod tests {
    use super::*;

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
