//! Closed vocabularies of the log that stay readable when a later version adds a word.

/// Makes an enum whose variants are written as fixed words. Unknown words are kept in `Other`.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// A word that a later version introduced.
            Other(String),
        }

        impl $name {
            /// The word in the log.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Other(word),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

words! {
    /// What happened.
    Event {
        /// A delivery was stored; the sender may be told so.
        Accepted = "accepted",
        /// A delivery was handed out to its addressee for the first time.
        Forwarded = "forwarded",
        /// The addressee acknowledged a delivery.
        Received = "received",
        /// An attempt to hand over a delivery failed; there will be another.
        Postponed = "postponed",
        /// Certificates of a delivery were looked at again, and its process card says more than before.
        Inspected = "inspected",
        /// The creation of a process card got the token of a time-stamp service that it had waited for.
        CreationStamped = "creation-stamped",
        /// The reception on a process card got the token of a time-stamp service that it had waited for.
        ReceptionStamped = "reception-stamped",
        /// An order was refused.
        Refused = "refused",
        /// All attempts to hand over a delivery failed.
        Undeliverable = "undeliverable",
        /// A delivery that nobody received was given up by retention.
        Expired = "expired",
        /// The body of a received delivery was removed by retention.
        BodyRemoved = "body-removed",
        /// A process card was removed by retention.
        CardRemoved = "card-removed",
        /// Used message ids were forgotten because no token with such an id can be valid any more.
        IdsReleased = "ids-released",
    }
}

words! {
    /// The part a certificate plays in a message.
    Role {
        /// Cipher certificate of the originator: where answers go.
        OriginatorCipher = "originator-cipher",
        /// Signature certificate of the originator.
        OriginatorSignature = "originator-signature",
        /// Cipher certificate of the addressee: the mailbox.
        AddresseeCipher = "addressee-cipher",
        /// Signature certificate of the addressee.
        AddresseeSignature = "addressee-signature",
        /// Cipher certificate of a further author.
        AuthorCipher = "author-cipher",
        /// Signature certificate of a further author.
        AuthorSignature = "author-signature",
        /// Cipher certificate of a further reader.
        ReaderCipher = "reader-cipher",
        /// Certificate of the intermediary.
        Intermediary = "intermediary",
    }
}

words! {
    /// A three-valued verdict.
    Verdict {
        /// Checked and good.
        Valid = "valid",
        /// Not everything could be checked.
        Indeterminate = "indeterminate",
        /// Checked and bad.
        Invalid = "invalid",
    }
}

words! {
    /// What a verdict is about, apart from certificates.
    Subject {
        /// The signature of the sending side over the whole message.
        TransportSignature = "transport-signature",
        /// A signature of an author inside the content.
        ContentSignature = "content-signature",
    }
}
