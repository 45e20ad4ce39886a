//! What a person needs beside the error itself: the likely cause, and what to do.

use rohrpost_osci::feedback::Code;

use super::{Error, PeerError, Refusal, Unusable};
use crate::transport::{Phase, TransportError};

struct Advice {
    cause: &'static str,
    remedy: &'static str,
}

const fn advice(cause: &'static str, remedy: &'static str) -> Advice {
    Advice { cause, remedy }
}

impl Error {
    /// The likely cause.
    pub fn cause(&self) -> &'static str {
        self.advice().cause
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        self.advice().remedy
    }

    fn advice(&self) -> Advice {
        match self {
            Self::Unusable(error) => error.advice(),
            Self::Connection(error) => of_connection(error),
            Self::Busy { .. } => advice(
                "more orders are under way than the intermediary takes, or its disk is full",
                "try again later; nothing was executed",
            ),
            Self::Refused(refusal) => refusal.advice(),
            Self::Fault(fault) => of_code(fault.code),
            Self::Peer(error) => error.advice(),
            Self::Storage(_) => advice(
                "the disk is full, or the directory for spools is missing or not ours",
                "check space and rights of the directory for temporary files",
            ),
            Self::DialogStale(_) => advice(
                "an earlier request of this dialog failed or was abandoned",
                "open a new dialog; unacknowledged deliveries will be handed out again",
            ),
            Self::OutcomeUnknown { .. } => advice(
                "the answer was lost after the delivery was sent",
                "store the delivery again with the same message id: that is safe, and tells what became of it",
            ),
        }
    }
}

impl Unusable {
    fn advice(&self) -> Advice {
        match self {
            Self::Address(_) => advice("the address is misspelt", "give the address as http://host:port/path"),
            Self::Tls(_) => advice(
                "a certificate in the list of authorities is none, or key and certificate do not belong together",
                "check the files for TLS",
            ),
            Self::NoAuthorities => advice(
                "nothing is trusted for https unless it is named",
                "name the authorities that issued the certificate of the server",
            ),
            Self::NoCipherPair => {
                advice("answers are encrypted for the cipher certificate of the client", "give a cipher key pair")
            }
            Self::CipherCertificate { .. } => advice(
                "its key is not RSA, or its key usage does not allow encryption",
                "give the cipher certificate, not the one for signatures",
            ),
            Self::NoChunks => advice(
                "the intermediary does not announce chunked transfer, or announces a smaller largest message",
                "store the delivery in one piece",
            ),
            Self::Policy { .. } => advice(
                "the algorithm or the key length is outdated",
                "use a stronger key, or a policy that knows the exception",
            ),
            Self::Content(_) => advice(
                "an Id or an attachment name is used twice, or a key of an author or reader is unfit",
                "rename what collides; check the certificates of authors and readers",
            ),
            Self::Header(_) => {
                advice("a custom header is not one XML element with an Id and all prefixes declared", "mend the header")
            }
            Self::Compose(_) => advice("the signature key failed", "check the signature key pair"),
        }
    }
}

impl PeerError {
    fn advice(&self) -> Advice {
        match self {
            Self::Unencrypted | Self::Unsigned => advice(
                "the intermediary is configured otherwise, or somebody between it and us answered",
                "ask the operator of the intermediary; do not rely on the answer",
            ),
            Self::Signature { .. } => advice(
                "the intermediary signs with another certificate than configured here, or the answer was changed",
                "compare the signature certificate with the operator of the intermediary",
            ),
            Self::Open(_) => advice(
                "the answer was encrypted for another certificate, changed on the way, or is no OSCI message",
                "check that the address is that of an intermediary, and the cipher key pair",
            ),
            Self::Content(_) => advice(
                "the sender's software wrote content that does not follow OSCI-Transport 1.2",
                "ask the sender; the delivery can be acknowledged to get it out of the way",
            ),
            _ => advice(
                "the address is that of something else, or the intermediary is defective",
                "check the address; otherwise report the error to the operator of the intermediary",
            ),
        }
    }
}

impl Refusal {
    /// The first known error decides.
    fn advice(&self) -> Advice {
        let mut errors = self.feedback.entries().iter().filter_map(|entry| entry.code.known());
        let code = errors.find(|code| code.severity() == rohrpost_osci::feedback::Severity::Error);
        of_code(code.unwrap_or(Code::OrderFailed))
    }
}

fn of_connection(error: &TransportError) -> Advice {
    match error {
        TransportError::Connect { .. } | TransportError::Timeout { phase: Phase::Connect, .. } => advice(
            "the intermediary is not running, the address is wrong, or a firewall is in between",
            "check address and network; nothing was sent",
        ),
        TransportError::Tls { .. } => advice(
            "the certificate of the server is expired, for another name, or of an authority that is not trusted here",
            "check the address and the list of authorities; nothing was sent",
        ),
        TransportError::Status { status: 300..=399, .. } => {
            advice("the address leads to somewhere else; redirects are not followed", "give the final address")
        }
        TransportError::Status { status: 404 | 405, .. } => {
            advice("the path of the address is wrong", "give the address with the path for OSCI, often /osci")
        }
        TransportError::Status { status: 413, .. } => {
            advice("the message is larger than the intermediary takes", "send less at a time, or ask its operator")
        }
        TransportError::Status { .. } => advice(
            "a server or proxy in front of the intermediary answered in its place",
            "try again; if it stays, ask the operator with the correlation id",
        ),
        TransportError::TooLarge { .. } => {
            advice("the delivery is larger than this client is configured to take", "raise the limit for answers")
        }
        _ => advice("the network or the intermediary failed meanwhile, or is slow", "try again"),
    }
}

fn of_code(code: Code) -> Advice {
    use Code as C;
    match code {
        C::InternalError | C::OrderFailed | C::SignatureCheckFailed | C::CertificateCheckFailed => advice(
            "something failed inside the intermediary",
            "try again; if it stays, ask the operator with the correlation id",
        ),
        C::NotAMessage | C::NotAnOrder => advice(
            "the intermediary does not understand the request, or does not offer the order",
            "report this: the client and the intermediary do not fit",
        ),
        C::NoPrivateKey | C::SupplierCipherCertificateRevoked | C::Undecryptable => advice(
            "the cipher certificate configured for the intermediary is not, or no longer, its own",
            "get the current cipher certificate from the operator of the intermediary",
        ),
        C::DialogViolated => advice("the dialog timed out or got out of step", "open a new dialog"),
        C::ClientCipherCertificateMissing
        | C::ClientCipherCertificateCorrupted
        | C::ClientCipherCertificateRevoked
        | C::ClientCipherCertificateCheckFailed => advice(
            "the intermediary does not accept our cipher certificate",
            "use a valid cipher certificate of an authority that the intermediary trusts",
        ),
        C::SignatureMissing => advice("the intermediary demands signed orders", "give a signature key pair"),
        C::SignatureWrong | C::SignatureIncomplete => advice(
            "the message was changed on the way, or an algorithm is not accepted",
            "check for gateways that change messages; try another signature key",
        ),
        C::ClientSignatureCertificateCorrupted | C::ClientSignatureCertificateRevoked => advice(
            "the intermediary does not accept our signature certificate",
            "use a valid signature certificate of an authority that the intermediary trusts",
        ),
        C::RecipientCipherCertificateCorrupted | C::RecipientCipherCertificateRevoked => advice(
            "the intermediary does not accept the certificate of the addressee",
            "get the current cipher certificate of the addressee",
        ),
        C::AuthorCipherCertificateCorrupted
        | C::AuthorCipherCertificateRevoked
        | C::ReaderCipherCertificateCorrupted
        | C::ReaderCipherCertificateRevoked => advice(
            "the intermediary does not accept the certificate of an author or reader",
            "get their current certificates",
        ),
        C::MessageIdMissing | C::MessageIdIllegal => advice(
            "the message id was used before, has expired, or is of another intermediary",
            "look up the process card of that id; if it is not yours, fetch a new id",
        ),
        C::ExplicitDialogNeeded => advice("the order came outside of a dialog", "open a dialog first"),
        C::NoMatchingDelivery => advice("the mailbox is empty, or holds no such delivery", "try again later"),
        C::NoMatchingProcessCard => {
            advice("no delivery of ours matches, or its card was deleted", "check the selection")
        }
        C::MessageTooLarge => {
            advice("the message is larger than the intermediary takes", "send less at a time, or ask its operator")
        }
        _ => {
            advice("see the texts of the intermediary", "ask the operator of the intermediary with the correlation id")
        }
    }
}
