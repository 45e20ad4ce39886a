//! The hash inside GCM, at the speed of the backend's one-shot GCM.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ghash::{GHash, universal_hash::UniversalHash};
use zeroize::Zeroize;

pub(super) const BLOCK: usize = 16;

pub(super) type Block = [u8; BLOCK];

/// GHASH under one key, over data that comes in pieces (NIST SP 800-38D 6.4).
///
/// The state after the blocks X1 … Xn is S = (… (X1·H + X2)·H …  + Xn)·H in GF(2^128). Short pieces go through the
/// `ghash` crate, which multiplies. For long ones the one-shot GCM of `aws-lc-rs` does the same an order of magnitude
/// faster: sealing nothing with X1 … Xn as additional data gives the tag E + (S + L)·H, where L is a block of lengths
/// and E does not depend on the data (it is the tag of nothing at all). With the block X' that follows,
///
/// ```text
/// (S + X')·H  =  tag + E + (L + X')·H
/// ```
///
/// which is the state after X'. The state before the piece is added to X1. Those tags never leave this file, so the
/// fixed nonce gives nothing away.
pub(super) struct Ghash {
    multiplier: GHash,
    one_shot: LessSafeKey,
    /// E above.
    one_shot_mask: Block,
    state: Block,
}

/// From how many bytes on the one-shot GCM is faster.
const LONG: usize = 1024;

impl Ghash {
    /// From the AES key and H, which is the encrypted zero block; `None` if AES has no such key length.
    pub(super) fn new(key: &[u8], hash_key: &Block) -> Option<Self> {
        let algorithm = match key.len() {
            16 => &AES_128_GCM,
            24 => &AES_192_GCM,
            32 => &AES_256_GCM,
            _ => return None,
        };
        let one_shot = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Self {
            multiplier: GHash::new(&(*hash_key).into()),
            one_shot_mask: one_shot_tag(&one_shot, &[]),
            one_shot,
            state: [0; BLOCK],
        })
    }

    /// Adds data; a block that is not full is padded with zeros. The data is the same afterwards.
    pub(super) fn absorb(&mut self, data: &mut [u8]) {
        let long = if data.len() < LONG { 0 } else { data.len() / BLOCK * BLOCK };
        let (long, short) = data.split_at_mut(long);
        if !long.is_empty() {
            self.absorb_long(long);
        }
        if !short.is_empty() {
            self.absorb_short(short);
        }
    }

    pub(super) fn value(&self) -> &Block {
        &self.state
    }

    /// The hash of these parts, each padded to full blocks, independent of the state.
    pub(super) fn multiply_all(&self, parts: &[&[u8]]) -> Block {
        let mut hash = self.multiplier.clone();
        parts.iter().for_each(|part| hash.update_padded(part));
        hash.finalize().into()
    }

    fn absorb_short(&mut self, data: &[u8]) {
        let (first, rest) = data.split_at(data.len().min(BLOCK));
        xor(&mut self.state, first);
        self.state = self.multiply_all(&[&self.state, rest]);
    }

    fn absorb_long(&mut self, data: &mut [u8]) {
        xor(data, &self.state);
        let (body, last) = data.split_at(data.len() - BLOCK);
        let mut next = one_shot_tag(&self.one_shot, body);
        xor(&mut next, &self.one_shot_mask);
        let mut last_and_lengths: Block = last.try_into().expect("it was split off as one block");
        xor(&mut last_and_lengths, &(body.len() as u64 * 8).to_be_bytes());
        xor(&mut next, &self.multiply_all(&[&last_and_lengths]));
        xor(data, &self.state);
        self.state = next;
    }
}

impl Drop for Ghash {
    fn drop(&mut self) {
        self.one_shot_mask.zeroize();
        self.state.zeroize();
    }
}

fn one_shot_tag(key: &LessSafeKey, additional_data: &[u8]) -> Block {
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(additional_data), &mut [])
        .expect("pieces are far below the limit of additional data");
    tag.as_ref().try_into().expect("tags of GCM have 16 bytes")
}

/// Adds as many bytes as `other` has.
pub(super) fn xor(block: &mut [u8], other: &[u8]) {
    block.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}
