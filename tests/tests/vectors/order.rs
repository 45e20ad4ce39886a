//! What only the typed message says: control block, order, feedback, process cards.

use rohrpost_osci::card::Timestamp;
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::{BlockKind, Envelope};
use rohrpost_osci::header::CustomBlock;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{ChunkInformation, MessageError, Request, Response, StoreWish};
use rohrpost_osci::ns::Direction;
use rohrpost_osci::selection::{CardFilter, CardRule, DeliverySelection, Role};
use serde_json::{Value, json};

use super::facts::{Failures, list};

pub fn check(facts: &Value, envelope: &Envelope, failures: &mut Failures) {
    if envelope.message_type().direction() == Direction::Response {
        match Response::parse(envelope) {
            Ok(response) => answer(facts, &response, failures),
            Err(MessageError::NotSupported(_)) => {}
            Err(error) => failures.add(format!("message: {error:?}")),
        }
        return;
    }
    let request = match Request::parse(envelope) {
        Ok(request) => request,
        Err(MessageError::NotSupported(_) | MessageError::WrongDirection(_)) => return,
        Err(error) => return failures.add(format!("message: {error:?}")),
    };
    control_block(&facts["control_block"], request.control(), failures);
    custom_blocks(&request.header().custom, envelope, failures);
    match &request {
        Request::StoreDelivery(store) => {
            failures.same("message id", &facts["message_id"], store.message_id.as_ref().map(MessageId::as_str));
            failures.same("subject", &facts["subject"], store.subject.as_deref());
            let quality = |quality| format!("{quality:?}").to_lowercase();
            failures.same("creation", &facts["timestamp_creation"], quality(store.creation));
            failures.same("reception", &facts["timestamp_reception"], quality(store.reception));
        }
        Request::ForwardDelivery(order) => {
            failures.same("receiver", &facts["content_receiver"], order.receiver.as_str());
            failures.same("message id", &facts["message_id"], order.message_id.as_ref().map(MessageId::as_str));
            failures.same("subject", &facts["subject"], order.subject.as_deref());
        }
        Request::MediateDelivery(order) => {
            failures.same("receiver", &facts["content_receiver"], order.receiver.as_str());
            let card = order.card.as_ref();
            failures.same("message id", &facts["message_id"], card.map(|card| card.message_id.as_str()));
            failures.same("subject", &facts["subject"], card.and_then(|card| card.subject.as_deref()));
        }
        Request::PartialStoreDelivery(store) => {
            failures.same("message id", &facts["message_id"], store.message_id.as_ref().map(MessageId::as_str));
            failures.same("subject", &facts["subject"], store.subject.as_deref());
            match &store.wish {
                StoreWish::Chunk(information) => chunk(&facts["chunk_information"], information, failures),
                StoreWish::InfoOnly => {
                    failures.same("information on a chunk", &facts["chunk_information"], Value::Null)
                }
            }
        }
        Request::PartialFetchDelivery(fetch) => {
            selection(&facts["selection"], &delivery_rule(&fetch.selection), failures);
            chunk(&facts["chunk_information"], &fetch.chunk, failures);
        }
        Request::FetchDelivery(fetch) => selection(&facts["selection"], &delivery_rule(&fetch.selection), failures),
        Request::FetchProcessCard(fetch) => {
            selection(&facts["selection"], &card_rule(&fetch.selection.rule), failures);
            let limit = fetch.selection.limit.map(|limit| limit.to_string());
            failures.same("quantity", &facts["quantity_limit"], limit);
        }
        _ => {}
    }
}

fn answer(facts: &Value, response: &Response, failures: &mut Failures) {
    control_block(&facts["control_block"], response.control(), failures);
    let codes: Vec<String> = response.feedback().entries().iter().map(|entry| entry.code.to_string()).collect();
    failures.same("feedback", &facts["feedback"], json!(codes));
    let cards = match response {
        Response::GetMessageId(answer) => {
            failures.same("message id", &facts["message_id"], answer.message_id.as_ref().map(MessageId::as_str));
            return;
        }
        Response::StoreDelivery(answer) => answer.card.iter().collect(),
        Response::FetchDelivery(answer) => {
            if let Some(rule) = &answer.selection {
                selection(&facts["echo"]["selection"], &delivery_rule(rule), failures);
            }
            answer.card.iter().collect()
        }
        Response::PartialStoreDelivery(answer) => {
            if let Some(information) = &answer.chunk {
                chunk(&facts["chunk_information"], information, failures);
            }
            answer.card.iter().collect()
        }
        Response::PartialFetchDelivery(answer) => {
            if let Some(information) = &answer.chunk {
                chunk(&facts["chunk_information"], information, failures);
            }
            failures.same("message id", &facts["message_id"], answer.message_id.as_ref().map(MessageId::as_str));
            Vec::new()
        }
        Response::FetchProcessCard(answer) => {
            if let Some(rule) = &answer.selection {
                selection(&facts["echo"]["selection"], &card_rule(&rule.rule), failures);
            }
            answer.cards.iter().collect()
        }
        _ => Vec::new(),
    };
    failures.same("number of process cards", &json!(list(&facts["process_cards"]).len()), cards.len());
    for (stated, bundle) in list(&facts["process_cards"]).iter().zip(cards) {
        let stamp = |stamp: &Option<Timestamp>| match stamp {
            Some(Timestamp::Plain(time)) => json!(time.as_str()),
            _ => Value::Null,
        };
        failures.same("card of", &stated["message_id"], bundle.message_id.as_str());
        failures.same("modified", &stated["recent_modification"], bundle.card.recent_modification.as_str());
        failures.same("created", &stated["creation"], stamp(&bundle.card.creation));
        failures.same("forwarded", &stated["forwarding"], stamp(&bundle.card.forwarding));
        failures.same("received", &stated["reception"], stamp(&bundle.card.reception));
        failures.same("subject", &stated["subject"], bundle.card.subject.as_deref());
        failures.same("inspections", &stated["inspections"], bundle.report.inspections().unwrap().len());
    }
}

fn chunk(facts: &Value, chunk: &ChunkInformation, failures: &mut Failures) {
    let received = chunk.received.as_ref().map(|all| all.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    let received = received.map(|all| if all.is_empty() { "-1".to_owned() } else { all });
    for (name, read) in [
        ("ChunkNumber", chunk.number.map(|number| number.to_string())),
        ("ChunkSize", chunk.size.map(|number| number.to_string())),
        ("TotalChunkNumbers", chunk.total.map(|number| number.to_string())),
        ("TotalMessageSize", chunk.message_size.map(|number| number.to_string())),
        ("ReceivedChunks", received),
    ] {
        failures.same(name, &facts[name], read);
    }
}

fn control_block(facts: &Value, control: &ControlBlock, failures: &mut Failures) {
    failures.same("response", &facts["response"], control.response.as_ref().map(|text| text.as_str()));
    failures.same("challenge", &facts["challenge"], control.challenge.as_ref().map(|text| text.as_str()));
    let conversation = control.conversation_id.as_ref().map(|text| text.as_str());
    failures.same("conversation id", &facts["conversation_id"], conversation);
    failures.same(
        "sequence number",
        &facts["sequence_number"],
        control.sequence_number.map(|number| number.to_string()),
    );
}

/// A custom block must be handed on as it came.
fn custom_blocks(blocks: &[CustomBlock], envelope: &Envelope, failures: &mut Failures) {
    for (block, received) in blocks.iter().zip(envelope.blocks_of(BlockKind::Custom)) {
        let written = block.to_block().expect("it was read");
        failures.same("custom block", &json!(received.canonical), written.canonical());
    }
}

fn selection(facts: &Value, read: &[Value], failures: &mut Failures) {
    let stated: Vec<Value> = list(facts).to_vec();
    if stated != read {
        failures.add(format!("selection: stated {facts}, read {}", json!(read)));
    }
}

fn delivery_rule(rule: &DeliverySelection) -> Vec<Value> {
    match rule {
        DeliverySelection::Oldest => Vec::new(),
        DeliverySelection::ById(id) => vec![json!({ "by": "MessageId", "value": id.as_str() })],
        DeliverySelection::Since(time) => vec![json!({ "by": "ReceptionOfDelivery", "value": time.as_str() })],
    }
}

fn card_rule(rule: &CardRule) -> Vec<Value> {
    let dated = |by: &str, filter: &CardFilter| {
        let mut fact = json!({ "by": by, "value": filter.since.as_str() });
        if let Some(role) = filter.role {
            fact["Role"] = json!(if role == Role::Addressee { "Addressee" } else { "Originator" });
        }
        if filter.no_reception {
            fact["NoReception"] = json!("true");
        }
        vec![fact]
    };
    match rule {
        CardRule::All => Vec::new(),
        CardRule::ByIds(ids) => ids.iter().map(|id| json!({ "by": "MessageId", "value": id.as_str() })).collect(),
        CardRule::Accepted(filter) => dated("ReceptionOfDelivery", filter),
        CardRule::Modified(filter) => dated("RecentModification", filter),
    }
}
