//! What a finding about a certificate means for an order: codes for the client, entries for card and log
//! (OSCI-Transport 1.2, feedback codes for certificates; inspection reports).

use rohrpost_audit::{Leaf, Role as LeafRole, Verdict as LeafVerdict};
use rohrpost_osci::card::{self, Timestamp};
use rohrpost_osci::feedback::{Code, Level, Severity};
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_pipeline::judge::{Judged, judge};
use rohrpost_pipeline::verify::SignatureState;
use rohrpost_pki::revocation::{EvidenceSource, RevocationStatus};
use rohrpost_pki::{CertType, Fingerprint, Inspection, MathResult, OfflineResult, Verdict};
use rohrpost_planted::planted;
use time::OffsetDateTime;

use crate::handle::{Received, Stop};
use crate::{Intermediary, UnknownRevocation};

/// The codes one role of a certificate can cause.
struct RoleCodes {
    outside_validity: Code,
    corrupted: Code,
    revoked: Code,
    /// The check is not complete, which does not matter.
    incomplete: Code,
    /// The check is not complete, which does matter.
    failed: Code,
}

fn codes_of(role: CertificateRole, purpose: CertificateUse) -> RoleCodes {
    use CertificateRole as R;
    use CertificateUse as U;
    let (outside_validity, corrupted, revoked) = match (role, purpose) {
        (R::Originator, U::Cipher) => (
            Code::ClientCipherCertificateOutsideValidity,
            Code::ClientCipherCertificateCorrupted,
            Code::ClientCipherCertificateRevoked,
        ),
        (R::Originator, U::Signature) => (
            Code::ClientSignatureCertificateOutsideValidity,
            Code::ClientSignatureCertificateCorrupted,
            Code::ClientSignatureCertificateRevoked,
        ),
        (R::OtherAuthor, U::Cipher) => (
            Code::AuthorCipherCertificateOutsideValidity,
            Code::AuthorCipherCertificateCorrupted,
            Code::AuthorCipherCertificateRevoked,
        ),
        (R::OtherAuthor, U::Signature) => (
            Code::AuthorSignatureCertificateOutsideValidity,
            Code::AuthorSignatureCertificateCorrupted,
            Code::AuthorSignatureCertificateRevoked,
        ),
        (R::Addressee, U::Cipher) => (
            Code::RecipientCipherCertificateOutsideValidity,
            Code::RecipientCipherCertificateCorrupted,
            Code::RecipientCipherCertificateRevoked,
        ),
        (R::Addressee, U::Signature) => (
            Code::RecipientSignatureCertificateOutsideValidity,
            Code::RecipientSignatureCertificateCorrupted,
            Code::RecipientSignatureCertificateRevoked,
        ),
        (R::OtherReader | R::Intermediary, _) => (
            Code::ReaderCipherCertificateOutsideValidity,
            Code::ReaderCipherCertificateCorrupted,
            Code::ReaderCipherCertificateRevoked,
        ),
    };
    let (incomplete, failed) = match (role, purpose) {
        (R::Originator, U::Cipher) => {
            (Code::ClientCipherCertificateCheckIncomplete, Code::ClientCipherCertificateCheckFailed)
        }
        // Even a revoked one only warns.
        (R::OtherAuthor, U::Signature) => (Code::CertificateCheckIncomplete, Code::CertificateCheckIncomplete),
        _ => (Code::CertificateCheckIncomplete, Code::CertificateCheckFailed),
    };
    RoleCodes { outside_validity, corrupted, revoked, incomplete, failed }
}

/// The code this finding causes, if any. A certificate that is unfit for its use without being corrupted, revoked or outside its
/// validity (wrong usage, weak key) has no code of its own: the check counts as not completed, the report says why.
pub(crate) fn code(judged: &Judged, unknown: UnknownRevocation) -> Option<Code> {
    let codes = codes_of(judged.role, judged.purpose);
    // What cannot be read cannot have been signed by anybody.
    let Ok((_, inspection)) = &judged.finding else { return Some(codes.corrupted) };
    match &inspection.online {
        _ if inspection.math == MathResult::Corrupted => Some(codes.corrupted),
        Some(RevocationStatus::Revoked(..)) => Some(codes.revoked),
        Some(RevocationStatus::Indeterminate { .. }) if planted("silence-taken-for-not-revoked") => None,
        Some(RevocationStatus::Indeterminate { .. }) if unknown == UnknownRevocation::Refuse => Some(codes.failed),
        _ if inspection.is_outside_validity() => Some(codes.outside_validity),
        _ if inspection.verdict == Verdict::Valid => None,
        _ => Some(codes.incomplete),
    }
}

/// The entry of the inspection report, for certificates that could be read.
pub(crate) fn report(judged: &Judged, at: OffsetDateTime) -> Option<card::Inspection> {
    let (_, inspection) = judged.finding.as_ref().ok()?;
    Some(card_entry(inspection, at))
}

fn card_entry(found: &Inspection, at: OffsetDateTime) -> card::Inspection {
    card::Inspection {
        timestamp: Timestamp::Plain(at.into()),
        subject_name: found.subject.clone(),
        issuer_name: found.issuer.clone(),
        serial_number: found.serial.clone(),
        certificate_type: Some(match found.cert_type {
            CertType::Advanced => card::CertificateType::Advanced,
            CertType::Qualified => card::CertificateType::Qualified,
            CertType::Accredited => card::CertificateType::Accredited,
            CertType::Unknown => card::CertificateType::Unknown,
        }),
        math: match found.math {
            MathResult::Ok => card::MathResult::Ok,
            MathResult::Corrupted => card::MathResult::Corrupted,
            MathResult::Indeterminate => card::MathResult::Indeterminate,
        },
        offline: match found.offline {
            OfflineResult::Valid => card::OfflineResult::Valid,
            OfflineResult::Invalid => card::OfflineResult::Invalid,
            OfflineResult::Indeterminate => card::OfflineResult::Indeterminate,
        },
        online: found.online.as_ref().and_then(online_result),
    }
}

/// The answer with its evidence; nothing if there is none, which is how the report tells that nobody answered.
fn online_result(status: &RevocationStatus) -> Option<card::OnlineResult> {
    let revocation = match status {
        RevocationStatus::Good(_) => card::Revocation::Ok,
        RevocationStatus::Revoked(..) => card::Revocation::Revoked,
        RevocationStatus::Indeterminate { .. } => return None,
    };
    let evidence = status.evidence()?;
    let evidence = match evidence.source {
        EvidenceSource::Ocsp => card::OnlineEvidence::Ocsp(evidence.der.to_vec()),
        EvidenceSource::List => card::OnlineEvidence::Crl(evidence.made.into()),
    };
    Some(card::OnlineResult { revocation, evidence: vec![evidence] })
}

/// Notes the certificate in an entry of the log.
pub(crate) fn note(judged: &Judged, leaf: &mut Leaf) {
    use CertificateRole as R;
    use CertificateUse as U;
    let Ok((certificate, inspection)) = &judged.finding else { return };
    let role = match (judged.role, judged.purpose) {
        (R::Originator, U::Cipher) => LeafRole::OriginatorCipher,
        (R::Originator, U::Signature) => LeafRole::OriginatorSignature,
        (R::Addressee, U::Cipher) => LeafRole::AddresseeCipher,
        (R::Addressee, U::Signature) => LeafRole::AddresseeSignature,
        (R::OtherAuthor, U::Cipher) => LeafRole::AuthorCipher,
        (R::OtherAuthor, U::Signature) => LeafRole::AuthorSignature,
        (R::OtherReader, _) => LeafRole::ReaderCipher,
        (R::Intermediary, _) => LeafRole::Intermediary,
    };
    let verdict = match inspection.verdict {
        Verdict::Valid => LeafVerdict::Valid,
        Verdict::Indeterminate => LeafVerdict::Indeterminate,
        Verdict::Invalid => LeafVerdict::Invalid,
    };
    leaf.add_certificate(role, (*certificate.fingerprint().as_bytes()).into(), Some(verdict));
}

/// What the certificates of a request mean for it.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// Every certificate with its finding.
    pub(crate) certificates: Vec<Judged>,
    /// Codes that warn.
    pub(crate) warnings: Vec<Code>,
    /// The first code that refuses the order.
    pub(crate) refusal: Option<Code>,
}

impl Judgement {
    /// Who proved to have sent this: the certificate it is signed with, if it is good.
    pub(crate) fn originator(&self, received: &Received) -> Option<Fingerprint> {
        let SignatureState::Covered { signer, .. } = received.verified.signature() else { return None };
        let is_good = self.certificates.iter().any(|judged| {
            let is_originator =
                (judged.role, judged.purpose) == (CertificateRole::Originator, CertificateUse::Signature);
            let found = judged.finding.as_ref().ok().filter(|_| is_originator);
            found.is_some_and(|(found, about)| found.der() == signer.der() && about.verdict == Verdict::Valid)
        });
        is_good.then(|| signer.fingerprint())
    }
}

impl Intermediary {
    /// Inspects the certificates of the header.
    ///
    /// # Errors
    /// A fault if the client's cipher certificate is corrupted: there is nobody then to answer to.
    pub(crate) fn judge(&self, received: &Received, now: OffsetDateTime) -> Result<Judgement, Stop> {
        let certificates = judge(&received.request.header().certificates, &self.parts.inspector, now);
        let mut judgement = Judgement::default();
        let unknown = self.settings.unknown_revocation;
        for code in certificates.iter().filter_map(|judged| code(judged, unknown)) {
            match (code.level(), code.severity()) {
                (Level::Message, _) => {
                    return Err(Stop::new(code, "the client's cipher certificate is not acceptable"));
                }
                (_, Severity::Error) => judgement.refusal = judgement.refusal.or(Some(code)),
                _ if !judgement.warnings.contains(&code) => judgement.warnings.push(code),
                _ => {}
            }
        }
        judgement.certificates = certificates;
        Ok(judgement)
    }
}
