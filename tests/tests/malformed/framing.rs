//! MIME (OSCI-Transport 1.2, transport framing; RFC 2045, RFC 2387).

use super::stage::{Case, Order, executed, fault, find, refused, run};

const STORE: Order = Order::StoreDelivery;

/// The message as a whole is no MIME message.
fn bad(name: &str) -> Case {
    Case::new(name, STORE, fault(9100))
}

const ROOT: &str = "--BND\r\nContent-Type: text/xml; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\nContent-ID: <osci@message>\r\n";
const PLAN: &str = "Content-Type: application/pdf\r\nContent-Transfer-Encoding: 8-bit\r\nContent-ID: <plan.pdf>\r\n";
const TYPE: &str = "Content-Type: Multipart/Related; boundary=BND; type=text/xml\r\n";

#[test]
pub(super) fn no_message_at_all() {
    run(vec![
        bad("empty").message(Vec::clear),
        bad("only line ends").message(|bytes| *bytes = b"\r\n\r\n\r\n".to_vec()),
        bad("only zeros").message(|bytes| bytes.fill(0)),
        bad("an XML document").message(|bytes| {
            let (from, to) = (find(bytes, b"<soap:Envelope"), find(bytes, b"\r\n--BND\r\nContent-Type: application"));
            *bytes = bytes[from..to].to_vec();
        }),
        bad("headers only").message(|bytes| bytes.truncate(find(bytes, b"\r\n\r\n") + 4)),
        bad("headers without end").message(|bytes| bytes.truncate(find(bytes, b"\r\n\r\n"))),
        bad("boundary only").message(|bytes| bytes.truncate(find(bytes, b"--BND\r\n") + 7)),
        bad("closing boundary only").swap("--BND\r\n", "--BND--\r\n"),
        bad("line feeds only").message(|bytes| bytes.retain(|byte| *byte != b'\r')),
        bad("carriage returns only").message(|bytes| bytes.retain(|byte| *byte != b'\n')),
        bad("HTML").message(|bytes| *bytes = b"<html><body>502 Bad Gateway</body></html>".to_vec()),
    ]);
}

#[test]
pub(super) fn headers_of_the_message() {
    let long: &'static str = Box::leak(format!("X-Long: {}\r\n\r\n", "x".repeat(2 << 20)).into_boxed_str());
    let many: &'static str = Box::leak(("X-Many: x\r\n".repeat(200_000) + "\r\n").into_boxed_str());
    run(vec![
        bad("MIME version 2").swap("MIME-Version: 1.0", "MIME-Version: 2.0"),
        bad("MIME version with a comment").swap("MIME-Version: 1.0", "MIME-Version: 1.0 (by hand)"),
        bad("no content type").swap(TYPE, ""),
        bad("two content types").swap(TYPE, TYPE.repeat(2).leak()),
        bad("another content type").swap("Multipart/Related", "multipart/mixed"),
        bad("no boundary parameter").swap(" boundary=BND;", ""),
        bad("an empty boundary").swap("boundary=BND", "boundary="),
        bad("two boundaries").swap("boundary=BND", "boundary=XYZ; boundary=BND"),
        bad("another boundary").swap("boundary=BND", "boundary=XYZ"),
        bad("the beginning of the boundary").swap("boundary=BND", "boundary=BN"),
        bad("a boundary with line end").swap("boundary=BND", "boundary=\"B\r\nND\""),
        bad("an unclosed quote").swap("boundary=BND", "boundary=\"BND"),
        bad("a header without colon").swap("\r\n\r\n", "\r\nnonsense\r\n\r\n"),
        bad("a header without name").swap("\r\n\r\n", "\r\n: nonsense\r\n\r\n"),
        bad("a header with a zero").swap("\r\n\r\n", "\r\nX-Zero: a\0b\r\n\r\n"),
        bad("a header line of 2 MiB").swap("\r\n\r\n", long),
        bad("200000 headers").swap("\r\n\r\n", many),
        Case::new("lower case and quotes", STORE, executed(&[800])).swap(
            "Content-Type: Multipart/Related; boundary=BND; type=text/xml",
            "content-type:multipart/related;type=\"text/xml\";boundary=\"BND\"",
        ),
        Case::new("Boundary with capital, blanks", STORE, executed(&[800])).swap("boundary=BND", "Boundary = BND"),
        Case::new("folded header, unknown header", STORE, executed(&[800]))
            .swap("; boundary", ";\r\n\tboundary")
            .swap("MIME-Version: 1.0\r\n", "X-Unknown: yes\r\n"),
    ]);
}

#[test]
pub(super) fn boundaries() {
    run(vec![
        bad("text before the first boundary").swap("--BND\r\n", "This is a multi-part message.\r\n--BND\r\n"),
        bad("a blank behind a boundary").swap("--BND\r\n", "--BND \r\n"),
        bad("no closing boundary").swap("\r\n--BND--\r\n", ""),
        bad("a boundary instead of the closing one").swap("--BND--\r\n", "--BND\r\n"),
        bad("half a closing boundary").swap("--BND--\r\n", "--BND-"),
        bad("a closing boundary with something behind it").swap("--BND--\r\n", "--BND--x\r\n"),
        Case::new("a closing boundary in the middle", STORE, refused(&[9601]))
            .swap("\r\n--BND\r\nContent-Type: application", "\r\n--BND--\r\nContent-Type: application"),
        Case::new("an epilogue", STORE, executed(&[800])).message(|bytes| bytes.extend_from_slice(b"anything\0")),
    ]);
}

#[test]
pub(super) fn headers_of_parts() {
    run(vec![
        bad("root without content type").swap("Content-Type: text/xml; charset=UTF-8\r\n", ""),
        bad("root without content id").swap("Content-ID: <osci@message>\r\n", ""),
        bad("root with an empty content id").swap("<osci@message>", "<>"),
        bad("root in Latin-1").swap("charset=UTF-8", "charset=ISO-8859-1"),
        bad("root without headers").swap(ROOT, "--BND\r\n"),
        bad("attachment without content type").swap("Content-Type: application/pdf\r\n", ""),
        bad("attachment without content id").swap("Content-ID: <plan.pdf>\r\n", ""),
        bad("attachment without headers").swap(PLAN, ""),
        bad("two attachments of one name").swap(
            "\r\n--BND--\r\n",
            "\r\n--BND\r\nContent-Type: application/pdf\r\nContent-ID: <plan.pdf>\r\n\r\nanother\r\n--BND--\r\n",
        ),
        bad("an attachment called like the root").swap("<plan.pdf>", "<osci@message>"),
        bad("a content length that is no number").swap("<plan.pdf>\r\n", "<plan.pdf>\r\nContent-Length: many\r\n"),
        bad("a negative content length").swap("<plan.pdf>\r\n", "<plan.pdf>\r\nContent-Length: -1\r\n"),
        bad("two content ids").swap("Content-ID: <plan.pdf>\r\n", "Content-ID: <plan.pdf>\r\nContent-ID: <x>\r\n"),
        bad("two transfer encodings").swap(
            "Content-Transfer-Encoding: 8-bit\r\n",
            "Content-Transfer-Encoding: 8-bit\r\nContent-Transfer-Encoding: base64\r\n",
        ),
        Case::new("a wrong content length", STORE, executed(&[800]))
            .swap("<plan.pdf>\r\n", "<plan.pdf>\r\nContent-Length: 999999999999\r\n"),
        Case::new("no transfer encoding", STORE, executed(&[800])).swap("Content-Transfer-Encoding: 8-bit\r\n", ""),
    ]);
}

#[test]
pub(super) fn parts_and_what_is_signed_of_them() {
    run(vec![
        Case::new("an attachment added", STORE, refused(&[9602])).swap(
            "\r\n--BND--\r\n",
            "\r\n--BND\r\nContent-Type: application/pdf\r\nContent-ID: <more.pdf>\r\n\r\nmore\r\n--BND--\r\n",
        ),
        Case::new("the attachment removed", STORE, refused(&[9601])).message(|bytes| {
            let from = find(bytes, b"\r\n--BND\r\nContent-Type: application");
            bytes.splice(from.., *b"\r\n--BND--\r\n");
        }),
        Case::new("the attachment renamed", STORE, refused(&[9602])).swap("<plan.pdf>", "<Plan.pdf>"),
        Case::new("the attachment renamed in escapes", STORE, refused(&[9602])).swap("<plan.pdf>", "<plan%2Epdf>"),
        Case::new("an octet of the attachment", STORE, refused(&[9601])).swap("Lageplan", "Lageplon"),
        Case::new("a line end behind the attachment", STORE, refused(&[9601])).swap("Lageplan", "Lageplan\r\n"),
        Case::new("raw octets called base64", STORE, refused(&[9601])).swap("8-bit", "base64"),
        Case::new("raw octets called text/base64", STORE, refused(&[9601])).swap("application/pdf", "text/base64"),
        Case::new("broken base64, signed", STORE, refused(&[9601]))
            .swap("8-bit", "base64")
            .swap("%PDF-1.7 Lageplan", "SGFsbG8"),
        Case::new("broken base64, unsigned", STORE, fault(9100))
            .unsigned()
            .swap("8-bit", "base64")
            .swap("%PDF-1.7 Lageplan", "SGFsbG8"),
        Case::new("base64 of the same octets", STORE, executed(&[800]))
            .swap("8-bit", "base64")
            .swap("%PDF-1.7 Lageplan", "JVBERi0xLjcg\nTGFnZXBsYW4="),
    ]);
}

#[test]
fn truncation_anywhere() {
    let case = bad("truncated");
    let sealed = bad("truncated, encrypted").sealed();
    let bench = crate::harness::Bench::default();
    for case in [case, sealed] {
        let message = case.build(&case.base(&bench), false);
        let last = message.len() - 1;
        let steps = (0..last).step_by(last / 150).chain(last - 60..=last);
        for length in steps {
            let mut cut = message.clone();
            cut.truncate(length);
            assert_eq!(bench.handle(cut).fault(), Some(9100), "the first {length} of {} bytes", message.len());
        }
        let answer = bench.handle(message);
        assert_eq!(answer.codes, [800]);
    }
    assert_eq!(bench.stats().waiting, 2);
}
