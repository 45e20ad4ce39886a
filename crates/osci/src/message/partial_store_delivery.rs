use std::fmt;
use std::sync::Arc;

use super::chunk_information::{ChunkInformation, is_chunk_information};
use super::header::{
    order_block, refuse_addressee_signature, timestamp_blocks, timestamps, write_id_and_subject, write_order_2017,
};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::card::ProcessCardBundle;
use crate::compose::{OutAttachment, OutBody, Outgoing};
use crate::envelope::{BodyContent, Envelope};
use crate::feedback::Feedback;
use crate::header::{BlockError, CertificateRole, CertificateUse, TimestampQuality, read};
use crate::ids::MessageId;
use crate::ns::{MessageType, OSCI, OSCI2017};
use crate::source::ReadAt;

/// Stores one chunk of a StoreDelivery that was written as a message of its own, or asks how far that is. The chunk is the only
/// attachment.
#[derive(Clone, PartialEq, Eq)]
pub struct PartialStoreDelivery {
    /// The common blocks. Their certificates include the cipher certificate of the addressee.
    pub header: RequestHeader,
    /// Kind of the time stamp for the creation of the process card.
    pub creation: TimestampQuality,
    /// The id of the delivery with [`SUFFIX`](Self::SUFFIX) behind it. Without it the order is refused with feedback 9800.
    pub message_id: Option<MessageId>,
    /// What the delivery is about, in the words of the sender. Content: not for logs.
    pub subject: Option<String>,
    /// What is asked for.
    pub wish: StoreWish,
}

/// What [`PartialStoreDelivery`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreWish {
    /// Which chunks are there.
    InfoOnly,
    /// Keep this chunk. Whether all parts are there that must be (feedback 9905 otherwise) is to be asked with
    /// [`ChunkInformation::misplaced`].
    Chunk(ChunkInformation),
}

/// Answers [`PartialStoreDelivery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToPartialStoreDelivery {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of the delivery, once all chunks are there and it was handled.
    pub inside: Option<Feedback>,
    /// What came of this chunk.
    pub feedback: Feedback,
    /// The process card of the delivery, if it was accepted.
    pub card: Option<ProcessCardBundle>,
    /// Which chunks are there; some peers leave it out of refusals.
    pub chunk: Option<ChunkInformation>,
}

impl PartialStoreDelivery {
    /// What stands behind the id of the delivery.
    pub const SUFFIX: &str = "_Partial";

    /// The id for the chunks of this delivery.
    ///
    /// # Errors
    /// If it would be longer than ids may be.
    pub fn id_for(delivery: &MessageId) -> Result<MessageId, crate::ids::IdError> {
        MessageId::new(format!("{delivery}{}", Self::SUFFIX))
    }

    /// The id of the delivery; `None` if there is none, or one that belongs to no chunks.
    pub fn delivery_id(&self) -> Option<MessageId> {
        let plain = self.message_id.as_ref()?.as_str().strip_suffix(Self::SUFFIX)?;
        MessageId::new(plain).ok()
    }

    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        let certificates = &header.certificates;
        if certificates.first(CertificateRole::Addressee, CertificateUse::Cipher).is_none() {
            return Err(MessageError::MissingCertificate("CipherCertificateAddressee"));
        }
        refuse_addressee_signature(certificates)?;
        let (creation, reception) = timestamps(envelope)?;
        if reception.is_some() {
            return Err(MessageError::UnexpectedBlock("QualityOfTimestamp for the reception"));
        }
        let (mut message_id, mut subject, mut wish) = (None, None, None);
        let order = order_block(envelope, "partialStoreDelivery")?;
        for child in read::children(order)? {
            if read::is(child, OSCI, "MessageId") {
                read::once(&mut message_id, read::message_id(child)?, order, child)?;
            } else if read::is(child, OSCI, "Subject") {
                read::once(&mut subject, read::leaf(child)?.to_owned(), order, child)?;
            } else if read::is(child, OSCI2017, "InfoOnly") {
                read::nothing_in(child)?;
                read::once(&mut wish, StoreWish::InfoOnly, order, child)?;
            } else if is_chunk_information(child) {
                read::once(&mut wish, StoreWish::Chunk(ChunkInformation::from_element(child)?), order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let wish = wish.ok_or_else(|| read::missing(order, "ChunkInformation"))?;
        let has_content = match &envelope.body().content {
            BodyContent::Package(place) => !place.is_empty,
            _ => false,
        };
        match (&wish, has_content) {
            (StoreWish::InfoOnly, true) => Err(MessageError::WrongBody("an empty content package")),
            (StoreWish::Chunk(_), false) => Err(MessageError::WrongBody("the content with the chunk")),
            _ => Ok(Self { header, creation: creation.unwrap_or_default(), message_id, subject, wish }),
        }
    }

    /// The message with this chunk, or with none if it only asks.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, chunk: Option<Arc<dyn ReadAt>>) -> Result<Outgoing, BlockError> {
        let order = write_order_2017("osci2017:partialStoreDelivery", "partialstoredelivery", |xml| {
            write_id_and_subject(xml, self.message_id.as_ref(), self.subject.as_deref());
            match &self.wish {
                StoreWish::InfoOnly => drop(xml.leaf("osci2017:InfoOnly", &[], "")),
                StoreWish::Chunk(chunk) => chunk.write(xml),
            }
        });
        let [creation, _] = timestamp_blocks(self.creation, TimestampQuality::default());
        let (body, attachment) = chunk_body(chunk, "ChunkBlobStoreDelivery");
        let mut message = self.header.compose(MessageType::PartialStoreDelivery, vec![creation, order], body)?;
        message.attachments.extend(attachment);
        Ok(message)
    }
}

impl ResponseToPartialStoreDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        let (mut inside, mut feedback, mut card, mut chunk) = (None, None, None, None);
        let order = order_block(envelope, "responseToPartialStoreDelivery")?;
        for child in read::children(order)? {
            if read::is(child, OSCI2017, "InsideFeedback") {
                read::once(&mut inside, Feedback::from_element(child)?, order, child)?;
            } else if read::is(child, OSCI, "Feedback") {
                read::once(&mut feedback, Feedback::from_element(child)?, order, child)?;
            } else if read::is(child, OSCI, "ProcessCardBundle") {
                read::once(&mut card, ProcessCardBundle::from_element(child)?, order, child)?;
            } else if is_chunk_information(child) {
                let information = ChunkInformation::in_answer(child, envelope.message_type())?;
                read::once(&mut chunk, information, order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let feedback = feedback.ok_or_else(|| read::missing(order, "Feedback"))?;
        Ok(Self { header, inside, feedback, card, chunk })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let order =
            write_order_2017("osci2017:responseToPartialStoreDelivery", "responsetopartialstoredelivery", |xml| {
                if let Some(inside) = &self.inside {
                    inside.write_as("osci2017:InsideFeedback", xml);
                }
                self.feedback.write(xml);
                if let Some(card) = &self.card {
                    card.write(xml);
                }
                if let Some(chunk) = &self.chunk {
                    chunk.write(xml);
                }
            });
        let body = OutBody::Inline(String::new());
        self.header.compose(MessageType::ResponseToPartialStoreDelivery, Some(order), body)
    }
}

/// The body around a chunk, and the attachment that is the chunk.
pub(super) fn chunk_body(chunk: Option<Arc<dyn ReadAt>>, name: &str) -> (OutBody, Option<OutAttachment>) {
    let Some(chunk) = chunk else {
        return (OutBody::Inline("<osci:ContentPackage></osci:ContentPackage>".to_owned()), None);
    };
    let content = format!(
        r#"<osci:ContentPackage><osci:ContentContainer Id="ChunkContentContainer"><osci:Content Id="ChunkContent" href="cid:{name}"></osci:Content></osci:ContentContainer></osci:ContentPackage>"#
    );
    (OutBody::Inline(content), Some(OutAttachment::new(name, "application/octet-stream", chunk)))
}

/// Without the subject, which is content.
impl fmt::Debug for PartialStoreDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialStoreDelivery")
            .field("header", &self.header)
            .field("message_id", &self.message_id)
            .field("wish", &self.wish)
            .finish_non_exhaustive()
    }
}
