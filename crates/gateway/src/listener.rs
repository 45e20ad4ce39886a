//! Accepting connections: slots, TLS handshakes, and what happens when there are too many.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::{Instrument, debug, error, info_span, warn};

use crate::config::Role;
use crate::connection::{Stage, say, serve};
use crate::metrics::Raised;
use crate::peers::{Guest, Peers, Seat};
use crate::problem::Problem;
use crate::service::{Client, Shared};
use crate::tls::TlsKeys;

/// Connections of the management listeners, which have nothing to do with the limit for orders.
pub(crate) const MANAGEMENT_CONNECTIONS: usize = 64;

/// Clients at a time that are told why they are not served. The rest are just closed.
const POLITE_REFUSALS: usize = 64;

/// For a connection that was asked to leave.
const MAKING_ROOM: Duration = Duration::from_secs(5);

/// After the operating system refuses a connection, usually for lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound address and what is served there.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<TlsKeys>>,
    pub(crate) role: Role,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stage: watch::Receiver<Stage>,
    /// Held by everything that must end before the gateway has ended.
    pub(crate) alive: mpsc::Sender<()>,
}

impl Door {
    /// Accepts until the stage changes.
    pub(crate) async fn accept(mut self) {
        let refusals = Arc::new(Semaphore::new(POLITE_REFUSALS));
        loop {
            tokio::select! {
                biased;
                _ = self.stage.changed() => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer, &refusals),
                    Err(error) if is_of_one_connection(&error) => debug!(%error, "connection lost while accepting"),
                    Err(error) => {
                        error!(%error, "no connections can be accepted: check the limit of open files");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, refusals: &Arc<Semaphore>) {
        let Some(seat) = self.peers.seat(peer.ip()) else { return self.turn_away(stream, refusals) };
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        if slot.is_some() || seat.make_room() {
            self.open(stream, peer, seat, slot);
        } else {
            self.turn_away(stream, refusals);
        }
    }

    fn open(&self, stream: TcpStream, peer: SocketAddr, seat: Seat, slot: Option<OwnedSemaphorePermit>) {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let span = info_span!("connection", number, %peer);
        let (shared, stage, tls, role) = (Arc::clone(&self.shared), self.stage.clone(), self.tls.clone(), self.role);
        let (alive, slots) = (self.alive.clone(), Arc::clone(&self.slots));
        let task = async move {
            let Some(slot) = slot_soon(slot, slots).await else { return };
            let _held = (slot, alive, raised(&shared, role));
            // Answers are written in few large pieces: waiting for more to send only costs time.
            let _ = stream.set_nodelay(true);
            converse(stream, peer, seat.guest(), role, tls, shared, stage).await;
        };
        tokio::spawn(task.instrument(span));
    }

    fn turn_away(&self, stream: TcpStream, refusals: &Arc<Semaphore>) {
        let problem = Problem::TooManyConnections { retry_after: self.shared.config.timeouts.retry_after };
        self.shared.metrics.refused(&problem);
        // A handshake is just the work that must not be done now.
        if self.tls.is_some() {
            return;
        }
        if let Ok(permit) = Arc::clone(refusals).try_acquire_owned() {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                let _permit = permit;
                let patience = shared.config.timeouts.linger + Duration::from_secs(1);
                let _ = timeout(patience, say(stream, &problem, &shared)).await;
            });
        }
    }
}

/// The slot, or the next one that is free: somebody was asked to leave.
async fn slot_soon(slot: Option<OwnedSemaphorePermit>, slots: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    match slot {
        Some(slot) => Some(slot),
        None => timeout(MAKING_ROOM, slots.acquire_owned()).await.ok()?.ok(),
    }
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    guest: &Guest,
    role: Role,
    tls: Option<Arc<TlsKeys>>,
    shared: Arc<Shared>,
    stage: watch::Receiver<Stage>,
) {
    let Some(tls) = tls else {
        let client = Client::new(peer, role, false, None);
        return serve(stream, client, guest, shared, stage).await;
    };
    let handshake = timeout(shared.config.timeouts.header, tls.handshake(stream, &shared.handshakes));
    let handshake = tokio::select! {
        () = guest.asked_to_leave.notified() => return,
        ended = handshake => ended,
    };
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            shared.metrics.handshakes_failed.inc();
            warn!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            shared.metrics.handshakes_failed.inc();
            debug!("TLS handshake took too long");
            return;
        }
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(<[_]>::first).map(|certificate| Arc::from(certificate.as_ref()));
    let client = Client::new(peer, role, true, certificate);
    serve(stream, client, guest, shared, stage).await;
}

fn raised(shared: &Shared, role: Role) -> Option<Raised> {
    (role == Role::Orders).then(|| {
        shared.metrics.connections_total.inc();
        Raised::by_one(&shared.metrics.connections)
    })
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
