//! Block encryption of XML-Enc in pieces: `IV ‖ ciphertext (‖ tag)`, constant memory whatever the size.
//!
//! GCM (NIST SP 800-38D) takes initialisation vectors of 12 and of 16 bytes; the latter is what OSCI means when a
//! message does not say anything. CBC and triple DES can only be read, with strict PKCS#7 padding.

mod cbc;
mod gcm;
mod ghash;
mod tdes;

use std::io::{self, Read, Write};

use thiserror::Error;

pub use gcm::Sealer;

use crate::{BlockCipher, DecryptionFailed, SessionKey};

/// Length of the initialisation vector of GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IvLength {
    /// 96 bits, announced by an `IvLength` element.
    Twelve,
    /// 128 bits, the meaning of no such element.
    Sixteen,
}

impl IvLength {
    /// In bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Twelve => 12,
            Self::Sixteen => 16,
        }
    }

    /// The value of an `IvLength` element; `None` for lengths that OSCI does not have.
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            12 => Some(Self::Twelve),
            16 => Some(Self::Sixteen),
            _ => None,
        }
    }
}

/// Why [`open`] did not reach its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Reading or writing failed; says nothing about the data.
    #[error("reading or writing failed during decryption")]
    Io(#[source] io::Error),
    /// The data or the key is wrong.
    #[error(transparent)]
    Failed(DecryptionFailed),
}

impl From<DecryptionFailed> for OpenError {
    fn from(failed: DecryptionFailed) -> Self {
        Self::Failed(failed)
    }
}

/// Decrypts everything `input` has into `output` and returns the number of bytes written.
///
/// `iv_length` matters to GCM only. Memory: two buffers of 16 KiB.
///
/// What was written before this returns `Ok` is not authenticated. The caller must keep it from everybody until then
/// and discard it on any error. In CBC modes it never is authenticated; only a signature inside can make it
/// trustworthy.
///
/// # Errors
///
/// [`OpenError::Io`] if `input` or `output` fails, [`OpenError::Failed`] for everything that is wrong with data or key.
pub fn open<R: Read, W: Write>(
    cipher: BlockCipher,
    iv_length: IvLength,
    key: &SessionKey,
    input: R,
    output: W,
) -> Result<u64, OpenError> {
    if key.len() != cipher.key_len() {
        return Err(DecryptionFailed.into());
    }
    if cipher.is_authenticated() {
        gcm::open(iv_length, key, input, output)
    } else {
        match cipher {
            BlockCipher::TripleDesCbc => tdes::open(key, input, output),
            _ => cbc::open(cipher, key, input, output),
        }
    }
}

/// How much is read and processed at once. Making and wiping larger buffers costs more than decrypting a small message.
const CHUNK: usize = 16 * 1024;

/// Reads until `buffer` is full or the input ends; returns how much was read.
fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize, OpenError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(OpenError::Io(error)),
        }
    }
    Ok(filled)
}
