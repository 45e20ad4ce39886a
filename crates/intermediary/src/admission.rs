//! Who is served at the moment: maintenance, mailboxes that are closed, and those that exist at all.

use std::collections::BTreeSet;

use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_osci::message::Request;
use rohrpost_store::Fingerprint;

/// What an operator decides from day to day. May be exchanged while orders are executed, see
/// [`Intermediary::admit`](crate::Intermediary::admit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Which orders are executed.
    pub mode: Mode,
    /// The only mailboxes there are, by the cipher certificates of their owners. Without it any certificate is one, as the protocol
    /// has it.
    pub registered: Option<BTreeSet<Fingerprint>>,
    /// The code for deliveries to a mailbox that is not registered. The protocol has none of its own.
    pub unknown: Code,
    /// Mailboxes that take nothing and hand nothing out.
    pub blocked: BTreeSet<Fingerprint>,
}

/// Which orders are executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Mode {
    /// All.
    #[default]
    Normal,
    /// Deliveries are taken for mailboxes; nothing is handed out, forwarded or looked up.
    StoreOnly,
    /// None. Dialogs can be closed, so that what was handed out before is acknowledged.
    Stopped,
}

impl Default for Admission {
    /// Everybody is served.
    fn default() -> Self {
        Self { mode: Mode::Normal, registered: None, unknown: Code::OrderFailed, blocked: BTreeSet::new() }
    }
}

impl Admission {
    /// The code that refuses an order of the owner of this mailbox, if it is to be refused.
    pub(crate) fn refusal(&self, request: &Request, client: Option<&[u8]>) -> Option<Code> {
        use Request as R;
        let is_executed = match (self.mode, request) {
            (Mode::Normal, _) | (_, R::ExitDialog(_)) => true,
            (Mode::StoreOnly, R::InitDialog(_) | R::GetMessageId(_)) => true,
            (Mode::StoreOnly, R::StoreDelivery(_) | R::PartialStoreDelivery(_)) => true,
            (Mode::StoreOnly | Mode::Stopped, _) => false,
        };
        if !is_executed {
            return Some(Code::OrderFailed);
        }
        match request {
            R::StoreDelivery(_) | R::PartialStoreDelivery(_) | R::ForwardDelivery(_) => {
                self.closed_to_deliveries(request)
            }
            // The reply is for the mailbox of whoever asks.
            R::MediateDelivery(_) => {
                self.closed_to_deliveries(request).or_else(|| self.closed_to_its_owner(client, true))
            }
            R::FetchDelivery(_) | R::PartialFetchDelivery(_) | R::FetchProcessCard(_) => {
                self.closed_to_its_owner(client, false)
            }
            _ => None,
        }
    }

    fn closed_to_its_owner(&self, client: Option<&[u8]>, has_to_exist: bool) -> Option<Code> {
        if self.blocked.is_empty() && self.registered.is_none() {
            return None;
        }
        let mailbox = Fingerprint::of_der(client?);
        let exists = || self.registered.as_ref().is_none_or(|registered| registered.contains(&mailbox));
        let is_closed = self.blocked.contains(&mailbox) || (has_to_exist && !exists());
        is_closed.then_some(Code::OrderFailed)
    }

    fn closed_to_deliveries(&self, request: &Request) -> Option<Code> {
        // Fingerprints cost a hash, and most operators restrict nothing.
        if self.blocked.is_empty() && self.registered.is_none() {
            return None;
        }
        let certificates = &request.header().certificates;
        let addressee = certificates.first(CertificateRole::Addressee, CertificateUse::Cipher)?;
        let addressee = Fingerprint::of_der(&addressee.der);
        if self.blocked.contains(&addressee) {
            return Some(Code::OrderFailed);
        }
        // A passive recipient has no mailbox that could be registered.
        let is_known = match (request, &self.registered) {
            (Request::StoreDelivery(_) | Request::PartialStoreDelivery(_), Some(registered)) => {
                registered.contains(&addressee)
            }
            _ => true,
        };
        (!is_known).then_some(self.unknown)
    }
}
