//! Why an order did not succeed.

mod advice;

use std::io;
use std::time::Duration;

use rohrpost_osci::content::{BuildError, ContentError};
use rohrpost_osci::dialog::{RequestImpossible, ResponseViolation};
use rohrpost_osci::fault::FaultMalformed;
use rohrpost_osci::feedback::{Code, CodeNumber, FaultSide, Feedback};
use rohrpost_osci::header::BlockError;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::MessageError;
use rohrpost_osci::ns::MessageType;
use rohrpost_pipeline::open::OpenError;
use rohrpost_pipeline::read::ReadError;
use thiserror::Error;

use crate::transport::{AddressInvalid, TlsUnusable, TransportError};

/// Why an order did not succeed, grouped by who can do something about it.
///
/// [`cause`](Self::cause) and [`remedy`](Self::remedy) are meant for people. No variant carries payload, subjects or file
/// names.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Settings of this client, or what the caller wants sent, cannot be used. Nothing was sent.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The intermediary could not be reached, or the connection broke. Whether the order was executed,
    /// [`TransportError::may_have_arrived`] says.
    #[error(transparent)]
    Connection(TransportError),
    /// The intermediary has no room for the order at the moment; it was not executed.
    #[error("the intermediary is busy")]
    Busy {
        /// When to try again, if it said so.
        retry_after: Option<Duration>,
        /// The name of the exchange in the intermediary's log.
        correlation_id: Option<String>,
    },
    /// The intermediary answered, and did not execute the order. The dialog goes on.
    #[error("the intermediary refused the order: {0}")]
    Refused(Refusal),
    /// A SOAP fault instead of an answer. The dialog is over.
    #[error("the intermediary could not handle the request: {0}")]
    Fault(ReceivedFault),
    /// What came is no proper answer to the request. The dialog is over.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// Our own spools failed: disk full, no rights, file gone.
    #[error("a message or its content could not be written to or read from disk")]
    Storage(#[source] io::Error),
    /// The dialog ended with an earlier error, or its last request was abandoned: open a new one. Nothing was sent.
    #[error("the dialog is over since an earlier error")]
    DialogStale(#[source] RequestImpossible),
    /// The delivery may or may not be in the mailbox. Storing it again **with the same message id** is safe: either it is
    /// stored then, or the process card shows that it was.
    #[error("whether delivery {message_id} was stored is not known")]
    OutcomeUnknown {
        /// The id to use again.
        message_id: MessageId,
        /// What went wrong at last.
        source: Box<Self>,
    },
}

/// What is wrong on our side.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The address of the intermediary.
    #[error(transparent)]
    Address(#[from] AddressInvalid),
    /// Authorities or key for TLS.
    #[error(transparent)]
    Tls(#[from] TlsUnusable),
    /// An `https` address without authorities to trust.
    #[error("the address is https, but no authorities are given")]
    NoAuthorities,
    /// No cipher key pair: without it, nobody can answer us.
    #[error("there is no cipher key pair")]
    NoCipherPair,
    /// A certificate that content or messages shall be encrypted for.
    #[error("the certificate {subject} cannot be encrypted for")]
    CipherCertificate {
        /// Its subject, RFC 2253.
        subject: String,
    },
    /// A delivery to be stored in chunks, and an intermediary that does not offer that, or not for so large ones.
    #[error("the intermediary does not take this delivery in chunks")]
    NoChunks,
    /// An algorithm or a key length that the policy does not let us use.
    #[error("the policy forbids to use {what}")]
    Policy {
        /// Identifier of the algorithm or kind of the key.
        what: String,
    },
    /// Content that cannot be built: an `Id` or attachment name is used twice, a signer failed.
    #[error("the content cannot be built")]
    Content(#[source] BuildError),
    /// A header block that cannot be written.
    #[error("a custom header block cannot be written")]
    Header(#[from] BlockError),
    /// Our key could not sign the message, or its content is no XML.
    #[error("the message cannot be composed")]
    Compose(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The intermediary's regular answer to an order that it did not execute.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{order}: {}", summary(.feedback))]
pub struct Refusal {
    /// The order.
    pub order: MessageType,
    /// Everything it said.
    pub feedback: Feedback,
    /// The name of the exchange in the intermediary's log.
    pub correlation_id: Option<String>,
}

/// A SOAP fault. Faults travel outside of signature and encryption: over plain HTTP anybody on the way can make one. It says why
/// there is no answer, and is no proof of anything.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code} {text}")]
#[non_exhaustive]
pub struct ReceivedFault {
    /// The code; unknown ones count as [`Code::OrderFailed`].
    pub code: Code,
    /// Whose mistake it says it is.
    pub side: FaultSide,
    /// The peer's words.
    pub text: String,
    /// Whether it came in an encrypted message, which makes it no more authentic.
    pub encrypted: bool,
    /// The name of the exchange in the intermediary's log.
    pub correlation_id: Option<String>,
}

/// What is wrong with an answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// It is no MIME message, or it cannot be decrypted.
    #[error("the answer cannot be opened")]
    Open(#[source] OpenError),
    /// It seems to be a fault, but is none.
    #[error("the answer is neither a message nor a fault")]
    Fault(#[source] FaultMalformed),
    /// Its envelope is unacceptable.
    #[error("the answer cannot be read")]
    Read(#[source] ReadError),
    /// It is another message than an answer, or lacks what it must have.
    #[error("the answer is not what it must be")]
    Message(#[from] MessageError),
    /// It does not belong to the request.
    #[error("the answer does not belong to the request")]
    Control(#[from] ResponseViolation),
    /// It is not encrypted although the request was.
    #[error("the answer is not encrypted, although the request was")]
    Unencrypted,
    /// It is not signed although the request was.
    #[error("the answer is not signed, although the request was")]
    Unsigned,
    /// Its signature is wrong, or not that of the intermediary we know.
    #[error("the signature of the answer does not hold: {reason}")]
    Signature {
        /// Why.
        reason: String,
    },
    /// It says that the order was executed, but does not hold what the order was about.
    #[error("the answer lacks {what}")]
    Lacking {
        /// What.
        what: &'static str,
    },
    /// The content of a delivery is no content package. It is the sender's work, not the intermediary's.
    #[error("the content of the delivery cannot be read")]
    Content(#[source] ContentError),
}

impl Error {
    /// Whether another try of the same order may end differently, later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Connection(error) => error.may_pass(),
            Self::Fault(fault) => fault.side == FaultSide::Server,
            Self::OutcomeUnknown { source, .. } => source.may_pass(),
            _ => false,
        }
    }

    /// Whether the order was not executed, as far as the other side can be believed (what comes over plain HTTP without
    /// signature can be forged). Where that would do harm, keep to the same message id.
    pub fn is_not_executed(&self) -> bool {
        match self {
            Self::Unusable(_) | Self::Busy { .. } | Self::Refused(_) | Self::DialogStale(_) => true,
            Self::Connection(error) => !error.may_have_arrived(),
            Self::Fault(fault) => fault.side == FaultSide::Client,
            Self::Peer(_) | Self::Storage(_) | Self::OutcomeUnknown { .. } => false,
        }
    }

    /// The name of the failed exchange in the intermediary's log, for its operator.
    pub fn correlation_id(&self) -> Option<&str> {
        match self {
            Self::Connection(TransportError::Status { correlation_id, .. })
            | Self::Busy { correlation_id, .. }
            | Self::Refused(Refusal { correlation_id, .. })
            | Self::Fault(ReceivedFault { correlation_id, .. }) => correlation_id.as_deref(),
            Self::OutcomeUnknown { source, .. } => source.correlation_id(),
            _ => None,
        }
    }

    /// The feedback codes the intermediary gave, the decisive one first.
    pub fn codes(&self) -> Vec<CodeNumber> {
        match self {
            Self::Refused(refusal) => refusal.feedback.entries().iter().map(|entry| entry.code).collect(),
            Self::Fault(fault) => vec![fault.code.into()],
            Self::OutcomeUnknown { source, .. } => source.codes(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the intermediary refused with this code.
    pub(crate) fn is_refused_with(&self, code: Code) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.feedback.contains(code))
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Busy { retry_after, correlation_id } => Self::Busy { retry_after, correlation_id },
            TransportError::Storage(error) => Self::Storage(error),
            TransportError::NoAuthorities => Self::Unusable(Unusable::NoAuthorities),
            error => Self::Connection(error),
        }
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Io(error) => Self::Storage(error),
            error => Self::Unusable(Unusable::Content(error)),
        }
    }
}

impl From<ContentError> for Error {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Io(error) => Self::Storage(error),
            error => Self::Peer(PeerError::Content(error)),
        }
    }
}

fn summary(feedback: &Feedback) -> String {
    let entry = |entry: &rohrpost_osci::feedback::Entry| match &entry.text {
        Some(text) => format!("{} {text}", entry.code),
        None => entry.code.to_string(),
    };
    feedback.entries().iter().map(entry).collect::<Vec<_>>().join("; ")
}
