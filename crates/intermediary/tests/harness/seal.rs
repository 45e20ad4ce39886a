//! Encrypted messages of which everything can be changed.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rohrpost_crypto::cipher::{IvLength, Sealer};
use rohrpost_crypto::{BlockCipher, KeyTransport, OaepHash, SessionKey, SystemRandom, wrap_key};
use rohrpost_osci::ns::MessageType;
use rohrpost_pki::KeyEntry;

/// An encrypted message before it is written.
#[derive(Clone)]
pub struct Seal {
    /// Children of the `EncryptionMethod` of the message.
    pub iv_length: String,
    pub cipher: String,
    /// Algorithm of the key transport, and its parameters as XML.
    pub transport: String,
    pub transport_parameters: String,
    /// What stands in the `KeyInfo` of the key.
    pub recipient: String,
    /// The encrypted session key.
    pub wrapped: Vec<u8>,
    /// Further `EncryptedKey` elements, before and after the key.
    pub keys_before: String,
    pub keys_after: String,
    /// The whole `CipherData` of the message.
    pub cipher_data: String,
    /// A SOAP header, and what follows the encrypted data in the body.
    pub header: String,
    pub after_data: String,
    /// The part with the ciphertext: header lines, name and bytes.
    pub part_headers: String,
    pub part_name: String,
    pub ciphertext: Vec<u8>,
}

impl Seal {
    /// Encrypts as everybody does by default.
    pub fn new(message: &[u8], recipient: &KeyEntry) -> Self {
        Self::with(message, recipient, BlockCipher::Aes256Gcm, IvLength::Twelve)
    }

    /// Encrypts with a GCM mode and an IV of that length, stating both as it is usual.
    pub fn with(message: &[u8], recipient: &KeyEntry, cipher: BlockCipher, iv: IvLength) -> Self {
        let key = SessionKey::random(cipher.key_len(), &SystemRandom);
        let mut sealer = Sealer::new(cipher, iv, &key, &SystemRandom, Vec::new()).unwrap();
        sealer.write_all(message).unwrap();
        let ciphertext = sealer.finish().unwrap();
        let transport = KeyTransport::RsaOaep { digest: OaepHash::Sha256, mgf: OaepHash::Sha256 };
        Self {
            iv_length: match iv {
                IvLength::Twelve => iv_length("12"),
                IvLength::Sixteen => String::new(),
            },
            cipher: cipher.uri().to_owned(),
            transport: transport.uri().to_owned(),
            transport_parameters: oaep("mgf1sha256", "http://www.w3.org/2001/04/xmlenc#sha256"),
            recipient: certificate(recipient.certificate.der()),
            wrapped: wrap_key(recipient.key.public_key(), transport, &key).unwrap(),
            keys_before: String::new(),
            keys_after: String::new(),
            cipher_data: cipher_reference("cid:osci_enc"),
            header: String::new(),
            after_data: String::new(),
            part_headers: "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n".to_owned(),
            part_name: "osci_enc".to_owned(),
            ciphertext,
        }
    }

    /// The `EncryptedKey` as it stands.
    pub fn encrypted_key(&self) -> String {
        format!(
            "<xenc:EncryptedKey><xenc:EncryptionMethod Algorithm=\"{}\">{}</xenc:EncryptionMethod><ds:KeyInfo>{}</ds:KeyInfo>\
             <xenc:CipherData><xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>",
            self.transport,
            self.transport_parameters,
            self.recipient,
            STANDARD.encode(&self.wrapped),
        )
    }

    /// The envelope.
    pub fn envelope(&self) -> String {
        format!(
            "<soap:Envelope xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" \
             xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"{location}\">{header}<soap:Body>\
             <xenc:EncryptedData MimeType=\"Multipart/Related\"><xenc:EncryptionMethod Algorithm=\"{cipher}\">{iv}\
             </xenc:EncryptionMethod><ds:KeyInfo>{before}{key}{after}</ds:KeyInfo>{data}</xenc:EncryptedData>{after_data}\
             </soap:Body></soap:Envelope>",
            location = MessageType::MessageEncrypted.schema_location(),
            header = self.header,
            cipher = self.cipher,
            iv = self.iv_length,
            before = self.keys_before,
            key = self.encrypted_key(),
            after = self.keys_after,
            data = self.cipher_data,
            after_data = self.after_data,
        )
    }

    /// The message.
    pub fn write(&self) -> Vec<u8> {
        let head = format!("{}Content-ID: <{}>\r\n\r\n", self.part_headers, self.part_name);
        let mut out = super::mime(self.envelope().as_bytes(), &[]);
        out.truncate(out.len() - b"--BND--\r\n".len());
        out.extend_from_slice(b"--BND\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&self.ciphertext);
        out.extend_from_slice(b"\r\n--BND--\r\n");
        out
    }
}

/// The element that states the length of the IV.
pub fn iv_length(value: &str) -> String {
    format!(
        "<osci128:IvLength xmlns:osci128=\"http://xoev.de/transport/osci12/8\" Value=\"{value}\"></osci128:IvLength>"
    )
}

/// Parameters of OAEP.
pub fn oaep(mgf: &str, digest: &str) -> String {
    format!(
        "<xenc11:MGF xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" \
         Algorithm=\"http://www.w3.org/2009/xmlenc11#{mgf}\"></xenc11:MGF><ds:DigestMethod Algorithm=\"{digest}\"></ds:DigestMethod>"
    )
}

/// A recipient named by certificate.
pub fn certificate(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("<ds:X509Data><ds:X509Certificate>{text}</ds:X509Certificate></ds:X509Data>")
}

/// Ciphertext that is in another part.
pub fn cipher_reference(uri: &str) -> String {
    format!("<xenc:CipherData><xenc:CipherReference URI=\"{uri}\"></xenc:CipherReference></xenc:CipherData>")
}
