//! Chunks of a delivery: the two requests and their answers.

use std::io::BufReader;
use std::sync::Arc;

use expect_test::expect;
use rohrpost_osci::envelope::{Envelope, Limits};
use rohrpost_osci::feedback::{Code, Feedback, Language};
use rohrpost_osci::header::TimestampQuality;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{
    ChunkInformation, ChunkPartMisplaced, PartialFetchDelivery, PartialStoreDelivery, Request, Response,
    ResponseToPartialFetchDelivery, ResponseToPartialStoreDelivery, StoreWish,
};
use rohrpost_osci::mime::{self, Multipart};
use rohrpost_osci::ns::{MessageType, NS6};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_osci::source::{ReadAt, reader};

use super::{card, feedback, read, request, response, write};

pub(super) fn store_chunk() -> PartialStoreDelivery {
    let chunk = ChunkInformation {
        number: Some(2),
        size: Some(20),
        total: Some(3),
        message_size: Some(44),
        ..ChunkInformation::default()
    };
    PartialStoreDelivery {
        header: request(),
        creation: TimestampQuality::Plain,
        message_id: Some(PartialStoreDelivery::id_for(&MessageId::new("12345").unwrap()).unwrap()),
        subject: Some("A & B <ü>".to_owned()),
        wish: StoreWish::Chunk(chunk),
    }
}

pub(super) fn fetch_chunk() -> PartialFetchDelivery {
    PartialFetchDelivery {
        header: request(),
        selection: DeliverySelection::ById(MessageId::new("12345").unwrap()),
        chunk: ChunkInformation {
            number: Some(2),
            size: Some(20),
            received: Some(vec![1, 3]),
            ..ChunkInformation::default()
        },
    }
}

pub(super) fn stored_chunk() -> ResponseToPartialStoreDelivery {
    ResponseToPartialStoreDelivery {
        header: response(),
        inside: Some(Feedback::new(Code::MessageIdIllegal, Language::English)),
        feedback: feedback(),
        card: Some(card("12345")),
        chunk: Some(ChunkInformation {
            number: Some(3),
            received: Some(vec![1, 2, 3]),
            total: Some(3),
            ..ChunkInformation::default()
        }),
    }
}

pub(super) fn fetched_chunk() -> ResponseToPartialFetchDelivery {
    ResponseToPartialFetchDelivery {
        header: response(),
        feedback: feedback(),
        selection: Some(DeliverySelection::Oldest),
        chunk: Some(ChunkInformation {
            number: Some(1),
            total: Some(3),
            message_size: Some(51),
            ..ChunkInformation::default()
        }),
        message_id: Some(MessageId::new("12345").unwrap()),
    }
}

pub(super) fn octets() -> Option<Arc<dyn ReadAt>> {
    Some(Arc::new(b"a part of a message".to_vec()))
}

/// Both requests with chunks, and both answers, as their order blocks.
#[test]
fn chunks_as_text() {
    let messages = [
        store_chunk().compose(octets()),
        PartialFetchDelivery {
            chunk: ChunkInformation { received: Some(vec![]), ..fetch_chunk().chunk },
            ..fetch_chunk()
        }
        .compose(),
        ResponseToPartialStoreDelivery { card: None, ..stored_chunk() }.compose(),
        fetched_chunk().compose(octets()),
    ];
    let mut text = String::new();
    for message in messages {
        let message = message.unwrap();
        let block = message.blocks.iter().find(|block| block.canonical().starts_with("<osci2017:")).unwrap();
        text.push_str(&block.canonical().replace(NS6, " NS6").replace("><", ">\n<"));
        text.push('\n');
    }
    expect![[r#"
        <osci2017:partialStoreDelivery NS6 Id="partialstoredelivery" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        <osci:MessageId>MTIzNDVfUGFydGlhbA==</osci:MessageId>
        <osci:Subject>A &amp; B &lt;ü&gt;</osci:Subject>
        <osci2017:ChunkInformation ChunkNumber="2" ChunkSize="20" TotalChunkNumbers="3" TotalMessageSize="44">
        </osci2017:ChunkInformation>
        </osci2017:partialStoreDelivery>
        <osci2017:partialFetchDelivery NS6 Id="partialfetchdelivery" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        <osci:SelectionRule>
        <osci:MessageId>MTIzNDU=</osci:MessageId>
        </osci:SelectionRule>
        <osci2017:ChunkInformation ChunkNumber="2" ChunkSize="20" ReceivedChunks="-1">
        </osci2017:ChunkInformation>
        </osci2017:partialFetchDelivery>
        <osci2017:responseToPartialStoreDelivery NS6 Id="responsetopartialstoredelivery" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        <osci2017:InsideFeedback>
        <osci:Entry xml:lang="en">
        <osci:Code>9801</osci:Code>
        <osci:Text>The message id was not issued here or has been used before. Please request a new one.</osci:Text>
        </osci:Entry>
        </osci2017:InsideFeedback>
        <osci:Feedback>
        <osci:Entry xml:lang="en">
        <osci:Code>0801</osci:Code>
        <osci:Text>The order is executed, the dialog stays open.</osci:Text>
        </osci:Entry>
        </osci:Feedback>
        <osci2017:ChunkInformation ChunkNumber="3" ReceivedChunks="1 2 3" TotalChunkNumbers="3">
        </osci2017:ChunkInformation>
        </osci2017:responseToPartialStoreDelivery>
        <osci2017:responseToPartialFetchDelivery NS6 Id="responsetopartialfetchdelivery" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        <osci:Feedback>
        <osci:Entry xml:lang="en">
        <osci:Code>0801</osci:Code>
        <osci:Text>The order is executed, the dialog stays open.</osci:Text>
        </osci:Entry>
        </osci:Feedback>
        <osci:fetchDelivery>
        </osci:fetchDelivery>
        <osci2017:ChunkInformation ChunkNumber="1" TotalChunkNumbers="3" TotalMessageSize="51">
        </osci2017:ChunkInformation>
        <osci:MessageId>MTIzNDU=</osci:MessageId>
        </osci2017:responseToPartialFetchDelivery>
    "#]].assert_eq(&text);
}

#[test]
fn chunks_are_read_strictly() {
    let store = String::from_utf8(write(&store_chunk().compose(octets()).unwrap(), None)).unwrap();
    let information = r#"<osci2017:ChunkInformation ChunkNumber="2" ChunkSize="20" TotalChunkNumbers="3" TotalMessageSize="44"></osci2017:ChunkInformation>"#;
    for (old, new) in [
        (information, String::new()),
        (information, format!("{information}{information}")),
        (information, format!("{information}<osci2017:InfoOnly></osci2017:InfoOnly>")),
        // Without a chunk there is nothing to keep, and whoever only asks brings none.
        (information, "<osci2017:InfoOnly></osci2017:InfoOnly>".to_owned()),
        ("<osci:ContentPackage>", "<osci:ContentPackage>x".to_owned()),
        (r#"ChunkNumber="2""#, r#"ChunkNumber="two""#.to_owned()),
        (r#"ChunkNumber="2""#, r#"ChunkNumber="""#.to_owned()),
        (r#"ChunkNumber="2""#, r#"ChunkNumber="1.5""#.to_owned()),
        (r#"Service="creation""#, r#"Service="reception""#.to_owned()),
        (information, information.replace("osci2017:", "osci:")),
    ] {
        assert_eq!(store.matches(old).count(), 1, "{old}");
        let changed = store.replace(old, &new);
        let multipart = Multipart::scan(&changed.as_bytes(), &mime::Limits::default()).unwrap();
        let root = BufReader::new(reader(changed.as_bytes(), multipart.root().range.clone()));
        let envelope = Envelope::read(root, &Limits::default());
        assert!(envelope.is_err() || Request::parse(&envelope.unwrap()).is_err(), "{new}");
    }
    // Wrong, but for the feedback to tell.
    for (old, new, number) in [
        (r#"ChunkNumber="2""#, r#"ChunkNumber="-7""#, 0),
        (r#"ChunkNumber="2""#, r#"ChunkNumber=" +2 ""#, 2),
        (r#"ChunkNumber="2""#, r#"ChunkNumber="99999999999999999999""#, u64::MAX),
    ] {
        let changed = store.replace(old, new);
        let Ok(Request::PartialStoreDelivery(order)) = Request::parse(&read(changed.as_bytes()).1) else {
            panic!("{new}")
        };
        let StoreWish::Chunk(chunk) = order.wish else { panic!("{new}") };
        assert_eq!(chunk.number, Some(number));
    }
    let answer = String::from_utf8(write(&stored_chunk().compose().unwrap(), None)).unwrap();
    let fetched = String::from_utf8(write(&fetched_chunk().compose(octets()).unwrap(), None)).unwrap();
    for (octets, old, new) in [
        (&answer, r#"ReceivedChunks="1 2 3""#, r#"ChunkSize="1" ReceivedChunks="1 2 3""#),
        (&answer, r#"ReceivedChunks="1 2 3""#, r#"ReceivedChunks="1,2,3""#),
        (&answer, r#"ReceivedChunks="1 2 3""#, ""),
        (&answer, r#"ReceivedChunks="1 2 3""#, r#"ReceivedChunks="1 2 3" TotalMessageSize="4""#),
        (&answer, "osci2017:InsideFeedback>", "osci:Feedback>"),
        (&fetched, r#"ChunkNumber="1""#, r#"ChunkNumber="1" ChunkSize="1""#),
        (&fetched, r#"ChunkNumber="1""#, r#"ChunkNumber="1" ReceivedChunks="""#),
        (&fetched, r#"TotalMessageSize="51""#, ""),
    ] {
        assert!(octets.contains(old), "{old}");
        assert!(Response::parse(&read(octets.replace(old, new).as_bytes()).1).is_err(), "{new}");
    }
}

#[test]
fn what_peers_may_write_about_chunks_is_read() {
    let answer = String::from_utf8(write(&stored_chunk().compose().unwrap(), None)).unwrap();
    let inside = answer.split("<osci2017:InsideFeedback>").nth(1).unwrap().split("</osci2017:Inside").next().unwrap();
    let inside = format!("<osci2017:InsideFeedback>{inside}</osci2017:InsideFeedback>");
    // InsideFeedback before or after Feedback.
    let behind = answer.replace(&inside, "").replace("</osci:Feedback>", &format!("</osci:Feedback>{inside}"));
    let Ok(Response::PartialStoreDelivery(parsed)) = Response::parse(&read(behind.as_bytes()).1) else { panic!() };
    assert_eq!(*parsed, stored_chunk());
    for (list, expected) in
        [("", vec![]), ("-1", vec![]), (" 1   2\t3 ", vec![1, 2, 3]), ("3 1", vec![3, 1]), ("1 -1", vec![1, 0])]
    {
        let changed = answer.replace(r#"ReceivedChunks="1 2 3""#, &format!(r#"ReceivedChunks="{list}""#));
        let Ok(Response::PartialStoreDelivery(parsed)) = Response::parse(&read(changed.as_bytes()).1) else {
            panic!("{list}")
        };
        assert_eq!(parsed.chunk.unwrap().received, Some(expected), "{list:?}");
    }
}

#[test]
fn each_message_with_chunks_has_its_parts() {
    let full = ChunkInformation {
        number: Some(1),
        size: Some(1),
        received: Some(vec![]),
        total: Some(1),
        message_size: Some(1),
    };
    for (message, missing, unexpected) in [
        (MessageType::PartialStoreDelivery, "ChunkNumber", "ReceivedChunks"),
        (MessageType::ResponseToPartialStoreDelivery, "ChunkNumber", "ChunkSize"),
        (MessageType::PartialFetchDelivery, "ChunkNumber", "TotalChunkNumbers"),
        (MessageType::ResponseToPartialFetchDelivery, "ChunkNumber", "ChunkSize"),
    ] {
        assert_eq!(ChunkInformation::default().misplaced(message), Err(ChunkPartMisplaced::Missing(missing)));
        assert_eq!(full.misplaced(message), Err(ChunkPartMisplaced::Unexpected(unexpected)), "{message}");
    }
    let StoreWish::Chunk(store) = store_chunk().wish else { panic!("it is a chunk") };
    assert_eq!(store.misplaced(MessageType::PartialStoreDelivery), Ok(()));
    assert_eq!(fetch_chunk().chunk.misplaced(MessageType::PartialFetchDelivery), Ok(()));
    assert_eq!(stored_chunk().chunk.unwrap().misplaced(MessageType::ResponseToPartialStoreDelivery), Ok(()));
    assert_eq!(fetched_chunk().chunk.unwrap().misplaced(MessageType::ResponseToPartialFetchDelivery), Ok(()));
}

#[test]
fn ids_of_chunks_have_their_suffix() {
    let id = |text: &str| PartialStoreDelivery { message_id: MessageId::new(text).ok(), ..store_chunk() }.delivery_id();
    assert_eq!(store_chunk().delivery_id(), MessageId::new("12345").ok());
    assert_eq!(id("12345"), None);
    assert_eq!(id("_Partial"), None);
    assert_eq!(id("x_Partial_Partial"), MessageId::new("x_Partial").ok());
    assert_eq!(PartialStoreDelivery { message_id: None, ..store_chunk() }.delivery_id(), None);
}
