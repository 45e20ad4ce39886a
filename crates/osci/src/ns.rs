//! Namespaces and message types: the URIs of OSCI-Transport 1.2, the declaration blocks that every
//! canonical apex carries, and the table from `xsi:schemaLocation` to [`MessageType`].

use std::fmt;
use std::sync::LazyLock;

use rohrpost_xmlsec::NsContext;

/// XML Signature, prefix `ds`.
pub const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// OSCI-Transport 1.2, prefix `osci`.
pub const OSCI: &str = "http://www.osci.de/2002/04/osci";
/// The 2017 extension of OSCI-Transport 1.2 (features, chunked transfer), prefix `osci2017`.
pub const OSCI2017: &str = "http://xoev.de/transport/osci12/7";
/// The extension of OSCI-Transport 1.2 that states the length of an IV, prefix `osci128`.
pub const OSCI128: &str = "http://xoev.de/transport/osci12/8";
/// SOAP 1.1 envelope, prefix `soap`.
pub const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// XML Encryption, prefix `xenc`.
pub const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
/// XML Schema instance, prefix `xsi`.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// XAdES 1.3.2 (signing time of content signatures), prefix `xades`.
pub const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";

/// The five prefixes and URIs that an OSCI envelope declares, in canonical order.
pub const ENVELOPE: [(&str, &str); 5] = [("ds", DS), ("osci", OSCI), ("soap", SOAP), ("xenc", XENC), ("xsi", XSI)];

/// The declarations of [`ENVELOPE`] as text, each with one blank before it: what the canonical form of
/// a header block or body of our own carries on its first tag.
pub const NS5: &str = concat!(
    r#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#""#,
    r#" xmlns:osci="http://www.osci.de/2002/04/osci""#,
    r#" xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/""#,
    r#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#""#,
    r#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance""#,
);

/// [`NS5`] with the 2017 extension in its canonical place: the same for blocks of that namespace.
pub const NS6: &str = concat!(
    r#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#""#,
    r#" xmlns:osci="http://www.osci.de/2002/04/osci""#,
    r#" xmlns:osci2017="http://xoev.de/transport/osci12/7""#,
    r#" xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/""#,
    r#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#""#,
    r#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance""#,
);

/// [`ENVELOPE`] as a context for canonicalisation.
pub fn envelope_context() -> NsContext {
    static CONTEXT: LazyLock<NsContext> = LazyLock::new(|| NsContext::from_pairs(ENVELOPE));
    CONTEXT.clone()
}

/// The attributes of a header block that the next node on the way must process.
pub(crate) const ACTOR_NEXT: &str =
    r#" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1""#;
/// The attributes of a header block that no node on the way processes.
pub(crate) const ACTOR_NONE: &str =
    r#" soap:actor="http://www.w3.org/2001/12/soap-envelope/actor/none" soap:mustUnderstand="1""#;

/// The message types of OSCI-Transport 1.2 with the 2017 extension.
///
/// A message tells its type only by the literal attribute `xsi:schemaLocation` of its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageType {
    /// Opens an explicit dialog.
    InitDialog,
    /// Answers [`Self::InitDialog`].
    ResponseToInitDialog,
    /// Closes an explicit dialog.
    ExitDialog,
    /// Answers [`Self::ExitDialog`].
    ResponseToExitDialog,
    /// Asks for a message id.
    GetMessageId,
    /// Answers [`Self::GetMessageId`].
    ResponseToGetMessageId,
    /// Puts a delivery into a mailbox.
    StoreDelivery,
    /// Answers [`Self::StoreDelivery`].
    ResponseToStoreDelivery,
    /// Fetches a delivery from the mailbox of the client.
    FetchDelivery,
    /// Answers [`Self::FetchDelivery`].
    ResponseToFetchDelivery,
    /// Fetches process cards.
    FetchProcessCard,
    /// Answers [`Self::FetchProcessCard`].
    ResponseToFetchProcessCard,
    /// Forwards a delivery to a passive recipient.
    ForwardDelivery,
    /// Answers [`Self::ForwardDelivery`].
    ResponseToForwardDelivery,
    /// Hands a forwarded delivery to a passive recipient.
    AcceptDelivery,
    /// Answers [`Self::AcceptDelivery`].
    ResponseToAcceptDelivery,
    /// Forwards a delivery to a passive recipient and wants a delivery back.
    MediateDelivery,
    /// Answers [`Self::MediateDelivery`].
    ResponseToMediateDelivery,
    /// Hands a mediated delivery to a passive recipient.
    ProcessDelivery,
    /// Answers [`Self::ProcessDelivery`].
    ResponseToProcessDelivery,
    /// Stores one chunk of a delivery.
    PartialStoreDelivery,
    /// Answers [`Self::PartialStoreDelivery`].
    ResponseToPartialStoreDelivery,
    /// Fetches one chunk of a delivery.
    PartialFetchDelivery,
    /// Answers [`Self::PartialFetchDelivery`].
    ResponseToPartialFetchDelivery,
    /// The envelope around an encrypted message.
    MessageEncrypted,
}

/// Who is meant to read a message type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// An order of a client to an intermediary.
    RequestToIntermediary,
    /// An order of an intermediary to a passive recipient.
    RequestToRecipient,
    /// The answer to either.
    Response,
    /// The envelope around an encrypted message: says nothing about what is inside.
    Sealed,
}

impl MessageType {
    /// Every message type, in the order of this enumeration.
    pub const ALL: [Self; 25] = [
        Self::InitDialog,
        Self::ResponseToInitDialog,
        Self::ExitDialog,
        Self::ResponseToExitDialog,
        Self::GetMessageId,
        Self::ResponseToGetMessageId,
        Self::StoreDelivery,
        Self::ResponseToStoreDelivery,
        Self::FetchDelivery,
        Self::ResponseToFetchDelivery,
        Self::FetchProcessCard,
        Self::ResponseToFetchProcessCard,
        Self::ForwardDelivery,
        Self::ResponseToForwardDelivery,
        Self::AcceptDelivery,
        Self::ResponseToAcceptDelivery,
        Self::MediateDelivery,
        Self::ResponseToMediateDelivery,
        Self::ProcessDelivery,
        Self::ResponseToProcessDelivery,
        Self::PartialStoreDelivery,
        Self::ResponseToPartialStoreDelivery,
        Self::PartialFetchDelivery,
        Self::ResponseToPartialFetchDelivery,
        Self::MessageEncrypted,
    ];

    /// The type whose schema location is exactly `value`; `None` for anything else, also for other
    /// white space.
    pub fn from_schema_location(value: &str) -> Option<Self> {
        let name = value.strip_prefix(SCHEMA_LOCATION_HEAD)?.strip_suffix(SCHEMA_LOCATION_TAIL)?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The value of `xsi:schemaLocation` for this type.
    pub fn schema_location(self) -> String {
        format!("{SCHEMA_LOCATION_HEAD}{}{SCHEMA_LOCATION_TAIL}", self.name())
    }

    /// The name of the type as its schema file has it: `StoreDelivery`, `ResponseToStoreDelivery`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::InitDialog => "InitDialog",
            Self::ResponseToInitDialog => "ResponseToInitDialog",
            Self::ExitDialog => "ExitDialog",
            Self::ResponseToExitDialog => "ResponseToExitDialog",
            Self::GetMessageId => "GetMessageId",
            Self::ResponseToGetMessageId => "ResponseToGetMessageId",
            Self::StoreDelivery => "StoreDelivery",
            Self::ResponseToStoreDelivery => "ResponseToStoreDelivery",
            Self::FetchDelivery => "FetchDelivery",
            Self::ResponseToFetchDelivery => "ResponseToFetchDelivery",
            Self::FetchProcessCard => "FetchProcessCard",
            Self::ResponseToFetchProcessCard => "ResponseToFetchProcessCard",
            Self::ForwardDelivery => "ForwardDelivery",
            Self::ResponseToForwardDelivery => "ResponseToForwardDelivery",
            Self::AcceptDelivery => "AcceptDelivery",
            Self::ResponseToAcceptDelivery => "ResponseToAcceptDelivery",
            Self::MediateDelivery => "MediateDelivery",
            Self::ResponseToMediateDelivery => "ResponseToMediateDelivery",
            Self::ProcessDelivery => "ProcessDelivery",
            Self::ResponseToProcessDelivery => "ResponseToProcessDelivery",
            Self::PartialStoreDelivery => "PartialStoreDelivery",
            Self::ResponseToPartialStoreDelivery => "ResponseToPartialStoreDelivery",
            Self::PartialFetchDelivery => "PartialFetchDelivery",
            Self::ResponseToPartialFetchDelivery => "ResponseToPartialFetchDelivery",
            Self::MessageEncrypted => "MessageEncrypted",
        }
    }

    /// Who is meant to read this type.
    pub const fn direction(self) -> Direction {
        match self {
            Self::InitDialog
            | Self::ExitDialog
            | Self::GetMessageId
            | Self::StoreDelivery
            | Self::FetchDelivery
            | Self::FetchProcessCard
            | Self::ForwardDelivery
            | Self::MediateDelivery
            | Self::PartialStoreDelivery
            | Self::PartialFetchDelivery => Direction::RequestToIntermediary,
            Self::AcceptDelivery | Self::ProcessDelivery => Direction::RequestToRecipient,
            Self::MessageEncrypted => Direction::Sealed,
            _ => Direction::Response,
        }
    }

    /// Namespace and local name of the header block that holds the order or its result, for the types that have it there.
    pub const fn order_block(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::StoreDelivery => (OSCI, "storeDelivery"),
            Self::ResponseToStoreDelivery => (OSCI, "responseToStoreDelivery"),
            Self::FetchDelivery => (OSCI, "fetchDelivery"),
            Self::ResponseToFetchDelivery => (OSCI, "responseToFetchDelivery"),
            Self::ForwardDelivery => (OSCI, "forwardDelivery"),
            Self::ResponseToForwardDelivery => (OSCI, "responseToForwardDelivery"),
            Self::AcceptDelivery => (OSCI, "acceptDelivery"),
            Self::ResponseToAcceptDelivery => (OSCI, "responseToAcceptDelivery"),
            Self::MediateDelivery => (OSCI, "mediateDelivery"),
            Self::ResponseToMediateDelivery => (OSCI, "responseToMediateDelivery"),
            Self::ProcessDelivery => (OSCI, "processDelivery"),
            Self::ResponseToProcessDelivery => (OSCI, "responseToProcessDelivery"),
            Self::PartialStoreDelivery => (OSCI2017, "partialStoreDelivery"),
            Self::ResponseToPartialStoreDelivery => (OSCI2017, "responseToPartialStoreDelivery"),
            Self::PartialFetchDelivery => (OSCI2017, "partialFetchDelivery"),
            Self::ResponseToPartialFetchDelivery => (OSCI2017, "responseToPartialFetchDelivery"),
            _ => return None,
        })
    }

    /// What the body of this type holds.
    pub const fn body(self) -> BodyKind {
        match self {
            Self::StoreDelivery
            | Self::ForwardDelivery
            | Self::AcceptDelivery
            | Self::MediateDelivery
            | Self::ProcessDelivery
            | Self::PartialStoreDelivery => BodyKind::Content,
            Self::ResponseToFetchDelivery
            | Self::ResponseToMediateDelivery
            | Self::ResponseToProcessDelivery
            | Self::ResponseToPartialFetchDelivery => BodyKind::ContentOrEmpty,
            Self::ResponseToStoreDelivery
            | Self::FetchDelivery
            | Self::ResponseToForwardDelivery
            | Self::ResponseToAcceptDelivery
            | Self::ResponseToPartialStoreDelivery
            | Self::PartialFetchDelivery => BodyKind::Empty,
            _ => BodyKind::Order,
        }
    }
}

/// What the body of a message type holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// One content package.
    Content,
    /// One content package or nothing.
    ContentOrEmpty,
    /// Nothing.
    Empty,
    /// One small element with the order or its result.
    Order,
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const SCHEMA_LOCATION_HEAD: &str = "http://schemas.xmlsoap.org/soap/envelope/ soap";
const SCHEMA_LOCATION_TAIL: &str =
    ".xsd http://www.w3.org/2000/09/xmldsig# oscisig.xsd http://www.w3.org/2001/04/xmlenc# oscienc.xsd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_schema_location() {
        for kind in MessageType::ALL {
            assert_eq!(MessageType::from_schema_location(&kind.schema_location()), Some(kind));
        }
    }

    #[test]
    fn other_white_space_or_names_are_no_type() {
        let value = MessageType::StoreDelivery.schema_location();
        for other in [
            String::new(),
            format!(" {value}"),
            value.replace("envelope/ ", "envelope/  "),
            value.replace("StoreDelivery", "storeDelivery"),
            value.replace("StoreDelivery", "Fault"),
        ] {
            assert_eq!(MessageType::from_schema_location(&other), None, "{other}");
        }
    }

    #[test]
    fn declaration_blocks_say_what_the_table_says() {
        let mut five = String::new();
        for (prefix, uri) in ENVELOPE {
            five.push_str(&format!(" xmlns:{prefix}=\"{uri}\""));
        }
        assert_eq!(five, NS5);
        assert_eq!(NS6, NS5.replace(" xmlns:soap", &format!(" xmlns:osci2017=\"{OSCI2017}\" xmlns:soap")));
    }

    #[test]
    fn ten_orders_two_handings_on_twelve_answers() {
        let count = |wanted| MessageType::ALL.into_iter().filter(|kind| kind.direction() == wanted).count();
        assert_eq!(count(Direction::RequestToIntermediary), 10);
        assert_eq!(count(Direction::RequestToRecipient), 2);
        assert_eq!(count(Direction::Response), 12);
    }
}
