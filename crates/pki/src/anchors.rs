//! Whom we trust.

use std::collections::HashMap;

use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::key_usage::KeyUsage;
use crate::pem::{self, PemError};

/// The certificates at which a path may end.
///
/// An authority (basic constraints with `cA`, and `keyCertSign` if it has a key usage) vouches for what
/// it has issued. Any other certificate, for example the self-signed one of a partner, is trusted
/// itself and vouches for nobody.
///
/// ```
/// use rohrpost_pki::Anchors;
///
/// # fn main() -> Result<(), rohrpost_pki::AnchorError> {
/// let file = include_bytes!("../../../certs-test/ca/root-ca.cert.pem");
/// let anchors = Anchors::from_pem(file)?;
/// assert_eq!(anchors.certificates().len(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    certificates: Vec<Certificate>,
    /// Those that may issue.
    issuing: Vec<TrustAnchor<'static>>,
    /// Positions by encoded subject.
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
}

impl Anchors {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The certificates of a PEM text, or the one of a DER encoding.
    ///
    /// # Errors
    /// [`AnchorError`] if the file cannot be read or holds a certificate that cannot be an anchor.
    pub fn from_pem(file: &[u8]) -> Result<Self, AnchorError> {
        let mut anchors = Self::new();
        for certificate in pem::certificates(file)? {
            anchors.add(certificate)?;
        }
        Ok(anchors)
    }

    /// Trusts one more certificate. Adding one twice changes nothing.
    ///
    /// # Errors
    /// [`AnchorError::Unusable`] if its structure does not allow it.
    pub fn add(&mut self, certificate: Certificate) -> Result<(), AnchorError> {
        if self.contains(certificate.fingerprint()) {
            return Ok(());
        }
        let der = CertificateDer::from(certificate.der());
        let anchor = webpki::anchor_from_trusted_cert(&der)
            .map_err(|error| AnchorError::Unusable {
                subject: certificate.subject().to_owned(),
                detail: error.to_string(),
            })?
            .to_owned();
        self.by_subject.entry(certificate.subject_der().to_vec()).or_default().push(self.certificates.len());
        if may_issue(&certificate) {
            self.issuing.push(anchor);
        }
        self.certificates.push(certificate);
        Ok(())
    }

    /// All of them, in the order they were added.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Whether exactly this certificate is trusted.
    #[must_use]
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.certificates.iter().any(|anchor| anchor.fingerprint() == fingerprint)
    }

    pub(crate) fn with_subject(&self, subject: &[u8]) -> impl Iterator<Item = &Certificate> {
        let positions = self.by_subject.get(subject).map_or(&[][..], Vec::as_slice);
        positions.iter().map(|&position| &self.certificates[position])
    }

    pub(crate) fn issuing(&self) -> &[TrustAnchor<'static>] {
        &self.issuing
    }
}

/// Whether a certificate says of itself that its key certifies others.
pub(crate) fn may_issue(certificate: &Certificate) -> bool {
    certificate.is_authority() && certificate.key_usage().is_none_or(KeyUsage::allows_certificates)
}

/// Why a certificate cannot be a trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] PemError),
    /// The certificate has a structure that cannot be used.
    #[error("the certificate of {subject} cannot be a trust anchor: {detail}")]
    Unusable {
        /// Subject of the certificate.
        subject: String,
        /// What was found.
        detail: String,
    },
}
