//! Base64 as it occurs in XML and MIME (RFC 2045, 6.8), streaming in both directions.
//!
//! Decoding skips every character outside the alphabet, as RFC 2045 says, but insists on correct
//! padding and on zero bits where nothing is encoded. Encoding writes lines of 76 characters, each
//! full line followed by LF; a shorter last line gets none.

mod decode;
mod encode;

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use decode::{DecodeReader, DecodeWriter, Decoder};
pub use encode::EncodeWriter;

use encode::{LINE, LINE_TEXT};

/// Padding is wrong, or characters follow it, or bits are set that encode nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed base64")]
pub struct Base64Malformed;

impl From<Base64Malformed> for io::Error {
    fn from(error: Base64Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Decodes a whole text.
///
/// ```
/// assert_eq!(rohrpost_xmlsec::base64::decode(" aGVs\r\nbG8=\n")?, b"hello");
/// # Ok::<(), rohrpost_xmlsec::base64::Base64Malformed>(())
/// ```
///
/// # Errors
/// [`Base64Malformed`].
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, Base64Malformed> {
    let text = text.as_ref();
    let mut decoder = Decoder::default();
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 3);
    decoder.push(text, &mut decoded)?;
    decoder.finish(&mut decoded)?;
    Ok(decoded)
}

/// Encodes in lines, see the [module](self).
pub fn encode(data: impl AsRef<[u8]>) -> String {
    let data = data.as_ref();
    let mut text = vec![b'\n'; encoded_len(data.len() as u64) as usize];
    for (line, room) in data.chunks(LINE).zip(text.chunks_mut(LINE_TEXT + 1)) {
        STANDARD.encode_slice(line, room).expect("a line has room for what it becomes");
    }
    String::from_utf8(text).expect("base64 is ASCII")
}

/// Encodes without line breaks.
pub fn encode_unbroken(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

/// Length of what [`encode()`] makes of `length` bytes.
pub fn encoded_len(length: u64) -> u64 {
    length.div_ceil(3) * 4 + length / LINE as u64
}

/// Bytes worked on at a time.
const PIECE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_76_characters_and_only_full_ones_end() {
        assert_eq!(encode([0; 57]), format!("{}\n", "A".repeat(76)));
        assert_eq!(encode([0; 58]), format!("{}\nAA==", "A".repeat(76)));
        assert_eq!(encode(b""), "");
        assert_eq!(encode_unbroken([0; 60]), "A".repeat(80));
    }

    #[test]
    fn foreign_characters_are_skipped() {
        for text in ["aGVsbG8=", "a G\tV\r\nsbG8\n=\n", "*aGVs-bG8=!", "aGVsbG8 = ~"] {
            assert_eq!(decode(text).as_deref(), Ok(&b"hello"[..]), "{text}");
        }
        assert_eq!(decode(" \n"), Ok(vec![]));
    }

    #[test]
    fn padding_is_strict() {
        for text in ["a", "aG", "aGV", "aG=", "aGVs=", "aG===", "=", "aG==aGVs", "aGV=a", "aGVsbG8", "aG=V", "aGV=="] {
            assert_eq!(decode(text), Err(Base64Malformed), "{text}");
        }
        assert_eq!(decode("aGVsbG9="), Err(Base64Malformed), "bits that encode nothing");
        assert_eq!(decode("aGVsbG8="), Ok(b"hello".to_vec()));
    }

    proptest! {
        #[test]
        fn streams_agree_with_the_whole(data in proptest::collection::vec(any::<u8>(), 0..400), cut in 1_usize..100) {
            let mut writer = EncodeWriter::new(Vec::new());
            data.chunks(cut).for_each(|piece| writer.write_all(piece).unwrap());
            let text = writer.finish().unwrap();
            prop_assert_eq!(&text[..], encode(&data).into_bytes());
            prop_assert_eq!(text.len() as u64, encoded_len(data.len() as u64));

            let mut decoder = DecodeWriter::new(Vec::new());
            text.chunks(cut).for_each(|piece| decoder.write_all(piece).unwrap());
            prop_assert_eq!(&decoder.finish().unwrap(), &data);

            let mut read = Vec::new();
            DecodeReader::new(io::BufReader::with_capacity(cut, &text[..])).read_to_end(&mut read).unwrap();
            prop_assert_eq!(&read, &data);
        }
    }
}
