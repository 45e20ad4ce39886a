//! Dialogs between a client and an intermediary in memory: what works, what is refused, and what happens when answers
//! get lost.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::collections::HashMap;

use rohrpost_osci::dialog::{
    Client, ClientDialog, ControlBlock, Fresh, Implicit, IntermediaryDialog, Misplaced, Part, RequestImpossible,
    ResponseViolation, Tolerance, Turn, Violation, answer_implicit,
};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::ids::{Challenge, ConversationId, MessageId};
use rohrpost_osci::ns::MessageType::{self, *};

/// What the intermediary does with a request; the fault stands for every SOAP fault.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reply {
    Executed(ControlBlock),
    Again(ControlBlock),
    NeedsDialog(ControlBlock),
    Fault(Violation),
}

impl Reply {
    fn block(&self) -> &ControlBlock {
        match self {
            Self::Executed(block) | Self::Again(block) | Self::NeedsDialog(block) => block,
            Self::Fault(violation) => panic!("fault: {violation}"),
        }
    }
}

/// An intermediary that executes everything and hands out one delivery per FetchDelivery.
struct Hub {
    dialogs: HashMap<ConversationId, IntermediaryDialog>,
    cache: HashMap<ConversationId, ControlBlock>,
    tolerance: Tolerance,
    counter: u8,
    deliveries: u8,
    received: Vec<String>,
}

impl Hub {
    fn new() -> Self {
        Self {
            dialogs: HashMap::new(),
            cache: HashMap::new(),
            tolerance: Tolerance::default(),
            counter: 0,
            deliveries: 0,
            received: Vec::new(),
        }
    }

    fn fresh(&mut self) -> Fresh {
        self.counter += 1;
        Fresh {
            conversation_id: ConversationId::from_random([self.counter; 16]),
            challenge: Challenge::from_random([self.counter; 15]),
        }
    }

    fn handle(&mut self, message: MessageType, request: &ControlBlock) -> Reply {
        self.handle_as(message, request, true)
    }

    fn handle_as(&mut self, message: MessageType, request: &ControlBlock, encrypted: bool) -> Reply {
        let fresh = self.fresh();
        if message == InitDialog {
            let client = Client { cipher_certificate: b"cipher"[..].into(), signature_certificate: None };
            return match IntermediaryDialog::open(request, client, encrypted, fresh) {
                Ok((dialog, answer)) => {
                    self.dialogs.insert(dialog.id().clone(), dialog);
                    Reply::Executed(answer)
                }
                Err(violation) => Reply::Fault(violation),
            };
        }
        let Some(id) = &request.conversation_id else {
            return match answer_implicit(message, request, fresh) {
                Ok(Implicit::Accepted(answer)) => Reply::Executed(answer),
                Ok(Implicit::ExplicitDialogNeeded(answer)) => Reply::NeedsDialog(answer),
                Err(violation) => Reply::Fault(violation),
            };
        };
        let Some(dialog) = self.dialogs.get_mut(id) else {
            return Reply::Fault(Violation::OtherConversation);
        };
        let turn = match dialog.check(message, request, encrypted, &self.tolerance) {
            Ok(turn) => turn,
            Err(violation) => return Reply::Fault(violation),
        };
        self.received.extend(dialog.take_acknowledged(turn).iter().map(ToString::to_string));
        if turn == Turn::Retransmission {
            return self.cache.get(id).cloned().map_or(Reply::Fault(Violation::Closed), Reply::Again);
        }
        if message == FetchDelivery {
            self.deliveries += 1;
            dialog.hand_out(MessageId::new(format!("delivery {}", self.deliveries)).unwrap());
        }
        let answer = dialog.answer(fresh.challenge);
        self.cache.insert(id.clone(), answer.clone());
        Reply::Executed(answer)
    }

    /// Counts the request and then fails with a fault, as if something behind the control block was wrong.
    fn fault_after_control_block(&mut self, message: MessageType, request: &ControlBlock) {
        let dialog = self.dialogs.get_mut(request.conversation_id.as_ref().unwrap()).unwrap();
        assert_eq!(dialog.check(message, request, true, &self.tolerance), Ok(Turn::Next));
    }
}

/// A client with its intermediary.
struct Pair {
    client: ClientDialog,
    hub: Hub,
    counter: u8,
}

impl Pair {
    fn new() -> Self {
        Self { client: ClientDialog::new(), hub: Hub::new(), counter: 100 }
    }

    fn opened() -> Self {
        let mut pair = Self::new();
        pair.exchange(InitDialog);
        pair
    }

    fn challenge(&mut self) -> Challenge {
        self.counter += 1;
        Challenge::from_random([self.counter; 15])
    }

    fn request(&mut self, message: MessageType) -> ControlBlock {
        let challenge = self.challenge();
        self.client.request(message, challenge).unwrap()
    }

    /// One request that must be executed and answered well; returns the request.
    fn exchange(&mut self, message: MessageType) -> ControlBlock {
        let request = self.request(message);
        let reply = self.hub.handle(message, &request);
        assert!(matches!(reply, Reply::Executed(_)), "{message}: {reply:?}");
        self.client.response(response_to(message), reply.block()).unwrap();
        request
    }
}

fn response_to(message: MessageType) -> MessageType {
    let name = format!("ResponseTo{message}");
    MessageType::ALL.into_iter().find(|candidate| candidate.name() == name).unwrap()
}

fn number(block: &ControlBlock) -> Option<u32> {
    block.sequence_number
}

#[test]
fn an_explicit_dialog_counts_its_requests() {
    let mut pair = Pair::new();
    let init = pair.exchange(InitDialog);
    assert_eq!((number(&init), &init.conversation_id, &init.response), (None, &None, &None));
    let messages = [FetchDelivery, GetMessageId, StoreDelivery, FetchProcessCard, ForwardDelivery, MediateDelivery];
    for (expected, message) in messages.into_iter().enumerate() {
        assert_eq!(number(&pair.exchange(message)), Some(expected as u32));
    }
    assert_eq!(number(&pair.exchange(ExitDialog)), Some(6));
    assert!(pair.client.conversation_id().is_none());
    pair.exchange(InitDialog);
    assert_eq!(number(&pair.exchange(FetchDelivery)), Some(0));
}

#[test]
fn implicit_dialogs_stay_implicit() {
    let mut pair = Pair::new();
    for message in [GetMessageId, StoreDelivery, ForwardDelivery, PartialStoreDelivery, GetMessageId] {
        let request = pair.exchange(message);
        assert_eq!((number(&request), &request.conversation_id), (Some(0), &None));
    }
    let mut request = pair.request(GetMessageId);
    // What some clients send: the challenge of an earlier dialog, without its id.
    request.response = Some(Challenge::new("old").unwrap());
    let reply = pair.hub.handle(GetMessageId, &request);
    let answer = reply.block();
    assert_eq!(answer.challenge, None);
    assert!(answer.conversation_id.is_some());
    assert_eq!(answer.response, request.challenge);
}

#[test]
fn implicit_requests_have_number_zero() {
    let mut pair = Pair::new();
    let mut request = pair.request(StoreDelivery);
    request.sequence_number = Some(1);
    let expected = Reply::Fault(Violation::SequenceNumber { expected: 0, found: 1 });
    assert_eq!(pair.hub.handle(StoreDelivery, &request), expected);
    request.sequence_number = None;
    let expected = Reply::Fault(Misplaced::Missing(Part::SequenceNumber).into());
    assert_eq!(pair.hub.handle(StoreDelivery, &request), expected);
    let no_challenge = ControlBlock { sequence_number: Some(0), ..ControlBlock::default() };
    let expected = Reply::Fault(Misplaced::Missing(Part::Challenge).into());
    assert_eq!(pair.hub.handle(GetMessageId, &no_challenge), expected);
}

#[test]
fn fetching_needs_an_explicit_dialog() {
    let mut pair = Pair::new();
    for message in [FetchDelivery, PartialFetchDelivery, FetchProcessCard, MediateDelivery, ExitDialog] {
        let challenge = pair.challenge();
        let refused = pair.client.request(message, challenge);
        assert_eq!(refused, Err(RequestImpossible::ExplicitDialogNeeded(message)));
    }
    let request = ControlBlock {
        challenge: Some(pair.challenge()),
        response: Some(pair.challenge()),
        conversation_id: None,
        sequence_number: Some(3),
    };
    let reply = pair.hub.handle(FetchProcessCard, &request);
    assert!(matches!(reply, Reply::NeedsDialog(_)));
    let answer = reply.block();
    assert!(answer.challenge.is_some() && answer.conversation_id.is_some());
    assert_eq!((number(answer), &answer.response), (Some(3), &request.challenge));
    let expected = Reply::Fault(Misplaced::Missing(Part::ConversationId).into());
    assert_eq!(pair.hub.handle(ExitDialog, &request), expected);
    let expected = Reply::Fault(Violation::NotARequest(AcceptDelivery));
    assert_eq!(pair.hub.handle(AcceptDelivery, &request), expected);
}

#[test]
fn every_deviation_is_refused_and_changes_nothing() {
    let mut pair = Pair::opened();
    pair.exchange(GetMessageId);
    let good = pair.request(FetchDelivery);
    let other = Challenge::new("other").unwrap();
    let change = |change: fn(&mut ControlBlock, Challenge)| {
        let mut block = good.clone();
        change(&mut block, other.clone());
        block
    };
    let cases: [(&str, ControlBlock, Violation); 9] = [
        ("wrong response", change(|b, o| b.response = Some(o)), Violation::Response),
        (
            "response with a blank",
            change(|b, _| {
                b.response = Some(Challenge::new(format!("{} ", b.response.as_ref().unwrap().as_str())).unwrap())
            }),
            Violation::Response,
        ),
        ("no response", change(|b, _| b.response = None), Misplaced::Missing(Part::Response).into()),
        ("no challenge", change(|b, _| b.challenge = None), Misplaced::Missing(Part::Challenge).into()),
        ("no number", change(|b, _| b.sequence_number = None), Misplaced::Missing(Part::SequenceNumber).into()),
        (
            "number of the past",
            change(|b, _| b.sequence_number = Some(0)),
            Violation::SequenceNumber { expected: 1, found: 0 },
        ),
        (
            "two numbers skipped",
            change(|b, _| b.sequence_number = Some(3)),
            Violation::SequenceNumber { expected: 1, found: 3 },
        ),
        (
            "number out of range",
            change(|b, _| b.sequence_number = Some(u32::MAX)),
            Violation::SequenceNumber { expected: 1, found: u32::MAX },
        ),
        (
            "unknown conversation",
            change(|b, _| b.conversation_id = Some(ConversationId::new("4711").unwrap())),
            Violation::OtherConversation,
        ),
    ];
    for (name, block, violation) in cases {
        assert_eq!(pair.hub.handle(FetchDelivery, &block), Reply::Fault(violation), "{name}");
        assert_eq!(violation.code(), Code::DialogViolated);
    }
    assert_eq!(pair.hub.handle_as(FetchDelivery, &good, false), Reply::Fault(Violation::InClear));
    let mut no_response = good.clone();
    no_response.response = None;
    // Allowed by the form of the message, but not by an explicit dialog.
    assert_eq!(pair.hub.handle(StoreDelivery, &no_response), Reply::Fault(Violation::Response));
    assert!(matches!(pair.hub.handle(FetchDelivery, &good), Reply::Executed(_)));
}

#[test]
fn a_request_of_another_conversation_is_refused_even_if_it_gets_here() {
    let mut pair = Pair::opened();
    let good = pair.request(FetchDelivery);
    let dialog = pair.hub.dialogs.values_mut().next().unwrap();
    let other = ConversationId::from_random([99; 16]);
    let foreign = ControlBlock { conversation_id: Some(other), ..good.clone() };
    let tolerance = Tolerance::default();
    assert_eq!(dialog.check(FetchDelivery, &foreign, true, &tolerance), Err(Violation::OtherConversation));
    assert_eq!(dialog.check(FetchDelivery, &good, true, &tolerance), Ok(Turn::Next));
}

#[test]
fn init_dialog_has_a_challenge_only() {
    let mut pair = Pair::new();
    let good = pair.request(InitDialog);
    let with_number = ControlBlock { sequence_number: Some(0), ..good.clone() };
    let with_response = ControlBlock { response: good.challenge.clone(), ..good.clone() };
    for (block, part) in [(with_number, Part::SequenceNumber), (with_response, Part::Response)] {
        let expected = Reply::Fault(Misplaced::Unexpected(part).into());
        assert_eq!(pair.hub.handle(InitDialog, &block), expected);
    }
    let empty = ControlBlock::default();
    let expected = Reply::Fault(Misplaced::Missing(Part::Challenge).into());
    assert_eq!(pair.hub.handle(InitDialog, &empty), expected);
}

#[test]
fn clear_requests_in_an_encrypted_dialog_need_permission() {
    let mut pair = Pair::opened();
    let request = pair.request(FetchDelivery);
    pair.hub.tolerance.dangerous_clear_requests = true;
    assert!(matches!(pair.hub.handle_as(FetchDelivery, &request, false), Reply::Executed(_)));

    let mut hub = Hub::new();
    let mut client = ClientDialog::new();
    let request = client.request(InitDialog, Challenge::new("c").unwrap()).unwrap();
    let reply = hub.handle_as(InitDialog, &request, false);
    client.response(ResponseToInitDialog, reply.block()).unwrap();
    let request = client.request(FetchDelivery, Challenge::new("d").unwrap()).unwrap();
    assert!(matches!(hub.handle_as(FetchDelivery, &request, true), Reply::Executed(_)));
    let dialog = hub.dialogs.values().next().unwrap();
    assert!(!dialog.is_encrypted(), "answering a challenge sent in clear proves nothing");
}

#[test]
fn the_next_request_acknowledges_what_was_handed_out() {
    let mut pair = Pair::opened();
    pair.exchange(FetchDelivery);
    assert!(pair.hub.received.is_empty());
    pair.exchange(FetchDelivery);
    assert_eq!(pair.hub.received, ["delivery 1"]);
    pair.exchange(ExitDialog);
    assert_eq!(pair.hub.received, ["delivery 1", "delivery 2"]);
}

#[test]
fn a_refused_request_acknowledges_nothing() {
    let mut pair = Pair::opened();
    pair.exchange(FetchDelivery);
    let mut request = pair.request(ExitDialog);
    let good = request.clone();
    request.response = Some(Challenge::new("guessed").unwrap());
    assert_eq!(pair.hub.handle(ExitDialog, &request), Reply::Fault(Violation::Response));
    assert!(pair.hub.received.is_empty());
    assert_eq!(pair.hub.dialogs.values().next().unwrap().handed_out().len(), 1);
    pair.hub.handle(ExitDialog, &good);
    assert_eq!(pair.hub.received, ["delivery 1"]);
}

#[test]
fn a_lost_answer_is_sent_again_and_nothing_is_executed_twice() {
    let mut pair = Pair::opened();
    for message in [FetchDelivery, GetMessageId, FetchDelivery, ExitDialog] {
        let request = pair.request(message);
        let lost = pair.hub.handle(message, &request);
        let deliveries = pair.hub.deliveries;
        let received = pair.hub.received.clone();
        let challenge = pair.challenge();
        assert_eq!(pair.client.request(message, challenge), Err(RequestImpossible::Unanswered));
        let again = pair.client.retransmit().unwrap().clone();
        assert_eq!(again, request);
        let reply = pair.hub.handle(message, &again);
        assert_eq!(reply, Reply::Again(lost.block().clone()));
        assert_eq!((pair.hub.deliveries, &pair.hub.received), (deliveries, &received));
        pair.client.response(response_to(message), reply.block()).unwrap();
    }
    assert!(pair.client.retransmit().is_none());
}

#[test]
fn the_same_control_block_under_another_order_is_no_retransmission() {
    let mut pair = Pair::opened();
    let request = pair.exchange(GetMessageId);
    let expected = Reply::Fault(Violation::SequenceNumber { expected: 1, found: 0 });
    assert_eq!(pair.hub.handle(StoreDelivery, &request), expected);
}

#[test]
fn a_request_object_sent_again_is_a_new_order() {
    let mut pair = Pair::opened();
    pair.exchange(GetMessageId);
    // The client of the reference implementation takes our answer for the control block of its next sending.
    let mut block = pair.request(FetchDelivery);
    for sending in 1..=4 {
        let reply = pair.hub.handle(FetchDelivery, &block);
        assert!(matches!(reply, Reply::Executed(_)), "{sending}: {reply:?}");
        assert_eq!(pair.hub.deliveries, sending);
        assert_eq!(pair.hub.received.len(), usize::from(sending) - 1);
        assert_eq!(number(reply.block()), Some(1));
        assert_ne!(reply.block().challenge, block.challenge);
        block = reply.block().clone();
    }
    // Its next request object goes on from there.
    pair.client
        .response(ResponseToFetchDelivery, &ControlBlock { response: challenge_of_pending(&pair), ..block })
        .unwrap();
    assert_eq!(number(&pair.exchange(ExitDialog)), Some(2));
    assert_eq!(pair.hub.received.len(), 4);
}

fn challenge_of_pending(pair: &Pair) -> Option<Challenge> {
    pair.client.retransmit().unwrap().challenge.clone()
}

#[test]
fn reuse_can_be_forbidden_and_is_bound_to_the_last_answer() {
    let mut pair = Pair::opened();
    let request = pair.request(FetchDelivery);
    let answer = pair.hub.handle(FetchDelivery, &request).block().clone();
    pair.hub.tolerance.reused_control_block = false;
    let expected = Reply::Fault(Violation::SequenceNumber { expected: 1, found: 0 });
    assert_eq!(pair.hub.handle(FetchDelivery, &answer), expected);

    pair.hub.tolerance.reused_control_block = true;
    let other = Some(Challenge::new("other").unwrap());
    let wrong_challenge = ControlBlock { challenge: other.clone(), ..answer.clone() };
    let wrong_response = ControlBlock { response: other, ..answer.clone() };
    let wrong_number = ControlBlock { sequence_number: Some(7), ..answer.clone() };
    for block in [wrong_challenge, wrong_response, wrong_number] {
        assert!(matches!(pair.hub.handle(FetchDelivery, &block), Reply::Fault(_)), "{block:?}");
    }
    let newer = pair.hub.handle(FetchDelivery, &answer);
    assert!(matches!(newer, Reply::Executed(_)));
    // The same sending once more is a retransmission of it, not a third order.
    assert_eq!(pair.hub.handle(FetchDelivery, &answer), Reply::Again(newer.block().clone()));
    assert_eq!(pair.hub.deliveries, 2);
}

#[test]
fn after_exit_dialog_the_old_conversation_is_gone() {
    let mut pair = Pair::opened();
    let exit = pair.exchange(ExitDialog);
    let zombie = ControlBlock {
        response: None,
        challenge: Some(pair.challenge()),
        conversation_id: exit.conversation_id.clone(),
        sequence_number: exit.sequence_number.map(|n| n + 1),
    };
    assert_eq!(pair.hub.handle(GetMessageId, &zombie), Reply::Fault(Violation::Closed));
    pair.exchange(GetMessageId);
    pair.exchange(InitDialog);
    pair.exchange(FetchDelivery);
}

#[test]
fn a_faulted_request_is_counted_and_the_challenge_stays() {
    let mut pair = Pair::opened();
    pair.exchange(GetMessageId);
    let faulted = pair.request(FetchDelivery);
    pair.hub.fault_after_control_block(FetchDelivery, &faulted);
    // The reference implementation goes on: next number, last challenge.
    let next = ControlBlock { sequence_number: Some(2), challenge: Some(pair.challenge()), ..faulted };
    assert!(matches!(pair.hub.handle(FetchDelivery, &next), Reply::Executed(_)));
}

#[test]
fn one_unreadable_request_leaves_a_gap_that_is_accepted_once() {
    let mut pair = Pair::opened();
    let unreadable = pair.request(FetchDelivery);
    let next = ControlBlock { sequence_number: Some(1), challenge: Some(pair.challenge()), ..unreadable };
    let reply = pair.hub.handle(FetchDelivery, &next);
    assert!(matches!(reply, Reply::Executed(_)));
    let answer = reply.block().clone();
    let skipping = ControlBlock {
        response: answer.challenge.clone(),
        challenge: Some(pair.challenge()),
        sequence_number: Some(3),
        ..answer
    };
    let expected = Reply::Fault(Violation::SequenceNumber { expected: 2, found: 3 });
    assert_eq!(pair.hub.handle(FetchDelivery, &skipping), expected);
    let regular = ControlBlock { sequence_number: Some(2), ..skipping };
    assert!(matches!(pair.hub.handle(FetchDelivery, &regular), Reply::Executed(_)));
}

#[test]
fn our_client_begins_anew_after_a_fault() {
    let mut pair = Pair::opened();
    pair.request(FetchDelivery);
    pair.client.give_up();
    for message in [FetchDelivery, GetMessageId, ExitDialog] {
        let challenge = pair.challenge();
        assert_eq!(pair.client.request(message, challenge), Err(RequestImpossible::Stale));
    }
    pair.exchange(InitDialog);
    pair.exchange(FetchDelivery);

    let mut implicit = Pair::new();
    implicit.request(GetMessageId);
    implicit.client.give_up();
    implicit.exchange(GetMessageId);
}

#[test]
fn only_requests_can_be_requested() {
    let mut client = ClientDialog::new();
    for message in [ResponseToInitDialog, MessageEncrypted] {
        let refused = client.request(message, Challenge::new("c").unwrap());
        assert_eq!(refused, Err(RequestImpossible::NotARequest(message)));
    }
}

#[test]
fn bad_answers_are_told_apart() {
    let other = Challenge::new("other").unwrap();
    type Change = fn(&mut ControlBlock, Challenge);
    let cases: [(&str, MessageType, Change, Code); 13] = [
        ("wrong response", GetMessageId, |b, o| b.response = Some(o), Code::DialogViolated),
        ("no response", GetMessageId, |b, _| b.response = None, Code::DialogViolated),
        ("wrong number", StoreDelivery, |b, _| b.sequence_number = Some(9), Code::DialogViolated),
        ("no number", StoreDelivery, |b, _| b.sequence_number = None, Code::DialogViolated),
        ("number in InitDialog", InitDialog, |b, _| b.sequence_number = Some(0), Code::DialogViolated),
        (
            "other conversation",
            FetchDelivery,
            |b, _| b.conversation_id = Some(ConversationId::new("1").unwrap()),
            Code::DialogViolated,
        ),
        ("no conversation (fetch)", FetchDelivery, |b, _| b.conversation_id = None, Code::ExplicitDialogNeeded),
        ("no conversation (store)", StoreDelivery, |b, _| b.conversation_id = None, Code::ExplicitDialogNeeded),
        ("no conversation (init)", InitDialog, |b, _| b.conversation_id = None, Code::ExplicitDialogNeeded),
        ("no challenge (fetch)", FetchDelivery, |b, _| b.challenge = None, Code::NotAMessage),
        ("no challenge (init)", InitDialog, |b, _| b.challenge = None, Code::NotAMessage),
        ("no challenge (cards)", FetchProcessCard, |b, _| b.challenge = None, Code::NotAMessage),
        ("challenge in exit", ExitDialog, |b, o| b.challenge = Some(o), Code::NotAMessage),
    ];
    for (name, message, change, code) in cases {
        let mut pair = if message == InitDialog { Pair::new() } else { Pair::opened() };
        let request = pair.request(message);
        let mut answer = pair.hub.handle(message, &request).block().clone();
        change(&mut answer, other.clone());
        let violation = pair.client.response(response_to(message), &answer).unwrap_err();
        assert_eq!(violation.code(), code, "{name}");
        let challenge = pair.challenge();
        if message == InitDialog {
            assert!(pair.client.request(GetMessageId, challenge).is_ok(), "{name}");
        } else {
            assert_eq!(pair.client.request(GetMessageId, challenge), Err(RequestImpossible::Stale), "{name}");
        }
    }
}

#[test]
fn answers_of_another_type_are_refused() {
    let mut pair = Pair::opened();
    let request = pair.request(PartialStoreDelivery);
    let answer = pair.hub.handle(PartialStoreDelivery, &request).block().clone();
    let refused = pair.client.response(ResponseToStoreDelivery, &answer);
    assert_eq!(refused, Err(ResponseViolation::OtherType(ResponseToStoreDelivery)));
    assert_eq!(pair.client.response(ResponseToStoreDelivery, &answer), Err(ResponseViolation::Unasked));

    let mut pair = Pair::opened();
    let request = pair.request(PartialFetchDelivery);
    let answer = pair.hub.handle(PartialFetchDelivery, &request).block().clone();
    assert_eq!(pair.client.response(ResponseToFetchDelivery, &answer), Ok(()));
}

#[test]
fn a_missing_challenge_stops_what_needs_one() {
    let mut pair = Pair::opened();
    let request = pair.request(GetMessageId);
    let mut answer = pair.hub.handle(GetMessageId, &request).block().clone();
    answer.challenge = None;
    pair.client.response(ResponseToGetMessageId, &answer).unwrap();
    let challenge = pair.challenge();
    assert_eq!(pair.client.request(FetchDelivery, challenge), Err(RequestImpossible::NoChallenge));
    let request = pair.request(StoreDelivery);
    assert_eq!(request.response, None);
}

#[test]
fn handing_on_to_a_passive_recipient_is_one_exchange() {
    let mut client = ClientDialog::new();
    for (message, answer_type) in
        [(AcceptDelivery, ResponseToAcceptDelivery), (ProcessDelivery, ResponseToProcessDelivery)]
    {
        let request = client.request(message, Challenge::new("c").unwrap()).unwrap();
        assert_eq!(request, ControlBlock { challenge: request.challenge.clone(), ..ControlBlock::default() });
        let answer = ControlBlock { response: request.challenge.clone(), ..ControlBlock::default() };
        assert_eq!(client.response(answer_type, &answer), Ok(()));
        client.request(message, Challenge::new("c").unwrap()).unwrap();
        let answer = ControlBlock { sequence_number: Some(0), ..answer };
        assert_eq!(client.response(answer_type, &answer).unwrap_err().code(), Code::DialogViolated);
    }
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let mut pair = Pair::opened();
    let request = pair.request(FetchDelivery);
    pair.hub.handle(FetchDelivery, &request);
    let dialog = pair.hub.dialogs.values().next().unwrap();
    let shown = format!("{dialog:?} {:?} {request:?}", dialog.client());
    assert!(!shown.contains(request.challenge.unwrap().as_str()));
}
