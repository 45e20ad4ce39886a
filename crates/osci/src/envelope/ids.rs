//! `Id`s that an intermediary, or any writer of messages, needs for header blocks of its own.

use rohrpost_xmlsec::reader::StartTag;
use rohrpost_xmlsec::tree::Element;

/// `Id`s that an intermediary needs for itself.
#[derive(Default)]
pub(super) struct Reserved {
    pub(super) found: Vec<String>,
}

impl Reserved {
    pub(super) fn watch_all(&mut self, element: &Element) {
        self.watch(element.start_tag());
        element.children().for_each(|child| self.watch_all(child));
    }

    pub(super) fn watch(&mut self, tag: &StartTag) {
        let Some(id) = tag.attr("Id") else { return };
        if (RESERVED.contains(&id) || id.starts_with(INTERMEDIARY_ENTRY)) && self.found.len() < RESERVED.len() {
            self.found.push(id.to_owned());
        }
    }
}

const RESERVED: [&str; 12] = [
    "body",
    "controlblock",
    "clientsignature",
    "suppliersignature",
    "desiredlanguages",
    "intermediarycertificates",
    "featuredescription",
    "responsetofetchdelivery",
    "responsetomediatedelivery",
    "responsetopartialfetchdelivery",
    "acceptdelivery",
    "processdelivery",
];

/// How the `Id`s of the intermediary's certificate entries begin.
const INTERMEDIARY_ENTRY: &str = "intermed_";

/// Whether a header block that we write has this `Id`.
pub(crate) fn is_header_id(id: &str) -> bool {
    RESERVED.contains(&id) || SENDER_IDS.contains(&id)
}

/// `Id`s of header blocks that only those have who send content of their own: clients, and recipients that answer with some.
const SENDER_IDS: [&str; 8] = [
    "nonintermediarycertificates",
    "qualityoftimestamp_creation",
    "qualityoftimestamp_reception",
    "storedelivery",
    "forwarddelivery",
    "mediatedelivery",
    "partialstoredelivery",
    "responsetoprocessdelivery",
];
