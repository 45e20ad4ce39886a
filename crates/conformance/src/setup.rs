//! Whom a run talks to, and with which keys.

use std::sync::Arc;

use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_pipeline::keyring::{CipherPair, KeyRing};
use rohrpost_pki::{Certificate, KeyEntry};

/// Takes a message to an address and brings the answer back; in words why not.
pub trait Wire: Sync {
    /// One exchange over HTTP.
    ///
    /// # Errors
    /// If there is no answer with a 2xx status.
    fn post(&self, url: &str, message: Vec<u8>) -> Result<Vec<u8>, String>;
}

/// The intermediary under test and everybody who takes part. What is `None` makes the cells be skipped that need it.
#[derive(Debug)]
pub struct Setup {
    /// Where the intermediary listens.
    pub url: String,
    /// Where an intermediary with the same keys listens that demands signatures (9600).
    pub demanding_url: Option<String>,
    /// Whom requests are encrypted for.
    pub intermediary_cipher: Certificate,
    /// Who has to sign answers; anybody if there is none.
    pub intermediary_signature: Option<Certificate>,
    /// The client; the intermediary trusts the issuer of its certificates.
    pub client: Party,
    /// The addressee of deliveries, and the passive recipient. As good.
    pub addressee: Party,
    /// Outside of their validity period.
    pub expired: Option<Party>,
    /// Revoked; the intermediary can learn of it.
    pub revoked: Option<Party>,
    /// Issued by somebody whom the intermediary does not know.
    pub untrusted: Option<Party>,
    /// Nobody answers whether they are revoked; the intermediary refuses such orders.
    pub unknown: Option<Party>,
    /// Where the intermediary reaches our passive recipient: what it is to do is appended, e.g. `/take`.
    pub recipient: Option<String>,
    /// A subject of so many bytes makes a delivery unacceptable (9811).
    pub refused_subject_bytes: Option<usize>,
    /// A size of chunks that is accepted, in units of 1024 bytes, of which one holds a small delivery.
    pub chunk_kib: Option<u64>,
}

/// Somebody with two key pairs.
#[derive(Debug)]
pub struct Party {
    /// For what is sent to it.
    pub cipher: KeyEntry,
    /// For what it signs.
    pub signature: KeyEntry,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    Expired,
    /// The issuer has not signed it.
    Corrupted,
    Revoked,
    Untrusted,
    Unknown,
}

/// The certificate that causes a code: whose, for what, and what is wrong with it.
pub(crate) fn flawed(code: Code) -> Option<(CertificateRole, CertificateUse, Flaw)> {
    use CertificateRole::{Addressee, Originator, OtherAuthor, OtherReader};
    use CertificateUse::{Cipher, Signature};
    use Flaw::{Corrupted, Expired, Revoked, Unknown, Untrusted};
    Some(match code {
        Code::ClientCipherCertificateOutsideValidity => (Originator, Cipher, Expired),
        Code::ClientCipherCertificateCheckIncomplete => (Originator, Cipher, Untrusted),
        Code::ClientCipherCertificateCorrupted => (Originator, Cipher, Corrupted),
        Code::ClientCipherCertificateRevoked => (Originator, Cipher, Revoked),
        Code::ClientCipherCertificateCheckFailed => (Originator, Cipher, Unknown),
        Code::ClientSignatureCertificateOutsideValidity => (Originator, Signature, Expired),
        Code::ClientSignatureCertificateCorrupted => (Originator, Signature, Corrupted),
        Code::ClientSignatureCertificateRevoked => (Originator, Signature, Revoked),
        Code::CertificateCheckIncomplete => (Originator, Signature, Untrusted),
        Code::CertificateCheckFailed => (Originator, Signature, Unknown),
        Code::AuthorSignatureCertificateOutsideValidity => (OtherAuthor, Signature, Expired),
        Code::AuthorSignatureCertificateCorrupted => (OtherAuthor, Signature, Corrupted),
        Code::AuthorSignatureCertificateRevoked => (OtherAuthor, Signature, Revoked),
        Code::AuthorCipherCertificateOutsideValidity => (OtherAuthor, Cipher, Expired),
        Code::AuthorCipherCertificateCorrupted => (OtherAuthor, Cipher, Corrupted),
        Code::AuthorCipherCertificateRevoked => (OtherAuthor, Cipher, Revoked),
        Code::RecipientCipherCertificateOutsideValidity => (Addressee, Cipher, Expired),
        Code::RecipientCipherCertificateCorrupted => (Addressee, Cipher, Corrupted),
        Code::RecipientCipherCertificateRevoked => (Addressee, Cipher, Revoked),
        Code::ReaderCipherCertificateOutsideValidity => (OtherReader, Cipher, Expired),
        Code::ReaderCipherCertificateCorrupted => (OtherReader, Cipher, Corrupted),
        Code::ReaderCipherCertificateRevoked => (OtherReader, Cipher, Revoked),
        Code::RecipientSignatureCertificateOutsideValidity => (Addressee, Signature, Expired),
        Code::RecipientSignatureCertificateCorrupted => (Addressee, Signature, Corrupted),
        Code::RecipientSignatureCertificateRevoked => (Addressee, Signature, Revoked),
        _ => return None,
    })
}

impl Setup {
    /// A key pair of this kind, with the certificate to show; in words what is missing.
    pub(crate) fn key(&self, purpose: CertificateUse, flaw: Flaw) -> Result<(&KeyEntry, Vec<u8>), &'static str> {
        let missing = match flaw {
            Flaw::Corrupted => return Ok(self.corrupted(purpose)),
            Flaw::Expired => (&self.expired, "the profile has no expired keys"),
            Flaw::Revoked => (&self.revoked, "the profile has no revoked keys"),
            Flaw::Untrusted => (&self.untrusted, "the profile has no keys that nobody trusts"),
            Flaw::Unknown => (&self.unknown, "the profile has no keys of which nobody says whether they are revoked"),
        };
        let party = missing.0.as_ref().ok_or(missing.1)?;
        let key = party.key(purpose);
        Ok((key, key.certificate.der().to_vec()))
    }

    /// The addressee's key with a certificate whose last octet, part of the issuer's signature, is another.
    fn corrupted(&self, purpose: CertificateUse) -> (&KeyEntry, Vec<u8>) {
        let key = self.addressee.key(purpose);
        let mut der = key.certificate.der().to_vec();
        if let Some(last) = der.last_mut() {
            *last ^= 1;
        }
        (key, der)
    }

    /// Everything that answers, and messages to recipients, can be encrypted for.
    pub(crate) fn keys(&self) -> Result<KeyRing, String> {
        let parties = [Some(&self.client), Some(&self.addressee)];
        let others = [&self.expired, &self.revoked, &self.untrusted, &self.unknown].map(Option::as_ref);
        let pair = |party: &Party| {
            let key = party.cipher.key.decryptor().map_err(|error| error.to_string())?;
            Ok(CipherPair { certificate: party.cipher.certificate.clone(), key: Arc::new(key) })
        };
        let pairs: Result<Vec<_>, String> = parties.into_iter().chain(others).flatten().map(pair).collect();
        Ok(KeyRing::new(pairs?, None))
    }
}

impl Party {
    pub(crate) fn key(&self, purpose: CertificateUse) -> &KeyEntry {
        match purpose {
            CertificateUse::Cipher => &self.cipher,
            CertificateUse::Signature => &self.signature,
        }
    }
}
