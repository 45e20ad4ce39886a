//! The orders, one file each: what they demand, and what they do to the store.

mod exit_dialog;
mod fetch_delivery;
mod fetch_process_card;
mod forward_delivery;
mod get_message_id;
mod mediate_delivery;
mod partial_fetch_delivery;
mod partial_store_delivery;
mod store_delivery;
mod taking;

pub(crate) use fetch_process_card::bundle;
pub(crate) use mediate_delivery::Mediated;
pub(crate) use partial_fetch_delivery::Piece;
pub(crate) use partial_store_delivery::Progress;
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::feedback::{Code, Severity};
use rohrpost_osci::header::TimestampQuality;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::Request;
use rohrpost_pipeline::judge::Judged;
use rohrpost_store::{Accepting, Fingerprint, Outbound, StoredDelivery, UploadEnd};
pub(crate) use taking::settle;

use crate::Intermediary;
use crate::chunks::Chunks;
use crate::entrance::Entrance;
use crate::handle::{Context, Received, Stop};
use crate::timestamps::Wish;
use taking::Taking;

/// What an order knows of its request.
pub(crate) struct Order<'a> {
    pub(crate) intermediary: &'a Intermediary,
    pub(crate) received: &'a Received,
    pub(crate) judged: &'a [Judged],
    pub(crate) warnings: &'a [Code],
    /// The upload that ends with the delivery, if it came in chunks.
    pub(crate) upload: Option<UploadEnd>,
    pub(crate) context: &'a Context,
}

/// What came of an order: the codes beside success and the certificates' warnings, and what the answer hands out.
pub(crate) struct Done {
    pub(crate) codes: Vec<Code>,
    pub(crate) hand_out: HandOut,
    /// The delivery that is not durable yet. Until it is, nobody may hear of this.
    pub(crate) accepting: Option<Accepting>,
}

/// What an answer hands out beside its feedback.
pub(crate) enum HandOut {
    Nothing,
    MessageId(MessageId),
    Card(Box<ProcessCardBundle>),
    Delivery(Box<StoredDelivery>),
    Cards(Vec<ProcessCardBundle>),
    Mediated(Mediated),
    Progress(Box<Progress>),
    Piece(Box<Piece>),
}

impl Done {
    /// Carried out, nothing to hand out.
    pub(crate) fn plain() -> Self {
        Self::with(HandOut::Nothing)
    }

    /// Carried out.
    pub(crate) fn with(hand_out: HandOut) -> Self {
        Self { codes: Vec::new(), hand_out, accepting: None }
    }

    /// Not carried out.
    pub(crate) fn refused(code: Code) -> Self {
        Self { codes: vec![code], hand_out: HandOut::Nothing, accepting: None }
    }

    /// Carried out, with a warning where `condition` holds.
    pub(crate) fn warning_if(mut self, condition: bool, code: Code) -> Self {
        self.codes.extend(condition.then_some(code));
        self
    }

    /// The code that says why the order was not carried out.
    pub(crate) fn refusal(&self) -> Option<Code> {
        self.codes.iter().copied().find(|code| code.severity() == Severity::Error)
    }
}

impl Order<'_> {
    /// Executes the order. Refusals that the client is told in a regular answer are `Ok`.
    pub(crate) fn execute(&self, entrance: &mut Entrance<'_>) -> Result<Done, Stop> {
        if matches!(entrance, Entrance::Stranded { .. }) {
            return Ok(Done::refused(Code::ExplicitDialogNeeded));
        }
        match &self.received.request {
            Request::InitDialog(_) => Ok(Done::plain()),
            Request::ExitDialog(_) => Ok(exit_dialog::execute()),
            Request::GetMessageId(_) => Ok(get_message_id::execute(self)),
            Request::StoreDelivery(order) => store_delivery::execute(self, order),
            Request::FetchDelivery(order) => fetch_delivery::execute(self, order, entrance),
            Request::FetchProcessCard(order) => fetch_process_card::execute(self, order, entrance),
            Request::ForwardDelivery(order) => forward_delivery::execute(self, order, entrance),
            Request::MediateDelivery(order) => mediate_delivery::execute(self, order, entrance),
            Request::PartialStoreDelivery(order) => partial_store_delivery::execute(self, order, entrance),
            Request::PartialFetchDelivery(order) => partial_fetch_delivery::execute(self, order, entrance),
            other => Err(Stop::new(Code::NotAnOrder, format!("{} has no executor", other.message_type()))),
        }
    }

    /// What is allowed of chunked transfer.
    fn chunks(&self) -> Result<Chunks, Stop> {
        let off = || Stop::new(Code::NotAnOrder, "chunked transfer is not offered");
        self.intermediary.settings.chunks.ok_or_else(off)
    }

    /// The id of a delivery, if there is one and we issued it.
    fn usable_id<'b>(&self, message_id: Option<&'b MessageId>) -> Result<&'b MessageId, Code> {
        let message_id = message_id.ok_or(Code::MessageIdMissing)?;
        let recognised = self.intermediary.parts.message_ids.recognises(message_id, self.context.now);
        if recognised { Ok(message_id) } else { Err(Code::MessageIdIllegal) }
    }

    /// The delivery in the request.
    fn taking<'b>(
        &'b self,
        message_id: &'b MessageId,
        subject: Option<&'b String>,
        outbound: Option<Outbound>,
        (creation, reception): (TimestampQuality, TimestampQuality),
    ) -> Taking<'b> {
        Taking {
            intermediary: self.intermediary,
            verified: &self.received.verified,
            certificates: &self.received.request.header().certificates,
            judged: self.judged,
            mailbox: None,
            message_id,
            subject,
            outbound,
            upload: self.upload.clone(),
            stamps: Wish { creation, reception, can_wait: true },
            order: order_name(&self.received.request),
            warnings: self.warnings,
            correlation: &self.context.correlation_id,
            now: self.context.now,
        }
    }

    /// The mailbox of the client, proven by its encrypted dialog (OSCI-Transport 1.2, authentication); `None` where
    /// nothing is proven.
    fn proven_mailbox(&self, entrance: &mut Entrance<'_>) -> Option<Fingerprint> {
        let allowed_in_clear = self.intermediary.settings.dangerous_fetch_without_encryption;
        let is_encrypted = self.received.is_encrypted();
        let dialog = entrance.dialog()?;
        let proven = dialog.is_encrypted() && is_encrypted;
        (proven || allowed_in_clear).then(|| Fingerprint::of_der(&dialog.client().cipher_certificate))
    }
}

/// The order as the log calls it: its element.
pub(crate) fn order_name(request: &Request) -> &'static str {
    match request {
        Request::ForwardDelivery(_) => "forwardDelivery",
        Request::MediateDelivery(_) => "mediateDelivery",
        Request::PartialStoreDelivery(_) => "partialStoreDelivery",
        _ => "storeDelivery",
    }
}
