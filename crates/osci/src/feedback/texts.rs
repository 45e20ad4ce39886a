//! What the peer is told: the words for every code, in every language we speak.
//!
//! The texts say what happened and, where there is something to do, what. They never say more about decryption than
//! that it failed.

use super::Code;

/// A language that feedback can be given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Language {
    /// German, the usual one.
    #[default]
    German,
    /// English.
    English,
}

impl Language {
    /// The language tag for `xml:lang`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::German => "de",
            Self::English => "en",
        }
    }

    /// The first language of a list (`DesiredLanguages`, blank-separated tags in order of preference) that we speak,
    /// or German.
    pub fn negotiate(desired: &str) -> Self {
        Self::negotiate_or(desired, Self::default())
    }

    /// As [`negotiate`](Self::negotiate), with another language than German where none is shared.
    pub fn negotiate_or(desired: &str, otherwise: Self) -> Self {
        desired.split_ascii_whitespace().find_map(Self::from_tag).unwrap_or(otherwise)
    }

    fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "de" => Some(Self::German),
            "en" => Some(Self::English),
            _ => None,
        }
    }
}

impl Code {
    /// The text for the peer.
    pub const fn text(self, language: Language) -> &'static str {
        let (german, english) = texts(self);
        match language {
            Language::German => german,
            Language::English => english,
        }
    }
}

const fn texts(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::InternalError => (
            "Beim Empfänger der Anfrage ist ein interner Fehler aufgetreten. Bitte später erneut versuchen.",
            "The receiver of the request failed internally. Please try again later.",
        ),
        Code::NotAMessage => {
            ("Die Anfrage ist keine gültige OSCI-Nachricht.", "The request is not a valid OSCI message.")
        }
        Code::NoPrivateKey => (
            "Zum verwendeten Chiffrierzertifikat liegt hier kein privater Schlüssel vor. Bitte das aktuelle Zertifikat des Intermediärs verwenden.",
            "There is no private key here for the cipher certificate used. Please use the intermediary's current certificate.",
        ),
        Code::SupplierCipherCertificateRevoked => (
            "Das verwendete Chiffrierzertifikat ist gesperrt. Bitte das aktuelle Zertifikat des Intermediärs verwenden.",
            "The cipher certificate used is revoked. Please use the intermediary's current certificate.",
        ),
        Code::Undecryptable => ("Die Anfrage kann nicht entschlüsselt werden.", "The request cannot be decrypted."),
        Code::NotAnOrder => (
            "Die Anfrage ist kein Auftrag, der hier ausgeführt wird.",
            "The request is not an order that is executed here.",
        ),
        Code::DialogViolated => (
            "Dialogkennung, Laufnummer oder Antwort auf die letzte Herausforderung ist falsch. Bitte einen neuen Dialog beginnen.",
            "The conversation id, the sequence number or the response to the last challenge is wrong. Please begin a new dialog.",
        ),
        Code::ClientCipherCertificateMissing => {
            ("Das Chiffrierzertifikat des Clients fehlt.", "The client's cipher certificate is missing.")
        }
        Code::ClientCipherCertificateCorrupted => (
            "Die Signatur des Ausstellers unter dem Chiffrierzertifikat des Clients ist ungültig.",
            "The issuer's signature on the client's cipher certificate is invalid.",
        ),
        Code::ClientCipherCertificateRevoked => {
            ("Das Chiffrierzertifikat des Clients ist gesperrt.", "The client's cipher certificate is revoked.")
        }
        Code::ClientCipherCertificateCheckFailed => (
            "Beim Prüfen des Chiffrierzertifikats des Clients ist ein interner Fehler aufgetreten. Bitte später erneut versuchen.",
            "Checking the client's cipher certificate failed internally. Please try again later.",
        ),
        Code::ExecutedDialogClosed => {
            ("Der Auftrag ist ausgeführt, der Dialog ist beendet.", "The order is executed, the dialog is closed.")
        }
        Code::ExecutedDialogOpen => {
            ("Der Auftrag ist ausgeführt, der Dialog bleibt geöffnet.", "The order is executed, the dialog stays open.")
        }
        Code::ClientCipherCertificateOutsideValidity => (
            "Das Chiffrierzertifikat des Clients ist derzeit nicht gültig: Es ist abgelaufen oder gilt noch nicht.",
            "The client's cipher certificate is not valid now: it has expired or is not valid yet.",
        ),
        Code::ClientCipherCertificateCheckIncomplete => (
            "Das Chiffrierzertifikat des Clients konnte nicht vollständig geprüft werden.",
            "The client's cipher certificate could not be checked completely.",
        ),
        Code::SignatureMissing => (
            "Die Anfrage ist nicht signiert. Für diesen Auftrag wird eine Signatur verlangt.",
            "The request is not signed. This order demands a signature.",
        ),
        Code::SignatureWrong => ("Die Signatur der Anfrage ist falsch.", "The signature of the request is wrong."),
        Code::SignatureIncomplete => (
            "Die Signatur der Anfrage erfasst nicht alle erforderlichen Teile.",
            "The signature of the request does not cover all required parts.",
        ),
        Code::SignatureCheckFailed => (
            "Beim Prüfen der Signatur ist ein interner Fehler aufgetreten. Bitte später erneut versuchen.",
            "Checking the signature failed internally. Please try again later.",
        ),
        Code::ClientSignatureCertificateOutsideValidity => (
            "Das Signaturzertifikat des Clients ist derzeit nicht gültig: Es ist abgelaufen oder gilt noch nicht.",
            "The client's signature certificate is not valid now: it has expired or is not valid yet.",
        ),
        Code::ClientSignatureCertificateCorrupted => (
            "Die Signatur des Ausstellers unter dem Signaturzertifikat des Clients ist ungültig.",
            "The issuer's signature on the client's signature certificate is invalid.",
        ),
        Code::ClientSignatureCertificateRevoked => {
            ("Das Signaturzertifikat des Clients ist gesperrt.", "The client's signature certificate is revoked.")
        }
        Code::AuthorSignatureCertificateOutsideValidity => (
            "Das Signaturzertifikat eines Autors ist derzeit nicht gültig: Es ist abgelaufen oder gilt noch nicht.",
            "An author's signature certificate is not valid now: it has expired or is not valid yet.",
        ),
        Code::AuthorSignatureCertificateCorrupted => (
            "Die Signatur des Ausstellers unter dem Signaturzertifikat eines Autors ist ungültig.",
            "The issuer's signature on an author's signature certificate is invalid.",
        ),
        Code::AuthorSignatureCertificateRevoked => {
            ("Das Signaturzertifikat eines Autors ist gesperrt.", "An author's signature certificate is revoked.")
        }
        Code::AuthorCipherCertificateOutsideValidity => (
            "Das Chiffrierzertifikat eines Autors ist derzeit nicht gültig: Es ist abgelaufen oder gilt noch nicht.",
            "An author's cipher certificate is not valid now: it has expired or is not valid yet.",
        ),
        Code::AuthorCipherCertificateCorrupted => (
            "Die Signatur des Ausstellers unter dem Chiffrierzertifikat eines Autors ist ungültig.",
            "The issuer's signature on an author's cipher certificate is invalid.",
        ),
        Code::AuthorCipherCertificateRevoked => {
            ("Das Chiffrierzertifikat eines Autors ist gesperrt.", "An author's cipher certificate is revoked.")
        }
        Code::RecipientCipherCertificateOutsideValidity => (
            "Das Chiffrierzertifikat des Empfängers ist derzeit nicht gültig: Es ist abgelaufen oder gilt noch nicht.",
            "The recipient's cipher certificate is not valid now: it has expired or is not valid yet.",
        ),
        Code::RecipientCipherCertificateCorrupted => (
            "Die Signatur des Ausstellers unter dem Chiffrierzertifikat des Empfängers ist ungültig.",
            "The issuer's signature on the recipient's cipher certificate is invalid.",
        ),
        Code::RecipientCipherCertificateRevoked => {
            ("Das Chiffrierzertifikat des Empfängers ist gesperrt.", "The recipient's cipher certificate is revoked.")
        }
        Code::ReaderCipherCertificateOutsideValidity => (
            "Das Chiffrierzertifikat eines Lesers ist derzeit nicht gültig: Es ist abgelaufen oder gilt noch nicht.",
            "A reader's cipher certificate is not valid now: it has expired or is not valid yet.",
        ),
        Code::ReaderCipherCertificateCorrupted => (
            "Die Signatur des Ausstellers unter dem Chiffrierzertifikat eines Lesers ist ungültig.",
            "The issuer's signature on a reader's cipher certificate is invalid.",
        ),
        Code::ReaderCipherCertificateRevoked => {
            ("Das Chiffrierzertifikat eines Lesers ist gesperrt.", "A reader's cipher certificate is revoked.")
        }
        Code::CertificateCheckIncomplete => (
            "Die Prüfung der Zertifikate konnte nicht vollständig durchgeführt werden.",
            "The certificates could not be checked completely.",
        ),
        Code::CertificateCheckFailed => (
            "Beim Prüfen der Zertifikate ist ein interner Fehler aufgetreten. Bitte später erneut versuchen.",
            "Checking the certificates failed internally. Please try again later.",
        ),
        Code::RecipientSignatureCertificateOutsideValidity => (
            "Das Signaturzertifikat des Empfängers ist derzeit nicht gültig: Es ist abgelaufen oder gilt noch nicht.",
            "The recipient's signature certificate is not valid now: it has expired or is not valid yet.",
        ),
        Code::RecipientSignatureCertificateCorrupted => (
            "Die Signatur des Ausstellers unter dem Signaturzertifikat des Empfängers ist ungültig.",
            "The issuer's signature on the recipient's signature certificate is invalid.",
        ),
        Code::RecipientSignatureCertificateRevoked => {
            ("Das Signaturzertifikat des Empfängers ist gesperrt.", "The recipient's signature certificate is revoked.")
        }
        Code::MessageIdMissing => (
            "Die Zustellung hat keine Message-ID und wird nicht angenommen.",
            "The delivery has no message id and is not accepted.",
        ),
        Code::MessageIdIllegal => (
            "Die Message-ID wurde nicht hier vergeben oder bereits verwendet. Bitte eine neue anfordern.",
            "The message id was not issued here or has been used before. Please request a new one.",
        ),
        Code::FurtherDeliveries => ("Weitere Zustellungen liegen bereit.", "Further deliveries are waiting."),
        Code::FurtherProcessCards => (
            "Es gibt weitere Laufzettel, die der Auswahl entsprechen.",
            "There are further process cards that match the selection.",
        ),
        Code::ExplicitDialogNeeded => (
            "Dieser Auftrag ist nur in einem expliziten Dialog möglich. Bitte zuerst einen Dialog eröffnen.",
            "This order is only possible in an explicit dialog. Please open a dialog first.",
        ),
        Code::NoMatchingDelivery => (
            "Es liegt keine Zustellung vor, die der Auswahl entspricht.",
            "There is no delivery that matches the selection.",
        ),
        Code::NoMatchingProcessCard => (
            "Es liegt kein Laufzettel vor, der der Auswahl entspricht.",
            "There is no process card that matches the selection.",
        ),
        Code::RecipientRefused => {
            ("Der Empfänger hat die Annahme der Zustellung abgelehnt.", "The recipient refused the delivery.")
        }
        Code::ReplyWithoutDelivery => (
            "Der Empfänger hat die Zustellung angenommen, seine Antwort enthält aber keine Zustellung.",
            "The recipient accepted the delivery, but its answer holds no delivery.",
        ),
        Code::ReplySignatureWrong => (
            "Die Signatur des Empfängers unter seiner Antwort ist falsch.",
            "The recipient's signature over its answer is wrong.",
        ),
        Code::ReplyUnsigned => {
            ("Die Antwort des Empfängers ist nicht signiert.", "The recipient's answer is not signed.")
        }
        Code::ReplyUnencrypted => {
            ("Die Antwort des Empfängers ist nicht verschlüsselt.", "The recipient's answer is not encrypted.")
        }
        Code::RecipientFailed => {
            ("Beim Empfänger ist ein interner Fehler aufgetreten.", "The recipient failed internally.")
        }
        Code::ForwardingFailedBeforeRecipient => (
            "Bei der Weiterleitung ist ein Fehler aufgetreten. Die Zustellung hat den Empfänger nicht erreicht.",
            "Forwarding failed. The delivery did not reach the recipient.",
        ),
        Code::ForwardingFailedAfterRecipient => (
            "Bei der Weiterleitung ist ein Fehler aufgetreten. Die Zustellung hat den Empfänger bereits erreicht.",
            "Forwarding failed. The delivery had reached the recipient already.",
        ),
        Code::OrderFailed => (
            "Beim Ausführen des Auftrags ist ein interner Fehler aufgetreten.",
            "Executing the order failed internally.",
        ),
        Code::ChunkAlreadyPresent => ("Dieses Teilstück liegt bereits vor.", "This chunk is present already."),
        Code::ChunkNumberWrong => ("Die Nummer des Teilstücks ist falsch.", "The chunk number is wrong."),
        Code::ChunkTooLarge => {
            ("Das Teilstück ist größer als die zulässige Höchstgröße.", "The chunk is larger than the maximum allowed.")
        }
        Code::ChunkTooSmall => (
            "Das Teilstück ist kleiner als die verlangte Mindestgröße.",
            "The chunk is smaller than the minimum demanded.",
        ),
        Code::MessageTooLarge => (
            "Die Nachricht ist größer als die zulässige Höchstgröße.",
            "The message is larger than the maximum allowed.",
        ),
        Code::ChunkInformationContradictory => (
            "Die Angaben zu den Teilstücken sind unvollständig oder widersprechen einander.",
            "The chunk information is incomplete or contradicts itself.",
        ),
        Code::InnerFeedbackWarns => (
            "Die Rückmeldung zur enthaltenen Nachricht enthält Warnungen.",
            "The feedback of the inner message contains warnings.",
        ),
        Code::InnerMessageTimeExceeded => (
            "Die Verarbeitung der enthaltenen Nachricht dauert länger als vorgesehen. Ihr Ergebnis liegt noch nicht vor.",
            "The inner message takes longer than planned. Its result is not available yet.",
        ),
        Code::InnerMessageInProgress => {
            ("Die enthaltene Nachricht wird noch verarbeitet.", "The inner message is still being processed.")
        }
        Code::InnerFeedbackFails => (
            "Die Rückmeldung zur enthaltenen Nachricht enthält einen Fehler.",
            "The feedback of the inner message contains an error.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_its_own_text_in_every_language() {
        for language in [Language::German, Language::English] {
            let texts: HashSet<_> = Code::ALL.iter().map(|code| code.text(language)).collect();
            assert_eq!(texts.len(), Code::ALL.len(), "{language:?}");
            assert!(texts.iter().all(|text| text.ends_with('.') && text.len() < 200));
        }
    }

    #[test]
    fn the_first_language_we_speak_is_chosen() {
        for (desired, expected) in [
            ("de", Language::German),
            ("en", Language::English),
            ("fr en de", Language::English),
            ("fr  de-AT en", Language::German),
            ("EN-gb", Language::English),
            ("en_US", Language::English),
            ("fr it", Language::German),
            ("den", Language::German),
            ("", Language::German),
        ] {
            assert_eq!(Language::negotiate(desired), expected, "{desired:?}");
        }
    }
}
