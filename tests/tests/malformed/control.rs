//! Control blocks (OSCI-Transport 1.2, dialog control): what does not fit is 9400, what is no control block 9100.

use super::stage::{Case, Order, cut, executed, fault, refused, replace, run};

const CONTROL: &str = "controlblock";

/// A properly signed request with another control block.
fn control(name: &str, order: Order, code: u16, edit: impl Fn(&mut String) + 'static) -> Case {
    Case::new(name, order, fault(code)).draft(move |draft| edit(&mut draft.block(CONTROL).text))
}

fn attribute(text: &mut String, name: &str, value: &str) {
    cut(text, &format!(" {name}=\""), "\"");
    replace(text, " Id=", &format!(" {name}=\"{value}\" Id="));
}

fn without(text: &mut String, element: &str) {
    cut(text, &format!("<osci:{element}>"), &format!("</osci:{element}>"));
}

const CONVERSATION: &str = " ConversationId=\"4711\" Id=";
const RESPONSE: &str = "<osci:Response>abc</osci:Response><osci:Challenge>";

#[test]
pub(super) fn opening() {
    let init = |name: &str, edit: fn(&mut String)| control(name, Order::InitDialog, 9400, edit);
    run(vec![
        init("InitDialog with a response", |text| replace(text, "<osci:Challenge>", RESPONSE)),
        init("InitDialog with a conversation", |text| replace(text, " Id=", CONVERSATION)),
        init("InitDialog with a number", |text| replace(text, " Id=", " SequenceNumber=\"0\" Id=")),
        init("InitDialog without challenge", |text| without(text, "Challenge")),
    ]);
}

#[test]
pub(super) fn alone() {
    let get = |name: &str, code, edit: fn(&mut String)| control(name, Order::GetMessageId, code, edit);
    run(vec![
        get("no challenge", 9400, |text| without(text, "Challenge")),
        get("a conversation nobody knows", 9400, |text| replace(text, " Id=", CONVERSATION)),
        get("another number than 0", 9400, |text| attribute(text, "SequenceNumber", "1")),
        get("no number", 9400, |text| {
            cut(text, " SequenceNumber=\"", "\"");
        }),
        get("an empty number", 9100, |text| attribute(text, "SequenceNumber", "")),
        get("a number with sign", 9100, |text| attribute(text, "SequenceNumber", "+0")),
        get("a negative number", 9100, |text| attribute(text, "SequenceNumber", "-1")),
        get("a number with a blank", 9100, |text| attribute(text, "SequenceNumber", " 0")),
        get("a hexadecimal number", 9100, |text| attribute(text, "SequenceNumber", "0x0")),
        get("a number of 2^31", 9100, |text| attribute(text, "SequenceNumber", "2147483648")),
        get("a number of 2^32", 9100, |text| attribute(text, "SequenceNumber", "4294967296")),
        get("a number in other digits", 9100, |text| attribute(text, "SequenceNumber", "٠")),
        get("an empty conversation", 9100, |text| replace(text, " Id=", " ConversationId=\"\" Id=")),
        get("an empty challenge", 9100, |text| {
            without(text, "Challenge");
            replace(text, "</osci:ControlBlock>", "<osci:Challenge></osci:Challenge></osci:ControlBlock>");
        }),
        get("a challenge of 100000 characters", 9100, |text| {
            replace(text, "<osci:Challenge>", &format!("<osci:Challenge>{}", "x".repeat(100_000)));
        }),
        get("two challenges", 9100, |text| {
            replace(text, "<osci:Challenge>", "<osci:Challenge>abc</osci:Challenge><osci:Challenge>");
        }),
        get("two responses", 9100, |text| {
            replace(text, "<osci:Challenge>", &format!("<osci:Response>abc</osci:Response>{RESPONSE}"));
        }),
        get("a child nobody knows", 9100, |text| {
            replace(text, "<osci:Challenge>", "<osci:Other></osci:Other><osci:Challenge>")
        }),
        get("an element in the challenge", 9100, |text| {
            replace(text, "<osci:Challenge>", "<osci:Challenge><osci:a></osci:a>")
        }),
        get("text in the control block", 9100, |text| replace(text, "<osci:Challenge>", "x<osci:Challenge>")),
        get("a challenge of another namespace", 9100, |text| {
            *text = text.replace("osci:Challenge", "ds:Challenge");
        }),
        Case::new("a stale response", Order::GetMessageId, executed(&[800]))
            .draft(|draft| draft.replace(CONTROL, "<osci:Challenge>", RESPONSE)),
    ]);
}

#[test]
pub(super) fn within_a_dialog() {
    let violation = |name: &str, order, edit: fn(&mut String)| control(name, order, 9400, edit).sealed();
    let fetch = |name: &str, edit: fn(&mut String)| violation(name, Order::FetchDelivery, edit);
    run(vec![
        fetch("another conversation", |text| attribute(text, "ConversationId", "4711")),
        fetch("a blank behind the conversation", |text| {
            let id = cut(&mut text.clone(), " ConversationId=\"", "\"");
            replace(text, &id, &id.replacen("Id=\"", "Id=\" ", 1));
        }),
        fetch("no response", |text| without(text, "Response")),
        fetch("no challenge", |text| without(text, "Challenge")),
        fetch("no number", |text| {
            cut(text, " SequenceNumber=\"", "\"");
        }),
        fetch("a number too far", |text| attribute(text, "SequenceNumber", "2")),
        fetch("a number far too far", |text| attribute(text, "SequenceNumber", "2147483647")),
        fetch("another response", |text| replace(text, "<osci:Response>", "<osci:Response>x")),
        fetch("a blank behind the response", |text| replace(text, "</osci:Response>", " </osci:Response>")),
        fetch("a line end before the response", |text| replace(text, "<osci:Response>", "<osci:Response>\n")),
        fetch("the response in capitals", |text| {
            let response = cut(text, "<osci:Response>", "</osci:Response>");
            let value = response.trim_start_matches("<osci:Response>").trim_end_matches("</osci:Response>");
            let other = value.to_ascii_uppercase();
            assert_ne!(other, value);
            replace(text, "<osci:Challenge>", &format!("<osci:Response>{other}</osci:Response><osci:Challenge>"));
        }),
        fetch("challenge and response exchanged", |text| {
            *text = text
                .replace("osci:Response", "osci:X")
                .replace("osci:Challenge", "osci:Response")
                .replace("osci:X", "osci:Challenge");
        }),
        violation("the end without response", Order::ExitDialog, |text| without(text, "Response")),
        violation("the end without conversation", Order::ExitDialog, |text| {
            cut(text, " ConversationId=\"", "\"");
        }),
        violation("a delivery without response", Order::StoreInDialog, |text| without(text, "Response")),
        violation("cards with a number too far", Order::FetchProcessCard, |text| {
            attribute(text, "SequenceNumber", "2")
        }),
    ]);
}

#[test]
pub(super) fn orders_that_need_a_dialog() {
    let alone = |text: &mut String| {
        cut(text, " ConversationId=\"", "\"");
        without(text, "Response");
    };
    run(vec![
        // Nobody is known for whom the answer could be encrypted.
        control("a fetch on its own, encrypted", Order::FetchDelivery, 9500, alone).sealed(),
        control("cards on their own, encrypted", Order::FetchProcessCard, 9500, alone).sealed(),
        Case::new("a fetch on its own, in clear", Order::FetchDelivery, refused(&[9802]))
            .draft(move |draft| alone(&mut draft.block(CONTROL).text)),
        Case::new("cards on their own, in clear", Order::FetchProcessCard, refused(&[9802]))
            .draft(move |draft| alone(&mut draft.block(CONTROL).text)),
        // In clear nobody has proved to own the mailbox.
        Case::new("a fetch in a dialog in clear", Order::FetchDelivery, refused(&[9811])),
        Case::new("cards in a dialog in clear", Order::FetchProcessCard, refused(&[9811])),
    ]);
}
