//! What all orders, and all answers, have in common.

use crate::card::ProcessCardBundle;
use crate::compose::{OutBody, Outgoing};
use crate::dialog::ControlBlock;
use crate::envelope::{BlockKind, BodyContent, Envelope, HeaderBlock};
use crate::feedback::Feedback;
use crate::header::read;
use crate::header::{
    Block, BlockError, CertificateRole, CertificateUse, CustomBlock, DesiredLanguages, FeatureDescription,
    IntermediaryCertificates, NonIntermediaryCertificates, QualityOfTimestamp, TimestampQuality, TimestampService,
    control_block_from,
};
use crate::ids::MessageId;
use crate::ns::{ACTOR_NEXT, Direction, MessageType, NS5, NS6, OSCI};
use crate::xml::XmlWriter;
use rohrpost_xmlsec::tree::Element;

use super::MessageError;

/// The header blocks that do not depend on the type: of an order of a client, and of a delivery that an intermediary hands to a
/// passive recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHeader {
    /// Place of the message in its dialog.
    pub control: ControlBlock,
    /// Languages the client wants to read. Mandatory by the schema; peers tolerate its absence, so do we.
    pub languages: Option<DesiredLanguages>,
    /// Certificates of everybody but the intermediary; none if the block is missing.
    pub certificates: NonIntermediaryCertificates,
    /// What the client can do.
    pub features: Option<FeatureDescription>,
    /// Blocks that are none of OSCI's.
    pub custom: Vec<CustomBlock>,
}

/// The header blocks of an answer that do not depend on its type: of an intermediary's, and of a passive recipient's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHeader {
    /// Place of the message in its dialog.
    pub control: ControlBlock,
    /// Certificates of the intermediary; at least that of its signature in signed answers. A recipient's answer has none.
    pub intermediary: Option<IntermediaryCertificates>,
    /// Certificates of the delivery handed out, or of the recipient that answers; none if the block is missing.
    pub certificates: NonIntermediaryCertificates,
    /// What the answering side can do.
    pub features: Option<FeatureDescription>,
    /// Blocks that are none of OSCI's.
    pub custom: Vec<CustomBlock>,
}

impl RequestHeader {
    /// Reads the common blocks; refuses those that this kind of request cannot have.
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        if envelope.message_type().direction() != Direction::RequestToRecipient {
            refuse(envelope, BlockKind::IntermediaryCertificates, "IntermediaryCertificates")?;
        }
        refuse_timestamps(envelope)?;
        Ok(Self {
            control: control(envelope)?,
            languages: read_one(envelope, BlockKind::DesiredLanguages, DesiredLanguages::from_element)?,
            certificates: envelope.certificates().cloned().unwrap_or_default(),
            features: read_one(envelope, BlockKind::FeatureDescription, FeatureDescription::from_element)?,
            custom: custom(envelope),
        })
    }

    /// A message with these blocks and, between languages and certificates, the ones given.
    pub(super) fn compose(
        &self,
        message_type: MessageType,
        order: Vec<Block>,
        body: OutBody,
    ) -> Result<Outgoing, BlockError> {
        let mut message = Outgoing::new(message_type, &self.control, body);
        message.blocks.extend(self.languages.as_ref().map(DesiredLanguages::to_block));
        message.blocks.extend(order);
        add_common(&mut message, &self.certificates, self.features.as_ref(), &self.custom)?;
        Ok(message)
    }
}

impl ResponseHeader {
    /// Reads the common blocks; refuses those that this kind of answer cannot have.
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        use MessageType as M;
        refuse(envelope, BlockKind::DesiredLanguages, "DesiredLanguages")?;
        refuse_timestamps(envelope)?;
        if matches!(envelope.message_type(), M::ResponseToAcceptDelivery | M::ResponseToProcessDelivery) {
            refuse(envelope, BlockKind::IntermediaryCertificates, "IntermediaryCertificates")?;
        }
        let intermediary = intermediary(envelope)?;
        if intermediary.as_ref().is_some_and(|certificates| certificates.cipher.is_some()) {
            return Err(MessageError::UnexpectedCertificate("CipherCertificateIntermediary"));
        }
        Ok(Self {
            control: control(envelope)?,
            intermediary,
            certificates: envelope.certificates().cloned().unwrap_or_default(),
            features: read_one(envelope, BlockKind::FeatureDescription, FeatureDescription::from_element)?,
            custom: custom(envelope),
        })
    }

    /// A message with the order blocks given (if any) and these blocks behind them.
    pub(super) fn compose(
        &self,
        message_type: MessageType,
        order: impl IntoIterator<Item = Block>,
        body: OutBody,
    ) -> Result<Outgoing, BlockError> {
        let mut message = Outgoing::new(message_type, &self.control, body);
        message.blocks.extend(order);
        message.blocks.extend(self.intermediary.as_ref().map(IntermediaryCertificates::to_block));
        add_common(&mut message, &self.certificates, self.features.as_ref(), &self.custom)?;
        Ok(message)
    }
}

/// The only element of the body, which must have this name.
pub(super) fn order_in_body<'a>(envelope: &'a Envelope, name: &'static str) -> Result<&'a Element, MessageError> {
    match &envelope.body().content {
        BodyContent::Order(order) if read::is(order, OSCI, name) => Ok(order),
        _ => Err(MessageError::WrongBody(name)),
    }
}

/// The order block in the header.
pub(super) fn order_block<'a>(envelope: &'a Envelope, name: &'static str) -> Result<&'a Element, MessageError> {
    let block = envelope.blocks_of(BlockKind::Order).next().ok_or(MessageError::MissingBlock(name))?;
    Ok(&block.tree)
}

/// The certificates of the intermediary, if the message has the block.
pub(super) fn intermediary(envelope: &Envelope) -> Result<Option<IntermediaryCertificates>, MessageError> {
    read_one(envelope, BlockKind::IntermediaryCertificates, IntermediaryCertificates::from_element)
}

/// Which time stamps are wanted for creation and reception; `None` where the message says nothing.
pub(super) fn timestamps(
    envelope: &Envelope,
) -> Result<(Option<TimestampQuality>, Option<TimestampQuality>), MessageError> {
    let (mut creation, mut reception) = (None, None);
    for block in envelope.blocks_of(BlockKind::QualityOfTimestamp) {
        let wanted = QualityOfTimestamp::from_element(&block.tree)?;
        let slot = match wanted.service {
            TimestampService::Creation => &mut creation,
            TimestampService::Reception => &mut reception,
        };
        read::once(slot, wanted.quality, &block.tree, &block.tree)?;
    }
    Ok((creation, reception))
}

/// The blocks that say which time stamps are wanted.
pub(super) fn timestamp_blocks(creation: TimestampQuality, reception: TimestampQuality) -> [Block; 2] {
    [(TimestampService::Creation, creation), (TimestampService::Reception, reception)]
        .map(|(service, quality)| QualityOfTimestamp { service, quality }.to_block())
}

/// Refuses the one certificate that no message with a delivery may carry.
pub(super) fn refuse_addressee_signature(certificates: &NonIntermediaryCertificates) -> Result<(), MessageError> {
    match certificates.first(CertificateRole::Addressee, CertificateUse::Signature) {
        Some(_) => Err(MessageError::UnexpectedCertificate("SignatureCertificateAddressee")),
        None => Ok(()),
    }
}

fn add_common(
    message: &mut Outgoing,
    certificates: &NonIntermediaryCertificates,
    features: Option<&FeatureDescription>,
    custom: &[CustomBlock],
) -> Result<(), BlockError> {
    if !certificates.entries().is_empty() {
        message.blocks.push(certificates.to_block());
    }
    message.blocks.extend(features.map(FeatureDescription::to_block));
    for block in custom {
        message.blocks.push(block.to_block()?);
    }
    Ok(())
}

fn control(envelope: &Envelope) -> Result<ControlBlock, MessageError> {
    read_one(envelope, BlockKind::ControlBlock, control_block_from)?.ok_or(MessageError::MissingBlock("ControlBlock"))
}

fn read_one<T>(
    envelope: &Envelope,
    kind: BlockKind,
    read: impl FnOnce(&Element) -> Result<T, BlockError>,
) -> Result<Option<T>, MessageError> {
    Ok(envelope.blocks_of(kind).next().map(|block| read(&block.tree)).transpose()?)
}

fn custom(envelope: &Envelope) -> Vec<CustomBlock> {
    let received = |block: &HeaderBlock| CustomBlock::received(block.id.clone(), block.canonical.clone());
    envelope.blocks_of(BlockKind::Custom).map(received).collect()
}

/// Refuses the blocks in messages that make no process card.
fn refuse_timestamps(envelope: &Envelope) -> Result<(), MessageError> {
    use MessageType as M;
    match envelope.message_type() {
        M::StoreDelivery
        | M::PartialStoreDelivery
        | M::ForwardDelivery
        | M::MediateDelivery
        | M::ResponseToProcessDelivery => Ok(()),
        _ => refuse(envelope, BlockKind::QualityOfTimestamp, "QualityOfTimestamp"),
    }
}

fn refuse(envelope: &Envelope, kind: BlockKind, name: &'static str) -> Result<(), MessageError> {
    match envelope.blocks_of(kind).next() {
        Some(_) => Err(MessageError::UnexpectedBlock(name)),
        None => Ok(()),
    }
}

/// What an order to forward a delivery says.
pub(super) struct ForwardingOrder {
    pub(super) receiver: String,
    pub(super) message_id: Option<MessageId>,
    pub(super) subject: Option<String>,
}

/// Reads `forwardDelivery` or `mediateDelivery`.
pub(super) fn forwarding_order(order: &Element) -> Result<ForwardingOrder, MessageError> {
    let (mut receiver, mut message_id, mut subject) = (None, None, None);
    for child in read::children(order)? {
        if read::is(child, OSCI, "ContentReceiver") {
            if !read::leaf(child)?.trim().is_empty() {
                return Err(read::bad_value(child, "ContentReceiver holds more than its URI").into());
            }
            read::once(&mut receiver, read::attribute(child, "URI")?.to_owned(), order, child)?;
        } else if read::is(child, OSCI, "MessageId") {
            read::once(&mut message_id, read::message_id(child)?, order, child)?;
        } else if read::is(child, OSCI, "Subject") {
            read::once(&mut subject, read::leaf(child)?.to_owned(), order, child)?;
        } else {
            return Err(read::unexpected(order, child).into());
        }
    }
    let receiver = receiver.ok_or_else(|| read::missing(order, "ContentReceiver"))?;
    Ok(ForwardingOrder { receiver, message_id, subject })
}

/// Feedback, and after it process cards in elements of these names, each at most once.
pub(super) fn feedback_and_cards<const N: usize>(
    order: &Element,
    names: [&'static str; N],
) -> Result<(Feedback, [Option<ProcessCardBundle>; N]), MessageError> {
    let mut feedback = None;
    let mut cards = [const { None }; N];
    for child in read::children(order)? {
        if read::is(child, OSCI, "Feedback") {
            read::once(&mut feedback, Feedback::from_element(child)?, order, child)?;
        } else if let Some(index) = names.iter().position(|name| read::is(child, OSCI, name)) {
            read::once(&mut cards[index], ProcessCardBundle::from_element(child)?, order, child)?;
        } else {
            return Err(read::unexpected(order, child).into());
        }
    }
    Ok((feedback.ok_or_else(|| read::missing(order, "Feedback"))?, cards))
}

/// An order block: the canonical text of its element.
pub(super) fn write_order(name: &'static str, id: &'static str, inside: impl FnOnce(&mut XmlWriter)) -> Block {
    write_order_in(NS5, name, id, inside)
}

/// The same in the namespace of the 2017 extension.
pub(super) fn write_order_2017(name: &'static str, id: &'static str, inside: impl FnOnce(&mut XmlWriter)) -> Block {
    write_order_in(NS6, name, id, inside)
}

fn write_order_in(
    namespaces: &'static str,
    name: &'static str,
    id: &'static str,
    inside: impl FnOnce(&mut XmlWriter),
) -> Block {
    let mut xml = XmlWriter::new();
    inside(&mut xml);
    let inside = xml.finish();
    Block::written(id, format!(r#"<{name}{namespaces} Id="{id}"{ACTOR_NEXT}>{inside}</{name}>"#))
}

/// The id of a delivery and what it is about, as every order that carries them has them.
pub(super) fn write_id_and_subject(xml: &mut XmlWriter, id: Option<&MessageId>, subject: Option<&str>) {
    if let Some(id) = id {
        xml.leaf("osci:MessageId", &[], &id.to_base64());
    }
    if let Some(subject) = subject {
        xml.leaf("osci:Subject", &[], subject);
    }
}

/// A body with an element that holds feedback and what follows it.
pub(super) fn feedback_body(name: &'static str, feedback: &Feedback, rest: impl FnOnce(&mut XmlWriter)) -> OutBody {
    let mut xml = XmlWriter::new();
    xml.open(name, &[]);
    feedback.write(&mut xml);
    rest(&mut xml);
    xml.close();
    OutBody::Inline(xml.finish())
}

/// The feedback in an element that may hold nothing else.
pub(super) fn only_feedback(order: &Element) -> Result<Feedback, MessageError> {
    let mut feedback = None;
    for child in read::children(order)? {
        if !read::is(child, OSCI, "Feedback") {
            return Err(read::unexpected(order, child).into());
        }
        read::once(&mut feedback, Feedback::from_element(child)?, order, child)?;
    }
    Ok(feedback.ok_or_else(|| read::missing(order, "Feedback"))?)
}
