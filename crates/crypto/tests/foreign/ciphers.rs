use std::io::Write;

use rohrpost_crypto::{
    BlockCipher, DecryptionFailed, Random, SessionKey,
    cipher::{self, IvLength, OpenError, Sealer},
    sha256,
};
use serde_json::Value;

use crate::{bytes, pattern, text, vectors};

#[test]
fn others_data_opens_and_ours_is_the_same() {
    let mut seen = Vec::new();
    for vector in vectors("ciphers") {
        let case = Case::new(&vector);
        if case.cipher.is_authenticated() {
            assert_eq!(case.seal(), case.data, "{vector}");
        }
        assert_eq!(case.open(&case.data).unwrap(), pattern(&vector), "{vector}");
        seen.push((case.cipher, case.iv_length));
    }
    for cipher in BlockCipher::ALL {
        for iv_length in [IvLength::Twelve, IvLength::Sixteen] {
            assert!(seen.contains(&(cipher, iv_length)) || !cipher.is_authenticated(), "{cipher:?} {iv_length:?}");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed_by_gcm() {
    for vector in short_vectors().filter(|vector| vector["pattern"].as_u64() < Some(40)) {
        let case = Case::new(&vector);
        if !case.cipher.is_authenticated() {
            continue;
        }
        for bit in 0..case.data.len() * 8 {
            let mut wrong = case.data.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(failed(case.open(&wrong)), "bit {bit} of {vector}");
        }
        for bit in 0..case.key.len() * 8 {
            let mut key = case.key.expose().to_vec();
            key[bit / 8] ^= 1 << (bit % 8);
            let case = Case { key: SessionKey::from_bytes(&key), ..case.clone() };
            assert!(failed(case.open(&case.data)), "bit {bit} of the key of {vector}");
        }
    }
}

#[test]
fn truncated_data_never_opens() {
    for vector in short_vectors() {
        let case = Case::new(&vector);
        for length in 0..case.data.len() {
            let opened = case.open(&case.data[..length]);
            let block = if case.cipher == BlockCipher::TripleDesCbc { 8 } else { 16 };
            if case.cipher.is_authenticated() || length < 2 * block || length % block > 0 {
                assert!(failed(opened), "{length} of {vector}");
            }
        }
        let longer = [&case.data[..], &[0]].concat();
        assert!(failed(case.open(&longer)), "one more byte after {vector}");
    }
}

#[test]
fn cbc_padding_is_strict() {
    // One block of padding only (a message of whole blocks): any other last bytes are wrong, except a final 1.
    for vector in short_vectors().filter(|vector| vector["pattern"] == 16 && text(vector, "maker") == "openssl") {
        let case = Case::new(&vector);
        let block = if case.cipher == BlockCipher::TripleDesCbc { 8 } else { 16 };
        let before_last = case.data.len() - 2 * block;
        for (position, flip) in [(0, 1), (1, 0x80), (block - 2, 1), (block - 1, 0x20), (block - 1, block as u8)] {
            let mut wrong = case.data.clone();
            // changes the decrypted last block at the same place
            wrong[before_last + position] ^= flip;
            assert!(failed(case.open(&wrong)), "{position} of {vector}");
        }
        let mut shorter = case.data.clone();
        shorter[before_last + block - 1] ^= block as u8 ^ 1;
        assert_eq!(case.open(&shorter).unwrap().len(), 16 + block - 1, "a padding of one byte is a padding");
    }
}

#[test]
fn wrong_key_lengths_and_the_other_iv_length_fail() {
    for vector in short_vectors() {
        let case = Case::new(&vector);
        for length in [0, 1, 15, 16, 24, 32, 33].into_iter().filter(|length| *length != case.key.len()) {
            let key = SessionKey::from_bytes(&vec![7; length]);
            assert!(failed(Case { key, ..case.clone() }.open(&case.data)), "{length} {vector}");
        }
        if case.cipher.is_authenticated() {
            let iv_length = match case.iv_length {
                IvLength::Twelve => IvLength::Sixteen,
                IvLength::Sixteen => IvLength::Twelve,
            };
            assert!(failed(Case { iv_length, ..case.clone() }.open(&case.data)), "{vector}");
        }
    }
}

#[test]
fn sealing_refuses_cbc_and_wrong_keys() {
    for cipher in BlockCipher::ALL {
        for length in [0, 8, 16, 24, 32, 48] {
            let key = SessionKey::from_bytes(&vec![1; length]);
            let sealer = Sealer::new(cipher, IvLength::Twelve, &key, &Fixed(vec![0; 12]), Vec::new());
            let fits = cipher.is_authenticated() && length == cipher.key_len();
            assert_eq!(sealer.is_ok(), fits, "{cipher:?} {length}");
        }
    }
}

#[test]
fn every_failure_looks_the_same() {
    let vector = short_vectors().find(|vector| vector["pattern"] == 100).unwrap();
    let case = Case::new(&vector);
    let mut wrong = case.data.clone();
    wrong[50] ^= 1;
    let short_key = Case { key: SessionKey::from_bytes(&[1]), ..case.clone() };
    let cbc = Case { cipher: BlockCipher::Aes128Cbc, key: SessionKey::from_bytes(&[1; 16]), ..case.clone() };
    let errors =
        [case.open(&wrong), case.open(b""), case.open(&wrong[..20]), short_key.open(&case.data), cbc.open(&case.data)];
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), DecryptionFailed.to_string());
        assert_eq!(format!("{error:?}"), "Failed(DecryptionFailed)");
        assert!(std::error::Error::source(&error).is_none());
    }
}

#[test]
fn a_failing_writer_is_not_a_failed_decryption() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let vector = short_vectors().find(|vector| vector["pattern"] == 100).unwrap();
    let case = Case::new(&vector);
    let error = cipher::open(case.cipher, case.iv_length, &case.key, &case.data[..], Full).unwrap_err();
    assert!(matches!(error, OpenError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull));
    let random = Fixed(vec![0; 12]);
    assert!(
        Sealer::new(BlockCipher::Aes128Gcm, IvLength::Twelve, &SessionKey::from_bytes(&[0; 16]), &random, Full)
            .is_err()
    );
}

#[derive(Clone)]
struct Case {
    cipher: BlockCipher,
    iv_length: IvLength,
    key: SessionKey,
    plaintext: Vec<u8>,
    /// IV, ciphertext and tag.
    data: Vec<u8>,
}

impl Case {
    fn new(vector: &Value) -> Self {
        let cipher = BlockCipher::from_uri(text(vector, "uri")).unwrap();
        let iv_length = IvLength::from_bytes(vector["iv_length"].as_u64().unwrap_or(16) as usize).unwrap();
        let key = SessionKey::from_bytes(&bytes(vector, "key"));
        let mut case = Self { cipher, iv_length, key, plaintext: pattern(vector), data: Vec::new() };
        case.data = match vector.get("data") {
            Some(_) => bytes(vector, "data"),
            None => case.recompute(vector),
        };
        case
    }

    /// Long data is given by its hash only.
    fn recompute(&self, vector: &Value) -> Vec<u8> {
        let iv = bytes(vector, "iv");
        let data = if self.cipher.is_authenticated() {
            self.seal_with(&iv)
        } else {
            cbc_encrypt(self.cipher, self.key.expose(), &iv, &self.plaintext)
        };
        assert_eq!(sha256(&data)[..], bytes(vector, "sha256"), "{vector}");
        data
    }

    fn seal(&self) -> Vec<u8> {
        self.seal_with(&self.data[..self.iv_length.bytes()])
    }

    fn seal_with(&self, iv: &[u8]) -> Vec<u8> {
        let random = Fixed(iv.to_vec());
        let mut sealer = Sealer::new(self.cipher, self.iv_length, &self.key, &random, Vec::new()).unwrap();
        sealer.write_all(&self.plaintext).unwrap();
        sealer.finish().unwrap()
    }

    fn open(&self, data: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut output = Vec::new();
        let length = cipher::open(self.cipher, self.iv_length, &self.key, data, &mut output)?;
        assert_eq!(length, output.len() as u64);
        Ok(output)
    }
}

/// The vectors that carry their data.
fn short_vectors() -> impl Iterator<Item = Value> {
    vectors("ciphers")
        .into_iter()
        .filter(|vector| vector.get("data").is_some() && vector["pattern"].as_u64() <= Some(100))
}

fn failed(outcome: Result<Vec<u8>, OpenError>) -> bool {
    matches!(outcome, Err(OpenError::Failed(DecryptionFailed)))
}

/// Gives the bytes it was made with.
struct Fixed(Vec<u8>);

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0);
    }
}

/// The backend's one-shot encryption; its result is checked against the hash of the vector.
#[allow(deprecated, reason = "triple DES is made here to be read")]
fn cbc_encrypt(cipher: BlockCipher, key: &[u8], iv: &[u8], plaintext: &[u8]) -> Vec<u8> {
    use aws_lc_rs::cipher::{self as aws, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
    let (algorithm, context) = match cipher {
        BlockCipher::TripleDesCbc => {
            (&aws::DES_EDE3_FOR_LEGACY_USE_ONLY, EncryptionContext::Iv64(<[u8; 8]>::try_from(iv).unwrap().into()))
        }
        _ => (
            match key.len() {
                16 => &aws::AES_128,
                24 => &aws::AES_192,
                _ => &aws::AES_256,
            },
            EncryptionContext::Iv128(<[u8; 16]>::try_from(iv).unwrap().into()),
        ),
    };
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, key).unwrap()).unwrap();
    let mut data = plaintext.to_vec();
    key.less_safe_encrypt(&mut data, context).unwrap();
    [iv, &data].concat()
}
