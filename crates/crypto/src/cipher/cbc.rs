use std::io::{Read, Write};

#[allow(deprecated, reason = "triple DES is here to be read only")]
use aws_lc_rs::cipher::DES_EDE3_FOR_LEGACY_USE_ONLY as DES_EDE3;
use aws_lc_rs::{
    cipher::{AES_128, AES_192, AES_256, Algorithm, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey},
    iv::FixedLength,
};
use zeroize::Zeroizing;

use super::{CHUNK, OpenError, read_full};
use crate::{BlockCipher, DecryptionFailed, SessionKey};

const MAX_BLOCK_LEN: usize = 16;

/// Decrypts `IV ‖ ciphertext`.
///
/// The backend checks every byte of the padding. It refuses triple DES keys that are weak or repeat a third.
pub(super) fn open<R: Read, W: Write>(
    cipher: BlockCipher,
    key: &SessionKey,
    mut input: R,
    mut output: W,
) -> Result<u64, OpenError> {
    let algorithm = algorithm(cipher).ok_or(DecryptionFailed)?;
    let mut iv = [0; MAX_BLOCK_LEN];
    let iv = &mut iv[..algorithm.block_len()];
    if read_full(&mut input, iv)? < iv.len() {
        return Err(DecryptionFailed.into());
    }
    let key = UnboundCipherKey::new(algorithm, key.expose()).map_err(|_| DecryptionFailed)?;
    let mut decrypting = StreamingDecryptingKey::cbc_pkcs7(key, context(iv)).map_err(|_| DecryptionFailed)?;
    let mut ciphertext = vec![0; CHUNK];
    let mut plaintext = Zeroizing::new(vec![0; CHUNK + MAX_BLOCK_LEN]);
    let mut written = 0;
    loop {
        let read = read_full(&mut input, &mut ciphertext)?;
        let update = decrypting.update(&ciphertext[..read], &mut plaintext).map_err(|_| DecryptionFailed)?;
        output.write_all(update.written()).map_err(OpenError::Io)?;
        written += update.written().len() as u64;
        if read < CHUNK {
            break;
        }
    }
    let update = decrypting.finish(&mut plaintext).map_err(|_| DecryptionFailed)?;
    output.write_all(update.written()).map_err(OpenError::Io)?;
    Ok(written + update.written().len() as u64)
}

#[allow(deprecated, reason = "triple DES is here to be read only")]
fn algorithm(cipher: BlockCipher) -> Option<&'static Algorithm> {
    match cipher {
        BlockCipher::Aes128Cbc => Some(&AES_128),
        BlockCipher::Aes192Cbc => Some(&AES_192),
        BlockCipher::Aes256Cbc => Some(&AES_256),
        BlockCipher::TripleDesCbc => Some(&DES_EDE3),
        BlockCipher::Aes128Gcm | BlockCipher::Aes192Gcm | BlockCipher::Aes256Gcm => None,
    }
}

fn context(iv: &[u8]) -> DecryptionContext {
    match <[u8; 8]>::try_from(iv) {
        Ok(iv) => DecryptionContext::Iv64(FixedLength::from(iv)),
        Err(_) => DecryptionContext::Iv128(FixedLength::from(
            <[u8; 16]>::try_from(iv).expect("the other block ciphers have blocks of 16 bytes"),
        )),
    }
}
