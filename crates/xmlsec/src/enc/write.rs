//! Writing `EncryptedData`.

use std::io::{self, Write};

use rohrpost_crypto::KeyTransport;
use rohrpost_crypto::cipher::IvLength;
use zeroize::Zeroizing;

use super::{CipherData, EncryptedData, EncryptedKey, IV_LENGTH_NAMESPACE, NAMESPACE_11, Recipient};
use crate::NsContext;
use crate::base64::{self, EncodeWriter};
use crate::c14n::escape_attribute;
use crate::dsig::{TRANSFORM_BASE64, X509_DATA};

impl EncryptedData {
    /// The element, with `declarations` on its start tag, for a place where the prefixes `ds` and `xenc` are bound.
    /// It is canonical apart from inherited declarations.
    ///
    /// # Panics
    /// If the data were [streamed](CipherData::Streamed) away when it was read.
    pub fn to_xml(&self, declarations: &NsContext) -> String {
        let mut text = self.head(declarations);
        match &self.data {
            CipherData::Reference(uri) => text.extend([
                "<xenc:CipherReference URI=\"",
                &escape_attribute(uri),
                "\"><xenc:Transforms><ds:Transform Algorithm=\"",
                TRANSFORM_BASE64,
                "\"></ds:Transform></xenc:Transforms></xenc:CipherReference>",
            ]),
            CipherData::Value(value) => push_value(&mut text, value),
            CipherData::Streamed(_) => panic!("the data are not here any more"),
        }
        text.push_str(TAIL);
        text
    }

    /// Writes the element with a `CipherValue` to `sink`; what is written to the result becomes the value. `data` is
    /// not looked at.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn write_value<W: Write>(&self, declarations: &NsContext, mut sink: W) -> io::Result<CipherValueWriter<W>> {
        sink.write_all(self.head(declarations).as_bytes())?;
        sink.write_all(b"<xenc:CipherValue>")?;
        Ok(CipherValueWriter(EncodeWriter::new(sink)))
    }

    /// Everything up to the inside of `CipherData`.
    fn head(&self, declarations: &NsContext) -> String {
        let mut text = String::with_capacity(ROOM);
        text.push_str("<xenc:EncryptedData");
        text.push_str(&declarations.to_declarations());
        push_attribute(&mut text, "Id", self.id.as_deref());
        push_attribute(&mut text, "MimeType", self.mime_type.as_deref());
        text.extend(["><xenc:EncryptionMethod Algorithm=\"", self.cipher.uri(), "\">"]);
        if self.iv == IvLength::Twelve {
            text.extend([
                "<osci128:IvLength xmlns:osci128=\"",
                IV_LENGTH_NAMESPACE,
                "\" Value=\"12\"></osci128:IvLength>",
            ]);
        }
        text.push_str("</xenc:EncryptionMethod><ds:KeyInfo>");
        if let Some(key) = &self.plain_key {
            let key = Zeroizing::new(base64::encode(key.expose()));
            text.extend(["<ds:MgmtData>", &key, "</ds:MgmtData>"]);
        }
        self.keys.iter().for_each(|key| push_key(&mut text, key));
        text.push_str("</ds:KeyInfo><xenc:CipherData>");
        text
    }
}

/// Bytes that suffice for one key and one certificate.
const ROOM: usize = 4 * 1024;

/// Takes encrypted octets and writes them as `CipherValue`. Call [`finish`](Self::finish) at the end.
#[derive(Debug)]
pub struct CipherValueWriter<W>(EncodeWriter<W>);

impl<W: Write> CipherValueWriter<W> {
    /// Completes the element.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(self) -> io::Result<W> {
        let mut sink = self.0.finish()?;
        sink.write_all(b"</xenc:CipherValue>")?;
        sink.write_all(TAIL.as_bytes())?;
        Ok(sink)
    }
}

impl<W: Write> Write for CipherValueWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

const TAIL: &str = "</xenc:CipherData></xenc:EncryptedData>";

fn push_attribute(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        text.extend([" ", name, "=\"", &escape_attribute(value), "\""]);
    }
}

fn push_value(text: &mut String, value: &[u8]) {
    text.extend(["<xenc:CipherValue>", &base64::encode(value), "</xenc:CipherValue>"]);
}

fn push_key(text: &mut String, key: &EncryptedKey) {
    text.push_str("<xenc:EncryptedKey>");
    push_transport(text, key.transport);
    text.push_str("<ds:KeyInfo>");
    match &key.recipient {
        Recipient::Certificate(der) => text.extend([
            "<ds:X509Data><ds:X509Certificate>",
            &base64::encode(der),
            "</ds:X509Certificate></ds:X509Data>",
        ]),
        Recipient::Retrieval(uri) => text.extend([
            "<ds:RetrievalMethod Type=\"",
            X509_DATA,
            "\" URI=\"",
            &escape_attribute(uri),
            "\"></ds:RetrievalMethod>",
        ]),
    }
    text.push_str("</ds:KeyInfo><xenc:CipherData>");
    push_value(text, &key.wrapped);
    text.push_str("</xenc:CipherData></xenc:EncryptedKey>");
}

fn push_transport(text: &mut String, transport: KeyTransport) {
    text.extend(["<xenc:EncryptionMethod Algorithm=\"", transport.uri(), "\">"]);
    if let (Some(mgf), Some(digest)) = (transport.mgf_uri(), transport.digest_uri()) {
        text.extend([
            "<xenc11:MGF xmlns:xenc11=\"",
            NAMESPACE_11,
            "\" Algorithm=\"",
            mgf,
            "\"></xenc11:MGF><ds:DigestMethod Algorithm=\"",
            digest,
            "\"></ds:DigestMethod>",
        ]);
    }
    text.push_str("</xenc:EncryptionMethod>");
}
