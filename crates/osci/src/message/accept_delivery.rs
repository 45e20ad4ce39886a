use super::header::{intermediary, only_feedback, order_block, refuse_addressee_signature, write_order};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::card::ProcessCardBundle;
use crate::compose::{OutBody, OutDelivery, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, CertificateRole, CertificateUse, IntermediaryCertificates, read};
use crate::ns::{MessageType, OSCI};
use rohrpost_xmlsec::tree::Element;

/// Hands a delivery to a passive recipient, who only says whether it takes it. The content is the package in the body, see
/// [`Body::package`](crate::envelope::Body::package); its certificates and custom blocks are among the common blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptDelivery {
    /// The common blocks.
    pub header: RequestHeader,
    /// Certificates of the intermediary: that of its signature if the message is signed, and its cipher certificate if the answer
    /// shall be encrypted.
    pub intermediary: Option<IntermediaryCertificates>,
    /// The process card of the delivery: created and forwarded, but never received.
    pub card: ProcessCardBundle,
}

/// Answers [`AcceptDelivery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToAcceptDelivery {
    /// The common blocks. Their certificates are that of the recipient's signature (as the addressee's), or none.
    pub header: ResponseHeader,
    /// Whether the recipient took the delivery.
    pub feedback: Feedback,
}

impl AcceptDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        refuse_addressee_signature(&header.certificates)?;
        let order = order_block(envelope, "acceptDelivery")?;
        let mut card = None;
        for child in read::children(order)? {
            if !read::is(child, OSCI, "ProcessCardBundle") {
                return Err(read::unexpected(order, child).into());
            }
            read::once(&mut card, card_for_recipient(child)?, order, child)?;
        }
        let card = card.ok_or_else(|| read::missing(order, "ProcessCardBundle"))?;
        Ok(Self { header, intermediary: intermediary(envelope)?, card })
    }

    /// The message with this content.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, delivery: OutDelivery) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:acceptDelivery", "acceptdelivery", |xml| self.card.write(xml));
        let blocks = [order].into_iter().chain(self.intermediary.as_ref().map(IntermediaryCertificates::to_block));
        let body = OutBody::Content(delivery.package);
        let mut message = self.header.compose(MessageType::AcceptDelivery, blocks.collect(), body)?;
        message.attachments = delivery.attachments;
        Ok(message)
    }
}

impl ResponseToAcceptDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        let allowed = (CertificateRole::Addressee, CertificateUse::Signature);
        if header.certificates.entries().iter().any(|entry| (entry.role, entry.purpose) != allowed) {
            return Err(MessageError::UnexpectedCertificate("none but SignatureCertificateAddressee"));
        }
        let feedback = only_feedback(order_block(envelope, "responseToAcceptDelivery")?)?;
        Ok(Self { header, feedback })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let write = |xml: &mut _| self.feedback.write(xml);
        let order = write_order("osci:responseToAcceptDelivery", "responsetoacceptdelivery", write);
        let body = OutBody::Inline(String::new());
        self.header.compose(MessageType::ResponseToAcceptDelivery, Some(order), body)
    }
}

/// The process card that travels with a delivery to its recipient, who has not received it yet.
pub(super) fn card_for_recipient(element: &Element) -> Result<ProcessCardBundle, BlockError> {
    let card = ProcessCardBundle::from_element(element)?;
    match card.card.reception {
        Some(_) => Err(read::bad_value(element, "the delivery counts as received before it is handed over")),
        None => Ok(card),
    }
}
