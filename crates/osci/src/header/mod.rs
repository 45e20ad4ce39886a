//! Header blocks: what they mean as types, how they are read from a received envelope and how they are written.
//!
//! Every block is written as the canonical text of its element with all declarations in scope on the first tag, so that
//! the text written is the text hashed (OSCI-Transport 1.2, transport signatures; Canonical XML 1.0, section 2.3).

mod block;
mod certificates;
mod control;
mod custom;
mod features;
mod languages;
pub(crate) mod read;
mod timestamp;

pub use block::Block;
pub use certificates::{
    CertificateEntry, CertificateRole, CertificateUse, IntermediaryCertificates, NonIntermediaryCertificates,
};
pub use control::{control_block_from, control_block_to_block};
pub use custom::CustomBlock;
pub use features::{Feature, FeatureDescription};
pub use languages::DesiredLanguages;
pub use read::BlockError;
pub use timestamp::{QualityOfTimestamp, TimestampQuality, TimestampService};

#[cfg(test)]
mod tests;
