//! What must hold, whatever happens. Knows everything that was sent, and looks into the store after every step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use rohrpost_audit::{Checkpoint, Event, Leaf, LogVerifier, verify_export_since};
use rohrpost_intermediary::Outcome;
use rohrpost_osci::compose::OutContent;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::ids::{ConversationId, MessageId};
use rohrpost_osci::message::Response;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_store::{CardRule, FetchRule, Fingerprint, SqliteStore, Store};
use time::OffsetDateTime;

use super::client::Exchange;
use super::keys;
use super::party::{Heard, Said, data_of};
use super::plan::{Ask, Shipment, short};

/// What one card says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    addressee: Fingerprint,
    created: OffsetDateTime,
    forwarded: Option<OffsetDateTime>,
    received: Option<OffsetDateTime>,
}

type Cards = BTreeMap<String, Seen>;

#[derive(Debug, Default)]
struct Conversation {
    /// Handed out in answers and not acknowledged by a request.
    handed_out: BTreeSet<String>,
    /// Of these, what the client really got.
    heard: BTreeSet<String>,
    /// The request that was answered last.
    last: Option<u64>,
    /// What its answer handed out.
    given: Option<String>,
}

/// A handled request.
pub(super) struct Handling {
    pub(super) exchange: std::sync::Arc<Exchange>,
    /// Nothing if the process ended meanwhile.
    pub(super) outcome: Option<(Outcome, Said)>,
}

/// Everything that must hold.
pub(super) struct Oracle {
    owners: Vec<(&'static str, Fingerprint)>,
    verifier: LogVerifier,
    shipments: HashMap<String, Shipment>,
    /// Ids whose storing was confirmed.
    confirmed: BTreeSet<String>,
    /// Ids whose storing ended without a certain answer.
    doubtful: BTreeSet<String>,
    issued: HashMap<String, u64>,
    cards: Cards,
    conversations: HashMap<ConversationId, Conversation>,
    checkpoints: Vec<Checkpoint>,
    /// Bodies of deliveries received before this time may be gone.
    removed_before: Option<OffsetDateTime>,
}

/// Fails with these words unless the condition holds.
macro_rules! must {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+));
        }
    };
}

impl Oracle {
    pub(super) fn new(names: &[&'static str], verifier: LogVerifier) -> Self {
        let fingerprint = |name: &str| Fingerprint::of_der(keys::entry(&format!("{name}-cipher")).certificate.der());
        Self {
            owners: names.iter().map(|name| (*name, fingerprint(name))).collect(),
            verifier,
            shipments: HashMap::new(),
            confirmed: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            issued: HashMap::new(),
            cards: Cards::new(),
            conversations: HashMap::new(),
            checkpoints: Vec::new(),
            removed_before: None,
        }
    }

    /// Bodies of what was received before this time were removed, or perhaps.
    pub(super) fn removed(&mut self, received_before: OffsetDateTime) {
        self.removed_before = self.removed_before.max(Some(received_before));
    }

    /// A request was sent.
    pub(super) fn sent(&mut self, exchange: &Exchange) {
        if let Ask::Store(shipment) = &exchange.ask
            && let Some(id) = &shipment.id
        {
            self.shipments.insert(id.as_str().to_owned(), shipment.clone());
        }
    }

    /// A client took an answer.
    pub(super) fn heard(&mut self, exchange: &Exchange, said: &Said) {
        if let (Some(conversation), Said::Answer(heard)) = (&exchange.conversation, said)
            && let Some(id) = given(heard)
        {
            self.conversations.entry(conversation.clone()).or_default().heard.insert(id.as_str().to_owned());
        }
    }

    /// The process ended: all dialogs are forgotten.
    pub(super) fn restarted(&mut self) {
        self.conversations.clear();
    }

    /// Requests were handled together: compares the store with what may and must have come of them.
    pub(super) fn judge(&mut self, store: &SqliteStore, handled: &[Handling]) -> Result<(), String> {
        let after = self.look(store)?;
        self.nothing_lost(&after)?;
        self.nothing_unasked(&after, handled)?;
        for handling in handled {
            self.answer_fits(&after, handling, handled)?;
        }
        self.log_goes_on(store)?;
        let waiting = after.values().filter(|card| card.received.is_none()).count() as u64;
        let stats = store.stats().map_err(|error| format!("no figures: {error}"))?;
        must!(stats.waiting == waiting, "the mailboxes count {} deliveries, {waiting} wait", stats.waiting);
        self.cards = after;
        Ok(())
    }

    fn look(&self, store: &SqliteStore) -> Result<Cards, String> {
        let mut all = Cards::new();
        for (_, owner) in &self.owners {
            let page = store.cards(owner, &CardRule::ALL, usize::MAX).map_err(|error| format!("no cards: {error}"))?;
            all.extend(page.cards.into_iter().map(|card| {
                let seen = Seen {
                    addressee: card.addressee,
                    created: card.created,
                    forwarded: card.forwarded,
                    received: card.received,
                };
                (card.message_id.as_str().to_owned(), seen)
            }));
        }
        Ok(all)
    }

    fn nothing_lost(&self, after: &Cards) -> Result<(), String> {
        for (id, before) in &self.cards {
            let Some(now) = after.get(id) else { return Err(format!("the delivery {} is lost", short(id))) };
            must!(now.created == before.created, "the creation of {} changed", short(id));
            let kept = |before: Option<OffsetDateTime>, now| before.is_none() || before == now;
            must!(kept(before.forwarded, now.forwarded), "the forwarding of {} is lost or changed", short(id));
            must!(kept(before.received, now.received), "the reception of {} is lost or changed", short(id));
        }
        Ok(())
    }

    /// Every change has a request that may cause it.
    fn nothing_unasked(&self, after: &Cards, handled: &[Handling]) -> Result<(), String> {
        for (id, card) in after {
            let before = self.cards.get(id);
            let asked = |may: &dyn Fn(&Handling) -> bool| handled.iter().any(may);
            if before.is_none() {
                let may =
                    |handling: &Handling| matches!(&handling.exchange.ask, Ask::Store(shipment) if is(shipment, id));
                must!(asked(&may), "the delivery {} came from nowhere", short(id));
            }
            if card.forwarded.is_some() && before.is_none_or(|card| card.forwarded.is_none()) {
                let may = |handling: &Handling| {
                    matches!(handling.exchange.ask, Ask::Fetch(_)) && self.owns(&handling.exchange, card)
                };
                must!(asked(&may), "{} is forwarded, and nobody fetched it", short(id));
            }
            if card.received.is_some() && before.is_none_or(|card| card.received.is_none()) {
                let may =
                    |handling: &Handling| self.may_acknowledge(handling, id) && self.owns(&handling.exchange, card);
                must!(asked(&may), "{} is received, and nobody acknowledged it", short(id));
                must!(card.forwarded <= card.received, "{} was received before it was forwarded", short(id));
            }
        }
        Ok(())
    }

    fn owns(&self, exchange: &Exchange, card: &Seen) -> bool {
        self.owners[exchange.client].1 == card.addressee
    }

    /// A further request of a dialog acknowledges what its client got in it.
    fn may_acknowledge(&self, handling: &Handling, id: &str) -> bool {
        let exchange = &handling.exchange;
        let conversation = exchange.conversation.as_ref().and_then(|id| self.conversations.get(id));
        conversation.is_some_and(|conversation| {
            conversation.last != Some(exchange.number)
                && conversation.heard.contains(id)
                && conversation.handed_out.contains(id)
        })
    }

    fn answer_fits(&mut self, after: &Cards, handling: &Handling, handled: &[Handling]) -> Result<(), String> {
        let exchange = &handling.exchange;
        let id = match &exchange.ask {
            Ask::Store(shipment) => shipment.id.as_ref().map(|id| id.as_str().to_owned()),
            _ => None,
        };
        let heard = match &handling.outcome {
            Some((_, Said::Answer(heard))) => heard,
            None | Some((_, Said::Fault)) => {
                self.doubtful.extend(id);
                return Ok(());
            }
        };
        let again = self.is_again(exchange);
        if let Some(id) = &id {
            self.stored_fits(after, id, heard, handled.len() == 1)?;
        }
        if let Response::GetMessageId(answer) = &heard.response
            && let Some(id) = &answer.message_id
        {
            let before = self.issued.insert(id.as_str().to_owned(), exchange.number);
            must!(before.is_none() || again, "the message id {} was issued twice", short(id.as_str()));
        }
        if let Response::FetchProcessCard(answer) = &heard.response
            && handled.len() == 1
            && !again
        {
            self.cards_fit(after, exchange, answer)?;
        }
        self.dialog_goes_on(after, exchange, heard, again, handled.len() == 1)
    }

    fn is_again(&self, exchange: &Exchange) -> bool {
        let conversation = exchange.conversation.as_ref().and_then(|id| self.conversations.get(id));
        conversation.is_some_and(|conversation| conversation.last == Some(exchange.number))
    }

    fn stored_fits(&mut self, after: &Cards, id: &str, heard: &Heard, alone: bool) -> Result<(), String> {
        if heard.is_executed() {
            must!(after.contains_key(id), "{} was confirmed and is not stored", short(id));
            let Response::StoreDelivery(answer) = &heard.response else { return Ok(()) };
            must!(answer.card.is_some(), "{} was confirmed without its card", short(id));
            self.confirmed.insert(id.to_owned());
        } else if heard.response.feedback().contains(Code::MessageIdIllegal) {
            must!(after.contains_key(id), "the message id {} was never used and is refused", short(id));
        } else if alone {
            let before = self.cards.contains_key(id);
            must!(before || !after.contains_key(id), "{} was refused and is stored", short(id));
        }
        Ok(())
    }

    fn cards_fit(
        &self,
        after: &Cards,
        exchange: &Exchange,
        answer: &rohrpost_osci::message::ResponseToFetchProcessCard,
    ) -> Result<(), String> {
        for bundle in &answer.cards {
            let id = bundle.message_id.as_str();
            let Some(card) = after.get(id) else { return Err(format!("a card of {} that is not stored", short(id))) };
            must!(
                bundle.card.reception.is_some() == card.received.is_some(),
                "a card of {} tells of another reception",
                short(id)
            );
            must!(
                bundle.card.forwarding.is_some() == card.forwarded.is_some(),
                "a card of {} tells of another forwarding",
                short(id)
            );
        }
        let (_, owner) = self.owners[exchange.client];
        let waiting = after.values().filter(|card| card.addressee == owner).count();
        must!(answer.cards.len() >= waiting.min(100), "only {} cards of {waiting} or more", answer.cards.len());
        Ok(())
    }

    fn dialog_goes_on(
        &mut self,
        after: &Cards,
        exchange: &Exchange,
        heard: &Heard,
        again: bool,
        alone: bool,
    ) -> Result<(), String> {
        let Some(id) = &exchange.conversation else { return Ok(()) };
        let (_, owner) = self.owners[exchange.client];
        let conversation = self.conversations.entry(id.clone()).or_default();
        if again {
            let given = given(heard).map(MessageId::as_str);
            must!(conversation.given.as_deref() == given, "another delivery for the same request");
            return Ok(());
        }
        conversation.last = Some(exchange.number);
        conversation.given = given(heard).map(|id| id.as_str().to_owned());
        for id in &conversation.handed_out {
            let received = after.get(id).is_some_and(|card| card.received.is_some());
            must!(received, "{} was acknowledged and is not received", short(id));
        }
        conversation.handed_out.clear();
        conversation.heard.clear();
        let Response::FetchDelivery(answer) = &heard.response else { return Ok(()) };
        let oldest = matches!(exchange.ask, Ask::Fetch(DeliverySelection::Oldest));
        // Those accepted first; the ids of one millisecond are not in order.
        let waiting = after.iter().filter(|(_, card)| card.addressee == owner && card.received.is_none());
        let first = waiting.map(|(_, card)| card.created).min();
        let Some(bundle) = &answer.card else {
            must!(!oldest || !alone || first.is_none(), "nothing is handed out although something waits");
            return Ok(());
        };
        let id = bundle.message_id.as_str();
        let (Some(card), Some(shipment)) = (after.get(id), self.shipments.get(id)) else {
            return Err(format!("{} is handed out and not stored", short(id)));
        };
        must!(card.addressee == owner, "{} is handed out to somebody else", short(id));
        must!(card.forwarded.is_some(), "{} is handed out and not forwarded", short(id));
        must!(heard.data.as_deref() == Some(&shipment.data()), "{} is handed out with another content", short(id));
        must!(bundle.card.subject.as_deref() == Some(&shipment.subject()), "{} has another subject", short(id));
        if oldest {
            // Who has two dialogs at once may be handed out in one what is acknowledged in the other at the same moment.
            let received = self.cards.get(id).is_some_and(|card| card.received.is_some());
            let again = received || (alone && card.received.is_some());
            must!(!again, "{} was received and is handed out again", short(id));
            must!(first.is_none_or(|first| card.created <= first), "{} is handed out before its turn", short(id));
        }
        if card.received.is_none() {
            conversation.handed_out.insert(id.to_owned());
        }
        Ok(())
    }

    fn log_goes_on(&mut self, store: &SqliteStore) -> Result<(), String> {
        let note = store.checkpoint().map_err(|error| format!("no checkpoint: {error}"))?;
        let checkpoint = Checkpoint::open(note.as_bytes(), &self.verifier)
            .map_err(|error| format!("the checkpoint is not good: {error}"))?;
        match self.checkpoints.last() {
            Some(last) if last.size == checkpoint.size => must!(last.root == checkpoint.root, "the log was rewritten"),
            Some(last) => {
                must!(last.size < checkpoint.size, "the log had {} entries and has {}", last.size, checkpoint.size);
                self.checkpoints.push(checkpoint);
            }
            None => self.checkpoints.push(checkpoint),
        }
        Ok(())
    }

    /// Looks at everything: bodies, files, and the whole log against all that was seen of it.
    pub(super) fn inspect(&self, store: &SqliteStore, files: usize, log: &Path) -> Result<u64, String> {
        must!(store.recovery().missing.is_empty(), "bodies are missing");
        let mut large = 0;
        for (id, card) in &self.cards {
            let wanted = MessageId::new(id.as_str()).map_err(|error| error.to_string())?;
            let found = store.next_delivery(&card.addressee, FetchRule::ById(&wanted));
            let found = found.map_err(|error| format!("{} cannot be read: {error}", short(id)))?;
            let Some(found) = found else {
                must!(
                    card.received.is_some() && card.received < self.removed_before,
                    "the body of {} is lost",
                    short(id)
                );
                continue;
            };
            let length = found.body.len();
            let content = OutContent::kept(found.body, found.content.range, &found.content.namespaces);
            let shipment = self.shipments.get(id).ok_or("a delivery that nobody sent")?;
            must!(data_of(&content)? == shipment.data(), "the body of {} is another one", short(id));
            large += usize::from(length > super::MAX_INLINE);
        }
        must!(files == large, "{files} files for {large} large bodies");
        for id in &self.confirmed {
            must!(self.cards.contains_key(id), "{} was confirmed and is not stored", short(id));
        }
        for id in self.cards.keys() {
            let known = self.confirmed.contains(id) || self.doubtful.contains(id);
            must!(known, "{} is stored, and every attempt was refused", short(id));
        }
        self.inspect_log(store, log)
    }

    fn inspect_log(&self, store: &SqliteStore, log: &Path) -> Result<u64, String> {
        store.export_audit(log, &mut |_, _| {}).map_err(|error| format!("the log cannot be exported: {error}"))?;
        let report = verify_export_since(log, &self.verifier, &self.checkpoints, &mut |_, _| {})
            .map_err(|error| format!("the export cannot be read: {error}"))?;
        must!(report.is_good(), "the log is not good: {:?}", report.problems);
        let mut told: BTreeMap<(&str, String), OffsetDateTime> = BTreeMap::new();
        for leaf in entries(log, report.size)? {
            let event = match leaf.event {
                Event::Accepted => "accepted",
                Event::Forwarded => "forwarded",
                Event::Received => "received",
                _ => continue,
            };
            let id = leaf.message_id.unwrap_or_default();
            let twice = told.insert((event, id.clone()), leaf.time).is_some();
            must!(!twice, "the log tells twice that {} was {event}", short(&id));
        }
        let expected = self.cards.iter().flat_map(|(id, card)| {
            let stamps = [("accepted", Some(card.created)), ("forwarded", card.forwarded), ("received", card.received)];
            stamps.into_iter().filter_map(|(event, at)| Some(((event, id.clone()), at?)))
        });
        let expected: BTreeMap<_, _> = expected.collect();
        for (key, at) in &expected {
            must!(told.get(key) == Some(at), "the log does not tell that {} was {} at {at}", short(&key.1), key.0);
        }
        for (event, id) in told.keys() {
            must!(expected.contains_key(&(*event, id.clone())), "only the log tells that {} was {event}", short(id));
        }
        Ok(report.size)
    }

    /// For whom something waits.
    pub(super) fn waiting(&self, client: usize) -> bool {
        let (_, owner) = self.owners[client];
        self.cards.values().any(|card| card.addressee == owner && card.received.is_none())
    }

    /// Deliveries stored, and how many of them were received.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.cards.len() as u64, self.cards.values().filter(|card| card.received.is_some()).count() as u64)
    }
}

fn is(shipment: &Shipment, id: &str) -> bool {
    shipment.id.as_ref().is_some_and(|own| own.as_str() == id)
}

/// The delivery in an answer.
fn given(heard: &Heard) -> Option<&MessageId> {
    match &heard.response {
        Response::FetchDelivery(answer) => Some(&answer.card.as_ref()?.message_id),
        _ => None,
    }
}

/// Reads the entries of an exported log.
fn entries(log: &Path, size: u64) -> Result<Vec<Leaf>, String> {
    let mut leaves = Vec::new();
    for number in 0..size.div_ceil(256) {
        let full = log.join(format!("tile/entries/{number:03}"));
        let path = if full.exists() { full } else { log.join(format!("tile/entries/{number:03}.p/{}", size % 256)) };
        let bundle = std::fs::read(path).map_err(|error| format!("an export cannot be read: {error}"))?;
        let mut rest = bundle.as_slice();
        while let Some((length, tail)) = rest.split_first_chunk::<2>() {
            let (record, tail) = tail.split_at(u16::from_be_bytes(*length).into());
            leaves.push(Leaf::parse(record).map_err(|error| format!("an entry cannot be read: {error}"))?);
            rest = tail;
        }
    }
    Ok(leaves)
}
