use rohrpost_xmlsec::tree::Element;

use super::{Block, BlockError, read};
use crate::ns::{ACTOR_NEXT, NS5};

/// Which kind of time stamp a delivery's process card shall carry for one event (header block `QualityOfTimestamp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QualityOfTimestamp {
    /// The event.
    pub service: TimestampService,
    /// The kind of stamp.
    pub quality: TimestampQuality,
}

/// The event a time stamp is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampService {
    /// The intermediary took the delivery.
    Creation,
    /// The recipient took the delivery.
    Reception,
}

/// The kind of a time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampQuality {
    /// The intermediary's own clock.
    #[default]
    Plain,
    /// A time-stamp service.
    Cryptographic,
}

impl QualityOfTimestamp {
    /// Reads the block.
    ///
    /// # Errors
    /// If an attribute is missing or has another value than the four words of the schema.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        read::nothing_in(element)?;
        let quality = match read::attribute(element, "Quality")? {
            "plain" => TimestampQuality::Plain,
            "cryptographic" => TimestampQuality::Cryptographic,
            _ => return Err(read::bad_value(element, "Quality is neither plain nor cryptographic")),
        };
        let service = match read::attribute(element, "Service")? {
            "creation" => TimestampService::Creation,
            "reception" => TimestampService::Reception,
            _ => return Err(read::bad_value(element, "Service is neither creation nor reception")),
        };
        Ok(Self { service, quality })
    }

    /// Writes the block.
    pub fn to_block(self) -> Block {
        let service = match self.service {
            TimestampService::Creation => "creation",
            TimestampService::Reception => "reception",
        };
        let quality = match self.quality {
            TimestampQuality::Plain => "plain",
            TimestampQuality::Cryptographic => "cryptographic",
        };
        let id = format!("qualityoftimestamp_{service}");
        let text = format!(
            r#"<osci:QualityOfTimestamp{NS5} Id="{id}" Quality="{quality}" Service="{service}"{ACTOR_NEXT}></osci:QualityOfTimestamp>"#
        );
        Block::written(id, text)
    }
}
