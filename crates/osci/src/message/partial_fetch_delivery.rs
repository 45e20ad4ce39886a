use std::sync::Arc;

use super::chunk_information::{ChunkInformation, is_chunk_information};
use super::header::{order_block, write_order_2017};
use super::partial_store_delivery::chunk_body;
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::compose::{OutBody, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, read};
use crate::ids::MessageId;
use crate::ns::{MessageType, OSCI};
use crate::selection::DeliverySelection;
use crate::source::ReadAt;

/// Fetches one chunk of the message that answers a FetchDelivery; needs an explicit dialog. May be answered with
/// [`ResponseToFetchDelivery`](super::ResponseToFetchDelivery), if that is no larger than a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialFetchDelivery {
    /// The common blocks.
    pub header: RequestHeader,
    /// Which delivery. Its id is the plain one.
    pub selection: DeliverySelection,
    /// Which chunk, and which ones the client has. Whether all parts are there that must be (feedback 9905 otherwise) is to be
    /// asked with [`ChunkInformation::misplaced`].
    pub chunk: ChunkInformation,
}

/// Answers [`PartialFetchDelivery`]. The chunk is the only attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToPartialFetchDelivery {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
    /// The rule of the order, repeated; missing from some peers' answers.
    pub selection: Option<DeliverySelection>,
    /// Which chunk this is; missing from refusals.
    pub chunk: Option<ChunkInformation>,
    /// The delivery; missing from refusals.
    pub message_id: Option<MessageId>,
}

impl PartialFetchDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        let order = order_block(envelope, "partialFetchDelivery")?;
        let (mut selection, mut chunk) = (None, None);
        for child in read::children(order)? {
            if read::is(child, OSCI, "SelectionRule") {
                read::once(&mut selection, DeliverySelection::from_rule(child)?, order, child)?;
            } else if is_chunk_information(child) {
                read::once(&mut chunk, ChunkInformation::from_element(child)?, order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let chunk = chunk.ok_or_else(|| read::missing(order, "ChunkInformation"))?;
        Ok(Self { header, selection: selection.unwrap_or_default(), chunk })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let order = write_order_2017("osci2017:partialFetchDelivery", "partialfetchdelivery", |xml| {
            self.selection.write(xml);
            self.chunk.write(xml);
        });
        self.header.compose(MessageType::PartialFetchDelivery, vec![order], OutBody::Inline(String::new()))
    }
}

impl ResponseToPartialFetchDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        let order = order_block(envelope, "responseToPartialFetchDelivery")?;
        let (mut feedback, mut selection, mut chunk, mut message_id) = (None, None, None, None);
        for child in read::children(order)? {
            if read::is(child, OSCI, "Feedback") {
                read::once(&mut feedback, Feedback::from_element(child)?, order, child)?;
            } else if read::is(child, OSCI, "fetchDelivery") {
                read::once(&mut selection, DeliverySelection::from_order(child)?, order, child)?;
            } else if is_chunk_information(child) {
                let information = ChunkInformation::in_answer(child, envelope.message_type())?;
                read::once(&mut chunk, information, order, child)?;
            } else if read::is(child, OSCI, "MessageId") {
                read::once(&mut message_id, read::message_id(child)?, order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let feedback = feedback.ok_or_else(|| read::missing(order, "Feedback"))?;
        Ok(Self { header, feedback, selection, chunk, message_id })
    }

    /// The message with a chunk, or without one. The order of the elements matters to peers: the delivery's id comes last.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, chunk: Option<Arc<dyn ReadAt>>) -> Result<Outgoing, BlockError> {
        let order =
            write_order_2017("osci2017:responseToPartialFetchDelivery", "responsetopartialfetchdelivery", |xml| {
                self.feedback.write(xml);
                xml.open("osci:fetchDelivery", &[]);
                self.selection.clone().unwrap_or_default().write(xml);
                xml.close();
                if let Some(chunk) = &self.chunk {
                    chunk.write(xml);
                }
                if let Some(id) = &self.message_id {
                    xml.leaf("osci:MessageId", &[], &id.to_base64());
                }
            });
        let (body, attachment) = chunk_body(chunk, "ChunkBlobFetchDelivery");
        let mut message = self.header.compose(MessageType::ResponseToPartialFetchDelivery, Some(order), body)?;
        message.attachments.extend(attachment);
        Ok(message)
    }
}
