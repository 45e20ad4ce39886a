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
/// Others are asked about revocation for so many certificates of one message and no more ([`MOST_ASKED`]): whoever stuffs a message with
/// certificates must not have everybody wait, and ask, for hours. Of the others it is unknown whether they are revoked.
///
/// Never refuses anything: what a finding means for an order is decided by whoever executes the order
/// (OSCI-Transport 1.2, inspection reports).
pub fn judge(certificates: &NonIntermediaryCertificates, inspector: &Inspector, at: OffsetDateTime) -> Vec<Judged> {
    let mut asked = 0;
    let judge = |entry: &CertificateEntry| {
        let finding = inspector.certificate(&entry.der).map(|certificate| {
            let usage = usage(entry);
            let inspection = match inspector.inspect_without_asking(&certificate, &[], usage, at) {
                Some(inspection) => inspection,
                None if asked >= MOST_ASKED => inspector.inspect_with_what_is_known(&certificate, &[], usage, at),
                None => {
                    asked += 1;
                    leave(|| inspector.inspect(&certificate, &[], usage, at))
                }
            };
            (certificate, inspection)
        });
        Judged { role: entry.role, purpose: entry.purpose, finding }
    };
    certificates.entries().iter().map(judge).collect()
}

/// Certificates of one message about which others are asked: those of its parties, and some authors and readers.
pub const MOST_ASKED: usize = 16;

/// Inspects one certificate. Leaves the thread's [turn](crate::gate) at the processor while somebody is asked about revocation.
pub fn inspect(certificate: &Certificate, usage: Use, inspector: &Inspector, at: OffsetDateTime) -> Inspection {
    inspector
        .inspect_without_asking(certificate, &[], usage, at)
        .unwrap_or_else(|| leave(|| inspector.inspect(certificate, &[], usage, at)))
}

fn usage(entry: &CertificateEntry) -> Use {
    match (entry.purpose, entry.role) {
        (CertificateUse::Cipher, _) => Use::Encryption,
        (CertificateUse::Signature, CertificateRole::OtherAuthor) => Use::ContentSignature,
        (CertificateUse::Signature, _) => Use::TransportSignature,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rohrpost_crypto::policy::Policy;
    use rohrpost_crypto::{Curve, PrivateKey, SystemRandom};
    use rohrpost_pki::issue::{Authority, Name, Template, Validity};
    use rohrpost_pki::revocation::{FetchError, Fetcher, Question, RevocationChecker, RevocationSettings};
    use rohrpost_pki::{Anchors, Verdict};
    use time::macros::datetime;

    use super::*;

    /// Nobody is there, and everybody who asks is counted.
    #[derive(Debug, Default)]
    struct Nobody(AtomicUsize);

    impl Fetcher for Nobody {
        fn fetch(&self, _: &Question<'_>) -> Result<Vec<u8>, FetchError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(FetchError::Unreachable)
        }
    }

    #[test]
    fn a_message_stuffed_with_certificates_has_few_questions_asked() {
        let validity = || Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
        let name = |text: String| Name::new().country("DE").common_name(&text);
        let key = PrivateKey::generate_ec(Curve::P256).unwrap();
        let root = rohrpost_pki::issue::self_signed(
            &Template::authority(name("Root".into()), validity(), None),
            &key,
            &SystemRandom,
        );
        let root = Authority::new(root.unwrap(), key).unwrap();
        let entries = (0..40).map(|number| {
            let key = PrivateKey::generate_ec(Curve::P256).unwrap();
            let template = Template::signature(name(format!("Author {number}")), validity())
                .revocation_list(&format!("http://lists.example/{number}.crl"));
            let certificate = root.issue(&template, key.public_key(), &SystemRandom).unwrap();
            CertificateEntry::new(CertificateRole::OtherAuthor, CertificateUse::Signature, number, certificate.der())
        });
        let certificates = NonIntermediaryCertificates::new(entries.collect()).unwrap();
        let mut anchors = Anchors::new();
        anchors.add(root.certificate().clone()).unwrap();
        let nobody = Arc::new(Nobody::default());
        let fetcher = Arc::clone(&nobody) as Arc<dyn Fetcher>;
        let checker = RevocationChecker::new(fetcher, Arc::new(SystemRandom), RevocationSettings::default());
        let inspector = Inspector::new(anchors, Policy::standard()).with_revocation(checker);

        let judged = judge(&certificates, &inspector, datetime!(2026-06-01 0:00 UTC));
        assert_eq!(judged.len(), 40);
        let unknown =
            |judged: &Judged| judged.finding.as_ref().is_ok_and(|(_, found)| found.verdict == Verdict::Indeterminate);
        assert!(judged.iter().all(unknown), "nothing is taken for good unasked");
        assert_eq!(nobody.0.load(Ordering::Relaxed), MOST_ASKED);
    }
}
