//! The way to passive recipients: over HTTP, to the addresses that the operator allows and no others.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rohrpost_client::Clock;
use rohrpost_client::transport::{Address, Reach, Timeouts, Tls, Transport, TransportError, is_internal};
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_intermediary::{Courier, Returned, Undelivered};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use tokio::runtime::Handle;

/// A passive recipient that the operator knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// Where it listens.
    pub(crate) address: Address,
    /// Whether its name may stand for an address of this machine or of a private network.
    pub(crate) internal: bool,
}

/// Carries messages over HTTP and HTTPS.
pub(crate) struct HttpCourier {
    receivers: Arc<[Receiver]>,
    transport: Transport,
    runtime: Handle,
}

/// How messages are carried.
#[derive(Debug)]
pub(crate) struct Carriage {
    /// Whom messages may be carried to.
    pub(crate) receivers: Vec<Receiver>,
    /// Authorities that issue the certificates of their servers.
    pub(crate) tls: Option<Tls>,
    /// From the last byte of a message to the head of the answer.
    pub(crate) answer: Duration,
    /// For all of it.
    pub(crate) total: Duration,
}

impl HttpCourier {
    /// # Errors
    /// If the authorities cannot be used.
    pub(crate) fn new(carriage: &Carriage, runtime: Handle) -> anyhow::Result<Self> {
        let receivers: Arc<[Receiver]> = carriage.receivers.clone().into();
        let known = Arc::clone(&receivers);
        let reach = Reach::new(move |to: &Address, ip: IpAddr| {
            !is_internal(ip) || known.iter().any(|receiver| receiver.internal && same(&receiver.address, to))
        });
        let mut timeouts = Timeouts::default();
        (timeouts.answer, timeouts.total) = (carriage.answer, carriage.total);
        let clock = Clock::new(|| SystemClock.now());
        let transport = Transport::within(reach, carriage.tls.as_ref(), timeouts, &clock)?;
        Ok(Self { receivers, transport, runtime })
    }

    fn listed(&self, receiver: &str) -> Option<&Address> {
        let asked: Address = receiver.parse().ok()?;
        self.receivers.iter().map(|receiver| &receiver.address).find(|known| same(known, &asked))
    }
}

impl Courier for HttpCourier {
    fn known(&self, receiver: &str) -> Option<String> {
        self.listed(receiver).map(Address::to_string)
    }

    fn carry(&self, name: &str, message: &Spool, answers: &SpoolDir) -> Result<Returned, Undelivered> {
        let at = || SystemClock.now();
        let address = self.listed(name).ok_or_else(|| Undelivered {
            may_have_arrived: false,
            may_pass: false,
            down: false,
            reason: "the receiver is not listed".to_owned(),
            at: at(),
        })?;
        match self.runtime.block_on(self.transport.post(address, message, answers, None)) {
            Ok(answer) => Ok(Returned { message: answer.body, at: at() }),
            Err(error) => Err(Undelivered {
                may_have_arrived: error.may_have_arrived(),
                // Certificates are renewed, names come back, proxies get their servers again: hours are a long time.
                may_pass: !matches!(error, TransportError::TooLarge { .. }),
                down: is_down(&error),
                reason: format!("{:#}", anyhow::Error::new(error)),
                at: at(),
            }),
        }
    }
}

/// Whether others would fare the same: nobody is there, or nobody answers.
fn is_down(error: &TransportError) -> bool {
    use TransportError as E;
    matches!(error, E::Connect { .. } | E::Tls { .. } | E::OutOfReach { .. } | E::Busy { .. } | E::Timeout { .. })
}

/// Whether both are the same place. Host names know no case; everything else is compared as it is, so that nobody gets further by
/// writing an address differently.
fn same(a: &Address, b: &Address) -> bool {
    (a.is_tls(), a.port(), a.path()) == (b.is_tls(), b.port(), b.path()) && a.host().eq_ignore_ascii_case(b.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_same_place_is_known() {
        let address = |text: &str| text.parse::<Address>().expect("an address");
        let known = address("https://recipient.example/osci");
        for text in ["https://recipient.example/osci", "https://RECIPIENT.example:443/osci"] {
            assert!(same(&known, &address(text)), "{text}");
        }
        for text in [
            "http://recipient.example/osci",
            "https://recipient.example/osci/",
            "https://recipient.example/osci?x",
            "https://recipient.example/OSCI",
            "https://recipient.example/x/../osci",
            "https://recipient.example:444/osci",
            "https://recipient.example.evil/osci",
            "https://recipient.example./osci",
            "https://127.0.0.1/osci",
        ] {
            assert!(!same(&known, &address(text)), "{text}");
        }
    }
}
