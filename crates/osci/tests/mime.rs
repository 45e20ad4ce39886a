//! MIME framing: what is accepted, what is refused, and round trips through the writer.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::io::{self, Read, Write};

use proptest::prelude::*;
use rohrpost_osci::mime::{Boundary, Encoding, Header, Limits, MimeError, Multipart, PartHead, Writer};
use rohrpost_osci::source::ReadAt;

/// A message with one attachment, in the form that the reference implementation writes.
const MESSAGE: &str = "MIME-Version: 1.0\r\n\
Content-Type: Multipart/Related; boundary=BND; type=text/xml\r\n\
\r\n\
--BND\r\n\
Content-Type: text/xml; charset=UTF-8\r\n\
Content-Transfer-Encoding: 8bit\r\n\
Content-ID: <osci@message>\r\n\
\r\n\
<a></a>\r\n\
--BND\r\n\
Content-Type: application/octet-stream\r\n\
Content-Transfer-Encoding: 8-bit\r\n\
Content-ID: <name>\r\n\
Content-Length: 5\r\n\
\r\n\
bytes\r\n\
--BND--\r\n";

fn scan(message: impl AsRef<[u8]>) -> Result<Multipart, MimeError> {
    Multipart::scan(&message.as_ref(), &Limits::default())
}

fn changed(from: &str, to: &str) -> String {
    assert!(MESSAGE.contains(from), "{from:?} is not in the message");
    MESSAGE.replacen(from, to, 1)
}

fn bytes_of(message: &[u8], content_id: &str) -> Vec<u8> {
    let multipart = scan(message).unwrap();
    let part = multipart.attachment(content_id).unwrap();
    let mut bytes = Vec::new();
    part.reader(message).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_usual_form_is_read() {
    let multipart = scan(MESSAGE).unwrap();
    assert_eq!(multipart.root().content_id, "osci@message");
    let mut root = String::new();
    multipart.root().reader(MESSAGE.as_bytes()).read_to_string(&mut root).unwrap();
    assert_eq!(root, "<a></a>");
    let attachment = &multipart.attachments()[0];
    assert_eq!(attachment.content_id, "name");
    assert_eq!(attachment.content_type, "application/octet-stream");
    assert_eq!(attachment.encoding, Encoding::Raw);
    assert!(attachment.extra_headers.is_empty());
    assert_eq!(bytes_of(MESSAGE.as_bytes(), "name"), b"bytes");
    assert!(multipart.attachment("osci@message").is_none());
    assert!(multipart.attachment("Name").is_none());
}

#[test]
fn everything_harmless_is_accepted() {
    let cases = [
        ("leading empty lines", format!("\r\n\r\n{MESSAGE}")),
        ("no version", changed("MIME-Version: 1.0\r\n", "")),
        ("blanks around the version", changed("MIME-Version: 1.0", "MIME-Version:  1.0 \t")),
        ("unknown header", changed("MIME-Version", "X-Other: ünknown (1)\r\nMIME-Version")),
        ("lower case, no blank", changed("Multipart/Related; boundary", "multipart/related;boundary")),
        ("quoted boundary", changed("boundary=BND", "boundary=\"BND\"")),
        ("quoted pair", changed("boundary=BND", "boundary=\"B\\ND\"")),
        (
            "other order",
            changed("boundary=BND; type=text/xml", "type=text/xml; start=\"<osci@message>\"; boundary=BND"),
        ),
        ("empty parameters", changed("boundary=BND; type=text/xml", ";boundary=BND;;")),
        ("capital Boundary", changed("boundary=", "Boundary=")),
        ("blank after boundary=", changed("boundary=", "boundary = ")),
        ("blank before the semicolon", changed("BND;", "BND ;")),
        ("folded header", changed("Related; boundary", "Related;\r\n\tboundary")),
        ("folded twice", changed("Related; boundary=BND;", "Related;\r\n  boundary=BND;\r\n ")),
        ("header names in lower case", MESSAGE.replace("Content-", "content-")),
        ("header names in upper case", MESSAGE.replace("Content-", "CONTENT-")),
        ("no blank behind the colon", MESSAGE.replace(": ", ":")),
        ("epilogue", format!("{MESSAGE}--BND\r\nanything \n at all")),
        ("empty line before the first boundary", changed("\r\n\r\n--BND", "\r\n\r\n\r\n--BND")),
        ("root id of another name", changed("<osci@message>", "<soap>")),
        ("root id without brackets", changed("<osci@message>", "osci@message")),
        ("root without transfer encoding", changed("Content-Transfer-Encoding: 8bit\r\n", "")),
        ("root without charset", changed("; charset=UTF-8", "")),
        ("root with quoted charset", changed("charset=UTF-8", "charset=\"utf-8\"")),
        ("root as application/xml", changed("text/xml; charset", "application/xml; charset")),
        ("attachment without transfer encoding", changed("Content-Transfer-Encoding: 8-bit\r\n", "")),
        ("attachment with unknown encoding", changed("8-bit", "x-none")),
        ("attachment with binary", changed("8-bit", "binary")),
        ("attachment without length", changed("Content-Length: 5\r\n", "")),
        (
            "attachment with wrong length",
            changed("Content-Length: 5", "Content-Length: 123456789012345678901234567890"),
        ),
        ("boundary line of another boundary", changed("bytes", "--BN\r\n--\r\n----BND\r\n--bnd--\r\n --BND\r\nbytes")),
        ("boundary as prefix of a line", changed("bytes", "x\r\n--BNDx\r\n--BND-\r\n--BND--x\r\n--BND-\rbytes")),
        ("line feeds before a boundary", changed("bytes", "x\n--BND\r--BND\rbytes")),
    ];
    for (name, message) in cases {
        match scan(&message) {
            Ok(multipart) => assert_eq!(multipart.attachments().len(), 1, "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
        assert!(bytes_of(message.as_bytes(), "name").ends_with(b"bytes"), "{name}");
    }
}

#[test]
fn malformed_messages_are_refused() {
    use MimeError as E;
    macro_rules! refused {
        ($($name:literal: $message:expr => $error:pat,)*) => {
            let mut count = 0;
            $(
                match scan($message) {
                    Err($error) => count += 1,
                    other => panic!("{}: {other:?}", $name),
                }
            )*
            assert!(count >= 30);
        };
    }
    let with_lf = MESSAGE.replace("\r\n", "\n");
    let no_closing = MESSAGE.replace("--BND--\r\n", "");
    refused! {
        "nothing": "" => E::NotMime,
        "empty lines only": "\r\n\r\n" => E::NotMime,
        "bare XML": "<?xml version=\"1.0\"?><a/>\r\n" => E::NotMime,
        "byte order mark": format!("\u{FEFF}{MESSAGE}") => E::NotMime,
        "no content type": changed("Content-Type: Multipart/Related; boundary=BND; type=text/xml\r\n", "") => E::NotMime,
        "headers only": "MIME-Version: 1.0\r\n" => E::Truncated,
        "LF line ends": &with_lf => E::BareLineFeed,
        "one LF in the headers": changed("1.0\r\n", "1.0\n") => E::BareLineFeed,
        "LF as empty line": changed("text/xml\r\n\r\n", "text/xml\r\n\n") => E::BareLineFeed,
        "LF in a part header": changed("8-bit\r\n", "8-bit\n") => E::BareLineFeed,
        "bare CR in a header": changed("8-bit", "8\rbit") => E::HeaderMalformed,
        "NUL in a header": changed("8-bit", "8\0bit") => E::HeaderMalformed,
        "header without colon": changed("Content-Length: 5", "Content-Length 5") => E::HeaderMalformed,
        "blank before the colon": changed("Content-Length: 5", "Content-Length : 5") => E::HeaderMalformed,
        "empty header name": changed("Content-Length: 5", ": 5") => E::HeaderMalformed,
        "fold without header": changed("MIME-Version", " MIME-Version") => E::HeaderMalformed,
        "header not UTF-8": MESSAGE.replace("8-bit", "@").bytes().map(|b| if b == b'@' { 0xE4 } else { b }).collect::<Vec<_>>() => E::HeaderNotUtf8,
        "version with comment": changed("1.0", "1.0 (comment)") => E::UnknownVersion,
        "version 1.1": changed("1.0", "1.1") => E::UnknownVersion,
        "version twice": changed("MIME-Version: 1.0", "MIME-Version: 1.0\r\nmime-version: 1.0") => E::HeaderRepeated { .. },
        "content type twice": changed("MIME-Version: 1.0", "Content-Type: Multipart/Related; boundary=X") => E::HeaderRepeated { .. },
        "multipart/mixed": changed("Multipart/Related", "Multipart/Mixed") => E::NotMultipartRelated,
        "no boundary": changed("boundary=BND; ", "") => E::BoundaryUnusable,
        "empty boundary": changed("boundary=BND", "boundary=") => E::BoundaryUnusable,
        "boundary twice": changed("boundary=BND", "boundary=BND; Boundary=BND") => E::HeaderRepeated { .. },
        "boundary too long": changed("boundary=BND", &format!("boundary={}", "x".repeat(257))) => E::BoundaryUnusable,
        "boundary not ASCII": changed("boundary=BND", "boundary=BÜND") => E::BoundaryUnusable,
        "open quote": changed("boundary=BND;", "boundary=\"BND;") => E::HeaderMalformed,
        "text behind the quote": changed("boundary=BND;", "boundary=\"BND\"x;") => E::HeaderMalformed,
        "parameter without value": changed("type=text/xml", "type") => E::HeaderMalformed,
        "preamble": changed("\r\n\r\n--BND", "\r\n\r\npreamble\r\n--BND") => E::Preamble,
        "other boundary": changed("boundary=BND", "boundary=OTHER") => E::Preamble,
        "blank on the first boundary": changed("--BND\r\n", "--BND \r\n") => E::BoundaryLineMalformed,
        "tab on a boundary": MESSAGE.replace("<a></a>\r\n--BND", "<a></a>\r\n--BND\t") => E::BoundaryLineMalformed,
        "blank on the closing boundary": changed("--BND--", "--BND-- ") => E::BoundaryLineMalformed,
        "LF behind a boundary": changed("<a></a>\r\n--BND\r\n", "<a></a>\r\n--BND\n") => E::BoundaryLineMalformed,
        "LF behind the closing boundary": changed("--BND--\r\n", "--BND--\n") => E::BoundaryLineMalformed,
        "no final CRLF": MESSAGE.trim_end() => E::FinalLineBreakMissing,
        "half a final CRLF": MESSAGE.strip_suffix('\n').unwrap() => E::FinalLineBreakMissing,
        "no closing boundary": &no_closing => E::ClosingBoundaryMissing,
        "closing boundary cut": MESSAGE.strip_suffix("--\r\n").unwrap() => E::ClosingBoundaryMissing,
        "cut inside the content": &MESSAGE[..MESSAGE.find("bytes").unwrap()] => E::ClosingBoundaryMissing,
        "cut inside a header": &MESSAGE[..MESSAGE.find("8-bit").unwrap()] => E::Truncated,
        "no part": "Content-Type: multipart/related; boundary=B\r\n\r\n--B--\r\n" => E::NoPart,
        "root without type": changed("Content-Type: text/xml; charset=UTF-8\r\n", "") => E::ContentTypeMissing,
        "root without id": changed("Content-ID: <osci@message>\r\n", "") => E::ContentIdMissing,
        "root as text/plain": changed("text/xml; charset", "text/plain; charset") => E::RootNotXml,
        "root in Latin-1": changed("charset=UTF-8", "charset=iso-8859-1") => E::RootNotUtf8,
        "root in base64": changed("Encoding: 8bit", "Encoding: Base64") => E::RootEncoded,
        "root as text/base64": changed("text/xml; charset=UTF-8", "text/base64") => E::RootEncoded,
        "root id twice": changed("8bit\r\n", "8bit\r\nContent-ID: <x>\r\n") => E::HeaderRepeated { .. },
        "attachment without type": changed("Content-Type: application/octet-stream\r\n", "") => E::ContentTypeMissing,
        "attachment with empty type": changed("application/octet-stream", "") => E::ContentTypeMissing,
        "attachment without id": changed("Content-ID: <name>\r\n", "") => E::ContentIdMissing,
        "attachment with empty id": changed("<name>", "<>") => E::ContentIdMissing,
        "attachment named like the root": changed("<name>", "<osci@message>") => E::ContentIdRepeated,
        "length not numeric": changed("Length: 5", "Length: five") => E::ContentLengthNotNumeric,
        "length empty": changed("Length: 5", "Length:") => E::ContentLengthNotNumeric,
    }
}

#[test]
fn repeated_names_are_refused_wherever_they_stand() {
    let attachment = "\r\n--BND\r\nContent-Type: a/b\r\nContent-ID: <name>\r\n\r\nother\r\n--BND--\r\n";
    let message = changed("\r\n--BND--\r\n", attachment);
    assert!(matches!(scan(message), Err(MimeError::ContentIdRepeated)));
    let escaped = changed("\r\n--BND--\r\n", &attachment.replace("<name>", "<%6eame>"));
    assert_eq!(scan(escaped).unwrap().attachments().len(), 2);
}

#[test]
fn bounds_are_kept() {
    let mut limits = Limits::default();
    limits.parts = 1;
    let error = Multipart::scan(&MESSAGE.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, MimeError::TooManyParts));

    let mut limits = Limits::default();
    limits.headers = 3;
    let error = Multipart::scan(&MESSAGE.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, MimeError::TooManyHeaders));

    let mut limits = Limits::default();
    limits.header_bytes = 100;
    let error = Multipart::scan(&MESSAGE.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, MimeError::HeaderTooLarge));

    let mut limits = Limits::default();
    limits.all_header_bytes = 250;
    let error = Multipart::scan(&MESSAGE.as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, MimeError::HeaderTooLarge));

    let long = changed("1.0", &format!("1.0\r\nX: {}", "y".repeat(70_000)));
    assert!(matches!(scan(long), Err(MimeError::HeaderTooLarge)));
    let long = changed("1.0", &format!("1.0\r\nX: {}", "y".repeat(60_000)));
    assert!(scan(long).is_ok());
}

#[test]
fn further_headers_are_kept_in_order() {
    let message = changed(
        "Content-Length: 5",
        "X-A: 1\r\nContent-Length: 5\r\nContent-Disposition: attachment;\r\n filename=\"ü.txt\"",
    );
    let multipart = scan(message).unwrap();
    let kept: Vec<_> = multipart.attachments()[0].extra_headers.iter().map(|h| (h.name(), h.value())).collect();
    assert_eq!(kept, [("X-A", "1"), ("Content-Disposition", "attachment; filename=\"ü.txt\"")]);
}

#[test]
fn empty_parts_are_read_with_and_without_their_own_line_break() {
    assert_eq!(bytes_of(changed("bytes", "").as_bytes(), "name"), b"");
    assert_eq!(bytes_of(changed("\r\nbytes\r\n--BND--", "\r\n--BND--").as_bytes(), "name"), b"");
    assert_eq!(bytes_of(changed("bytes", "\r\n").as_bytes(), "name"), b"\r\n");
}

#[test]
fn base64_is_decoded_by_encoding_or_type() {
    for message in [
        changed("8-bit", "BASE64").replace("bytes", "Ynl0\nZXM="),
        changed("application/octet-stream", "text/base64; x=y").replace("bytes", " Ynl0ZXM=\r\n"),
    ] {
        assert_eq!(bytes_of(message.as_bytes(), "name"), b"bytes");
        assert_eq!(scan(&message).unwrap().attachments()[0].encoding, Encoding::Base64);
    }
}

#[test]
fn malformed_base64_is_told_while_reading() {
    let message = changed("8-bit", "base64").replace("bytes", "Ynl0ZXM");
    let part = scan(&message).unwrap().attachments()[0].clone();
    let error = part.reader(message.as_bytes()).read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn the_written_form_is_that_of_the_reference_implementation() {
    let mut mime = Writer::new(Vec::new(), &Boundary::new("BND").unwrap()).unwrap();
    mime.root().unwrap().write_all(b"<a></a>").unwrap();
    let kept = [Header::new("X-Kept", "1").unwrap(), Header::new("content-length", "99").unwrap()];
    let head = PartHead { extra_headers: &kept, ..PartHead::raw("naïve name.txt", "application/octet-stream") };
    mime.attachment(&head, 5, &mut &b"bytes"[..]).unwrap();
    let head = PartHead { encoding: Encoding::Base64, ..PartHead::raw("b", "text/plain") };
    mime.attachment(&head, 60, &mut &[b'x'; 60][..]).unwrap();
    let written = String::from_utf8(mime.finish().unwrap()).unwrap();
    expect_test::expect![[r#"
        MIME-Version: 1.0
        Content-Type: Multipart/Related; boundary=BND; type=text/xml

        --BND
        Content-Type: text/xml; charset=UTF-8
        Content-Transfer-Encoding: 8bit
        Content-ID: <osci@message>

        <?xml version="1.0" encoding="UTF-8"?>

        <a></a>
        --BND
        Content-Type: application/octet-stream
        Content-Transfer-Encoding: 8-bit
        Content-ID: <naïve name.txt>
        Content-Length: 5
        X-Kept: 1

        bytes
        --BND
        Content-Type: text/plain
        Content-Transfer-Encoding: base64
        Content-ID: <b>
        Content-Length: 81

        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4
        --BND--
    "#]]
    .assert_eq(&written.replace("\r\n", "\n"));
    assert!(written.lines().count() == written.matches("\r\n").count() + 1, "only base64 has a bare line feed");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let write = |head: &PartHead<'_>, length: u64, content: &[u8]| {
        let mut mime = Writer::new(Vec::new(), &Boundary::from_random([1; 24])).unwrap();
        mime.root().unwrap();
        mime.attachment(head, length, &mut &*content).map_err(|error| error.kind())
    };
    let invalid = Err(io::ErrorKind::InvalidInput);
    assert_eq!(write(&PartHead::raw("a", "b/c"), 2, b"xx"), Ok(()));
    assert_eq!(write(&PartHead::raw("a", "b/c"), 2, b"x"), invalid);
    assert_eq!(write(&PartHead::raw("a", "b/c"), 2, b"xxx"), invalid);
    assert_eq!(write(&PartHead::raw("a\r\nX: y", "b/c"), 0, b""), invalid);
    assert_eq!(write(&PartHead::raw("a", "b/c\n"), 0, b""), invalid);
    assert_eq!(write(&PartHead::raw("", "b/c"), 0, b""), invalid);
    assert!(Header::new("X", "a\r\nY: b").is_none());
    assert!(Header::new("X Y", "a").is_none());
    for boundary in ["", "a b", "a;b", "\"a\"", "ü", "a\r\n"] {
        assert!(Boundary::new(boundary).is_err(), "{boundary:?}");
    }
}

/// Hands out at most `step` bytes at a time.
struct Dripping {
    bytes: Vec<u8>,
    step: usize,
}

impl ReadAt for Dripping {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(self.step);
        self.bytes.read_at(offset, &mut buf[..most])
    }

    fn len(&self) -> u64 {
        ReadAt::len(&self.bytes)
    }
}

#[derive(Debug, Clone)]
struct Attachment {
    name: String,
    content_type: String,
    encoding: Encoding,
    header: String,
    bytes: Vec<u8>,
}

fn attachment() -> impl Strategy<Value = Attachment> {
    // Content made of what is dangerous to the framing.
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        Just(b"\r\n".to_vec()),
        Just(b"--".to_vec()),
        Just(b"\r\n--BNDx".to_vec()),
        Just(b"\r\n--BN".to_vec()),
        Just(b"\n--BND--\n".to_vec()),
    ];
    let bytes = proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    let encoding = prop_oneof![Just(Encoding::Raw), Just(Encoding::Base64)];
    ("[^\\p{C}]{1,20}", "[a-z]{1,9}/[a-z]{1,9}", encoding, "[a-zü=;\"]{0,9}", bytes).prop_map(
        |(name, content_type, encoding, header, bytes)| Attachment { name, content_type, encoding, header, bytes },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        root in "[a-z<>\r\n]{0,300}",
        attachments in proptest::collection::vec(attachment(), 0..4),
        step in 1usize..3000,
    ) {
        let mut mime = Writer::new(Vec::new(), &Boundary::new("BND").unwrap()).unwrap();
        mime.root().unwrap().write_all(root.as_bytes()).unwrap();
        for (n, a) in attachments.iter().enumerate() {
            let headers = [Header::new("X-Kept", a.header.as_str()).unwrap()];
            let name = format!("{n}{}", a.name);
            let head = PartHead {
                content_id: &name,
                content_type: &a.content_type,
                encoding: a.encoding,
                extra_headers: &headers,
            };
            mime.attachment(&head, a.bytes.len() as u64, &mut a.bytes.as_slice()).unwrap();
        }
        let source = Dripping { bytes: mime.finish().unwrap(), step };
        let multipart = Multipart::scan(&source, &Limits::default()).unwrap();
        prop_assert_eq!(multipart.attachments().len(), attachments.len());
        let mut read = String::new();
        multipart.root().reader(&source).read_to_string(&mut read).unwrap();
        prop_assert!(read.ends_with(&root));
        for (n, a) in attachments.iter().enumerate() {
            let part = multipart.attachment(&format!("{n}{}", a.name)).unwrap();
            let mut bytes = Vec::new();
            part.reader(&source).read_to_end(&mut bytes).unwrap();
            prop_assert_eq!(&bytes, &a.bytes);
            prop_assert_eq!(&part.content_type, &a.content_type);
            prop_assert_eq!(part.extra_headers[0].value(), &a.header);
        }
    }

    #[test]
    fn any_bytes_end_in_a_result(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>()) {
        let mut message = MESSAGE.as_bytes().to_vec();
        let at = at.index(message.len());
        message.splice(at..(at + bytes.len() / 8).min(message.len()), bytes);
        let _ = scan(&message);
    }
}
