//! Whom a request counts for, so that who brings much takes nothing from others.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::peers::network;

/// Names an originator. Only to be compared: equal if it is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Originator([u8; 32]);

impl Originator {
    /// By something that nobody else can claim, such as the fingerprint of a certificate whose key was proven.
    pub fn new(fingerprint: [u8; 32]) -> Self {
        Self(fingerprint)
    }
}

/// What requests are told apart by, the best that is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Sharer {
    Originator(Originator),
    TlsClient(Arc<[u8]>),
    /// As counted by [`network`].
    Network(IpAddr),
}

/// Whom the requests of a connection count for: until an order was proven to be somebody's, for the connection's client.
#[derive(Debug)]
pub(crate) struct Sharers(Mutex<Sharer>);

impl Sharers {
    pub(crate) fn new(peer: SocketAddr, certificate: Option<&Arc<[u8]>>) -> Self {
        let sharer = match certificate {
            Some(der) => Sharer::TlsClient(Arc::clone(der)),
            None => Sharer::Network(network(peer.ip())),
        };
        Self(Mutex::new(sharer))
    }

    /// Whom the next request counts for.
    pub(crate) fn current(&self) -> Sharer {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An order of this connection was proven to be of `originator`.
    pub(crate) fn learn(&self, originator: Originator) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Sharer::Originator(originator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proven_replaces_what_is_assumed() {
        let address: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let (plain, certified) = (Sharers::new(address, None), Sharers::new(address, Some(&b"DER"[..].into())));
        assert_eq!(plain.current(), Sharer::Network(address.ip()));
        assert_eq!(certified.current(), Sharer::TlsClient(b"DER"[..].into()));
        for sharers in [plain, certified] {
            sharers.learn(Originator::new([7; 32]));
            assert_eq!(sharers.current(), Sharer::Originator(Originator::new([7; 32])));
        }
    }
}
