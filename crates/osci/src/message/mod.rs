//! The messages of OSCI-Transport 1.2 as types, one file per order with its answer.
//!
//! [`Request::parse`] and [`Response::parse`] read an [`Envelope`] between client and intermediary, [`RecipientRequest::parse`] and
//! [`RecipientResponse::parse`] one between intermediary and passive recipient; every type has a `compose` that gives the
//! [`Outgoing`](crate::compose::Outgoing) message. What an order needs is enforced; the schemas are not: known peers write messages
//! that they forbid.
//!
//! ```
//! use rohrpost_osci::dialog::ControlBlock;
//! use rohrpost_osci::envelope::{Envelope, Limits};
//! use rohrpost_osci::ids::Challenge;
//! use rohrpost_osci::message::{GetMessageId, Request, RequestHeader};
//! use rohrpost_osci::mime::{self, Boundary, Multipart};
//! use rohrpost_osci::source::reader;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let control = ControlBlock {
//!     challenge: Some(Challenge::new("MTIzNDU2Nzg5MA==")?),
//!     sequence_number: Some(0),
//!     ..ControlBlock::default()
//! };
//! let order = GetMessageId { header: RequestHeader { control, ..RequestHeader::default() } };
//! let octets = order.compose()?.write(None, &Boundary::new("boundary")?, Vec::new())?;
//!
//! let multipart = Multipart::scan(&octets, &mime::Limits::default())?;
//! let root = std::io::BufReader::new(reader(&octets, multipart.root().range.clone()));
//! let envelope = Envelope::read(root, &Limits::default())?;
//! assert!(matches!(Request::parse(&envelope)?, Request::GetMessageId(read) if read == order));
//! # Ok(()) }
//! ```

mod accept_delivery;
mod chunk_information;
mod exit_dialog;
mod fetch_delivery;
mod fetch_process_card;
mod forward_delivery;
mod get_message_id;
mod header;
mod init_dialog;
mod mediate_delivery;
mod partial_fetch_delivery;
mod partial_store_delivery;
mod process_delivery;
mod recipient;
mod store_delivery;

use thiserror::Error;

use crate::dialog::ControlBlock;
use crate::envelope::Envelope;
use crate::header::BlockError;
use crate::ns::{Direction, MessageType};

pub use accept_delivery::{AcceptDelivery, ResponseToAcceptDelivery};
pub use chunk_information::{ChunkInformation, ChunkPartMisplaced};
pub use exit_dialog::{ExitDialog, ResponseToExitDialog};
pub use fetch_delivery::{FetchDelivery, ResponseToFetchDelivery};
pub use fetch_process_card::{FetchProcessCard, ResponseToFetchProcessCard};
pub use forward_delivery::{ForwardDelivery, ResponseToForwardDelivery};
pub use get_message_id::{GetMessageId, ResponseToGetMessageId};
pub use header::{RequestHeader, ResponseHeader};
pub use init_dialog::{InitDialog, ResponseToInitDialog};
pub use mediate_delivery::{MediateCard, MediateDelivery, ResponseToMediateDelivery};
pub use partial_fetch_delivery::{PartialFetchDelivery, ResponseToPartialFetchDelivery};
pub use partial_store_delivery::{PartialStoreDelivery, ResponseToPartialStoreDelivery, StoreWish};
pub use process_delivery::{ProcessDelivery, ReplyWithCard, RequestWithCard, ResponseToProcessDelivery};
pub use recipient::{RecipientRequest, RecipientResponse};
pub use store_delivery::{ResponseToStoreDelivery, StoreDelivery};

/// An order of a client to an intermediary.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Opens an explicit dialog.
    InitDialog(InitDialog),
    /// Closes an explicit dialog.
    ExitDialog(ExitDialog),
    /// Asks for a message id.
    GetMessageId(GetMessageId),
    /// Puts a delivery into a mailbox.
    StoreDelivery(StoreDelivery),
    /// Fetches a delivery.
    FetchDelivery(FetchDelivery),
    /// Fetches process cards.
    FetchProcessCard(FetchProcessCard),
    /// Forwards a delivery to a passive recipient.
    ForwardDelivery(ForwardDelivery),
    /// Forwards a delivery to a passive recipient and wants its reply.
    MediateDelivery(MediateDelivery),
    /// Stores one chunk of a delivery.
    PartialStoreDelivery(PartialStoreDelivery),
    /// Fetches one chunk of a delivery.
    PartialFetchDelivery(PartialFetchDelivery),
}

/// An answer of an intermediary to a client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Response {
    /// Answers [`Request::InitDialog`].
    InitDialog(ResponseToInitDialog),
    /// Answers [`Request::ExitDialog`].
    ExitDialog(ResponseToExitDialog),
    /// Answers [`Request::GetMessageId`].
    GetMessageId(ResponseToGetMessageId),
    /// Answers [`Request::StoreDelivery`].
    StoreDelivery(ResponseToStoreDelivery),
    /// Answers [`Request::FetchDelivery`].
    FetchDelivery(ResponseToFetchDelivery),
    /// Answers [`Request::FetchProcessCard`].
    FetchProcessCard(ResponseToFetchProcessCard),
    /// Answers [`Request::ForwardDelivery`].
    ForwardDelivery(ResponseToForwardDelivery),
    /// Answers [`Request::MediateDelivery`].
    MediateDelivery(Box<ResponseToMediateDelivery>),
    /// Answers [`Request::PartialStoreDelivery`].
    PartialStoreDelivery(Box<ResponseToPartialStoreDelivery>),
    /// Answers [`Request::PartialFetchDelivery`].
    PartialFetchDelivery(ResponseToPartialFetchDelivery),
}

/// Why an envelope is not the message that is asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A message of another direction: an answer where an order is expected, or the reverse (feedback 9300).
    #[error("{0} is not expected here")]
    WrongDirection(MessageType),
    /// An order that this side does not know (feedback 9300).
    #[error("{0} is not supported")]
    NotSupported(MessageType),
    /// A header block that the message may not carry (feedback 9100).
    #[error("the message may not carry the header block {0}")]
    UnexpectedBlock(&'static str),
    /// A header block that the message needs (feedback 9100).
    #[error("the message lacks the header block {0}")]
    MissingBlock(&'static str),
    /// A certificate that the message may not carry (feedback 9100).
    #[error("the message may not carry this certificate: {0}")]
    UnexpectedCertificate(&'static str),
    /// A certificate that the message needs (feedback 9100).
    #[error("the message lacks this certificate: {0}")]
    MissingCertificate(&'static str),
    /// The body does not hold what belongs to the message type (feedback 9100).
    #[error("the body does not hold {0}")]
    WrongBody(&'static str),
    /// A header block or the body is malformed (feedback 9100).
    #[error("the message is malformed")]
    Block(#[from] BlockError),
}

impl Request {
    /// Reads an order.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        match envelope.message_type() {
            MessageType::InitDialog => InitDialog::parse(envelope).map(Self::InitDialog),
            MessageType::ExitDialog => ExitDialog::parse(envelope).map(Self::ExitDialog),
            MessageType::GetMessageId => GetMessageId::parse(envelope).map(Self::GetMessageId),
            MessageType::StoreDelivery => StoreDelivery::parse(envelope).map(Self::StoreDelivery),
            MessageType::FetchDelivery => FetchDelivery::parse(envelope).map(Self::FetchDelivery),
            MessageType::FetchProcessCard => FetchProcessCard::parse(envelope).map(Self::FetchProcessCard),
            MessageType::ForwardDelivery => ForwardDelivery::parse(envelope).map(Self::ForwardDelivery),
            MessageType::MediateDelivery => MediateDelivery::parse(envelope).map(Self::MediateDelivery),
            MessageType::PartialStoreDelivery => PartialStoreDelivery::parse(envelope).map(Self::PartialStoreDelivery),
            MessageType::PartialFetchDelivery => PartialFetchDelivery::parse(envelope).map(Self::PartialFetchDelivery),
            other => Err(MessageError::WrongDirection(other)),
        }
    }

    /// What all orders have in common.
    pub fn header(&self) -> &RequestHeader {
        match self {
            Self::InitDialog(order) => &order.header,
            Self::ExitDialog(order) => &order.header,
            Self::GetMessageId(order) => &order.header,
            Self::StoreDelivery(order) => &order.header,
            Self::FetchDelivery(order) => &order.header,
            Self::FetchProcessCard(order) => &order.header,
            Self::ForwardDelivery(order) => &order.header,
            Self::MediateDelivery(order) => &order.header,
            Self::PartialStoreDelivery(order) => &order.header,
            Self::PartialFetchDelivery(order) => &order.header,
        }
    }

    /// The message type.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::InitDialog(_) => MessageType::InitDialog,
            Self::ExitDialog(_) => MessageType::ExitDialog,
            Self::GetMessageId(_) => MessageType::GetMessageId,
            Self::StoreDelivery(_) => MessageType::StoreDelivery,
            Self::FetchDelivery(_) => MessageType::FetchDelivery,
            Self::FetchProcessCard(_) => MessageType::FetchProcessCard,
            Self::ForwardDelivery(_) => MessageType::ForwardDelivery,
            Self::MediateDelivery(_) => MessageType::MediateDelivery,
            Self::PartialStoreDelivery(_) => MessageType::PartialStoreDelivery,
            Self::PartialFetchDelivery(_) => MessageType::PartialFetchDelivery,
        }
    }

    /// The control block.
    pub fn control(&self) -> &ControlBlock {
        &self.header().control
    }
}

impl Response {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        match envelope.message_type() {
            MessageType::ResponseToInitDialog => ResponseToInitDialog::parse(envelope).map(Self::InitDialog),
            MessageType::ResponseToExitDialog => ResponseToExitDialog::parse(envelope).map(Self::ExitDialog),
            MessageType::ResponseToGetMessageId => ResponseToGetMessageId::parse(envelope).map(Self::GetMessageId),
            MessageType::ResponseToStoreDelivery => ResponseToStoreDelivery::parse(envelope).map(Self::StoreDelivery),
            MessageType::ResponseToFetchDelivery => ResponseToFetchDelivery::parse(envelope).map(Self::FetchDelivery),
            MessageType::ResponseToFetchProcessCard => {
                ResponseToFetchProcessCard::parse(envelope).map(Self::FetchProcessCard)
            }
            MessageType::ResponseToForwardDelivery => {
                ResponseToForwardDelivery::parse(envelope).map(Self::ForwardDelivery)
            }
            MessageType::ResponseToMediateDelivery => {
                ResponseToMediateDelivery::parse(envelope).map(Box::new).map(Self::MediateDelivery)
            }
            MessageType::ResponseToPartialStoreDelivery => {
                ResponseToPartialStoreDelivery::parse(envelope).map(Box::new).map(Self::PartialStoreDelivery)
            }
            MessageType::ResponseToPartialFetchDelivery => {
                ResponseToPartialFetchDelivery::parse(envelope).map(Self::PartialFetchDelivery)
            }
            other if other.direction() == Direction::Response => Err(MessageError::NotSupported(other)),
            other => Err(MessageError::WrongDirection(other)),
        }
    }

    /// What all answers have in common.
    pub fn header(&self) -> &ResponseHeader {
        match self {
            Self::InitDialog(answer) => &answer.header,
            Self::ExitDialog(answer) => &answer.header,
            Self::GetMessageId(answer) => &answer.header,
            Self::StoreDelivery(answer) => &answer.header,
            Self::FetchDelivery(answer) => &answer.header,
            Self::FetchProcessCard(answer) => &answer.header,
            Self::ForwardDelivery(answer) => &answer.header,
            Self::MediateDelivery(answer) => &answer.header,
            Self::PartialStoreDelivery(answer) => &answer.header,
            Self::PartialFetchDelivery(answer) => &answer.header,
        }
    }

    /// The feedback.
    pub fn feedback(&self) -> &crate::feedback::Feedback {
        match self {
            Self::InitDialog(answer) => &answer.feedback,
            Self::ExitDialog(answer) => &answer.feedback,
            Self::GetMessageId(answer) => &answer.feedback,
            Self::StoreDelivery(answer) => &answer.feedback,
            Self::FetchDelivery(answer) => &answer.feedback,
            Self::FetchProcessCard(answer) => &answer.feedback,
            Self::ForwardDelivery(answer) => &answer.feedback,
            Self::MediateDelivery(answer) => &answer.feedback,
            Self::PartialStoreDelivery(answer) => &answer.feedback,
            Self::PartialFetchDelivery(answer) => &answer.feedback,
        }
    }

    /// The control block.
    pub fn control(&self) -> &ControlBlock {
        &self.header().control
    }
}
