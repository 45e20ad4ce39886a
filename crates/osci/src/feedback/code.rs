//! The table of feedback codes.

use std::fmt;

use thiserror::Error;

/// Whether what a code reports is good, worth knowing, or the end of the order. The first digit says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// `0…`: the order was executed.
    Success,
    /// `3…`: executed, but something is to be known.
    Warning,
    /// Everything else: not executed.
    Error,
}

/// Where a code may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// In a SOAP fault that takes the place of the response.
    Message,
    /// In the `Feedback` of a regular response.
    Order,
}

/// Whose mistake a SOAP fault reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultSide {
    /// `soap:Client`: the same message will fail again.
    Client,
    /// `soap:Server`: trying again later may help.
    Server,
}

/// No code of this table has that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0:04} is no known feedback code")]
pub struct UnknownCode(pub u16);

/// Defines the enum and everything that is one constant per code, so that no code can lack any of it.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $level:ident;)+) => {
        /// Every feedback code of OSCI-Transport 1.2 and its chunked-transfer extension.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The four digits as a number: 800 for `0800`.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)+ }
            }

            /// Where the code may stand.
            pub const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)+ }
            }
        }

        impl TryFrom<u16> for Code {
            type Error = UnknownCode;

            fn try_from(number: u16) -> Result<Self, UnknownCode> {
                match number {
                    $($number => Ok(Self::$name),)+
                    unknown => Err(UnknownCode(unknown)),
                }
            }
        }
    };
}

codes! {
    /// 9000: internal error at the supplier before an order response could be built.
    InternalError = 9000, Message;
    /// 9100: not a valid OSCI message (MIME, XML, structure, Ids).
    NotAMessage = 9100, Message;
    /// 9200: the supplier has no private key for the cipher certificate that was used.
    NoPrivateKey = 9200, Message;
    /// 9201: the supplier's cipher certificate that was used is revoked.
    SupplierCipherCertificateRevoked = 9201, Message;
    /// 9202: the request cannot be decrypted. The one answer to every failure around decryption.
    Undecryptable = 9202, Message;
    /// 9300: an OSCI message, but no order this supplier offers.
    NotAnOrder = 9300, Message;
    /// 9400: conversation id, sequence number or response is wrong.
    DialogViolated = 9400, Message;
    /// 9500: the client's cipher certificate is missing.
    ClientCipherCertificateMissing = 9500, Message;
    /// 9501: the issuer's signature on the client's cipher certificate is invalid.
    ClientCipherCertificateCorrupted = 9501, Message;
    /// 9502: the client's cipher certificate is revoked.
    ClientCipherCertificateRevoked = 9502, Message;
    /// 9503: internal error while checking the client's cipher certificate.
    ClientCipherCertificateCheckFailed = 9503, Message;

    /// 0800: executed, the dialog is closed.
    ExecutedDialogClosed = 800, Order;
    /// 0801: executed, the dialog stays open.
    ExecutedDialogOpen = 801, Order;

    /// 3500: the client's cipher certificate is outside its validity period.
    ClientCipherCertificateOutsideValidity = 3500, Order;
    /// 3501: the check of the client's cipher certificate is incomplete.
    ClientCipherCertificateCheckIncomplete = 3501, Order;
    /// 9600: the request is not signed although a signature is demanded.
    SignatureMissing = 9600, Order;
    /// 9601: the signature of the request is wrong.
    SignatureWrong = 9601, Order;
    /// 9602: not all required parts are signed.
    SignatureIncomplete = 9602, Order;
    /// 9603: internal error while checking the signature.
    SignatureCheckFailed = 9603, Order;
    /// 3700: the client's signature certificate is outside its validity period.
    ClientSignatureCertificateOutsideValidity = 3700, Order;
    /// 9700: the issuer's signature on the client's signature certificate is wrong.
    ClientSignatureCertificateCorrupted = 9700, Order;
    /// 9701: the client's signature certificate is revoked.
    ClientSignatureCertificateRevoked = 9701, Order;
    /// 3701: an author's signature certificate is outside its validity period.
    AuthorSignatureCertificateOutsideValidity = 3701, Order;
    /// 3702: the issuer's signature on an author's signature certificate is wrong. A warning: content is end to end.
    AuthorSignatureCertificateCorrupted = 3702, Order;
    /// 3703: an author's signature certificate is revoked. A warning: content is end to end.
    AuthorSignatureCertificateRevoked = 3703, Order;
    /// 3704: an author's cipher certificate is outside its validity period.
    AuthorCipherCertificateOutsideValidity = 3704, Order;
    /// 9704: the issuer's signature on an author's cipher certificate is wrong.
    AuthorCipherCertificateCorrupted = 9704, Order;
    /// 9705: an author's cipher certificate is revoked.
    AuthorCipherCertificateRevoked = 9705, Order;
    /// 3705: the recipient's cipher certificate is outside its validity period.
    RecipientCipherCertificateOutsideValidity = 3705, Order;
    /// 9706: the issuer's signature on the recipient's cipher certificate is wrong.
    RecipientCipherCertificateCorrupted = 9706, Order;
    /// 9707: the recipient's cipher certificate is revoked.
    RecipientCipherCertificateRevoked = 9707, Order;
    /// 3706: a reader's cipher certificate is outside its validity period.
    ReaderCipherCertificateOutsideValidity = 3706, Order;
    /// 9708: the issuer's signature on a reader's cipher certificate is wrong.
    ReaderCipherCertificateCorrupted = 9708, Order;
    /// 9709: a reader's cipher certificate is revoked.
    ReaderCipherCertificateRevoked = 9709, Order;
    /// 3707: a certificate check could not be completed.
    CertificateCheckIncomplete = 3707, Order;
    /// 9710: internal error during a certificate check.
    CertificateCheckFailed = 9710, Order;
    /// 3708: the recipient's signature certificate is outside its validity period.
    RecipientSignatureCertificateOutsideValidity = 3708, Order;
    /// 9711: the issuer's signature on the recipient's signature certificate is wrong.
    RecipientSignatureCertificateCorrupted = 9711, Order;
    /// 9712: the recipient's signature certificate is revoked.
    RecipientSignatureCertificateRevoked = 9712, Order;

    /// 9800: a delivery without message id was refused.
    MessageIdMissing = 9800, Order;
    /// 9801: the message id was not issued here or was used before.
    MessageIdIllegal = 9801, Order;
    /// 3800: further deliveries are waiting.
    FurtherDeliveries = 3800, Order;
    /// 3801: further process cards match.
    FurtherProcessCards = 3801, Order;
    /// 9802: the order needs an explicit dialog.
    ExplicitDialogNeeded = 9802, Order;
    /// 9803: no delivery matches.
    NoMatchingDelivery = 9803, Order;
    /// 9804: no process card matches.
    NoMatchingProcessCard = 9804, Order;
    /// 9805: the recipient refused the delivery.
    RecipientRefused = 9805, Order;
    /// 9806: the recipient accepted, but its answer holds no delivery.
    ReplyWithoutDelivery = 9806, Order;
    /// 9807: the recipient's signature over its answer is wrong.
    ReplySignatureWrong = 9807, Order;
    /// 3802: the recipient's signature over its answer is missing.
    ReplyUnsigned = 3802, Order;
    /// 3803: the recipient answered an encrypted request in clear.
    ReplyUnencrypted = 3803, Order;
    /// 9808: internal error at the recipient.
    RecipientFailed = 9808, Order;
    /// 9809: internal error while forwarding; the delivery did not reach the recipient.
    ForwardingFailedBeforeRecipient = 9809, Order;
    /// 9810: internal error while forwarding; the delivery did reach the recipient.
    ForwardingFailedAfterRecipient = 9810, Order;
    /// 9811: internal error while executing the order.
    OrderFailed = 9811, Order;

    /// 9900: this chunk is present already.
    ChunkAlreadyPresent = 9900, Order;
    /// 9901: wrong chunk number.
    ChunkNumberWrong = 9901, Order;
    /// 9902: the chunk is larger than the maximum chunk size.
    ChunkTooLarge = 9902, Order;
    /// 9903: the chunk is smaller than the minimum chunk size.
    ChunkTooSmall = 9903, Order;
    /// 9904: the message is larger than the maximum.
    MessageTooLarge = 9904, Order;
    /// 9905: the chunk information contradicts itself or earlier chunks.
    ChunkInformationContradictory = 9905, Order;
    /// 3950: the feedback of the inner message contains warnings.
    InnerFeedbackWarns = 3950, Order;
    /// 3951: the time for the inner message is exceeded, its result is not available yet.
    InnerMessageTimeExceeded = 3951, Order;
    /// 3952: the inner message is still being processed.
    InnerMessageInProgress = 3952, Order;
    /// 9950: the feedback of the inner message contains an error.
    InnerFeedbackFails = 9950, Order;
}

impl Code {
    /// What the first digit says.
    pub const fn severity(self) -> Severity {
        severity(self.number())
    }

    /// How a SOAP fault with this code is marked; `None` for codes that are no fault.
    pub const fn fault_side(self) -> Option<FaultSide> {
        match (self.level(), self) {
            (Level::Order, _) => None,
            (_, Self::InternalError | Self::ClientCipherCertificateCheckFailed) => Some(FaultSide::Server),
            _ => Some(FaultSide::Client),
        }
    }
}

/// The four digits.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.number())
    }
}

pub(super) const fn severity(number: u16) -> Severity {
    match number / 1000 {
        0 => Severity::Success,
        3 => Severity::Warning,
        _ => Severity::Error,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_are_unique_and_lead_back() {
        let numbers: HashSet<u16> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::try_from(code.number()), Ok(*code));
        }
        assert_eq!(Code::try_from(9999), Err(UnknownCode(9999)));
        assert_eq!(UnknownCode(42).to_string(), "0042 is no known feedback code");
    }

    #[test]
    fn levels_and_sides_are_those_of_the_protocol() {
        for code in Code::ALL {
            let number = code.number();
            let is_fault = number == 9000 || number == 9100 || (9200..=9503).contains(&number);
            assert_eq!(code.level() == Level::Message, is_fault, "{code}");
            assert_eq!(code.fault_side().is_some(), is_fault, "{code}");
            assert_eq!(code.fault_side() == Some(FaultSide::Server), [9000, 9503].contains(&number), "{code}");
        }
        assert_eq!(Code::ExecutedDialogOpen.to_string(), "0801");
        assert_eq!(Code::ExecutedDialogOpen.severity(), Severity::Success);
        assert_eq!(Code::FurtherDeliveries.severity(), Severity::Warning);
        assert_eq!(Code::OrderFailed.severity(), Severity::Error);
    }
}
