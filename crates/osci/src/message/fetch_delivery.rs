use super::header::{order_block, write_order};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::card::ProcessCardBundle;
use crate::compose::{OutBody, OutDelivery, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, read};
use crate::ns::{MessageType, OSCI};
use crate::selection::DeliverySelection;

/// Fetches a delivery from the mailbox of the client; needs an explicit dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchDelivery {
    /// The common blocks.
    pub header: RequestHeader,
    /// Which delivery.
    pub selection: DeliverySelection,
}

/// Answers [`FetchDelivery`]. The content of the delivery is the package in the body, see
/// [`Body::package`](crate::envelope::Body::package); its certificates and custom blocks are among the common blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToFetchDelivery {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
    /// The rule of the order, repeated; missing from some peers' answers.
    pub selection: Option<DeliverySelection>,
    /// The process card of the delivery, if there is one.
    pub card: Option<ProcessCardBundle>,
}

impl FetchDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        let selection = DeliverySelection::from_order(order_block(envelope, "fetchDelivery")?)?;
        Ok(Self { header, selection })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:fetchDelivery", "fetchdelivery", |xml| self.selection.write(xml));
        self.header.compose(MessageType::FetchDelivery, vec![order], OutBody::Inline(String::new()))
    }
}

impl ResponseToFetchDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        let order = order_block(envelope, "responseToFetchDelivery")?;
        let (mut feedback, mut selection, mut card) = (None, None, None);
        for child in read::children(order)? {
            if read::is(child, OSCI, "Feedback") {
                read::once(&mut feedback, Feedback::from_element(child)?, order, child)?;
            } else if read::is(child, OSCI, "fetchDelivery") {
                read::once(&mut selection, DeliverySelection::from_order(child)?, order, child)?;
            } else if read::is(child, OSCI, "ProcessCardBundle") {
                read::once(&mut card, ProcessCardBundle::from_element(child)?, order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let feedback = feedback.ok_or_else(|| read::missing(order, "Feedback"))?;
        Ok(Self { header, feedback, selection, card })
    }

    /// The message with the delivery, or without one.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, delivery: Option<OutDelivery>) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:responseToFetchDelivery", "responsetofetchdelivery", |xml| {
            self.feedback.write(xml);
            xml.open("osci:fetchDelivery", &[]);
            self.selection.clone().unwrap_or_default().write(xml);
            xml.close();
            if let Some(card) = &self.card {
                card.write(xml);
            }
        });
        let (body, attachments) = match delivery {
            Some(delivery) => (OutBody::Content(delivery.package), delivery.attachments),
            None => (OutBody::Inline(String::new()), Vec::new()),
        };
        let mut message = self.header.compose(MessageType::ResponseToFetchDelivery, Some(order), body)?;
        message.attachments = attachments;
        Ok(message)
    }
}
