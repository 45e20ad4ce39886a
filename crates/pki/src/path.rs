//! Path validation (RFC 5280, section 6) with webpki: validity of the authorities, basic constraints,
//! name constraints, critical extensions; and what webpki leaves out, the key usage of authorities.

use std::cell::RefCell;

use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{PublicKey, X509SignatureAlgorithm};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, UnixTime, alg_id,
};
use time::OffsetDateTime;
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath};

use crate::anchors::{Anchors, may_issue};
use crate::certificate::Certificate;
use crate::der;
use crate::reason::Reason;
use crate::signatures::believable;

/// Looks for a path from the certificate to an anchor that keeps all rules at the given time, and returns it: the issuer, that one's
/// issuer, and so on up to the anchor. The certificate is known to be authentic.
pub(crate) fn check(
    certificate: &Certificate,
    pool: &[&Certificate],
    anchors: &Anchors,
    policy: &Policy,
    at: OffsetDateTime,
) -> Result<Vec<Certificate>, Reason> {
    let leaf = CertificateDer::from(certificate.der());
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| explain(&error))?;
    let intermediates: Vec<_> = pool.iter().map(|certificate| CertificateDer::from(certificate.der())).collect();
    let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
    let refused = RefCell::new(None);
    let judge = |path: &VerifiedPath<'_>| {
        judge_path(path, policy, at).map_err(|reason| {
            refused.replace(Some(reason));
            Error::UnknownIssuer
        })
    };
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let outcome =
        leaf.verify_for_usage(&algorithms(), anchors.issuing(), &intermediates, time, AnyPurpose, None, Some(&judge));
    match outcome {
        Ok(path) => issuers(&path, pool, anchors).ok_or(Reason::IssuerUnknown),
        Err(Error::UnknownIssuer) => Err(refused.take().unwrap_or(Reason::IssuerNotAuthority)),
        Err(error) => Err(explain(&error)),
    }
}

/// The certificates of a path, all of which came from the pool or are anchors.
fn issuers(path: &VerifiedPath<'_>, pool: &[&Certificate], anchors: &Anchors) -> Option<Vec<Certificate>> {
    let known = |der: &[u8]| pool.iter().find(|certificate| certificate.der() == der).map(|&known| known.clone());
    let between = path.intermediate_certificates().map(|issuer| known(&issuer.der()));
    let mut issuers = between.collect::<Option<Vec<_>>>()?;
    let anchor = path.anchor();
    let spki = webpki::spki_for_anchor(anchor);
    let is_anchor = |certificate: &&Certificate| {
        certificate.spki_der() == spki.as_ref() && certificate.subject_der().ends_with(anchor.subject.as_ref())
    };
    issuers.push(anchors.certificates().iter().find(is_anchor)?.clone());
    Some(issuers)
}

/// The rules that webpki does not know, applied to a path that keeps those it knows.
fn judge_path(path: &VerifiedPath<'_>, policy: &Policy, at: OffsetDateTime) -> Result<(), Reason> {
    let not_understood = |detail: &str| Reason::PathNotUnderstood { detail: detail.to_owned() };
    let read = |der: &[u8]| Certificate::from_der(der).map_err(|error| not_understood(&error.to_string()));
    let mut signed = read(&path.end_entity().der())?;
    for intermediate in path.intermediate_certificates() {
        let issuer = read(&intermediate.der())?;
        if !may_issue(&issuer) {
            return Err(Reason::IssuerNotAuthority);
        }
        let key = issuer.public_key().map_err(|_| Reason::AlgorithmUnsupported)?;
        believable(&signed, &key, policy, at.date())?;
        signed = issuer;
    }
    let spki = webpki::spki_for_anchor(path.anchor());
    let key = PublicKey::from_spki_der(&spki).map_err(|_| Reason::AlgorithmUnsupported)?;
    believable(&signed, &key, policy, at.date()).map(|_| ())
}

/// The extended key usage says nothing about messages of OSCI-Transport.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, mut purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        purposes.try_for_each(|purpose| purpose.map(|_| ()))
    }
}

fn explain(error: &Error) -> Reason {
    let not_understood = |detail: &str| Reason::PathNotUnderstood { detail: detail.to_owned() };
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Reason::IssuerOutsideValidity,
        Error::CaUsedAsEndEntity => Reason::AuthorityAsEndEntity,
        Error::EndEntityUsedAsCa => Reason::IssuerNotAuthority,
        Error::PathLenConstraintViolated => Reason::ConstraintBroken { detail: "too many authorities below it" },
        Error::NameConstraintViolation => Reason::ConstraintBroken { detail: "a name it does not permit" },
        Error::UnsupportedSignatureAlgorithmContext(_) | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            Reason::AlgorithmUnsupported
        }
        Error::MaximumPathBuildCallsExceeded
        | Error::MaximumSignatureChecksExceeded
        | Error::MaximumNameConstraintComparisonsExceeded
        | Error::MaximumPathDepthExceeded => Reason::PathTooComplex,
        Error::UnsupportedCriticalExtension => not_understood("a critical extension is not supported"),
        Error::UnsupportedCertVersion => not_understood("a certificate is not of version 3"),
        other => not_understood(&other.to_string()),
    }
}

/// One pair of key and signature algorithm; the checking itself is done by `crypto`.
#[derive(Debug)]
struct Verification {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
}

impl SignatureVerificationAlgorithm for Verification {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let spki = der::sequence(&[der::tlv(der::SEQUENCE, self.key.as_ref()), der::bit_string(key)]);
        let key = PublicKey::from_spki_der(&spki).map_err(|_| InvalidSignature)?;
        let algorithm = der::tlv(der::SEQUENCE, self.signature.as_ref());
        let algorithm = X509SignatureAlgorithm::from_der(&algorithm).ok_or(InvalidSignature)?;
        key.verify_x509(algorithm, message, signature).map_err(|_| InvalidSignature)
    }
}

/// sha1WithRSAEncryption; whether it counts is the policy's to say.
const RSA_PKCS1_SHA1: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00]);

static ALL: [Verification; 17] = [
    pair(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256),
    pair(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA256),
    pair(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA512),
    pair(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA384),
    pair(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512),
    pair(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384),
    pair(alg_id::RSA_ENCRYPTION, RSA_PKCS1_SHA1),
    pair(alg_id::ECDSA_P256, alg_id::ECDSA_SHA256),
    pair(alg_id::ECDSA_P256, alg_id::ECDSA_SHA384),
    pair(alg_id::ECDSA_P256, alg_id::ECDSA_SHA512),
    pair(alg_id::ECDSA_P384, alg_id::ECDSA_SHA256),
    pair(alg_id::ECDSA_P384, alg_id::ECDSA_SHA384),
    pair(alg_id::ECDSA_P384, alg_id::ECDSA_SHA512),
    pair(alg_id::ECDSA_P521, alg_id::ECDSA_SHA256),
    pair(alg_id::ECDSA_P521, alg_id::ECDSA_SHA384),
    pair(alg_id::ECDSA_P521, alg_id::ECDSA_SHA512),
    pair(alg_id::ED25519, alg_id::ED25519),
];

const fn pair(key: AlgorithmIdentifier, signature: AlgorithmIdentifier) -> Verification {
    Verification { key, signature }
}

fn algorithms() -> [&'static dyn SignatureVerificationAlgorithm; 17] {
    std::array::from_fn(|at| &ALL[at] as &dyn SignatureVerificationAlgorithm)
}
