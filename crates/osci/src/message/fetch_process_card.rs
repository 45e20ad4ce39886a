use super::header::{feedback_body, order_in_body};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::card::ProcessCardBundle;
use crate::compose::{OutBody, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, read};
use crate::ns::{MessageType, OSCI};
use crate::selection::CardSelection;
use crate::xml::XmlWriter;

/// Fetches process cards of deliveries the client takes part in; needs an explicit dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchProcessCard {
    /// The common blocks.
    pub header: RequestHeader,
    /// Which cards.
    pub selection: CardSelection,
}

/// Answers [`FetchProcessCard`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToFetchProcessCard {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
    /// The rule of the order, repeated; missing from some peers' answers.
    pub selection: Option<CardSelection>,
    /// The cards.
    pub cards: Vec<ProcessCardBundle>,
}

impl FetchProcessCard {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        let selection = CardSelection::from_order(order_in_body(envelope, "fetchProcessCard")?)?;
        Ok(Self { header, selection })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let mut xml = XmlWriter::new();
        write_selection(&self.selection, &mut xml);
        self.header.compose(MessageType::FetchProcessCard, Vec::new(), OutBody::Inline(xml.finish()))
    }
}

impl ResponseToFetchProcessCard {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        let order = order_in_body(envelope, "responseToFetchProcessCard")?;
        let (mut feedback, mut selection, mut cards) = (None, None, Vec::new());
        for child in read::children(order)? {
            if read::is(child, OSCI, "Feedback") {
                read::once(&mut feedback, Feedback::from_element(child)?, order, child)?;
            } else if read::is(child, OSCI, "fetchProcessCard") {
                read::once(&mut selection, CardSelection::from_order(child)?, order, child)?;
            } else if read::is(child, OSCI, "ProcessCardBundle") {
                cards.push(ProcessCardBundle::from_element(child)?);
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let feedback = feedback.ok_or_else(|| read::missing(order, "Feedback"))?;
        Ok(Self { header, feedback, selection, cards })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let body = feedback_body("osci:responseToFetchProcessCard", &self.feedback, |xml| {
            write_selection(&self.selection.clone().unwrap_or_default(), xml);
            self.cards.iter().for_each(|card| card.write(xml));
        });
        self.header.compose(MessageType::ResponseToFetchProcessCard, None, body)
    }
}

fn write_selection(selection: &CardSelection, xml: &mut XmlWriter) {
    xml.open("osci:fetchProcessCard", &[]);
    selection.write(xml);
    xml.close();
}
