//! Triple DES in CBC mode, for reading archives and the oldest peers. AWS-LC refuses keys whose first and third part are equal,
//! which is just what the reference library makes; hence another backend.

use std::io::{Read, Write};

use des::TdesEde3;
use des::cipher::{Array, BlockCipherDecrypt, KeyInit};
use zeroize::Zeroizing;

use super::{CHUNK, OpenError, read_full};
use crate::{DecryptionFailed, SessionKey};

const BLOCK: usize = 8;

/// Decrypts `IV ‖ ciphertext`, with strict PKCS#7 padding.
pub(super) fn open<R: Read, W: Write>(key: &SessionKey, mut input: R, mut output: W) -> Result<u64, OpenError> {
    let cipher = TdesEde3::new_from_slice(key.expose()).map_err(|_| DecryptionFailed)?;
    let mut previous = [0; BLOCK];
    if read_full(&mut input, &mut previous)? < BLOCK {
        return Err(DecryptionFailed.into());
    }
    let mut buffer = Zeroizing::new(vec![0; CHUNK]);
    let mut last: Option<Zeroizing<[u8; BLOCK]>> = None;
    let mut written = 0;
    loop {
        let read = read_full(&mut input, &mut buffer)?;
        let whole = read - read % BLOCK;
        decrypt(&cipher, &mut previous, &mut buffer[..whole]);
        if whole > 0 {
            // The last block of all holds the padding: each chunk keeps its own back until another one follows.
            if let Some(block) = last.replace(tail(&buffer[..whole])) {
                output.write_all(&*block).map_err(OpenError::Io)?;
                written += BLOCK as u64;
            }
            output.write_all(&buffer[..whole - BLOCK]).map_err(OpenError::Io)?;
            written += (whole - BLOCK) as u64;
        }
        if read < CHUNK {
            if whole != read {
                return Err(DecryptionFailed.into());
            }
            break;
        }
    }
    let last = last.ok_or(DecryptionFailed)?;
    let content = unpadded(&last)?;
    output.write_all(&last[..content]).map_err(OpenError::Io)?;
    Ok(written + content as u64)
}

fn decrypt(cipher: &TdesEde3, previous: &mut [u8; BLOCK], blocks: &mut [u8]) {
    for block in blocks.chunks_exact_mut(BLOCK) {
        let mut ciphertext = [0; BLOCK];
        ciphertext.copy_from_slice(block);
        let mut plain = Array::from(ciphertext);
        cipher.decrypt_block(&mut plain);
        for ((out, byte), chained) in block.iter_mut().zip(plain).zip(*previous) {
            *out = byte ^ chained;
        }
        *previous = ciphertext;
    }
}

fn tail(blocks: &[u8]) -> Zeroizing<[u8; BLOCK]> {
    let mut last = Zeroizing::new([0; BLOCK]);
    last.copy_from_slice(&blocks[blocks.len() - BLOCK..]);
    last
}

/// How much of the last block is content.
fn unpadded(last: &[u8; BLOCK]) -> Result<usize, DecryptionFailed> {
    let padding = usize::from(last[BLOCK - 1]);
    let is_right = (1..=BLOCK).contains(&padding)
        && last[BLOCK - padding.min(BLOCK)..].iter().all(|byte| usize::from(*byte) == padding);
    if is_right { Ok(BLOCK - padding) } else { Err(DecryptionFailed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl enc -des-ede3-cbc` of 13 bytes under a key whose first and third part are equal.
    #[test]
    fn keys_with_two_parts_open() {
        let parts: [u8; 16] = *b"0123456789abcdef";
        let key = [&parts[..], &parts[..8]].concat();
        let sealed = hex("00010203040506075f274d33d1432efba1164d297d745532");
        let mut plain = Vec::new();
        let opened = open(&SessionKey::from_bytes(&key), &sealed[..], &mut plain);
        assert!(opened.is_ok());
        assert_eq!(plain, b"Guten Morgen!");
    }

    #[test]
    fn padding_and_length_are_checked() {
        let key = SessionKey::from_bytes(b"0123456789abcdefABCDEFGH");
        for sealed in [&[0u8; 0][..], &[0; 7], &[0; 8], &[0; 12], &[0; 16], &[0; 20], &[7; 64]] {
            assert!(open(&key, sealed, Vec::new()).is_err(), "{}", sealed.len());
        }
        for last in [[0u8; 8], [9; 8], [1, 1, 1, 1, 1, 1, 1, 2], [3, 3, 3, 3, 3, 2, 3, 3], [255; 8]] {
            assert!(unpadded(&last).is_err(), "{last:?}");
        }
        assert_eq!(unpadded(&[8; 8]).ok(), Some(0));
        assert_eq!(unpadded(&[1, 2, 3, 4, 5, 6, 7, 1]).ok(), Some(7));
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }
}
