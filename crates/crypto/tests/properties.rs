//! Streaming encryption against other ways to compute the same.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{self, Read, Write};

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ghash::{GHash, universal_hash::UniversalHash};
use proptest::{collection::vec, prelude::*, sample::select};
use rohrpost_crypto::{
    BlockCipher, Random, SessionKey,
    cipher::{self, IvLength, Sealer},
};

const CIPHERS: [BlockCipher; 3] = [BlockCipher::Aes128Gcm, BlockCipher::Aes192Gcm, BlockCipher::Aes256Gcm];

/// Lengths around the block, the chunk and the point where hashing changes its way.
fn length() -> impl Strategy<Value = usize> {
    let edges =
        vec![0, 1, 15, 16, 17, 1007, 1008, 1023, 1024, 1025, 1040, 65519, 65520, 65535, 65536, 65537, 65552, 131_072];
    prop_oneof![0..300usize, select(edges), 0..200_000usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sealing_in_pieces_is_the_one_shot_of_the_backend(
        cipher in select(&CIPHERS[..]), seed in any::<u64>(), length in length(),
        pieces in vec(prop_oneof![1..40usize, 1..70_000usize], 1..20), flush in any::<bool>(),
    ) {
        let (key, iv, plaintext) = (bytes(seed, cipher.key_len()), bytes(seed + 1, 12), bytes(seed + 2, length));
        let sealed = seal(cipher, IvLength::Twelve, &key, &iv, &plaintext, &pieces, flush);
        prop_assert!(sealed == backend_one_shot(&key, &iv, &plaintext));
    }

    #[test]
    fn sealing_in_pieces_is_the_textbook_construction(
        cipher in select(&CIPHERS[..]), iv_length in select(&[IvLength::Twelve, IvLength::Sixteen][..]),
        seed in any::<u64>(), length in length(), pieces in vec(1..70_000usize, 1..20),
    ) {
        let (key, iv) = (bytes(seed, cipher.key_len()), bytes(seed + 1, iv_length.bytes()));
        let plaintext = bytes(seed + 2, length);
        let sealed = seal(cipher, iv_length, &key, &iv, &plaintext, &pieces, false);
        let expected = match cipher {
            BlockCipher::Aes128Gcm => textbook::<aes::Aes128>(&key, &iv, &plaintext),
            BlockCipher::Aes192Gcm => textbook::<aes::Aes192>(&key, &iv, &plaintext),
            _ => textbook::<aes::Aes256>(&key, &iv, &plaintext),
        };
        prop_assert!(sealed == expected);
    }

    #[test]
    fn opening_does_not_depend_on_the_pieces(
        cipher in select(&CIPHERS[..]), iv_length in select(&[IvLength::Twelve, IvLength::Sixteen][..]),
        seed in any::<u64>(), length in length(), pieces in vec(prop_oneof![1..40usize, 1..70_000usize], 1..20),
    ) {
        let (key, iv) = (bytes(seed, cipher.key_len()), bytes(seed + 1, iv_length.bytes()));
        let plaintext = bytes(seed + 2, length);
        let sealed = seal(cipher, iv_length, &key, &iv, &plaintext, &[usize::MAX], false);
        let key = SessionKey::from_bytes(&key);
        let mut opened = Vec::new();
        let input = Trickle { data: &sealed, pieces: pieces.iter().cycle() };
        prop_assert_eq!(cipher::open(cipher, iv_length, &key, input, &mut opened).unwrap(), length as u64);
        prop_assert!(opened == plaintext);
    }

    #[test]
    fn damage_is_noticed_wherever_it_is(
        cipher in select(&CIPHERS[..]), iv_length in select(&[IvLength::Twelve, IvLength::Sixteen][..]),
        seed in any::<u64>(), length in length(), at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>(),
    ) {
        let (key, iv) = (bytes(seed, cipher.key_len()), bytes(seed + 1, iv_length.bytes()));
        let mut sealed = seal(cipher, iv_length, &key, &iv, &bytes(seed + 2, length), &[usize::MAX], false);
        let at = at.index(sealed.len());
        if cut {
            sealed.truncate(at);
        } else {
            sealed[at] ^= 1 << bit;
        }
        let outcome = cipher::open(cipher, iv_length, &SessionKey::from_bytes(&key), &sealed[..], io::sink());
        prop_assert!(matches!(outcome, Err(cipher::OpenError::Failed(_))));
    }
}

fn seal(
    cipher: BlockCipher,
    iv_length: IvLength,
    key: &[u8],
    iv: &[u8],
    plaintext: &[u8],
    pieces: &[usize],
    flush: bool,
) -> Vec<u8> {
    let random = Fixed(iv.to_vec());
    let mut sealer = Sealer::new(cipher, iv_length, &SessionKey::from_bytes(key), &random, Vec::new()).unwrap();
    let mut rest = plaintext;
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*piece).min(rest.len()));
        sealer.write_all(now).unwrap();
        if flush {
            sealer.flush().unwrap();
        }
        rest = later;
    }
    sealer.finish().unwrap()
}

fn backend_one_shot(key: &[u8], iv: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        _ => &AES_256_GCM,
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
    let mut data = plaintext.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(iv).unwrap();
    let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut data).unwrap();
    [iv, &data, tag.as_ref()].concat()
}

/// NIST SP 800-38D, step by step, from AES, counter mode and GHASH of another library.
fn textbook<C>(key: &[u8], iv: &[u8], plaintext: &[u8]) -> Vec<u8>
where
    C: KeyInit + BlockCipherEncrypt + aes::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16> + Clone,
    ctr::Ctr32BE<C>: KeyIvInit + StreamCipher,
{
    let aes = C::new_from_slice(key).unwrap();
    let mut hash_key = Array::from([0; 16]);
    aes.encrypt_block(&mut hash_key);
    let ghash = |data: &[u8]| {
        let mut ghash = GHash::new(&hash_key);
        ghash.update_padded(data);
        let mut lengths = [0; 16];
        lengths[8..].copy_from_slice(&(data.len() as u64 * 8).to_be_bytes());
        ghash.update(&[lengths.into()]);
        <[u8; 16]>::from(ghash.finalize())
    };
    let first = match <[u8; 12]>::try_from(iv) {
        Ok(iv) => u128::from_be_bytes([&iv[..], &[0, 0, 0, 1]].concat().try_into().unwrap()),
        Err(_) => u128::from_be_bytes(ghash(iv)),
    };
    let second = (first & !0xffff_ffff) | u128::from((first as u32).wrapping_add(1));
    let mut data = plaintext.to_vec();
    ctr::Ctr32BE::<C>::new_from_slices(key, &second.to_be_bytes()).unwrap().apply_keystream(&mut data);
    let mut mask = Array::from(first.to_be_bytes());
    aes.encrypt_block(&mut mask);
    let tag = u128::from_be_bytes(ghash(&data)) ^ u128::from_be_bytes(mask.into());
    [iv, &data, &tag.to_be_bytes()].concat()
}

/// Reads in pieces of given lengths.
struct Trickle<'a, I> {
    data: &'a [u8],
    pieces: I,
}

impl<'a, I: Iterator<Item = &'a usize>> Read for Trickle<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = *self.pieces.next().unwrap();
        let length = wanted.min(buffer.len()).min(self.data.len());
        let (now, later) = self.data.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.data = later;
        Ok(length)
    }
}

struct Fixed(Vec<u8>);

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0);
    }
}

/// Repeatable bytes without a pattern (SplitMix64).
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next().to_be_bytes()).collect();
    bytes.truncate(length);
    bytes
}
