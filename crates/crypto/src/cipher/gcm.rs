//! AES-GCM in pieces, from AES, counter mode and GHASH (NIST SP 800-38D).

use std::{
    fmt,
    io::{self, Read, Write},
};

use aes::{
    Aes128, Aes192, Aes256,
    cipher::{
        Array, BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper,
    },
};
use ctr::{CtrCore, flavors::Ctr32BE};
use ghash::{GHash, universal_hash::UniversalHash};
use zeroize::Zeroizing;

use super::{CHUNK, IvLength, OpenError, read_full};
use crate::{BlockCipher, DecryptionFailed, Random, SessionKey, constant_time_eq};

const BLOCK: usize = 16;
const TAG: usize = 16;

/// The counter has 32 bits and two of its values are taken: 2^36 - 32 bytes.
const MAX_LEN: u64 = (u32::MAX as u64 - 1) * BLOCK as u64;

pub(super) fn open<R: Read, W: Write>(
    iv_length: IvLength,
    key: &SessionKey,
    mut input: R,
    mut output: W,
) -> Result<u64, OpenError> {
    let mut iv = [0; 16];
    let iv = &mut iv[..iv_length.bytes()];
    if read_full(&mut input, iv)? < iv.len() {
        return Err(DecryptionFailed.into());
    }
    let mut state = Gcm::new(key, iv).ok_or(DecryptionFailed)?;
    // The last 16 bytes may be the tag, so they stay behind until more arrives.
    let mut buffer = Zeroizing::new(vec![0; CHUNK + TAG]);
    let mut held = 0;
    loop {
        held += read_full(&mut input, &mut buffer[held..])?;
        let ends = held < CHUNK + TAG;
        let ready = held.checked_sub(TAG).ok_or(DecryptionFailed)?;
        state
            .decrypt(&mut buffer[..ready])
            .ok_or(DecryptionFailed)?;
        output.write_all(&buffer[..ready]).map_err(OpenError::Io)?;
        buffer.copy_within(ready..held, 0);
        held = TAG;
        if ends {
            break;
        }
    }
    let length = state.length;
    if !constant_time_eq(&state.tag(), &buffer[..TAG]) {
        return Err(DecryptionFailed.into());
    }
    Ok(length)
}

/// Encrypts what is written to it as `IV ‖ ciphertext ‖ tag`.
///
/// The initialisation vector is random and goes out at once. Without [`finish`](Self::finish) there is no tag and
/// nobody can open the result. Memory: one buffer of 64 KiB.
#[must_use = "without `finish` the output has no authentication tag"]
pub struct Sealer<W: Write> {
    state: Gcm,
    buffer: Zeroizing<Vec<u8>>,
    output: W,
}

impl<W: Write> Sealer<W> {
    /// Starts with writing the initialisation vector.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the cipher is not a GCM mode or the key has the wrong length;
    /// otherwise what `output` returned.
    pub fn new(
        cipher: BlockCipher,
        iv_length: IvLength,
        key: &SessionKey,
        random: &dyn Random,
        mut output: W,
    ) -> io::Result<Self> {
        if !cipher.is_authenticated() || key.len() != cipher.key_len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "sealing needs AES-GCM and a key of its length",
            ));
        }
        let mut iv = [0; 16];
        let iv = &mut iv[..iv_length.bytes()];
        random.fill(iv);
        let state = Gcm::new(key, iv).expect("the length of the key was checked");
        output.write_all(iv)?;
        Ok(Self {
            state,
            buffer: Zeroizing::new(Vec::with_capacity(CHUNK)),
            output,
        })
    }

    /// Encrypts what is left, writes the tag and returns the output, not flushed.
    ///
    /// # Errors
    ///
    /// What `output` returned.
    pub fn finish(mut self) -> io::Result<W> {
        self.drain(self.buffer.len())?;
        self.output.write_all(&self.state.tag())?;
        Ok(self.output)
    }

    /// Encrypts and writes the first `length` bytes of the buffer: whole blocks, except at the very end.
    fn drain(&mut self, length: usize) -> io::Result<()> {
        self.state
            .encrypt(&mut self.buffer[..length])
            .ok_or(io::ErrorKind::FileTooLarge)?;
        self.output.write_all(&self.buffer[..length])?;
        self.buffer.drain(..length);
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK {
            self.drain(CHUNK)?;
        }
        let taken = data.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&data[..taken]);
        Ok(taken)
    }

    /// Passes on all whole blocks; up to 15 bytes stay behind.
    fn flush(&mut self) -> io::Result<()> {
        self.drain(self.buffer.len() / BLOCK * BLOCK)?;
        self.output.flush()
    }
}

impl<W: Write> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

/// The running state of one encryption or decryption.
struct Gcm {
    keystream: Keystream,
    ghash: GHash,
    /// The encrypted first counter block, which hides the final hash.
    mask: [u8; BLOCK],
    /// Bytes processed so far; a multiple of the block length until the last piece.
    length: u64,
}

impl Gcm {
    /// `None` if AES has no such key length.
    fn new(key: &SessionKey, iv: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Self::with(
                Aes128::new_from_slice(key.expose()).ok()?,
                iv,
                Keystream::Aes128,
            ),
            24 => Self::with(
                Aes192::new_from_slice(key.expose()).ok()?,
                iv,
                Keystream::Aes192,
            ),
            32 => Self::with(
                Aes256::new_from_slice(key.expose()).ok()?,
                iv,
                Keystream::Aes256,
            ),
            _ => None,
        }
    }

    fn with<C>(aes: C, iv: &[u8], keystream: impl FnOnce(Counter<C>) -> Keystream) -> Option<Self>
    where
        C: BlockCipherEncrypt + aes::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
    {
        let mut hash_key = Array::from([0; BLOCK]);
        aes.encrypt_block(&mut hash_key);
        let ghash = GHash::new(&hash_key);
        let first = first_counter(&ghash, iv);
        let mut mask = Array::from(first);
        aes.encrypt_block(&mut mask);
        let counter = CtrCore::inner_iv_init(aes, &Array::from(increment(first)));
        Some(Self {
            keystream: keystream(StreamCipherCoreWrapper::from_core(counter)),
            ghash,
            mask: mask.into(),
            length: 0,
        })
    }

    fn decrypt(&mut self, data: &mut [u8]) -> Option<()> {
        self.count(data)?;
        for part in data.chunks_mut(PART) {
            self.ghash.update_padded(part);
            self.keystream.apply(part)?;
        }
        Some(())
    }

    fn encrypt(&mut self, data: &mut [u8]) -> Option<()> {
        self.count(data)?;
        for part in data.chunks_mut(PART) {
            self.keystream.apply(part)?;
            self.ghash.update_padded(part);
        }
        Some(())
    }

    fn count(&mut self, data: &[u8]) -> Option<()> {
        debug_assert!(
            self.length.is_multiple_of(BLOCK as u64),
            "only the last piece may end inside a block"
        );
        self.length += data.len() as u64;
        (self.length <= MAX_LEN).then_some(())
    }

    fn tag(mut self) -> [u8; TAG] {
        let mut lengths = [0; BLOCK];
        lengths[8..].copy_from_slice(&(self.length * 8).to_be_bytes());
        self.ghash.update(&[lengths.into()]);
        let mut tag: [u8; TAG] = self.ghash.finalize().into();
        tag.iter_mut()
            .zip(self.mask)
            .for_each(|(tag, mask)| *tag ^= mask);
        tag
    }
}

/// Small enough that the second of the two passes finds the data in the cache.
const PART: usize = 8 * 1024;

type Counter<C> = StreamCipherCoreWrapper<CtrCore<C, Ctr32BE>>;

enum Keystream {
    Aes128(Counter<Aes128>),
    Aes192(Counter<Aes192>),
    Aes256(Counter<Aes256>),
}

impl Keystream {
    fn apply(&mut self, data: &mut [u8]) -> Option<()> {
        match self {
            Self::Aes128(counter) => counter.try_apply_keystream(data),
            Self::Aes192(counter) => counter.try_apply_keystream(data),
            Self::Aes256(counter) => counter.try_apply_keystream(data),
        }
        .ok()
    }
}

/// The block J0: 96 bits are followed by a counter, everything else is hashed with its length.
fn first_counter(ghash: &GHash, iv: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    if iv.len() == 12 {
        block[..12].copy_from_slice(iv);
        block[15] = 1;
        return block;
    }
    block[8..].copy_from_slice(&(iv.len() as u64 * 8).to_be_bytes());
    let mut ghash = ghash.clone();
    ghash.update_padded(iv);
    ghash.update(&[block.into()]);
    ghash.finalize().into()
}

/// Adds one to the last 32 bits, without carry into the others.
fn increment(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    let (_, counter) = block
        .split_last_chunk_mut::<4>()
        .expect("a block has more than 4 bytes");
    *counter = u32::from_be_bytes(*counter).wrapping_add(1).to_be_bytes();
    block
}
