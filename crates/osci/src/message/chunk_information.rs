//! How a chunk fits into its message (OSCI-Transport 1.2, chunked transfer of the 2017 extension).

use rohrpost_xmlsec::tree::Element;

use crate::header::{BlockError, read};
use crate::ns::{MessageType, OSCI2017};
use crate::xml::XmlWriter;

/// What a message says about a chunk. Which parts it must and must not have depends on the message: see
/// [`misplaced`](Self::misplaced).
///
/// Numbers are as the peer wrote them, be they sensible or not; negative ones are read as 0, which none may be, and those beyond what
/// we count to as the largest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChunkInformation {
    /// Which chunk, counted from 1.
    pub number: Option<u64>,
    /// Size of every chunk but the last, in units of 1024 bytes.
    pub size: Option<u64>,
    /// Which chunks the other side, or this one, has.
    pub received: Option<Vec<u64>>,
    /// How many chunks the message has.
    pub total: Option<u64>,
    /// Size of the message in whole units of 1024 bytes: up to 1023 bytes more are left out.
    pub message_size: Option<u64>,
}

/// A part that [`ChunkInformation`] lacks or must not have in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkPartMisplaced {
    /// It must be there.
    #[error("ChunkInformation lacks {0}")]
    Missing(&'static str),
    /// It must not be there.
    #[error("ChunkInformation must not have {0}")]
    Unexpected(&'static str),
}

const NUMBER: &str = "ChunkNumber";
const SIZE: &str = "ChunkSize";
const RECEIVED: &str = "ReceivedChunks";
const TOTAL: &str = "TotalChunkNumbers";
const MESSAGE_SIZE: &str = "TotalMessageSize";
/// What clients write that have no chunk yet.
const NONE_RECEIVED: &str = "-1";

impl ChunkInformation {
    /// The first part that does not belong into this message, or is missing from it.
    ///
    /// # Errors
    /// [`ChunkPartMisplaced`].
    pub fn misplaced(&self, message: MessageType) -> Result<(), ChunkPartMisplaced> {
        use MessageType as M;
        // One column per part, in the order of `parts`: required or forbidden.
        let rule = match message {
            M::PartialStoreDelivery => [true, true, false, true, true],
            M::ResponseToPartialStoreDelivery => [true, false, true, true, false],
            M::PartialFetchDelivery => [true, true, true, false, false],
            M::ResponseToPartialFetchDelivery => [true, false, false, true, true],
            _ => [false; 5],
        };
        let parts = [
            (NUMBER, self.number.is_some()),
            (SIZE, self.size.is_some()),
            (RECEIVED, self.received.is_some()),
            (TOTAL, self.total.is_some()),
            (MESSAGE_SIZE, self.message_size.is_some()),
        ];
        for ((name, is_there), required) in parts.into_iter().zip(rule) {
            match (required, is_there) {
                (true, false) => return Err(ChunkPartMisplaced::Missing(name)),
                (false, true) => return Err(ChunkPartMisplaced::Unexpected(name)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads `osci2017:ChunkInformation`, whatever parts it has.
    pub(super) fn from_element(element: &Element) -> Result<Self, BlockError> {
        read::nothing_in(element)?;
        let number = |name| element.attr(name).map(|text| integer(element, text)).transpose();
        Ok(Self {
            number: number(NUMBER)?,
            size: number(SIZE)?,
            received: element.attr(RECEIVED).map(|text| list(element, text)).transpose()?,
            total: number(TOTAL)?,
            message_size: number(MESSAGE_SIZE)?,
        })
    }

    /// The same in an answer, which a peer must write as the rules say.
    pub(super) fn in_answer(element: &Element, message: MessageType) -> Result<Self, BlockError> {
        let information = Self::from_element(element)?;
        information.misplaced(message).map_err(|misplaced| match misplaced {
            ChunkPartMisplaced::Missing(attribute) => {
                BlockError::MissingAttribute { element: element.name().local().to_owned(), attribute }
            }
            ChunkPartMisplaced::Unexpected(_) => read::bad_value(element, "an attribute that may not be there"),
        })?;
        Ok(information)
    }

    /// Writes `osci2017:ChunkInformation`.
    pub(super) fn write(&self, xml: &mut XmlWriter) {
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let received = self.received.as_ref().map(|chunks| match chunks.as_slice() {
            [] if self.size.is_some() => NONE_RECEIVED.to_owned(),
            chunks => chunks.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
        });
        let attributes = [
            (NUMBER, number(self.number)),
            (SIZE, number(self.size)),
            (RECEIVED, received),
            (TOTAL, number(self.total)),
            (MESSAGE_SIZE, number(self.message_size)),
        ];
        let attributes: Vec<_> =
            attributes.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        xml.leaf("osci2017:ChunkInformation", &attributes, "");
    }
}

/// Whether this is `osci2017:ChunkInformation`.
pub(super) fn is_chunk_information(element: &Element) -> bool {
    read::is(element, OSCI2017, "ChunkInformation")
}

/// An integer of any size.
fn integer(element: &Element, text: &str) -> Result<u64, BlockError> {
    let text = text.trim_matches(read::is_white);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(read::bad_value(element, "no integer"));
    }
    Ok(if negative { 0 } else { digits.parse().unwrap_or(u64::MAX) })
}

/// Numbers with blanks between them; none, or only `-1`, for no chunk.
fn list(element: &Element, text: &str) -> Result<Vec<u64>, BlockError> {
    let words = text.split(read::is_white).filter(|word| !word.is_empty());
    let numbers: Vec<&str> = words.collect();
    match numbers.as_slice() {
        [NONE_RECEIVED] => Ok(Vec::new()),
        numbers => numbers.iter().map(|word| integer(element, word)).collect(),
    }
}
