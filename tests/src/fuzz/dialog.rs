//! Conversations: the bytes say who does what next, and a small model knows what must come of it.
//!
//! Three clients keep to the protocol; between their orders somebody sends recorded requests again, changes control blocks and lets time
//! pass. Whatever happens, a delivery is accepted once, handed only to its addressee as it was sent, counts as received exactly
//! when its addressee went on in the dialog, and the store's figures agree.

use std::cell::RefCell;

use rohrpost_intermediary::Outcome;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_store::Store as _;
use time::{Duration, OffsetDateTime};

use super::script::Script;
use crate::harness::{Answer, Bench, Client, Delivered, Delivery, Draft, NOW, Setup, content, key, key_ring};

const NAMES: [(&str, &str); 3] =
    [("alice-cipher", "alice-signature"), ("bob-cipher", "bob-signature"), ("carol-cipher", "carol-signature")];
/// Orders in one conversation at most.
const STEPS: usize = 24;
/// Conversations until a store is thrown away.
const RUNS_PER_STORE: u32 = 200;

/// Bytes as a sequence of orders.
pub fn dialog(data: &[u8]) {
    thread_local! {
        static BENCH: RefCell<Option<(Bench, u32)>> = const { RefCell::new(None) };
    }
    // Taken out while it is used: after a panic a new one is made.
    let (bench, used) = BENCH.take().filter(|(_, used)| *used < RUNS_PER_STORE).unwrap_or_else(|| (start(), 0));
    let mut world = World::new(&bench);
    let mut script = Script::new(data);
    for _ in 0..STEPS {
        if script.is_over() {
            break;
        }
        world.step(&mut script);
        world.agrees();
    }
    world.empty();
    BENCH.set(Some((bench, used + 1)));
}

fn start() -> Bench {
    let setup = Setup {
        keys: key_ring(key("intermediary-2048-cipher"), Some(key("intermediary-2048-signature"))),
        ..Setup::default()
    };
    setup.start()
}

struct Letter {
    id: MessageId,
    to: usize,
    text: Vec<u8>,
    received: bool,
}

/// A client and what it knows of its dialog.
struct Party {
    client: Client,
    is_open: bool,
    /// Somebody interfered, or time passed: the dialog may be gone.
    is_disturbed: bool,
    handed_out: Option<MessageId>,
}

struct World<'a> {
    bench: &'a Bench,
    now: OffsetDateTime,
    parties: [Party; 3],
    letters: Vec<Letter>,
    sent: Vec<Vec<u8>>,
    waiting_before: u64,
}

impl<'a> World<'a> {
    fn new(bench: &'a Bench) -> Self {
        let waiting_before = bench.stats().waiting;
        let parties = NAMES.map(|(cipher, signature)| Party {
            client: client(cipher, signature),
            is_open: false,
            is_disturbed: false,
            handed_out: None,
        });
        Self { bench, now: NOW, parties, letters: Vec::new(), sent: Vec::new(), waiting_before }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let (action, who) = (script.below(10), script.below(3));
        let party = &mut self.parties[who];
        match action {
            0 if !party.is_open => {
                let draft = party.client.init();
                let answer = self.exchange(who, &draft);
                self.parties[who].is_open = answer.is_some();
            }
            0 | 1 if party.is_open => {
                let draft = party.client.exit();
                if self.exchange(who, &draft).is_some() {
                    self.parties[who].is_open = false;
                }
            }
            2 | 3 => self.store(who, script.below(3), script.byte()),
            4 | 5 if party.is_open => self.fetch(who, script.byte()),
            6 if party.is_open => {
                let draft = party.client.cards(Default::default());
                self.exchange(who, &draft);
            }
            7 => self.send_again(script.below(256)),
            8 if party.is_open => self.bend(who, script),
            9 => {
                self.now += Duration::minutes(i64::from(script.byte() % 16));
                self.parties.iter_mut().for_each(|party| party.is_disturbed = true);
            }
            _ => {
                let draft = party.client.get_message_id();
                self.exchange(who, &draft);
            }
        }
    }

    /// A proper request; nothing if the dialog turned out to be gone.
    fn exchange(&mut self, who: usize, draft: &Draft) -> Option<Answer> {
        let party = &mut self.parties[who];
        let bytes = party.client.encode(draft);
        self.sent.push(bytes.clone());
        let answer = self.bench.handle_at(bytes, self.now);
        if answer.outcome == Outcome::Fault {
            assert_eq!(answer.fault(), Some(9400), "nothing else can be wrong");
            assert!(party.is_open && party.is_disturbed, "a dialog ended without cause");
            self.lose(who);
            return None;
        }
        party.client.read(&answer);
        // Whoever goes on has received what was handed out before.
        if let Some(id) = party.handed_out.take() {
            self.letters.iter_mut().filter(|letter| letter.id == id).for_each(|letter| letter.received = true);
        }
        Some(answer)
    }

    fn lose(&mut self, who: usize) {
        let (cipher, signature) = NAMES[who];
        self.parties[who] =
            Party { client: client(cipher, signature), is_open: false, is_disturbed: false, handed_out: None };
    }

    fn store(&mut self, who: usize, to: usize, tag: u8) {
        let id = self.bench.fresh_id();
        let text = vec![tag; 1 + usize::from(tag)];
        let mut delivery = Delivery::to(NAMES[to].0, &id);
        delivery.content = content(&text, &[]);
        let party = &mut self.parties[who];
        let (draft, code) = (party.client.store(delivery), if party.is_open { 801 } else { 800 });
        if let Some(answer) = self.exchange(who, &draft) {
            assert_eq!(answer.codes, [code]);
            self.letters.push(Letter { id, to, text, received: false });
        }
    }

    fn fetch(&mut self, who: usize, choice: u8) {
        let chosen = self.letters.get(usize::from(choice / 2)).filter(|_| choice % 2 == 1);
        let wanted = chosen.map(|letter| letter.id.clone());
        let selection = wanted.clone().map_or(DeliverySelection::Oldest, DeliverySelection::ById);
        let draft = self.parties[who].client.fetch(selection);
        let Some(answer) = self.exchange(who, &draft) else { return };
        let own = |letter: &&Letter| letter.to == who && wanted.as_ref().is_none_or(|id| *id == letter.id);
        let mut expected = self.letters.iter().filter(own).filter(|letter| wanted.is_some() || !letter.received);
        let delivered = Delivered::read(&answer.opened(key(NAMES[who].0)));
        let Some(delivered) = delivered else {
            assert!(expected.next().is_none(), "a delivery is missing: {:?}", answer.codes);
            return;
        };
        let letter = expected.find(|letter| letter.id == delivered.message_id).expect("it is for this one and waits");
        assert_eq!(delivered.data.iter().map(|(_, text)| text).collect::<Vec<_>>(), [&letter.text]);
        self.parties[who].handed_out = Some(delivered.message_id);
    }

    /// Somebody sends a recorded request again.
    fn send_again(&mut self, which: usize) {
        if self.sent.is_empty() {
            return;
        }
        let bytes = self.sent[which % self.sent.len()].clone();
        let before = self.bench.stats();
        let answer = self.bench.handle_at(bytes, self.now);
        if answer.outcome == Outcome::Fault {
            assert_eq!(answer.fault(), Some(9400));
        }
        assert_eq!(self.bench.stats().waiting, before.waiting, "a repetition changed something: {:?}", answer.codes);
        self.parties.iter_mut().for_each(|party| party.is_disturbed = true);
    }

    /// A request that does not fit into its dialog, but is signed and encrypted as it should be.
    fn bend(&mut self, who: usize, script: &mut Script<'_>) {
        let party = &mut self.parties[who];
        let mut draft = party.client.exit();
        let before = draft.block_text("controlblock").to_owned();
        script.edit().apply_to_text(&mut draft.block("controlblock").text);
        let is_bent = draft.block_text("controlblock") != before;
        let stats = self.bench.stats();
        let answer = self.bench.handle_at(party.client.encode(&draft), self.now);
        let told = (answer.outcome, answer.fault());
        // A change that means nothing (blanks, the challenge that is to be echoed) may pass.
        if answer.outcome == Outcome::Executed {
            let after = draft.block_text("controlblock");
            for part in [" ConversationId=\"", "<osci:Response>", " SequenceNumber=\""] {
                let value =
                    |text: &str| text.split_once(part).map(|(_, rest)| rest.chars().take(8).collect::<String>());
                assert!(
                    !is_bent || value(after).is_none() || value(after) == value(&before),
                    "{after} instead of {before}"
                );
            }
            if let Some(id) = self.parties[who].handed_out.take() {
                self.letters.iter_mut().filter(|letter| letter.id == id).for_each(|letter| letter.received = true);
            }
        } else {
            assert_eq!(self.bench.stats(), stats, "refused, but not without effect: {told:?}");
        }
        self.lose(who);
    }

    /// The store agrees with what the parties were told.
    fn agrees(&self) {
        let waiting = self.letters.iter().filter(|letter| !letter.received).count() as u64;
        assert_eq!(self.bench.stats().waiting - self.waiting_before, waiting);
        for letter in &self.letters {
            let card = self.bench.store.card(&letter.id).expect("the store works").expect("it was accepted");
            assert_eq!(card.received.is_some(), letter.received, "{:?}", letter.id);
        }
    }

    /// Leaves nothing for the next conversation: everybody reads everything.
    fn empty(&mut self) {
        for who in 0..NAMES.len() {
            self.lose(who);
            let waiting = |world: &Self| world.letters.iter().any(|letter| letter.to == who && !letter.received);
            if !waiting(self) {
                continue;
            }
            let draft = self.parties[who].client.init();
            self.exchange(who, &draft).expect("a fresh dialog");
            self.parties[who].is_open = true;
            while waiting(self) {
                self.fetch(who, 0);
            }
        }
        self.agrees();
    }
}

fn client(cipher: &'static str, signature: &'static str) -> Client {
    let mut client = Client::new(cipher, signature).unsigned();
    client.intermediary = "intermediary-2048-cipher";
    client
}
