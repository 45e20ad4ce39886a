//! Connections by who opened them. One address cannot take all there are, and when all are taken, whoever has the most makes
//! room for whoever has fewer: a connection at rest is closed, which costs its client nothing but a new one.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::wire::Activity;

/// Who has which connections.
pub(crate) struct Peers {
    limit: usize,
    open: Mutex<HashMap<IpAddr, Vec<Arc<Guest>>>>,
}

/// One connection.
pub(crate) struct Guest {
    pub(crate) activity: Arc<Activity>,
    /// Somebody else needs the place, and this connection was at rest.
    pub(crate) asked_to_leave: Notify,
}

impl Peers {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: Mutex::default() })
    }

    /// A place for one more connection of `address`; nothing if it has as many as it may.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network(address);
        let mut open = self.open();
        let guests = open.get(&network).map_or(0, Vec::len);
        if guests >= self.limit {
            return None;
        }
        let guest = Arc::new(Guest { activity: Activity::new(), asked_to_leave: Notify::new() });
        open.entry(network).or_default().push(Arc::clone(&guest));
        Some(Seat { peers: Arc::clone(self), network, guest })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, Vec<Arc<Guest>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given back on drop.
pub(crate) struct Seat {
    peers: Arc<Peers>,
    network: IpAddr,
    guest: Arc<Guest>,
}

impl Seat {
    pub(crate) fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }

    /// Asks the connection that has been at rest longest to leave, of the other network that has the most; of any, if this is the
    /// first connection of its network, else of one with more. Says whether there was one.
    pub(crate) fn make_room(&self) -> bool {
        let open = self.peers.open();
        let own = open.get(&self.network).map_or(0, Vec::len);
        let others = open.iter().filter(|(network, _)| **network != self.network).map(|(_, guests)| guests);
        let resting = others.filter(|guests| own == 1 || guests.len() > own).flat_map(|guests| {
            let at_rest = guests.iter().filter_map(|guest| Some((guest, guest.activity.at_rest_since()?)));
            at_rest.map(|(guest, since)| (guests.len(), Reverse(since), guest))
        });
        let Some((_, _, guest)) = resting.max_by_key(|(count, since, _)| (*count, *since)) else { return false };
        guest.activity.closing();
        guest.asked_to_leave.notify_one();
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        // Only who has connections has an entry.
        if let Some(guests) = open.get_mut(&self.network) {
            guests.retain(|guest| !Arc::ptr_eq(guest, &self.guest));
            if guests.is_empty() {
                open.remove(&self.network);
            }
        }
    }
}

/// What addresses are counted by. Whoever has one IPv6 address has its whole /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(peers: &Arc<Peers>, address: &str) -> Option<Seat> {
        peers.seat(address.parse().unwrap())
    }

    #[test]
    fn each_has_its_own_seats_and_gives_them_back() {
        let peers = Peers::new(2);
        let seat = |address: &str| seat(&peers, address);
        let (one, two) = (seat("192.0.2.1"), seat("::ffff:192.0.2.1"));
        assert!(one.is_some() && two.is_some());
        assert!(seat("192.0.2.1").is_none());
        let (three, four) = (seat("2001:db8::1"), seat("2001:db8::ffff:1"));
        assert!(three.is_some() && four.is_some());
        assert!(seat("2001:db8::2").is_none() && seat("2001:db8:0:1::1").is_some() && seat("192.0.2.2").is_some());
        drop(two);
        assert!(seat("192.0.2.1").is_some());
        drop((one, three, four));
        assert!(peers.open().is_empty(), "nothing is kept of those who left");
    }

    #[tokio::test]
    async fn who_has_the_most_makes_room() {
        let peers = Peers::new(10);
        let many: Vec<Seat> = (0..3).map(|_| seat(&peers, "192.0.2.1").unwrap()).collect();
        let two = [seat(&peers, "192.0.2.2").unwrap(), seat(&peers, "192.0.2.2").unwrap()];
        many[0].guest.activity.serving();
        let newcomer = seat(&peers, "192.0.2.3").unwrap();
        assert!(newcomer.make_room());
        many[1].guest.asked_to_leave.notified().await;
        assert!(newcomer.make_room());
        many[2].guest.asked_to_leave.notified().await;
        assert!(newcomer.make_room(), "the next one has two");
        two[0].guest.asked_to_leave.notified().await;
        two[1].guest.activity.serving();
        assert!(!newcomer.make_room(), "everybody else is at work");
        assert!(!many[0].make_room(), "nobody has more, and one's own are left alone");
    }

    #[tokio::test]
    async fn who_has_more_than_others_displaces_nobody() {
        let peers = Peers::new(10);
        let _honest = seat(&peers, "192.0.2.1").unwrap();
        let many: Vec<Seat> = (0..3).map(|_| seat(&peers, "192.0.2.2").unwrap()).collect();
        many.iter().for_each(|seat| seat.guest.activity.serving());
        assert!(!many[2].make_room());
    }
}
