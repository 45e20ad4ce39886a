//! Third stage: does the transport signature cover the whole message, and is it right.

use rohrpost_crypto::policy::{Policy, Purpose, Ruling};
use rohrpost_osci::envelope::Limits;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::signature::{self, Covered, MessageParts, TransportSignatureError};
use rohrpost_pki::{Certificate, CertificateError};
use thiserror::Error;
use time::OffsetDateTime;

use crate::read::Read;

/// A message whose transport signature was looked at.
#[derive(Debug)]
pub struct Verified {
    read: Read,
    signature: SignatureState,
}

/// What the look at the transport signature gave.
#[derive(Debug)]
#[non_exhaustive]
pub enum SignatureState {
    /// The message is not signed.
    Absent,
    /// Every header block, the body and every attachment are covered, by this certificate.
    Covered {
        /// The proof.
        proof: Covered,
        /// Whose signature it is.
        signer: Box<Certificate>,
    },
    /// There is a signature, and it must not be relied on.
    Refused(SignatureRefusal),
}

/// Why a transport signature does not count.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignatureRefusal {
    /// Some part is not covered, some digest is wrong, or the value is.
    #[error(transparent)]
    Signature(TransportSignatureError),
    /// The signer's certificate is not in the message and not known from the dialog.
    #[error("the certificate of the signer is missing")]
    CertificateMissing,
    /// The signer's certificate cannot be read, or its key is of no supported kind.
    #[error("the certificate of the signer cannot be used")]
    CertificateUnusable,
    /// The policy does not accept the algorithm or the key.
    #[error("the policy refuses {algorithm}")]
    Policy {
        /// URI of the algorithm.
        algorithm: &'static str,
    },
}

impl SignatureRefusal {
    /// The code that tells the peer (OSCI-Transport 1.2, feedback codes for certificates and signatures).
    pub fn code(&self) -> Code {
        match self {
            Self::Signature(TransportSignatureError::Incomplete { .. }) => Code::SignatureIncomplete,
            Self::Signature(TransportSignatureError::Io(_)) => Code::SignatureCheckFailed,
            _ => Code::SignatureWrong,
        }
    }
}

/// Whose signature is expected.
#[derive(Debug, Clone, Copy)]
pub enum Signer<'a> {
    /// A client: the originator's signature certificate of this message, or the one remembered from its dialog (DER).
    Client {
        /// From InitDialog, if it had one.
        remembered: Option<&'a [u8]>,
    },
    /// An intermediary: the certificate of this message, which must be the one configured (DER) where one is.
    Intermediary {
        /// The certificate the client was configured with.
        expected: Option<&'a [u8]>,
    },
    /// A passive recipient that answers: the certificate in its answer, which is the addressee's if it only took the delivery and
    /// the originator's if it answers with one of its own. Whether it is the right one is for the intermediary to judge.
    Recipient,
}

/// Checks the transport signature, if there is one.
///
/// Every reference set, digest and value is checked by [`signature::check`]; here the certificate is found and the policy asked.
pub fn verify(read: Read, signer: Signer<'_>, policy: &Policy, at: OffsetDateTime, limits: &Limits) -> Verified {
    verify_with(read, signer, Certificate::from_der, policy, at, limits)
}

/// The same for whoever remembers certificates: `certificate` gives what [`Certificate::from_der`] does.
pub fn verify_with(
    read: Read,
    signer: Signer<'_>,
    certificate: impl Fn(&[u8]) -> Result<Certificate, CertificateError>,
    policy: &Policy,
    at: OffsetDateTime,
    limits: &Limits,
) -> Verified {
    let signature = match read.envelope().signature() {
        None => SignatureState::Absent,
        Some(_) => match covered(&read, signer, certificate, policy, at, limits) {
            Ok((proof, signer)) => SignatureState::Covered { proof, signer: Box::new(signer) },
            Err(refusal) => SignatureState::Refused(refusal),
        },
    };
    Verified { read, signature }
}

fn covered(
    read: &Read,
    signer: Signer<'_>,
    certificate: impl Fn(&[u8]) -> Result<Certificate, CertificateError>,
    policy: &Policy,
    at: OffsetDateTime,
    limits: &Limits,
) -> Result<(Covered, Certificate), SignatureRefusal> {
    let der = certificate_of(read, signer)?;
    let certificate = certificate(&der).map_err(|_| SignatureRefusal::CertificateUnusable)?;
    let key = certificate.public_key().map_err(|_| SignatureRefusal::CertificateUnusable)?;
    if certificate.key_usage().is_some_and(|usage| !usage.allows_signature()) {
        return Err(SignatureRefusal::CertificateUnusable);
    }
    judge_algorithms(read, &certificate, policy, at)?;
    let mut parts = MessageParts::new(read.opened().parts(), read.opened().message());
    let proof = signature::check(read.envelope(), &mut parts, &key, limits).map_err(SignatureRefusal::Signature)?;
    Ok((proof, certificate))
}

fn certificate_of(read: &Read, signer: Signer<'_>) -> Result<Vec<u8>, SignatureRefusal> {
    let envelope = read.envelope();
    let (sent, known) = match signer {
        Signer::Client { remembered } => {
            let entry = envelope
                .certificates()
                .and_then(|all| all.first(CertificateRole::Originator, CertificateUse::Signature));
            (entry.map(|entry| entry.der.clone()), remembered)
        }
        Signer::Intermediary { expected } => {
            let sent = intermediary_certificate(read);
            if let (Some(sent), Some(expected)) = (&sent, expected)
                && sent != expected
            {
                return Err(SignatureRefusal::CertificateUnusable);
            }
            (sent, expected)
        }
        Signer::Recipient => {
            let role = match envelope.message_type() {
                MessageType::ResponseToAcceptDelivery => CertificateRole::Addressee,
                _ => CertificateRole::Originator,
            };
            let entry = envelope.certificates().and_then(|all| all.first(role, CertificateUse::Signature));
            (entry.map(|entry| entry.der.clone()), None)
        }
    };
    sent.or_else(|| known.map(<[u8]>::to_vec)).ok_or(SignatureRefusal::CertificateMissing)
}

fn intermediary_certificate(read: &Read) -> Option<Vec<u8>> {
    use rohrpost_osci::envelope::BlockKind;
    use rohrpost_osci::header::IntermediaryCertificates;
    let block = read.envelope().blocks_of(BlockKind::IntermediaryCertificates).next()?;
    let certificates = IntermediaryCertificates::from_element(&block.tree).ok()?;
    certificates.signature.map(|entry| entry.der)
}

fn judge_algorithms(
    read: &Read,
    certificate: &Certificate,
    policy: &Policy,
    at: OffsetDateTime,
) -> Result<(), SignatureRefusal> {
    let Some(transport) = read.envelope().signature() else { return Ok(()) };
    let bits = certificate.public_key().ok().map(|key| key.kind().bits());
    let algorithm = transport.signature.algorithm().uri();
    let date = at.date();
    if policy.judge(Purpose::TransportSignature, algorithm, bits, date) == Ruling::Refuse {
        return Err(SignatureRefusal::Policy { algorithm });
    }
    for reference in transport.signature.references() {
        let algorithm = reference.digest_algorithm.uri();
        if policy.judge(Purpose::Digest, algorithm, None, date) == Ruling::Refuse {
            return Err(SignatureRefusal::Policy { algorithm });
        }
    }
    Ok(())
}

impl Verified {
    /// The message.
    pub fn read(&self) -> &Read {
        &self.read
    }

    /// What is known of its signature.
    pub fn signature(&self) -> &SignatureState {
        &self.signature
    }

    /// Whether there is a signature, be it good or not. Signed requests get signed answers.
    pub fn is_signed(&self) -> bool {
        !matches!(self.signature, SignatureState::Absent)
    }

    /// Gives the message back.
    pub fn into_read(self) -> Read {
        self.read
    }
}
