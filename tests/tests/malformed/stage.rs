//! The table's machinery: a well-formed message, deliberate changes to it at one stage of its making, and the exact outcome.
//!
//! After every change the same message is sent without it and has to be executed. So a refusal is due to the change alone, and a
//! refused order has left nothing behind that would stand in the way of the good one.

use std::cell::Cell;

use rohrpost_intermediary::{Outcome, Settings};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::{CodeNumber, Language};
use rohrpost_osci::message::Response;
use rohrpost_osci::mime::{Limits, Multipart};
use rohrpost_osci::selection::DeliverySelection;

use crate::harness::{
    Answer, Bench, Client, Delivery, Draft, DraftSignature, NOW, Seal, Setup, content, key, rsa_signer,
};

/// How a request must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// A SOAP fault with this code.
    Fault(u16),
    /// A regular answer with exactly these codes, the first an error.
    Refused(Vec<u16>),
    /// A regular answer with exactly these codes, the first a success.
    Executed(Vec<u16>),
}

pub fn fault(code: u16) -> Expected {
    Expected::Fault(code)
}

pub fn refused(codes: &[u16]) -> Expected {
    Expected::Refused(codes.to_vec())
}

pub fn executed(codes: &[u16]) -> Expected {
    Expected::Executed(codes.to_vec())
}

/// The message that a case starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    InitDialog,
    GetMessageId,
    StoreDelivery,
    /// Within a dialog.
    FetchDelivery,
    FetchProcessCard,
    ExitDialog,
    StoreInDialog,
}

type Edit<T> = Box<dyn Fn(&mut T)>;
type Change<T, C> = Box<dyn Fn(&mut T, &C)>;

/// One line of the table.
pub struct Case {
    name: String,
    expected: Expected,
    order: Order,
    signed: bool,
    sealed: bool,
    signer: &'static str,
    has_twin: bool,
    draft: Vec<Edit<Draft>>,
    signature: Vec<Change<DraftSignature, Draft>>,
    block: Vec<Edit<String>>,
    envelope: Vec<Edit<String>>,
    message: Vec<Edit<Vec<u8>>>,
    seal: Vec<Edit<Seal>>,
    sent: Vec<Edit<Vec<u8>>>,
}

impl Case {
    /// A case over a signed message in clear.
    pub fn new(name: impl Into<String>, order: Order, expected: Expected) -> Self {
        let twin_would_repeat =
            matches!(order, Order::FetchDelivery | Order::FetchProcessCard | Order::ExitDialog | Order::StoreInDialog)
                && !matches!(expected, Expected::Fault(_));
        Self {
            name: name.into(),
            expected,
            order,
            signed: true,
            sealed: false,
            signer: "alice-signature",
            has_twin: !twin_would_repeat,
            draft: Vec::new(),
            signature: Vec::new(),
            block: Vec::new(),
            envelope: Vec::new(),
            message: Vec::new(),
            seal: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// The message is not signed.
    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    /// The message is encrypted.
    pub fn sealed(mut self) -> Self {
        self.sealed = true;
        self
    }

    /// Somebody else signs.
    pub fn signer(mut self, name: &'static str) -> Self {
        self.signer = name;
        self
    }

    /// The unchanged message is not tried.
    pub fn alone(mut self) -> Self {
        self.has_twin = false;
        self
    }

    /// Changes the message before it is signed.
    pub fn draft(mut self, edit: impl Fn(&mut Draft) + 'static) -> Self {
        self.draft.push(Box::new(edit));
        self
    }

    /// Changes what is signed; the signature is made over the change.
    pub fn signature(mut self, edit: impl Fn(&mut DraftSignature, &Draft) + 'static) -> Self {
        self.signature.push(Box::new(edit));
        self
    }

    /// Changes the finished signature block.
    pub fn block(mut self, edit: impl Fn(&mut String) + 'static) -> Self {
        self.block.push(Box::new(edit));
        self
    }

    /// Changes the envelope after it was signed.
    pub fn envelope(mut self, edit: impl Fn(&mut String) + 'static) -> Self {
        self.envelope.push(Box::new(edit));
        self
    }

    /// Puts other text into the place of some text of the signed envelope.
    pub fn replace(self, from: &'static str, to: impl Into<String>) -> Self {
        let to = to.into();
        self.envelope(move |xml| replace(xml, from, &to))
    }

    /// Changes the framed message.
    pub fn message(mut self, edit: impl Fn(&mut Vec<u8>) + 'static) -> Self {
        self.message.push(Box::new(edit));
        self
    }

    /// Puts other bytes into the place of some bytes of the framed message.
    pub fn swap(self, from: &'static str, to: &'static str) -> Self {
        self.message(move |bytes| swap(bytes, from.as_bytes(), to.as_bytes()))
    }

    /// Changes the encryption.
    pub fn seal(mut self, edit: impl Fn(&mut Seal) + 'static) -> Self {
        self.seal.push(Box::new(edit));
        self.sealed = true;
        self
    }

    /// Changes what is sent.
    pub fn sent(mut self, edit: impl Fn(&mut Vec<u8>) + 'static) -> Self {
        self.sent.push(Box::new(edit));
        self
    }

    /// The bytes of the message, changed or not.
    pub fn build(&self, draft: &Draft, changed: bool) -> Vec<u8> {
        let mut message = self.framed(draft, changed);
        if self.sealed {
            let mut seal = Seal::new(&message, key("intermediary-cipher"));
            if changed {
                self.seal.iter().for_each(|edit| edit(&mut seal));
            }
            message = seal.write();
        }
        if changed {
            self.sent.iter().for_each(|edit| edit(&mut message));
        }
        message
    }

    /// The same before it is encrypted.
    pub fn framed(&self, draft: &Draft, changed: bool) -> Vec<u8> {
        let mut draft = draft.clone();
        if changed {
            self.draft.iter().for_each(|edit| edit(&mut draft));
        }
        let block = self.signed.then(|| {
            let mut signature = draft.signature();
            if changed {
                self.signature.iter().for_each(|edit| edit(&mut signature, &draft));
            }
            let mut block = signature.sign(&rsa_signer(if changed { self.signer } else { "alice-signature" }));
            if changed {
                self.block.iter().for_each(|edit| edit(&mut block));
            }
            block
        });
        let mut envelope = draft.envelope(block.as_deref());
        if changed {
            self.envelope.iter().for_each(|edit| edit(&mut envelope));
        }
        let mut message = draft.mime(&envelope);
        if changed {
            self.message.iter().for_each(|edit| edit(&mut message));
        }
        message
    }

    /// The message it starts from.
    pub fn base(&self, bench: &Bench) -> Draft {
        let mut alice = Client::alice();
        alice.sealed = self.sealed;
        if !self.signed {
            alice.signature = None;
        }
        let delivery = || {
            let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
            delivery.content = content(b"Inhalt", &[("plan.pdf", b"%PDF-1.7 Lageplan")]);
            delivery
        };
        match self.order {
            Order::InitDialog => alice.init(),
            Order::GetMessageId => alice.get_message_id(),
            Order::StoreDelivery => alice.store(delivery()),
            Order::FetchDelivery => alice.open(bench).fetch(DeliverySelection::Oldest),
            Order::FetchProcessCard => alice.open(bench).cards(Default::default()),
            Order::ExitDialog => alice.open(bench).exit(),
            Order::StoreInDialog => alice.open(bench).store(delivery()),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    /// Tries the case; what is not as it must be.
    fn failures(&self, bench: &Bench) -> Vec<String> {
        let mut failures = Vec::new();
        let draft = self.base(bench);
        let before = bench.stats();
        let answer = bench.handle_at(self.build(&draft, true), NOW);
        let found = outcome(&answer);
        if found != self.expected {
            failures.push(format!("{found:?}, not {:?}", self.expected));
        }
        failures.extend(words(&answer).err());
        let after = bench.stats();
        let is_store = matches!(self.order, Order::StoreDelivery | Order::StoreInDialog);
        let traces = match &self.expected {
            Expected::Executed(_) if is_store => (1, 1),
            Expected::Refused(_) if answer.order == "StoreDelivery" => (0, 1),
            _ => (0, 0),
        };
        let left = (after.waiting - before.waiting, after.log_size - before.log_size);
        if left != traces {
            failures.push(format!("left {left:?} deliveries and log entries, not {traces:?}"));
        }
        let is_fresh = !is_store || !matches!(self.expected, Expected::Executed(_));
        if self.has_twin && is_fresh {
            let twin = bench.handle_at(self.build(&draft, false), NOW);
            let found_nothing = matches!(twin.codes[..], [9803 | 9804]);
            if twin.outcome != Outcome::Executed && !found_nothing {
                failures.push(format!("the unchanged message ends in {:?}", twin.codes));
            }
        }
        failures
    }
}

/// How a request ended. Checks that a fault says what it should.
pub fn outcome(answer: &Answer) -> Expected {
    match answer.outcome {
        Outcome::Fault => Expected::Fault(answer.fault().expect("it is a fault")),
        Outcome::Refused => Expected::Refused(answer.codes.clone()),
        Outcome::Executed => Expected::Executed(answer.codes.clone()),
    }
}

/// An answer says what the table of feedback says about its codes, and not a word more.
fn words(answer: &Answer) -> Result<(), String> {
    let is_ours = |code: Option<CodeNumber>, text: &str| {
        let known = code.and_then(CodeNumber::known);
        known.is_some_and(|code| {
            [Language::German, Language::English].iter().any(|language| code.text(*language) == text)
        })
    };
    let said: Vec<_> = if answer.outcome == Outcome::Fault {
        let multipart = Multipart::scan(&answer.bytes, &Limits::default()).unwrap();
        let fault = Fault::parse(&answer.bytes, &multipart).unwrap().unwrap();
        vec![(fault.code, fault.text)]
    } else {
        let response = Response::parse(answer.opened(key("alice-cipher")).read().envelope()).unwrap();
        let entries = response.feedback().entries().iter();
        entries.map(|entry| (Some(entry.code), entry.text.clone().unwrap_or_default())).collect()
    };
    match said.into_iter().find(|(code, text)| !is_ours(*code, text)) {
        Some(other) => Err(format!("the answer says {other:?}")),
        None => Ok(()),
    }
}

/// Tries a table and reports everything that is wrong together.
pub fn run(cases: Vec<Case>) {
    run_with(|_| {}, cases);
}

thread_local! {
    /// Cases so far, while tables are only counted.
    static COUNTED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// How many cases tables have; they are not tried.
pub fn counted(tables: &[fn()]) -> usize {
    COUNTED.set(Some(0));
    tables.iter().for_each(|table| table());
    COUNTED.take().unwrap()
}

/// Tries a table with other settings.
pub fn run_with(settings: impl FnOnce(&mut Settings), cases: Vec<Case>) {
    if let Some(counted) = COUNTED.get() {
        return COUNTED.set(Some(counted + cases.len()));
    }
    let bench = Setup::with(settings).start();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    let failures: Vec<String> = cases
        .iter()
        .flat_map(|case| case.failures(&bench).into_iter().map(move |failure| format!("{}: {failure}", case.name)))
        .collect();
    println!("{} cases", cases.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// Puts other text into the place of the first occurrence.
pub fn replace(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "{from} does not occur in {text}");
    *text = text.replacen(from, to, 1);
}

/// Puts other bytes into the place of the first occurrence.
pub fn swap(bytes: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let at = find(bytes, from);
    bytes.splice(at..at + from.len(), to.iter().copied());
}

/// Where some bytes occur first.
pub fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    let found = bytes.windows(wanted.len()).position(|window| window == wanted);
    found.unwrap_or_else(|| panic!("{} does not occur", String::from_utf8_lossy(wanted)))
}

/// Takes a piece out of a text, from the first occurrence of `start` to the end of the next `end` behind it.
pub fn cut(text: &mut String, start: &str, end: &str) -> String {
    let from = text.find(start).unwrap_or_else(|| panic!("{start} does not occur"));
    let rest = from + start.len();
    let to = rest + text[rest..].find(end).unwrap_or_else(|| panic!("{end} does not occur")) + end.len();
    let piece = text[from..to].to_owned();
    text.replace_range(from..to, "");
    piece
}
