//! AES-GCM in pieces (NIST SP 800-38D), from the counter mode and the one-shot GCM of `aws-lc-rs`.

use std::{
    fmt,
    io::{self, Read, Write},
};

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use zeroize::{Zeroize, Zeroizing};

use super::{
    CHUNK, IvLength, OpenError,
    ghash::{BLOCK, Block, Ghash, xor},
    read_full,
};
use crate::{BlockCipher, DecryptionFailed, Random, SessionKey, constant_time_eq};

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
        let ends = held < buffer.len();
        let ready = held.checked_sub(TAG).ok_or(DecryptionFailed)?;
        state.decrypt(&mut buffer[..ready]).ok_or(DecryptionFailed)?;
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
/// nobody can open the result. Memory: one buffer of 16 KiB. After an error it is of no use any more.
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
            let problem = "sealing needs AES-GCM and a key of its length";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let mut iv = [0; 16];
        let iv = &mut iv[..iv_length.bytes()];
        random.fill(iv);
        let state = Gcm::new(key, iv).expect("the length of the key was checked");
        output.write_all(iv)?;
        Ok(Self { state, buffer: Zeroizing::new(Vec::with_capacity(CHUNK)), output })
    }

    /// Encrypts what is left, writes the tag and returns the output, not flushed.
    ///
    /// # Errors
    ///
    /// What `output` returned; [`FileTooLarge`](io::ErrorKind::FileTooLarge) beyond 64 GiB.
    pub fn finish(mut self) -> io::Result<W> {
        self.drain(self.buffer.len())?;
        self.output.write_all(&self.state.tag())?;
        Ok(self.output)
    }

    /// Encrypts and writes the first `length` bytes of the buffer: whole blocks, except at the very end.
    fn drain(&mut self, length: usize) -> io::Result<()> {
        self.state.encrypt(&mut self.buffer[..length]).ok_or(io::ErrorKind::FileTooLarge)?;
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
    counter_mode: DecryptingKey,
    hash: Ghash,
    /// The block J0, whose successors encrypt the data and which itself hides the hash.
    first: Block,
    /// Bytes processed so far; a multiple of the block length until the last piece.
    length: u64,
}

impl Gcm {
    /// `None` if AES has no such key length.
    fn new(key: &SessionKey, iv: &[u8]) -> Option<Self> {
        let algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            32 => &AES_256,
            _ => return None,
        };
        let unbound = UnboundCipherKey::new(algorithm, key.expose()).ok()?;
        let counter_mode = DecryptingKey::ctr(unbound).ok()?;
        let mut hash_key = [0; BLOCK];
        add_keystream(&counter_mode, &mut hash_key, [0; BLOCK]);
        let hash = Ghash::new(key.expose(), &hash_key)?;
        hash_key.zeroize();
        let first = first_counter(&hash, iv);
        Some(Self { counter_mode, hash, first, length: 0 })
    }

    /// `None` if the message is too long.
    fn decrypt(&mut self, data: &mut [u8]) -> Option<()> {
        let start = self.count(data)?;
        self.hash.absorb(data);
        self.add_keystream(data, start);
        Some(())
    }

    /// `None` if the message is too long.
    fn encrypt(&mut self, data: &mut [u8]) -> Option<()> {
        let start = self.count(data)?;
        self.add_keystream(data, start);
        self.hash.absorb(data);
        Some(())
    }

    /// Counts the next piece and says at which block it starts.
    fn count(&mut self, data: &[u8]) -> Option<u32> {
        debug_assert!(self.length.is_multiple_of(BLOCK as u64), "only the last piece may end inside a block");
        let start = (self.length / BLOCK as u64) as u32;
        self.length = Some(self.length + data.len() as u64).filter(|length| *length <= MAX_LEN)?;
        Some(start)
    }

    /// The counter is the last 32 bits of the block and wraps around on its own, while the backend counts with all
    /// 128 bits: it must not see the point where they differ.
    fn add_keystream(&self, data: &mut [u8], start: u32) {
        let (prefix, first) = self.first.split_last_chunk::<4>().expect("a block has more than 4 bytes");
        let counter = u32::from_be_bytes(*first).wrapping_add(1).wrapping_add(start);
        let block = |counter: u32| {
            let mut block = [0; BLOCK];
            block[..12].copy_from_slice(prefix);
            block[12..].copy_from_slice(&counter.to_be_bytes());
            block
        };
        let until_wrap = ((1 << 32) - u64::from(counter)) * BLOCK as u64;
        let (before, after) = data.split_at_mut(until_wrap.min(data.len() as u64) as usize);
        add_keystream(&self.counter_mode, before, block(counter));
        add_keystream(&self.counter_mode, after, block(0));
    }

    fn tag(mut self) -> [u8; TAG] {
        let mut lengths = [0; BLOCK];
        lengths[8..].copy_from_slice(&(self.length * 8).to_be_bytes());
        self.hash.absorb(&mut lengths);
        let mut tag = [0; TAG];
        add_keystream(&self.counter_mode, &mut tag, self.first);
        xor(&mut tag, self.hash.value());
        tag
    }
}

fn add_keystream(key: &DecryptingKey, data: &mut [u8], counter: Block) {
    if !data.is_empty() {
        key.decrypt(data, DecryptionContext::Iv128(counter.into())).expect("counter mode takes any data");
    }
}

/// The block J0: 96 bits are followed by a counter, everything else is hashed with its length.
fn first_counter(hash: &Ghash, iv: &[u8]) -> Block {
    let mut block = [0; BLOCK];
    if iv.len() == 12 {
        block[..12].copy_from_slice(iv);
        block[15] = 1;
        return block;
    }
    block[8..].copy_from_slice(&(iv.len() as u64 * 8).to_be_bytes());
    hash.multiply_all(&[iv, &block])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_never_used_twice() {
        let mut state = Gcm::new(&SessionKey::from_bytes(&[1; 16]), &[2; 12]).expect("AES has keys of 16 bytes");
        state.length = MAX_LEN - 16;
        assert_eq!(state.encrypt(&mut [0; 16]), Some(()));
        assert_eq!(state.encrypt(&mut [0; 1]), None);
        assert_eq!(state.decrypt(&mut [0; 1]), None);
    }

    #[test]
    fn whoever_seals_too_much_gets_an_error() {
        let key = SessionKey::from_bytes(&[1; 16]);
        let random = crate::SystemRandom;
        let mut sealer =
            Sealer::new(BlockCipher::Aes128Gcm, IvLength::Sixteen, &key, &random, io::sink()).expect("sinks take all");
        sealer.state.length = MAX_LEN;
        sealer.write_all(&[0]).expect("it stays in the buffer");
        assert_eq!(sealer.finish().map(drop).map_err(|error| error.kind()), Err(io::ErrorKind::FileTooLarge));
    }
}
