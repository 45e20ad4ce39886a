use rohrpost_xmlsec::tree::Element;

use super::{Block, BlockError, read};
use crate::ns::{NS6, OSCI2017};
use crate::xml::XmlWriter;

/// What a peer can do beyond the base protocol, and its limits for chunked transfer (header block `FeatureDescription` of
/// the 2017 extension).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeatureDescription {
    /// The features announced, with the version of the library they came with; unknown keys are kept.
    pub features: Vec<(String, String)>,
    /// Smallest chunk in units of 1024 bytes.
    pub min_chunk_size: Option<u64>,
    /// Largest chunk in units of 1024 bytes.
    pub max_chunk_size: Option<u64>,
    /// Largest message in units of 1024 bytes.
    pub max_message_size: Option<u64>,
    /// How long an incomplete chunked message is kept, in seconds. Read in both spellings that exist
    /// (`ChunkMessageTimeout`, `ChunkMessageTimeOut`), written in the first, which is the one peers look for.
    pub chunk_timeout: Option<u64>,
}

/// A feature whose meaning is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Attachments need not be base64-encoded.
    DisableBase64,
    /// RSA-OAEP for session keys.
    OaepEncryption,
    /// SHA-3 digests.
    Sha3HashAlgorithms,
    /// AES in Galois/Counter mode.
    GcmMode,
    /// Messages in chunks.
    PartialMessageTransmission,
    /// AES-GCM with an IV of 12 bytes.
    TwelveByteIv,
}

impl Feature {
    /// Every known feature in the order they are written.
    pub const ALL: [Self; 6] = [
        Self::DisableBase64,
        Self::OaepEncryption,
        Self::Sha3HashAlgorithms,
        Self::GcmMode,
        Self::PartialMessageTransmission,
        Self::TwelveByteIv,
    ];

    /// The key on the wire.
    pub const fn key(self) -> &'static str {
        match self {
            Self::DisableBase64 => "DisableBase64",
            Self::OaepEncryption => "OAEPEncryption",
            Self::Sha3HashAlgorithms => "SHA3HashAlgo",
            Self::GcmMode => "GCMPaddingModus",
            Self::PartialMessageTransmission => "PartialMessageTransmission",
            Self::TwelveByteIv => "Support96Bit12ByteIV",
        }
    }

    /// The version of the reference library that brought the feature; written beside the key, never evaluated.
    pub const fn version(self) -> &'static str {
        match self {
            Self::DisableBase64 => "1.2.0",
            Self::OaepEncryption => "1.6.0",
            Self::Sha3HashAlgorithms => "1.6.3",
            Self::GcmMode => "1.7.0",
            Self::PartialMessageTransmission => "1.8.0",
            Self::TwelveByteIv => "1.9.0",
        }
    }
}

impl FeatureDescription {
    /// Announces these features and no limits.
    pub fn announcing(features: impl IntoIterator<Item = Feature>) -> Self {
        let features = features.into_iter().map(|f| (f.key().to_owned(), f.version().to_owned())).collect();
        Self { features, ..Self::default() }
    }

    /// Whether the feature is announced.
    pub fn announces(&self, feature: Feature) -> bool {
        self.features.iter().any(|(key, _)| key == feature.key())
    }

    /// Reads the block.
    ///
    /// # Errors
    /// If it holds other elements than features, a feature has no key, or a size is no number.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        let mut features = Vec::new();
        for list in read::children(element)? {
            if !read::is(list, OSCI2017, "SupportedFeatures") {
                return Err(read::unexpected(element, list));
            }
            for feature in read::children(list)? {
                if !read::is(feature, OSCI2017, "Feature") {
                    return Err(read::unexpected(list, feature));
                }
                let key = read::attribute(feature, "Key")?.to_owned();
                features.push((key, feature.attr("Version").unwrap_or_default().to_owned()));
            }
        }
        let timeout = number(element, "ChunkMessageTimeout")?;
        Ok(Self {
            features,
            min_chunk_size: number(element, "MinChunkSize")?,
            max_chunk_size: number(element, "MaxChunkSize")?,
            max_message_size: number(element, "MaxMessageSize")?,
            chunk_timeout: if timeout.is_some() { timeout } else { number(element, "ChunkMessageTimeOut")? },
        })
    }

    /// Writes the block.
    pub fn to_block(&self) -> Block {
        let numbers = [
            ("ChunkMessageTimeout", self.chunk_timeout),
            ("MaxChunkSize", self.max_chunk_size),
            ("MaxMessageSize", self.max_message_size),
            ("MinChunkSize", self.min_chunk_size),
        ]
        .map(|(name, value)| (name, value.map(|value| value.to_string())));
        let mut attributes: Vec<(&str, &str)> =
            numbers.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        attributes.push(("Id", ID));
        attributes.sort_unstable();
        let mut xml = XmlWriter::new();
        xml.open_declaring("osci2017:FeatureDescription", NS6, &attributes);
        xml.open("osci2017:SupportedFeatures", &[]);
        for (key, version) in &self.features {
            xml.leaf("osci2017:Feature", &[("Key", key), ("Version", version)], "");
        }
        xml.close().close();
        Block::written(ID, xml.finish())
    }
}

const ID: &str = "featuredescription";

fn number(element: &Element, name: &'static str) -> Result<Option<u64>, BlockError> {
    let Some(text) = element.attr(name) else { return Ok(None) };
    match text.trim_matches(read::is_white).parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(BlockError::BadValue { element: name.to_owned(), what: "not a number" }),
    }
}
