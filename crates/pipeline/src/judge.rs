//! Fourth stage: what the certificates of a message are worth.

use rohrpost_osci::header::{CertificateEntry, CertificateRole, CertificateUse, NonIntermediaryCertificates};
use rohrpost_pki::{Certificate, CertificateError, Inspection, Inspector, Use};
use time::OffsetDateTime;

use crate::gate::leave;

/// One certificate of a message with its inspection.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Whose certificate it is.
    pub role: CertificateRole,
    /// What it is there for.
    pub purpose: CertificateUse,
    /// The certificate and what was found, or why it cannot even be read.
    pub finding: Result<(Certificate, Inspection), CertificateError>,
}

/// Inspects every certificate of a header, in its order. The same certificate in two roles is inspected for both.
///
/// Never refuses anything: what a finding means for an order is decided by whoever executes the order
/// (OSCI-Transport 1.2, inspection reports).
pub fn judge(certificates: &NonIntermediaryCertificates, inspector: &Inspector, at: OffsetDateTime) -> Vec<Judged> {
    certificates.entries().iter().map(|entry| judge_entry(entry, inspector, at)).collect()
}

/// Inspects one certificate. Leaves the thread's [turn](crate::gate) at the processor while somebody is asked about revocation.
pub fn inspect(certificate: &Certificate, usage: Use, inspector: &Inspector, at: OffsetDateTime) -> Inspection {
    inspector
        .inspect_without_asking(certificate, &[], usage, at)
        .unwrap_or_else(|| leave(|| inspector.inspect(certificate, &[], usage, at)))
}

fn judge_entry(entry: &CertificateEntry, inspector: &Inspector, at: OffsetDateTime) -> Judged {
    let finding = inspector.certificate(&entry.der).map(|certificate| {
        let inspection = inspect(&certificate, usage(entry), inspector, at);
        (certificate, inspection)
    });
    Judged { role: entry.role, purpose: entry.purpose, finding }
}

fn usage(entry: &CertificateEntry) -> Use {
    match (entry.purpose, entry.role) {
        (CertificateUse::Cipher, _) => Use::Encryption,
        (CertificateUse::Signature, CertificateRole::OtherAuthor) => Use::ContentSignature,
        (CertificateUse::Signature, _) => Use::TransportSignature,
    }
}
