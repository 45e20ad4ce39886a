//! Orders to hand a delivery on to a passive recipient.

use rohrpost_osci::header::TimestampQuality;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{
    ForwardDelivery, MediateCard, MediateDelivery, Request, Response, ResponseToMediateDelivery,
};

use super::{card, delivery, feedback, read, request, response, write};

pub(super) fn forward() -> ForwardDelivery {
    ForwardDelivery {
        header: request(),
        creation: TimestampQuality::Plain,
        reception: TimestampQuality::Cryptographic,
        receiver: "https://recipient.example/osci?a=1&b=2".to_owned(),
        message_id: Some(MessageId::new("12345").unwrap()),
        subject: Some("A & B <ü>".to_owned()),
    }
}

pub(super) fn mediate(with_card: bool) -> MediateDelivery {
    let card = MediateCard {
        message_id: MessageId::new("12345").unwrap(),
        subject: Some("A & B <ü>".to_owned()),
        creation: TimestampQuality::Cryptographic,
        reception: TimestampQuality::Plain,
    };
    let receiver = "http://recipient.example/osci".to_owned();
    MediateDelivery { header: request(), receiver, card: with_card.then_some(card) }
}

#[test]
fn a_forwarded_delivery_keeps_its_values() {
    let octets = write(&forward().compose(delivery()).unwrap(), None);
    let Ok(Request::ForwardDelivery(order)) = Request::parse(&read(&octets).1) else { panic!("it was written") };
    assert_eq!(order, forward());
    let octets = write(&mediate(true).compose(delivery()).unwrap(), None);
    let Ok(Request::MediateDelivery(order)) = Request::parse(&read(&octets).1) else { panic!("it was written") };
    assert_eq!(order, mediate(true));
    let without_stamps = write(&mediate(false).compose(delivery()).unwrap(), None);
    assert!(!String::from_utf8(without_stamps).unwrap().contains("QualityOfTimestamp"));
}

#[test]
fn orders_to_forward_are_read_strictly() {
    let octets = String::from_utf8(write(&forward().compose(delivery()).unwrap(), None)).unwrap();
    let receiver = r#"<osci:ContentReceiver URI="https://recipient.example/osci?a=1&amp;b=2"></osci:ContentReceiver>"#;
    let id = "<osci:MessageId>MTIzNDU=</osci:MessageId>";
    for (old, new) in [
        (receiver, String::new()),
        (receiver, format!("{receiver}{receiver}")),
        (receiver, receiver.replace("URI", "Uri")),
        (receiver, receiver.replace("></", ">elsewhere</")),
        (id, format!("{id}{id}")),
        (id, format!("{id}<osci:Response>R</osci:Response>")),
        (id, "<osci:MessageId>?</osci:MessageId>".to_owned()),
        (r#"Service="reception""#, r#"Service="creation""#.to_owned()),
        (r#"Quality="plain""#, r#"Quality="golden""#.to_owned()),
    ] {
        assert_eq!(octets.matches(old).count(), 1, "{old}");
        let changed = octets.replace(old, &new);
        assert!(Request::parse(&read(changed.as_bytes()).1).is_err(), "{new}");
    }
    let answer = ResponseToMediateDelivery {
        header: response(),
        feedback: feedback(),
        request_card: Some(card("1")),
        reply_card: Some(card("2")),
    };
    let octets = String::from_utf8(write(&answer.compose(None).unwrap(), None)).unwrap();
    assert!(Response::parse(&read(octets.as_bytes()).1).is_ok());
    for (old, new) in [("osci:ReplyProcess", "osci:RequestProcess"), ("osci:RequestProcess", "osci:Process")] {
        assert!(Response::parse(&read(octets.replace(old, new).as_bytes()).1).is_err(), "{new}");
    }
}
