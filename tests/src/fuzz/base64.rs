//! Base64 as it occurs in XML and MIME.

use std::io::{BufReader, Read as _, Write as _};

use rohrpost_xmlsec::base64::{DecodeReader, DecodeWriter, EncodeWriter, decode, encode, encode_unbroken, encoded_len};

/// The first byte says how large the pieces are; the rest is both text to decode and data to encode.
pub fn base64(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    let size = usize::from(size) + 1;
    decodes_in_pieces(data, size);
    encodes_in_pieces(data, size);
}

fn decodes_in_pieces(text: &[u8], size: usize) {
    let whole = decode(text).ok();

    let mut writer = DecodeWriter::new(Vec::new());
    let written = text.chunks(size).try_for_each(|piece| writer.write_all(piece));
    let written = written.and_then(|()| writer.finish_counting());
    if let Ok((decoded, length)) = &written {
        assert_eq!(decoded.len() as u64, *length, "what is counted is what is written");
    }
    assert_eq!(written.ok().map(|(decoded, _)| decoded), whole, "writing in pieces");

    let mut read = Vec::new();
    let result = DecodeReader::new(BufReader::with_capacity(size, text)).read_to_end(&mut read);
    assert_eq!(result.ok().map(|_| read), whole, "reading in pieces");

    if let Some(decoded) = whole {
        // Padding and zero bits are checked, so the characters of the alphabet have one spelling.
        let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        let compact: Vec<u8> = text.iter().copied().filter(alphabet).collect();
        assert_eq!(encode_unbroken(&decoded).into_bytes(), compact, "one value, one spelling");
    }
}

fn encodes_in_pieces(data: &[u8], size: usize) {
    let text = encode(data);
    assert_eq!(text.len() as u64, encoded_len(data.len() as u64));
    assert_eq!(decode(&text).as_deref(), Ok(data), "what is written can be read");

    let mut writer = EncodeWriter::new(Vec::new());
    let written = data.chunks(size).try_for_each(|piece| writer.write_all(piece));
    let written = written.and_then(|()| writer.finish()).expect("a Vec takes everything");
    assert_eq!(written, text.as_bytes(), "writing in pieces");
    assert_eq!(text.replace('\n', ""), encode_unbroken(data));
}
