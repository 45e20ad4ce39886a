//! Connections counted by who opened them, so that one address cannot take all there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Who has how many connections.
pub(crate) struct Peers {
    limit: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Peers {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: Mutex::default() })
    }

    /// A place for one more connection of `address`; nothing if it has as many as it may.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&network).is_some_and(|count| *count >= self.limit) {
            return None;
        }
        *open.entry(network).or_default() += 1;
        Some(Seat { peers: Arc::clone(self), network })
    }
}

/// Given back on drop.
pub(crate) struct Seat {
    peers: Arc<Peers>,
    network: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Only who has connections has an entry.
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_seats_and_gives_them_back() {
        let peers = Peers::new(2);
        let seat = |address: &str| peers.seat(address.parse().unwrap());
        let (one, two) = (seat("192.0.2.1"), seat("::ffff:192.0.2.1"));
        assert!(one.is_some() && two.is_some());
        assert!(seat("192.0.2.1").is_none());
        let (three, four) = (seat("2001:db8::1"), seat("2001:db8::ffff:1"));
        assert!(three.is_some() && four.is_some());
        assert!(seat("2001:db8::2").is_none() && seat("2001:db8:0:1::1").is_some() && seat("192.0.2.2").is_some());
        drop(two);
        assert!(seat("192.0.2.1").is_some());
        drop((one, three, four));
        assert!(peers.open.lock().unwrap().is_empty(), "nothing is kept of those who left");
    }
}
