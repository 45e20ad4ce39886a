use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::Address;

/// Which network addresses a transport may connect to. Asked for each address that a host name stands for, every time, so that a name
/// cannot be turned to somewhere else later.
#[derive(Clone)]
pub struct Reach(Arc<Allows>);

type Allows = dyn Fn(&Address, IpAddr) -> bool + Send + Sync;

impl Reach {
    /// Everywhere that `allows` says.
    pub fn new(allows: impl Fn(&Address, IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(allows))
    }

    /// Everywhere.
    pub fn everywhere() -> Self {
        Self::new(|_, _| true)
    }

    pub(super) fn allows(&self, to: &Address, ip: IpAddr) -> bool {
        (self.0)(to, ip)
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reach")
    }
}

/// Whether an address is none of the public internet: this machine, private, local to a link or a provider, not for single hosts, or
/// reserved (IANA special-purpose address registries). IPv6 forms of such IPv4 addresses count as well.
pub fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_internal_v4(ip),
        IpAddr::V6(ip) => is_internal_v6(ip),
    }
}

fn is_internal_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && b & 0xc0 == 64)
        || (a == 198 && b & 0xfe == 18)
        || (a, b, c) == (192, 0, 0)
}

fn is_internal_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // Mapped, compatible, translated (NAT64) and 6to4 addresses lead to the IPv4 address inside.
    let inside = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_internal_v4(inside(high, low))
        }
        [0x2002, high, low, ..] => is_internal_v4(inside(high, low)),
        [0x64, 0xff9b, 1, ..] => true,
        [first, ..] => ip.is_multicast() || first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_internal_is_known() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_internal(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "193.99.144.80",
            "198.20.0.1",
            "2001:db8::1",
            "2a02:2e0::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(!is_internal(ip.parse().unwrap()), "{ip}");
        }
    }
}
