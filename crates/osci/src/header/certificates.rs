use std::collections::HashSet;
use std::fmt;

use rohrpost_crypto::sha256;
use rohrpost_xmlsec::base64;
use rohrpost_xmlsec::tree::Element;

use super::{Block, BlockError, read};
use crate::ns::{ACTOR_NONE, DS, NS5, OSCI};
use crate::xml::{XmlWriter, escape_attribute};

/// Whose certificate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertificateRole {
    /// Sends the delivery; the client of a request.
    Originator,
    /// Signs content beside the originator.
    OtherAuthor,
    /// The owner of the mailbox, or the passive recipient.
    Addressee,
    /// Reads content beside the addressee.
    OtherReader,
    /// The intermediary.
    Intermediary,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertificateUse {
    /// Encryption for its owner.
    Cipher,
    /// Signatures of its owner.
    Signature,
}

/// One certificate of a message. Its `Id` is what content signatures and encrypted keys refer to, so it travels unchanged.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateEntry {
    /// Whose it is.
    pub role: CertificateRole,
    /// What it is for.
    pub purpose: CertificateUse,
    /// Its `Id` in the message.
    pub id: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

/// The certificates of everybody but the intermediary, in the order of the message (header block
/// `NonIntermediaryCertificates`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonIntermediaryCertificates {
    id: String,
    entries: Vec<CertificateEntry>,
    /// Places in `entries`, ordered by `Id`: content may refer to certificates often.
    by_id: Vec<usize>,
}

/// The certificates of the intermediary (header block `IntermediaryCertificates`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntermediaryCertificates {
    /// For encrypting for the intermediary; only in its requests to passive recipients.
    pub cipher: Option<CertificateEntry>,
    /// For checking its signatures.
    pub signature: Option<CertificateEntry>,
}

impl CertificateEntry {
    /// The longest certificate read, in octets; longer ones are not read by anybody.
    pub const MAX_LEN: usize = 64 * 1024 - 1;

    /// An entry with the usual `Id`: role, purpose and SHA-256 of the certificate. `number` tells several authors or readers
    /// apart; it is not used for the other roles.
    pub fn new(role: CertificateRole, purpose: CertificateUse, number: u32, der: impl Into<Vec<u8>>) -> Self {
        let der = der.into();
        let who = match role {
            CertificateRole::Originator => "originator".to_owned(),
            CertificateRole::Addressee => "addressee".to_owned(),
            CertificateRole::Intermediary => "intermed".to_owned(),
            CertificateRole::OtherAuthor => format!("author{number}"),
            CertificateRole::OtherReader => format!("reader{number}"),
        };
        let what = match purpose {
            CertificateUse::Cipher => "cipher",
            CertificateUse::Signature => "signature",
        };
        let hash: String = sha256(&der).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { role, purpose, id: format!("{who}_{what}_{hash}"), der }
    }

    /// The part of the `Id` that a person's cipher and signature entry share: everything before the first `_`.
    pub fn person(&self) -> &str {
        self.id.split('_').next().unwrap_or_default()
    }

    fn element(&self) -> &'static str {
        NAMES
            .iter()
            .find(|(role, purpose, _)| (*role, *purpose) == (self.role, self.purpose))
            .map_or("CipherCertificateOtherReader", |(.., name)| name)
    }
}

impl NonIntermediaryCertificates {
    /// The usual `Id` of the block.
    pub const ID: &'static str = "nonintermediarycertificates";
    /// Entries read at most: every one is work for whoever inspects certificates. As many as encrypted data may have readers.
    pub const MAX_ENTRIES: usize = 1000;

    /// Takes entries and puts them into the order of the schema.
    ///
    /// # Errors
    /// If an entry belongs to the intermediary or to a reader's signature, if originator or addressee have two of a kind,
    /// or if two entries have the same `Id`.
    pub fn new(mut entries: Vec<CertificateEntry>) -> Result<Self, BlockError> {
        entries.sort_by_key(|entry| (entry.purpose, entry.role));
        Self::checked(Self::ID, entries)
    }

    /// The `Id` of the block.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The entries in the order of the message.
    pub fn entries(&self) -> &[CertificateEntry] {
        &self.entries
    }

    /// The entry with this `Id`.
    pub fn by_id(&self, id: &str) -> Option<&CertificateEntry> {
        let found = self.by_id.binary_search_by(|&at| self.entries[at].id.as_str().cmp(id)).ok()?;
        Some(&self.entries[self.by_id[found]])
    }

    /// The first entry of this kind: for originator and addressee the only one.
    pub fn first(&self, role: CertificateRole, purpose: CertificateUse) -> Option<&CertificateEntry> {
        self.of(role, purpose).next()
    }

    /// All entries of this kind.
    pub fn of(&self, role: CertificateRole, purpose: CertificateUse) -> impl Iterator<Item = &CertificateEntry> {
        self.entries.iter().filter(move |entry| (entry.role, entry.purpose) == (role, purpose))
    }

    /// Reads the block.
    ///
    /// # Errors
    /// If an entry is unknown, lacks its `Id`, does not hold exactly one certificate, or occurs more often than allowed, if there
    /// are more than [`Self::MAX_ENTRIES`], or if one is longer than [`CertificateEntry::MAX_LEN`].
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        let children = read::children(element)?;
        if children.len() > Self::MAX_ENTRIES {
            return Err(read::bad_value(element, "too many certificates"));
        }
        let mut entries = Vec::new();
        for child in children {
            let entry = entry_from(element, child)?;
            if entry.role == CertificateRole::Intermediary {
                return Err(read::unexpected(element, child));
            }
            entries.push(entry);
        }
        Self::checked(read::attribute(element, "Id")?, entries)
    }

    /// Reads the block from its text, which must declare every prefix it uses: how it is kept with a stored delivery.
    ///
    /// # Errors
    /// As [`Self::from_element`], and if the text is no XML.
    pub fn from_text(text: &str) -> Result<Self, BlockError> {
        Self::from_element(&read::parse(text)?)
    }

    /// Writes the block.
    pub fn to_block(&self) -> Block {
        write("osci:NonIntermediaryCertificates", &self.id, self.entries.iter())
    }

    fn checked(id: &str, entries: Vec<CertificateEntry>) -> Result<Self, BlockError> {
        let block = || "NonIntermediaryCertificates".to_owned();
        let mut seen = HashSet::new();
        for entry in &entries {
            let kind = (entry.role, entry.purpose);
            let known = NAMES.iter().any(|(role, purpose, _)| (*role, *purpose) == kind);
            if !known || entry.role == CertificateRole::Intermediary {
                return Err(BlockError::UnexpectedChild { element: block(), child: entry.element().to_owned() });
            }
            let alone = matches!(entry.role, CertificateRole::Originator | CertificateRole::Addressee);
            if alone && !seen.insert(kind) {
                return Err(BlockError::RepeatedChild { element: block(), child: entry.element().to_owned() });
            }
        }
        let mut by_id: Vec<usize> = (0..entries.len()).collect();
        by_id.sort_by_key(|&at| &entries[at].id);
        if let Some(twins) = by_id.windows(2).find(|pair| entries[pair[0]].id == entries[pair[1]].id) {
            return Err(BlockError::RepeatedChild { element: block(), child: entries[twins[1]].element().to_owned() });
        }
        Ok(Self { id: id.to_owned(), entries, by_id })
    }
}

impl IntermediaryCertificates {
    /// The `Id` under which the block is written.
    pub const ID: &'static str = "intermediarycertificates";

    /// Reads the block.
    ///
    /// # Errors
    /// If an entry is unknown, occurs twice, lacks its `Id` or does not hold exactly one certificate.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        let mut read = Self::default();
        for child in read::children(element)? {
            let entry = entry_from(element, child)?;
            match (entry.role, entry.purpose) {
                (CertificateRole::Intermediary, CertificateUse::Cipher) => {
                    read::once(&mut read.cipher, entry, element, child)?;
                }
                (CertificateRole::Intermediary, CertificateUse::Signature) => {
                    read::once(&mut read.signature, entry, element, child)?;
                }
                _ => return Err(read::unexpected(element, child)),
            }
        }
        Ok(read)
    }

    /// Writes the block.
    pub fn to_block(&self) -> Block {
        write("osci:IntermediaryCertificates", Self::ID, self.cipher.iter().chain(&self.signature))
    }
}

impl Default for NonIntermediaryCertificates {
    /// No certificates.
    fn default() -> Self {
        Self { id: Self::ID.to_owned(), entries: Vec::new(), by_id: Vec::new() }
    }
}

impl fmt::Debug for CertificateEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateEntry({}, {} bytes)", self.id, self.der.len())
    }
}

const NAMES: [(CertificateRole, CertificateUse, &str); 9] = [
    (CertificateRole::Originator, CertificateUse::Cipher, "CipherCertificateOriginator"),
    (CertificateRole::OtherAuthor, CertificateUse::Cipher, "CipherCertificateOtherAuthor"),
    (CertificateRole::Addressee, CertificateUse::Cipher, "CipherCertificateAddressee"),
    (CertificateRole::OtherReader, CertificateUse::Cipher, "CipherCertificateOtherReader"),
    (CertificateRole::Originator, CertificateUse::Signature, "SignatureCertificateOriginator"),
    (CertificateRole::OtherAuthor, CertificateUse::Signature, "SignatureCertificateOtherAuthor"),
    (CertificateRole::Addressee, CertificateUse::Signature, "SignatureCertificateAddressee"),
    (CertificateRole::Intermediary, CertificateUse::Cipher, "CipherCertificateIntermediary"),
    (CertificateRole::Intermediary, CertificateUse::Signature, "SignatureCertificateIntermediary"),
];

fn entry_from(block: &Element, element: &Element) -> Result<CertificateEntry, BlockError> {
    let Some((role, purpose, _)) = NAMES.into_iter().find(|(.., name)| read::is(element, OSCI, name)) else {
        return Err(read::unexpected(block, element));
    };
    let id = read::attribute(element, "Id")?.to_owned();
    let data = only_child(element, "X509Data")?;
    let certificate = only_child(data, "X509Certificate")?;
    let der = base64::decode(read::leaf(certificate)?).map_err(|_| read::bad_value(certificate, "not base64"))?;
    if der.is_empty() {
        return Err(read::bad_value(certificate, "no certificate"));
    }
    if der.len() > CertificateEntry::MAX_LEN {
        return Err(read::bad_value(certificate, "too long for a certificate"));
    }
    Ok(CertificateEntry { role, purpose, id, der })
}

fn only_child<'a>(element: &'a Element, name: &'static str) -> Result<&'a Element, BlockError> {
    let mut found = None;
    for child in read::children(element)? {
        if !read::is(child, DS, name) {
            return Err(read::unexpected(element, child));
        }
        read::once(&mut found, child, element, child)?;
    }
    found.ok_or_else(|| read::missing(element, name))
}

fn write<'a>(name: &'static str, id: &str, entries: impl Iterator<Item = &'a CertificateEntry>) -> Block {
    let mut xml = XmlWriter::new();
    xml.raw(&format!(r#"<{name}{NS5} Id="{}"{ACTOR_NONE}>"#, escape_attribute(id)));
    for entry in entries {
        xml.open(format!("osci:{}", entry.element()), &[("Id", &entry.id)]);
        xml.open("ds:X509Data", &[]).leaf("ds:X509Certificate", &[], &base64::encode(&entry.der)).close();
        xml.close();
    }
    xml.raw(&format!("</{name}>"));
    Block::written(id, xml.finish())
}
