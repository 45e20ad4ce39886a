//! The public reference library, as passive recipient, accepted requests that we wrote; its answers are what an intermediary of ours
//! has to understand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use rohrpost_osci::content::Content;
use rohrpost_osci::message::RecipientResponse;
use rohrpost_osci::source::read_range;
use support::{Handover, certificate, fault};

#[test]
fn the_reference_library_takes_what_we_hand_over() {
    let (accept, process) = (Handover::new("recorded-1"), Handover::to_be_answered("recorded-2"));
    let plain = Handover { sealed_for: None, signed_by: None, ..accept.clone() };
    let signed = Handover { sealed_for: None, ..process.clone() };
    let without_card = Handover { message_id: None, ..process.clone() };
    for (handover, answer) in [
        (&accept, &include_bytes!("recorded/accept.mime")[..]),
        (&plain, include_bytes!("recorded/accept-plain.mime")),
        (&process, include_bytes!("recorded/process.mime")),
        (&signed, include_bytes!("recorded/process-signed.mime")),
        (&without_card, include_bytes!("recorded/process-without-card.mime")),
    ] {
        let answer = handover.read(answer);
        assert_eq!((answer.code, answer.encrypted), (800, handover.sealed_for.is_some()));
        let signer = handover.signed_by.map(|_| certificate("bob-signature"));
        assert_eq!(answer.signer.map(|signer| signer.fingerprint()), signer.map(|signer| signer.fingerprint()));
        let RecipientResponse::ProcessDelivery(response) = answer.response else {
            assert!(!handover.process && answer.reply.is_none());
            continue;
        };
        let card = response.with_card.map(|card| (card.message_id.to_string(), card.subject.unwrap()));
        assert_eq!(card, handover.message_id.map(|_| ("reply-1".to_owned(), "Antwort".to_owned())));
        let reply = answer.reply.unwrap();
        let Content::Data(data) = &reply.containers()[0].contents[0] else { panic!("no data") };
        let text = read_range(&*data.bytes, 0..data.bytes.len()).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), format!("Antwort auf: {}", handover.text));
    }
    assert_eq!(fault(include_bytes!("recorded/wrong-key.mime")), Some(9200));
}
