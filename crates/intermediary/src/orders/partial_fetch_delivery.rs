//! PartialFetchDelivery: one chunk of the message that would answer FetchDelivery. That message is made once and kept, so that all
//! chunks fit together (OSCI-Transport 1.2, chunked transfer).

use std::sync::Arc;

use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::ids::{Challenge, MessageId};
use rohrpost_osci::message::{PartialFetchDelivery, ResponseToFetchDelivery};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_osci::source::{ReadAt, Slice};
use rohrpost_pipeline::gate::leave;
use rohrpost_pipeline::spool::{Spool, SpoolParts};
use rohrpost_store::{BodySource, FetchRule, StoredDelivery};

use super::{Done, HandOut, Order};
use crate::chunks::{Chunks, UNIT};
use crate::entrance::Entrance;
use crate::hand_out::HandedOut;
use crate::handle::Stop;

/// A chunk to be handed out.
pub(crate) struct Piece {
    pub(crate) message_id: MessageId,
    pub(crate) bytes: Arc<dyn ReadAt>,
    pub(crate) number: u64,
    pub(crate) total: u64,
    /// In whole units of 1024 bytes.
    pub(crate) message_size: u64,
    /// Whether the client has all the others.
    pub(crate) is_last: bool,
}

pub(super) fn execute(
    order: &Order<'_>,
    request: &PartialFetchDelivery,
    entrance: &mut Entrance<'_>,
) -> Result<Done, Stop> {
    let chunks = order.chunks()?;
    let Some(mailbox) = order.proven_mailbox(entrance) else { return Ok(Done::refused(Code::OrderFailed)) };
    let Some(dialog) = entrance.dialog() else { return Ok(Done::refused(Code::ExplicitDialogNeeded)) };
    let (number, size) = match wanted(&chunks, request) {
        Ok(wanted) => wanted,
        Err(code) => return Ok(Done::refused(code)),
    };
    let rule = match &request.selection {
        DeliverySelection::Oldest => FetchRule::Oldest { not_in: dialog.handed_out() },
        DeliverySelection::ById(id) => FetchRule::ById(id),
        DeliverySelection::Since(time) => FetchRule::Since(time.at()),
    };
    let (store, now) = (&order.intermediary.parts.store, order.context.now);
    let Some(delivery) = store.next_delivery(&mailbox, rule).map_err(Stop::internal)? else {
        return Ok(Done::refused(Code::NoMatchingDelivery));
    };
    let (message_id, more) = (delivery.card.message_id.clone(), delivery.more);
    let answer = match store.prepared(&message_id, now).map_err(Stop::internal)? {
        Some(answer) => answer,
        None => {
            let spool = leave(|| prepare(order, request, delivery))?;
            if number == 1 && spool.len() <= size {
                let rule = FetchRule::ById(&message_id);
                let Some(delivery) = store.next_delivery(&mailbox, rule).map_err(Stop::internal)? else {
                    return Ok(Done::refused(Code::NoMatchingDelivery));
                };
                return Ok(Done::with(HandOut::Delivery(Box::new(delivery))).warning_if(more, Code::FurtherDeliveries));
            }
            match keep(order, &chunks, &message_id, spool)? {
                Some(answer) => answer,
                None => return Ok(Done::refused(Code::OrderFailed)),
            }
        }
    };
    let total = answer.len().div_ceil(size).max(1);
    if number > total {
        return Ok(Done::refused(Code::ChunkNumberWrong));
    }
    // The stamp that the prepared answer has already.
    store.mark_forwarded(&message_id, now).map_err(Stop::internal)?;
    let received = request.chunk.received.as_deref().unwrap_or_default();
    let piece = Piece {
        message_id,
        number,
        total,
        message_size: answer.len() / UNIT,
        is_last: has_all_others(received, number, total),
        bytes: Arc::new(Slice::new(Arc::clone(&answer), (number - 1) * size..number * size)),
    };
    Ok(Done::with(HandOut::Piece(Box::new(piece))).warning_if(more, Code::FurtherDeliveries))
}

/// Which chunk, and how many bytes a chunk has.
fn wanted(chunks: &Chunks, request: &PartialFetchDelivery) -> Result<(u64, u64), Code> {
    let contradictory = Code::ChunkInformationContradictory;
    request.chunk.misplaced(MessageType::PartialFetchDelivery).map_err(|_| contradictory)?;
    let (number, size) = (request.chunk.number.unwrap_or(0), request.chunk.size.unwrap_or(0));
    if number == 0 || number > u64::from(u32::MAX) {
        return Err(Code::ChunkNumberWrong);
    }
    // One chunk does not tell that there are others, so even a message that fits has to be asked for in a decent size.
    chunks.check_size(size, 2)?;
    Ok((number, size.saturating_mul(UNIT).max(1)))
}

/// Whether these and the one handed out now are all.
fn has_all_others(received: &[u64], number: u64, total: u64) -> bool {
    let mut others: Vec<u64> =
        received.iter().copied().filter(|other| (1..=total).contains(other) && *other != number).collect();
    others.sort_unstable();
    others.dedup();
    others.len() as u64 + 1 == total
}

/// The answer to FetchDelivery, in clear: chunks of it are encrypted each.
fn prepare(order: &Order<'_>, request: &PartialFetchDelivery, delivery: StoredDelivery) -> Result<Spool, Stop> {
    let intermediary = order.intermediary;
    let asked = &request.header.control;
    // Complete, as readers demand. The challenge is one that nobody answers.
    let control = ControlBlock {
        response: asked.challenge.clone(),
        challenge: Some(Challenge::from_random(intermediary.random())),
        conversation_id: asked.conversation_id.clone(),
        sequence_number: asked.sequence_number,
    };
    let mut feedback = Feedback::new(Code::ExecutedDialogOpen, order.received.language);
    if delivery.more {
        feedback.add(Code::FurtherDeliveries);
    }
    let HandedOut { certificates, custom, card, delivery } = HandedOut::new(delivery, order.context.now)?;
    let mut header = intermediary.response_header(control, order.context.now);
    (header.certificates, header.custom) = (certificates, custom);
    let selection = Some(request.selection.clone());
    let answer = ResponseToFetchDelivery { header, feedback, selection, card: Some(card) };
    let outgoing = answer.compose(Some(delivery)).map_err(Stop::internal)?;
    intermediary.write(order.received, &outgoing, None, order.context.now)
}

/// Keeps an answer, as long as there is room for it.
fn keep(
    order: &Order<'_>,
    chunks: &Chunks,
    message_id: &MessageId,
    answer: Spool,
) -> Result<Option<Arc<dyn ReadAt>>, Stop> {
    let parts = &order.intermediary.parts;
    let (store, now) = (&parts.store, order.context.now);
    let body = match answer.into_parts().map_err(Stop::internal)? {
        SpoolParts::Memory(bytes) => BodySource::Inline(bytes),
        SpoolParts::File(path, _) => BodySource::File(path),
    };
    let kept = leave(|| store.keep_prepared(message_id, body, now, chunks.prepared_bytes)).map_err(Stop::internal)?;
    if !kept {
        tracing::warn!("more is fetched in chunks than the limits in [chunks] allow");
        return Ok(None);
    }
    store.prepared(message_id, now).map_err(Stop::internal)
}
