//! Makes content: containers are filled, signed by authors, encrypted for readers and put into a package.

mod container;
mod package;
mod seal;
mod sign;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use rohrpost_crypto::{KeyError, SigningFailed};
use rohrpost_xmlsec::reader::is_ncname;
use thiserror::Error;

use crate::envelope::is_header_id;
use crate::source::{ReadAt, reader};

pub use container::{AttachmentEncryption, ContainerBuilder, NewAttachment, NewContainer};
pub use package::PackageBuilder;
pub use seal::{ReaderKey, SealedContainer, Sealing};
pub use sign::Author;

/// Why content cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Reading or writing failed.
    #[error("the content could not be read or written")]
    Io(#[from] io::Error),
    /// An `Id` that is no name in the sense of XML.
    #[error("{0:?} cannot be the Id of an element")]
    BadId(String),
    /// An `Id` that occurs twice, or that a header block has.
    #[error("the Id {0:?} is taken")]
    IdTaken(String),
    /// Two different attachments with one name.
    #[error("two attachments have the same name")]
    AttachmentNameTaken,
    /// A signature over an empty container.
    #[error("an empty container cannot be signed")]
    NothingToSign,
    /// Encryption for nobody.
    #[error("a container must be encrypted for at least one reader")]
    NoReader,
    /// A reader's key cannot be used for encryption.
    #[error("the session key could not be encrypted for a reader")]
    Reader(#[from] KeyError),
    /// A signer failed.
    #[error("the container could not be signed")]
    Signing(#[from] SigningFailed),
}

/// The `Id`s that are taken: those of the header blocks we write, and those of content.
#[derive(Debug, Default)]
pub(super) struct Ids(pub(super) HashSet<String>);

impl Ids {
    pub(super) fn add(&mut self, id: &str) -> Result<(), BuildError> {
        if !is_ncname(id) {
            return Err(BuildError::BadId(id.to_owned()));
        }
        if is_header_id(id) || !self.0.insert(id.to_owned()) {
            return Err(BuildError::IdTaken(id.to_owned()));
        }
        Ok(())
    }
}

/// Bytes, without showing them.
#[derive(Clone)]
pub(super) struct Blob(pub(super) Arc<dyn ReadAt>);

impl Blob {
    pub(super) fn copy_to(&self, out: &mut dyn Write) -> io::Result<()> {
        io::copy(&mut reader(&*self.0, 0..self.0.len()), &mut { out }).map(drop)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
