//! Content data: the model of OSCI-Transport 1.2 for those who write and read it. An intermediary never needs this module.
//!
//! A [`Package`] holds containers; a container holds data, references to attachments and further containers, may be signed by
//! authors and may be encrypted for readers. Reading is [`Package::read`], then [`Package::decrypt`],
//! [`Package::attachments`] and [`Package::verify`]; each step gives what can be had and says what cannot. Writing is
//! [`PackageBuilder`]. Data goes to and comes from [`Blobs`] and [`ReadAt`](crate::source::ReadAt): memory does not grow with it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use rohrpost_crypto::{Curve, DigestAlgorithm, PrivateKey, SignatureAlgorithm};
//! use rohrpost_osci::content::{Author, ContainerBuilder, Content, InMemory, Package, PackageBuilder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = PrivateKey::generate_ec(Curve::P256)?;
//! let signer = key.signer(SignatureAlgorithm::EcdsaSha256)?;
//! let author =
//!     Author { signer: &signer, certificate_id: "author", digest: DigestAlgorithm::Sha256, signing_time: None };
//! let mut container = ContainerBuilder::new("letters").data("letter", Arc::new(b"Hello".to_vec())).build();
//! container.sign(&author)?;
//! let delivery = PackageBuilder::new().container(container).build(&InMemory)?;
//!
//! let package = Package::read(&delivery.package, &InMemory)?;
//! let Content::Data(letter) = &package.containers[0].contents[0] else { panic!("it was data") };
//! assert_eq!((letter.id.as_str(), letter.bytes.len()), ("letter", 5));
//! # Ok(()) }
//! ```

mod attachments;
mod blob;
mod build;
mod decrypt;
mod place;
mod read;
mod verify;

pub use attachments::{Attachment, AttachmentContent};
pub use blob::{BlobWriter, Blobs, InMemory};
pub use build::{
    AttachmentEncryption, Author, BuildError, ContainerBuilder, NewAttachment, NewContainer, PackageBuilder, ReaderKey,
    SealedContainer, Sealing,
};
pub use decrypt::{ContentKey, Sealed};
pub use read::{
    AttachmentReference, Container, Content, ContentError, Data, EncryptedContainer, NestedContainer, Package,
};
pub use verify::{ContentSignatureFault, SignatureVerdict};
