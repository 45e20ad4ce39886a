//! Reading `EncryptedData`.

use std::io::{self, BufRead, Write};

use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{BlockCipher, KeyTransport, SessionKey};
use zeroize::Zeroizing;

use super::{
    CipherData, EncryptedData, EncryptedKey, EncryptionMalformed, IV_LENGTH_NAMESPACE, Limits, NAMESPACE, NAMESPACE_11,
    Recipient,
};
use crate::base64::{self, DecodeWriter};
use crate::cursor::{Cursor, empty, leaf};
use crate::dsig;
use crate::reader::{StrictReader, XmlError};
use crate::tree::{Builder, Element};

impl EncryptedData {
    /// Reads an `xenc:EncryptedData`.
    ///
    /// # Errors
    /// [`EncryptionMalformed`] for everything outside the closed list of parts.
    pub fn parse(element: &Element, limits: &Limits) -> Result<Self, EncryptionMalformed> {
        if !element.is(NAMESPACE, "EncryptedData") {
            return Err(EncryptionMalformed::Missing("EncryptedData"));
        }
        let mut parts = Cursor::new(element)?;
        let (cipher, iv) = parse_method(parts.required(NAMESPACE, "EncryptionMethod")?)?;
        let key_info = parts.required(dsig::NAMESPACE, "KeyInfo")?;
        let data = parse_cipher_data(parts.required(NAMESPACE, "CipherData")?)?;
        parts.end()?;
        let (keys, plain_key) = parse_key_info(key_info, cipher, limits)?;
        let text = |name| element.attr(name).map(str::to_owned);
        Ok(Self { id: text("Id"), mime_type: text("MimeType"), cipher, iv, keys, plain_key, data })
    }

    /// Reads the `xenc:EncryptedData` whose start tag `reader` handed out last, up to its end. The octets of its
    /// `CipherValue`, if it has one, are decoded into `sink` while they are read, so that they cost no memory.
    ///
    /// On errors the caller must discard what the sink got.
    ///
    /// # Errors
    /// [`EncryptionMalformed`].
    pub fn read_streaming<R: BufRead, W: Write>(
        reader: &mut StrictReader<R>,
        limits: &Limits,
        sink: W,
    ) -> Result<Self, EncryptionMalformed> {
        let mut decoder = DecodeWriter::new(sink);
        let nodes = reader.limits().tree_nodes;
        let element = Builder::read(reader, nodes, &mut |path, text| match path {
            [data, cipher_data, value] if is_value(data, cipher_data, value) => {
                decoder.write_all(text.as_bytes()).map_err(XmlError::Output)?;
                Ok(true)
            }
            _ => Ok(false),
        })
        .map_err(decoding)?;
        let mut data = Self::parse(&element, limits)?;
        if let CipherData::Value(_) = data.data {
            let (_, length) = decoder.finish_counting().map_err(XmlError::Output).map_err(decoding)?;
            data.data = CipherData::Streamed(length);
        }
        Ok(data)
    }
}

fn is_value(data: &Element, cipher_data: &Element, value: &Element) -> bool {
    data.is(NAMESPACE, "EncryptedData") && cipher_data.is(NAMESPACE, "CipherData") && value.is(NAMESPACE, "CipherValue")
}

/// Tells malformed base64 from a sink that fails.
fn decoding(error: XmlError) -> EncryptionMalformed {
    match error {
        XmlError::Output(error) if is_base64(&error) => EncryptionMalformed::Base64,
        error => error.into(),
    }
}

fn is_base64(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<base64::Base64Malformed>())
}

fn parse_method(element: &Element) -> Result<(BlockCipher, IvLength), EncryptionMalformed> {
    let mut parts = Cursor::new(element)?;
    let iv = parts.optional(IV_LENGTH_NAMESPACE, "IvLength").map(parse_iv_length).transpose()?;
    parts.end()?;
    let cipher = BlockCipher::from_uri(algorithm(element)?).ok_or(EncryptionMalformed::UnknownCipher)?;
    Ok((cipher, iv.unwrap_or(IvLength::Sixteen)))
}

fn parse_iv_length(element: &Element) -> Result<IvLength, EncryptionMalformed> {
    empty(element)?;
    match element.attr("Value").ok_or(EncryptionMalformed::Missing("Value"))?.trim_ascii() {
        "12" => Ok(IvLength::Twelve),
        "16" => Ok(IvLength::Sixteen),
        _ => Err(EncryptionMalformed::IvLength),
    }
}

type Keys = (Vec<EncryptedKey>, Option<SessionKey>);

fn parse_key_info(element: &Element, cipher: BlockCipher, limits: &Limits) -> Result<Keys, EncryptionMalformed> {
    let mut parts = Cursor::new(element)?;
    if let Some(element) = parts.optional(dsig::NAMESPACE, "MgmtData") {
        parts.end()?;
        let key = Zeroizing::new(base64::decode(leaf(element)?)?);
        if key.len() != cipher.key_len() {
            return Err(EncryptionMalformed::KeyLength);
        }
        return Ok((Vec::new(), Some(SessionKey::from_bytes(&key))));
    }
    let mut keys = vec![parse_key(parts.required(NAMESPACE, "EncryptedKey")?)?];
    while let Some(element) = parts.optional(NAMESPACE, "EncryptedKey") {
        if keys.len() >= limits.keys {
            return Err(EncryptionMalformed::TooMany);
        }
        keys.push(parse_key(element)?);
    }
    parts.end()?;
    Ok((keys, None))
}

fn parse_key(element: &Element) -> Result<EncryptedKey, EncryptionMalformed> {
    let mut parts = Cursor::new(element)?;
    let transport = parse_transport(parts.required(NAMESPACE, "EncryptionMethod")?)?;
    let recipient = parse_recipient(parts.required(dsig::NAMESPACE, "KeyInfo")?)?;
    let data = parse_cipher_data(parts.required(NAMESPACE, "CipherData")?)?;
    parts.end()?;
    let CipherData::Value(wrapped) = data else { return Err(EncryptionMalformed::Missing("CipherValue")) };
    Ok(EncryptedKey { transport, recipient, wrapped })
}

/// RSA-OAEP wants both parameters, RSA v1.5 none; `OAEPparams` and `KeySize` are refused.
fn parse_transport(element: &Element) -> Result<KeyTransport, EncryptionMalformed> {
    let mut parts = Cursor::new(element)?;
    let (mut mgf, mut digest) = (None, None);
    // the order is MGF, DigestMethod; the other one does no harm
    for _ in 0..2 {
        mgf = mgf.or_else(|| parts.optional(NAMESPACE_11, "MGF"));
        digest = digest.or_else(|| parts.optional(dsig::NAMESPACE, "DigestMethod"));
    }
    parts.end()?;
    let method = |element: Option<_>| element.map(parameter).transpose();
    KeyTransport::from_uris(algorithm(element)?, method(digest)?, method(mgf)?)
        .ok_or(EncryptionMalformed::UnknownKeyTransport)
}

fn parse_recipient(element: &Element) -> Result<Recipient, EncryptionMalformed> {
    let mut parts = Cursor::new(element)?;
    let recipient = if let Some(method) = parts.optional(dsig::NAMESPACE, "RetrievalMethod") {
        empty(method)?;
        Recipient::Retrieval(attribute(method, "URI")?.to_owned())
    } else {
        let mut data = Cursor::new(parts.required(dsig::NAMESPACE, "X509Data")?)?;
        let certificate = data.required(dsig::NAMESPACE, "X509Certificate")?;
        data.end()?;
        Recipient::Certificate(base64::decode(leaf(certificate)?)?)
    };
    parts.end()?;
    Ok(recipient)
}

fn parse_cipher_data(element: &Element) -> Result<CipherData, EncryptionMalformed> {
    let mut parts = Cursor::new(element)?;
    let data = if let Some(reference) = parts.optional(NAMESPACE, "CipherReference") {
        let mut within = Cursor::new(reference)?;
        if let Some(transforms) = within.optional(NAMESPACE, "Transforms") {
            let mut within = Cursor::new(transforms)?;
            while let Some(transform) = within.optional(dsig::NAMESPACE, "Transform") {
                parameter(transform)?;
            }
            within.end()?;
        }
        within.end()?;
        CipherData::Reference(attribute(reference, "URI")?.to_owned())
    } else {
        CipherData::Value(base64::decode(leaf(parts.required(NAMESPACE, "CipherValue")?)?)?)
    };
    parts.end()?;
    Ok(data)
}

fn algorithm(element: &Element) -> Result<&str, EncryptionMalformed> {
    attribute(element, "Algorithm")
}

fn parameter(element: &Element) -> Result<&str, EncryptionMalformed> {
    empty(element)?;
    algorithm(element)
}

fn attribute<'a>(element: &'a Element, name: &'static str) -> Result<&'a str, EncryptionMalformed> {
    element.attr(name).ok_or(EncryptionMalformed::Missing(name))
}
