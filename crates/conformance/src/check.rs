//! Whether an answer is what it has to be: everything about it, not only its code.

use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::dialog::{ControlBlock, Rule};
use rohrpost_osci::feedback::{Code, CodeNumber, Language, Level, Severity};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::Response;
use rohrpost_osci::ns::MessageType;

use crate::matrix::{Cell, refuses};
use crate::talk::{Answer, Regular, answer_to};

/// Compares; in words what is wrong.
pub(crate) fn answer(
    cell: &Cell,
    asked: &ControlBlock,
    message_id: Option<&MessageId>,
    answer: &Answer,
) -> Result<(), String> {
    match (cell.code.level(), answer) {
        (Level::Message, Answer::Fault(fault)) => {
            expect("code", &Some(CodeNumber::from(cell.code)), &fault.code)?;
            expect("side", &cell.code.fault_side(), &Some(fault.side))?;
            demand(!fault.text.is_empty(), "the fault has no text")
        }
        (Level::Order, Answer::Regular(regular)) => {
            feedback(cell, regular)?;
            let found = regular.message_type();
            // What fits into one chunk is handed out as it is.
            let whole =
                cell.order == MessageType::PartialFetchDelivery && found == MessageType::ResponseToFetchDelivery;
            if !whole {
                expect("type", &answer_to(cell.order), &Some(found))?;
            }
            expect("encryption", &cell.way.encrypted, &regular.is_encrypted())?;
            expect("signature", &cell.way.signed, &regular.is_signed()?)?;
            control(cell, asked, regular)?;
            certificates(cell, regular)?;
            contents(cell, message_id, regular)
        }
        (Level::Message, _) => Err(format!("no fault, but {}", codes(answer))),
        (Level::Order, _) => Err(codes(answer)),
    }
}

/// The codes of an answer as text.
pub(crate) fn codes(answer: &Answer) -> String {
    match answer {
        Answer::Fault(fault) => {
            format!("fault {}", fault.code.map_or_else(|| "without code".to_owned(), |code| code.to_string()))
        }
        Answer::Regular(regular) => format!("feedback {}", list(&found(regular))),
    }
}

fn list(codes: &[CodeNumber]) -> String {
    codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn found(regular: &Regular) -> Vec<CodeNumber> {
    regular.response.feedback().entries().iter().map(|entry| entry.code).collect()
}

/// Exactly the expected codes, success or error first, in the language that was asked for.
fn feedback(cell: &Cell, regular: &Regular) -> Result<(), String> {
    let base = Cell::base(cell.order, cell.way);
    let expected: Vec<CodeNumber> = match cell.code.severity() {
        Severity::Warning => vec![base.into(), cell.code.into()],
        _ => vec![cell.code.into()],
    };
    // What else waits depends on what other cells do.
    let by_chance =
        |code: &CodeNumber| [Code::FurtherDeliveries, Code::FurtherProcessCards].iter().any(|chance| code == chance);
    let found: Vec<CodeNumber> =
        found(regular).into_iter().filter(|code| !by_chance(code) || *code == cell.code).collect();
    if found != expected {
        return Err(format!("feedback {} instead of {}", list(&found), list(&expected)));
    }
    for entry in regular.response.feedback().entries() {
        let said = entry.language.as_deref();
        demand(said == Some(Language::German.tag()), &format!("{} is said in {said:?}, not in German", entry.code))?;
        demand(entry.text.as_ref().is_some_and(|text| !text.is_empty()), &format!("{} has no text", entry.code))?;
    }
    Ok(())
}

fn control(cell: &Cell, asked: &ControlBlock, regular: &Regular) -> Result<(), String> {
    let got = regular.response.control();
    let rule = Rule::of(regular.message_type()).ok_or("the answer has no control block")?;
    rule.check(got).map_err(|misplaced| misplaced.to_string())?;
    expect("Response", &asked.challenge, &got.response)?;
    expect("SequenceNumber", &asked.sequence_number, &got.sequence_number)?;
    if asked.conversation_id.is_some() {
        expect("ConversationId", &asked.conversation_id, &got.conversation_id)?;
    }
    let goes_on = cell.way.explicit && cell.order != MessageType::ExitDialog;
    demand(!goes_on || got.challenge.is_some(), "the dialog goes on, but there is no Challenge to answer")
}

fn certificates(cell: &Cell, regular: &Regular) -> Result<(), String> {
    let own = regular.response.header().intermediary.as_ref();
    let names_signer = own.is_some_and(|own| own.signature.is_some());
    demand(!cell.way.signed || names_signer, "a signed answer does not name the certificate it is signed with")
}

/// What is handed out, and the stamps of process cards.
fn contents(cell: &Cell, message_id: Option<&MessageId>, regular: &Regular) -> Result<(), String> {
    let base = Cell::base(cell.order, cell.way);
    let executed = !refuses(cell.code) && !refuses(base);
    let is_of = |card: &ProcessCardBundle| message_id.is_none_or(|id| card.message_id == *id);
    let there = |is_there: bool, what: &str| {
        demand(is_there == executed, &format!("{what} {}", if executed { "is missing" } else { "is there" }))
    };
    match &regular.response {
        Response::GetMessageId(response) => there(response.message_id.is_some(), "the message id"),
        Response::StoreDelivery(response) => {
            there(response.card.is_some(), "the process card")?;
            response.card.iter().try_for_each(|card| {
                demand(is_of(card), "the process card is that of another delivery")?;
                stamps(card, true, Some(false), Some(false))
            })
        }
        Response::ForwardDelivery(response) => {
            demand(!executed || response.card.is_some(), "the process card is missing")?;
            response.card.iter().try_for_each(|card| {
                demand(is_of(card), "the process card is that of another delivery")?;
                stamps(card, true, None, None)
            })
        }
        Response::FetchDelivery(response) => {
            there(response.card.is_some(), "the process card")?;
            there(regular.has_package(), "the content")?;
            let any = cell.code == Code::FurtherDeliveries;
            response.card.iter().try_for_each(|card| {
                demand(any || is_of(card), "another delivery was handed out")?;
                stamps(card, true, Some(true), Some(false))
            })
        }
        Response::MediateDelivery(response) => {
            there(regular.has_package(), "the reply")?;
            demand(!executed || response.request_card.is_some(), "the process card of the delivery is missing")?;
            there(response.reply_card.is_some(), "the process card of the reply")?;
            response.request_card.iter().try_for_each(|card| stamps(card, true, None, None))?;
            response.reply_card.iter().try_for_each(|card| stamps(card, true, Some(true), Some(false)))
        }
        Response::FetchProcessCard(response) => {
            there(!response.cards.is_empty(), "a process card")?;
            let any = cell.code == Code::FurtherProcessCards;
            response.cards.iter().try_for_each(|card| {
                demand(any || is_of(card), "another process card was given")?;
                stamps(card, true, None, None)
            })
        }
        _ => Ok(()),
    }
}

/// Whether the stamps are there that have to be; `None` where either is right.
pub(crate) fn stamps(
    bundle: &ProcessCardBundle,
    creation: bool,
    forwarding: Option<bool>,
    reception: Option<bool>,
) -> Result<(), String> {
    let card = &bundle.card;
    expect("Creation", &creation, &card.creation.is_some())?;
    for (name, wanted, found) in
        [("Forwarding", forwarding, &card.forwarding), ("Reception", reception, &card.reception)]
    {
        wanted.map_or(Ok(()), |wanted| expect(name, &wanted, &found.is_some()))?;
    }
    Ok(())
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected:?}")) }
}

fn demand(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
