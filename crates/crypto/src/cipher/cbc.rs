use std::io::{Read, Write};

use aws_lc_rs::{
    cipher::{AES_128, AES_192, AES_256, Algorithm, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey},
    iv::FixedLength,
};
use zeroize::Zeroizing;

use super::{CHUNK, OpenError, read_full};
use crate::{BlockCipher, DecryptionFailed, SessionKey};

const BLOCK_LEN: usize = 16;

/// Decrypts `IV ‖ ciphertext`.
///
/// The backend checks every byte of the padding.
pub(super) fn open<R: Read, W: Write>(
    cipher: BlockCipher,
    key: &SessionKey,
    mut input: R,
    mut output: W,
) -> Result<u64, OpenError> {
    let algorithm = algorithm(cipher).ok_or(DecryptionFailed)?;
    let mut iv = [0; BLOCK_LEN];
    if read_full(&mut input, &mut iv)? < iv.len() {
        return Err(DecryptionFailed.into());
    }
    let key = UnboundCipherKey::new(algorithm, key.expose()).map_err(|_| DecryptionFailed)?;
    let mut decrypting = StreamingDecryptingKey::cbc_pkcs7(key, DecryptionContext::Iv128(FixedLength::from(iv)))
        .map_err(|_| DecryptionFailed)?;
    let mut ciphertext = vec![0; CHUNK];
    let mut plaintext = Zeroizing::new(vec![0; CHUNK + BLOCK_LEN]);
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

fn algorithm(cipher: BlockCipher) -> Option<&'static Algorithm> {
    match cipher {
        BlockCipher::Aes128Cbc => Some(&AES_128),
        BlockCipher::Aes192Cbc => Some(&AES_192),
        BlockCipher::Aes256Cbc => Some(&AES_256),
        BlockCipher::TripleDesCbc | BlockCipher::Aes128Gcm | BlockCipher::Aes192Gcm | BlockCipher::Aes256Gcm => None,
    }
}
