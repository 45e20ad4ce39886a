//! Which answers there are: every order with every feedback code in every way it can be sent, and for those combinations that cannot
//! occur, why (OSCI-Transport 1.2, feedback codes; processing a request).

use std::fmt;

use rohrpost_osci::feedback::{Code, Level, Severity};
use rohrpost_osci::ns::MessageType;

/// The orders that a client sends to an intermediary.
pub const ORDERS: [MessageType; 10] = [
    MessageType::InitDialog,
    MessageType::ExitDialog,
    MessageType::GetMessageId,
    MessageType::StoreDelivery,
    MessageType::FetchDelivery,
    MessageType::FetchProcessCard,
    MessageType::ForwardDelivery,
    MessageType::MediateDelivery,
    MessageType::PartialStoreDelivery,
    MessageType::PartialFetchDelivery,
];

/// How an order is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Way {
    /// With a transport signature.
    pub signed: bool,
    /// Encrypted for the intermediary.
    pub encrypted: bool,
    /// Within an explicit dialog, or opening one.
    pub explicit: bool,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 8] = {
        let mut all = [Self { signed: true, encrypted: true, explicit: true }; 8];
        let mut at = 0;
        while at < all.len() {
            all[at] = Self { signed: at & 4 == 0, encrypted: at & 2 == 0, explicit: at & 1 == 0 };
            at += 1;
        }
        all
    };
}

/// `signed+encrypted+explicit`
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.signed { "signed" } else { "unsigned" })?;
        f.write_str(if self.encrypted { "+encrypted" } else { "+clear" })?;
        f.write_str(if self.explicit { "+explicit" } else { "+implicit" })
    }
}

/// A field of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// What is sent.
    pub order: MessageType,
    /// What is answered.
    pub code: Code,
    /// How it is sent.
    pub way: Way,
}

/// `StoreDelivery/9801/signed+encrypted+explicit`
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.order.name(), self.code, self.way)
    }
}

/// Every cell, by order, code and way.
pub fn cells() -> impl Iterator<Item = Cell> {
    let of_order = |order| Code::ALL.iter().flat_map(move |&code| Way::ALL.map(|way| Cell { order, code, way }));
    ORDERS.into_iter().flat_map(of_order)
}

impl Cell {
    /// Why the order cannot be answered like this; `None` if it can, and is.
    pub fn never(&self) -> Option<&'static str> {
        let Self { order, code, way } = *self;
        if order == MessageType::InitDialog && !way.explicit {
            return Some("InitDialog opens an explicit dialog; there is no other way to send it");
        }
        match code.level() {
            Level::Message => self.never_a_fault(),
            // The control block is looked at before anything that is answered regularly.
            Level::Order if order == MessageType::ExitDialog && !way.explicit => {
                Some("ExitDialog outside of a dialog is answered with 9400")
            }
            Level::Order => self.never_in_a_dialog_state().or_else(|| self.never_feedback()),
        }
    }

    /// The code of the answer if nothing is wrong with the order itself, warnings apart.
    pub fn base(order: MessageType, way: Way) -> Code {
        use MessageType as M;
        let proves =
            matches!(order, M::FetchDelivery | M::PartialFetchDelivery | M::FetchProcessCard | M::MediateDelivery);
        match (order, way.explicit) {
            (MessageType::ExitDialog, true) => Code::ExecutedDialogClosed,
            (MessageType::ExitDialog, false) => Code::DialogViolated,
            _ if proves && !way.explicit => Code::ExplicitDialogNeeded,
            _ if proves && !way.encrypted => Code::OrderFailed,
            (_, true) => Code::ExecutedDialogOpen,
            (_, false) => Code::ExecutedDialogClosed,
        }
    }

    fn never_a_fault(&self) -> Option<&'static str> {
        let Self { order, code, way } = *self;
        match code {
            Code::InternalError => Some(
                "an internal error cannot be caused from outside (tested in crates/intermediary/tests/adversary/failing.rs)",
            ),
            Code::SupplierCipherCertificateRevoked => {
                Some("the intermediary does not keep keys whose certificate was withdrawn: it answers 9200 then")
            }
            Code::NoPrivateKey | Code::Undecryptable if !way.encrypted => Some("nothing is encrypted"),
            Code::ClientCipherCertificateMissing => match (order, way) {
                (MessageType::InitDialog, _) => None,
                (MessageType::ExitDialog, Way { explicit: false, .. }) => {
                    Some("ExitDialog outside of a dialog is answered with 9400")
                }
                (_, Way { explicit: true, .. }) => Some("the certificate is known from InitDialog"),
                (_, Way { encrypted: false, .. }) => Some("the answer is not encrypted, no certificate is needed"),
                _ => None,
            },
            Code::ClientCipherCertificateCorrupted
            | Code::ClientCipherCertificateRevoked
            | Code::ClientCipherCertificateCheckFailed
                if !carries_cipher_certificate(order) =>
            {
                Some("the order does not carry the client's cipher certificate")
            }
            _ => None,
        }
    }

    /// Codes that the state of the dialog and its protection exclude.
    fn never_in_a_dialog_state(&self) -> Option<&'static str> {
        let Self { order, code, way } = *self;
        let base = Self::base(order, way);
        let before_execution = is_about_signatures(code) || is_about_certificates(code);
        if before_execution || code == base {
            return None;
        }
        match base {
            Code::ExplicitDialogNeeded => Some("outside of an explicit dialog the order is answered with 9802"),
            Code::OrderFailed => Some("without encryption nobody proves to own the mailbox: answered with 9811"),
            Code::ExecutedDialogOpen if code == Code::ExecutedDialogClosed => {
                Some("the dialog stays open: answered with 0801")
            }
            Code::ExecutedDialogClosed if code == Code::ExecutedDialogOpen => {
                Some("no dialog stays open: answered with 0800")
            }
            _ => None,
        }
    }

    fn never_feedback(&self) -> Option<&'static str> {
        use MessageType as M;
        let Self { order, code, way } = *self;
        let unless = |possible: bool, reason| if possible { None } else { Some(reason) };
        let sends_on = matches!(order, M::ForwardDelivery | M::MediateDelivery);
        match code {
            Code::ClientCipherCertificateOutsideValidity | Code::ClientCipherCertificateCheckIncomplete => {
                unless(carries_cipher_certificate(order), "the order does not carry the client's cipher certificate")
            }
            Code::SignatureMissing => unless(!way.signed, "the order is signed"),
            Code::SignatureWrong | Code::SignatureIncomplete => unless(way.signed, "there is no signature"),
            Code::SignatureCheckFailed => {
                Some("an internal error cannot be caused from outside (crates/pipeline/src/verify.rs maps it)")
            }
            Code::AuthorSignatureCertificateOutsideValidity
            | Code::AuthorSignatureCertificateCorrupted
            | Code::AuthorSignatureCertificateRevoked
            | Code::AuthorCipherCertificateOutsideValidity
            | Code::AuthorCipherCertificateCorrupted
            | Code::AuthorCipherCertificateRevoked
            | Code::RecipientCipherCertificateOutsideValidity
            | Code::RecipientCipherCertificateCorrupted
            | Code::RecipientCipherCertificateRevoked
            | Code::ReaderCipherCertificateOutsideValidity
            | Code::ReaderCipherCertificateCorrupted
            | Code::ReaderCipherCertificateRevoked => {
                unless(carries_delivery(order), "the order carries no delivery, hence no such certificate")
            }
            Code::RecipientSignatureCertificateOutsideValidity
            | Code::RecipientSignatureCertificateCorrupted
            | Code::RecipientSignatureCertificateRevoked
            | Code::RecipientRefused
            | Code::ReplySignatureWrong
            | Code::ReplyUnsigned
            | Code::ReplyUnencrypted
            | Code::RecipientFailed
            | Code::ForwardingFailedBeforeRecipient
            | Code::ForwardingFailedAfterRecipient => self.never_asked(sends_on),
            Code::ReplyWithoutDelivery => match order {
                M::ForwardDelivery => Some("ForwardDelivery asks for no reply"),
                _ => self.never_asked(sends_on),
            },
            Code::MessageIdMissing => match order {
                M::MediateDelivery => Some("a delivery may be mediated without id; there are no process cards then"),
                _ => unless(carries_delivery(order), "the order carries no delivery"),
            },
            Code::MessageIdIllegal => unless(carries_delivery(order), "the order carries no delivery"),
            Code::FurtherDeliveries | Code::NoMatchingDelivery => {
                let selects = matches!(order, M::FetchDelivery | M::PartialFetchDelivery);
                unless(selects, "the order selects no delivery")
            }
            Code::FurtherProcessCards | Code::NoMatchingProcessCard => {
                unless(order == M::FetchProcessCard, "the order selects no process cards")
            }
            Code::ExplicitDialogNeeded => match Self::base(order, way) {
                Code::ExplicitDialogNeeded => None,
                _ if way.explicit => Some("the order is sent in an explicit dialog"),
                _ => Some("the order needs no explicit dialog"),
            },
            Code::OrderFailed if order == M::PartialStoreDelivery => {
                Some("chunks are refused like this only when there is no room for more of them")
            }
            Code::OrderFailed => unless(
                carries_delivery(order) || Self::base(order, way) == Code::OrderFailed,
                "the order fails for internal reasons only, which cannot be caused from outside",
            ),
            Code::InnerMessageTimeExceeded | Code::InnerMessageInProgress => match order {
                M::PartialStoreDelivery => {
                    Some("it is a matter of time (tested in crates/intermediary/tests/adversary/chunks.rs)")
                }
                _ => Some("the order brings no chunk"),
            },
            Code::ChunkAlreadyPresent | Code::MessageTooLarge | Code::InnerFeedbackWarns | Code::InnerFeedbackFails => {
                unless(order == M::PartialStoreDelivery, "the order brings no chunk")
            }
            Code::ChunkNumberWrong
            | Code::ChunkTooLarge
            | Code::ChunkTooSmall
            | Code::ChunkInformationContradictory => unless(
                matches!(order, M::PartialStoreDelivery | M::PartialFetchDelivery),
                "the order is not about chunks",
            ),
            _ => None,
        }
    }

    fn never_asked(&self, sends_on: bool) -> Option<&'static str> {
        (!sends_on).then_some("no passive recipient takes part in the order")
    }
}

/// Whether the order may bring the cipher certificate of the client.
pub(crate) fn carries_cipher_certificate(order: MessageType) -> bool {
    carries_delivery(order) || matches!(order, MessageType::InitDialog | MessageType::GetMessageId)
}

/// Whether the order brings content, or a part of it.
pub(crate) fn carries_delivery(order: MessageType) -> bool {
    use MessageType as M;
    matches!(order, M::StoreDelivery | M::PartialStoreDelivery | M::ForwardDelivery | M::MediateDelivery)
}

fn is_about_signatures(code: Code) -> bool {
    (9600..=9603).contains(&code.number())
}

/// About the certificates in the request; those of recipients' answers come later.
fn is_about_certificates(code: Code) -> bool {
    let number = code.number();
    (3500..=3501).contains(&number) || (3700..=3707).contains(&number) || (9700..=9710).contains(&number)
}

/// Whether an answer with this code says that the order was not executed.
pub(crate) fn refuses(code: Code) -> bool {
    code.severity() == Severity::Error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_there_once() {
        let all: Vec<String> = cells().map(|cell| cell.to_string()).collect();
        assert_eq!(all.len(), ORDERS.len() * Code::ALL.len() * Way::ALL.len());
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    /// What is answered if nothing is wrong is in the matrix, and its opposite is not.
    #[test]
    fn the_plain_answer_is_possible() {
        for order in &ORDERS {
            for way in Way::ALL.iter().filter(|way| way.explicit || *order != MessageType::InitDialog) {
                let code = Cell::base(*order, *way);
                assert_eq!(Cell { order: *order, code, way: *way }.never(), None, "{order} {way}");
                let both = [Code::ExecutedDialogClosed, Code::ExecutedDialogOpen];
                let possible =
                    both.iter().filter(|code| Cell { order: *order, code: **code, way: *way }.never().is_none());
                assert_eq!(possible.count(), usize::from(both.contains(&code)), "{order} {way}");
            }
        }
    }

    /// A code that occurs nowhere is one that is named here.
    #[test]
    fn codes_that_never_occur_are_known() {
        let occurs = |code: &Code| cells().any(|cell| cell.code == *code && cell.never().is_none());
        let never: Vec<u16> = Code::ALL.iter().filter(|code| !occurs(code)).map(|code| code.number()).collect();
        assert_eq!(never, [9000, 9201, 9603, 3951, 3952]);
    }
}
