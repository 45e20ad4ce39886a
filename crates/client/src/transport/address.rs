use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Scheme;
use thiserror::Error;

/// Where messages are sent: an `http` or `https` address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    tls: bool,
    authority: String,
    host: String,
    port: u16,
    path: String,
}

/// The text is no address that messages can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no address of the form http://host:port/path or https://host/path")]
pub struct AddressInvalid {
    text: String,
}

impl Address {
    /// Whether the connection is to be encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host name or IP address, the latter without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Address {
    type Err = AddressInvalid;

    fn from_str(text: &str) -> Result<Self, AddressInvalid> {
        parse(text).ok_or_else(|| AddressInvalid { text: text.to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

fn parse(text: &str) -> Option<Address> {
    let uri: Uri = text.parse().ok()?;
    let tls = match uri.scheme()? {
        scheme if *scheme == Scheme::HTTP => false,
        scheme if *scheme == Scheme::HTTPS => true,
        _ => return None,
    };
    let authority = uri.authority()?;
    // Names and passwords in addresses end up in logs.
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let bare = authority.host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some(Address {
        tls,
        authority: authority.to_string(),
        host: bare.unwrap_or_else(|| authority.host()).to_owned(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, tls, host, port, path) in [
            ("http://localhost", false, "localhost", 80, "/"),
            ("http://127.0.0.1:4080/osci", false, "127.0.0.1", 4080, "/osci"),
            ("https://example.org/a?b=c", true, "example.org", 443, "/a?b=c"),
            ("https://[::1]:4443/osci", true, "::1", 4443, "/osci"),
        ] {
            let address: Address = text.parse().unwrap();
            let found = (address.is_tls(), address.host(), address.port(), address.path());
            assert_eq!(found, (tls, host, port, path), "{text}");
            assert_eq!(address.to_string().trim_end_matches('/'), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in ["", "/osci", "localhost:4080", "ftp://host/", "http://", "http://u:p@host/", "http://a b/"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
