//! An intermediary that hands over deliveries, with the keys of `certs-test/`, which are public.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by several tests, which may panic")]

use std::path::Path;
use std::sync::Arc;

use rohrpost_client::{ContentReader, Contents, Enclosed, MadeContent, NewContainer};
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{DigestAlgorithm, SignatureAlgorithm, SystemRandom};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::card::{InspectionReport, ProcessCard, ProcessCardBundle, Timestamp};
use rohrpost_osci::compose::{Outgoing, Signing};
use rohrpost_osci::dialog::{ClientDialog, ControlBlock};
use rohrpost_osci::envelope::{Limits, SignedBy};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, DesiredLanguages, IntermediaryCertificates,
    NonIntermediaryCertificates,
};
use rohrpost_osci::ids::{Challenge, MessageId};
use rohrpost_osci::message::{AcceptDelivery, ProcessDelivery, RecipientResponse, RequestHeader, RequestWithCard};
use rohrpost_osci::mime;
use rohrpost_osci::ns::MessageType;
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::seal::{Recipient, seal};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{SignatureState, Signer, verify};
use rohrpost_pki::{Certificate, KeyEntry};
use time::OffsetDateTime;
use time::macros::datetime;

pub(crate) const NOW: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);

/// How a delivery is handed over; [`new`](Self::new) does everything right.
#[derive(Clone)]
pub(crate) struct Handover {
    pub(crate) message_id: Option<&'static str>,
    /// Whether a reply is wanted.
    pub(crate) process: bool,
    /// Who signs the request.
    pub(crate) signed_by: Option<&'static str>,
    /// For whom the request is encrypted.
    pub(crate) sealed_for: Option<&'static str>,
    /// Whether the certificate for the answer is there.
    pub(crate) with_cipher: bool,
    /// For whom the content is sealed.
    pub(crate) reader: Option<&'static str>,
    pub(crate) control: Option<ControlBlock>,
    pub(crate) text: &'static str,
}

/// An answer as the intermediary sees it.
pub(crate) struct Answer {
    pub(crate) response: RecipientResponse,
    pub(crate) encrypted: bool,
    pub(crate) signer: Option<Certificate>,
    pub(crate) code: u16,
    /// The content of a reply, as Alice reads it.
    pub(crate) reply: Option<Contents>,
}

impl Handover {
    pub(crate) fn new(message_id: &'static str) -> Self {
        Self {
            message_id: Some(message_id),
            process: false,
            signed_by: Some("intermediary-signature"),
            sealed_for: Some("bob-cipher"),
            with_cipher: true,
            reader: Some("bob-cipher"),
            control: None,
            text: "<notice>moved in</notice>",
        }
    }

    pub(crate) fn to_be_answered(message_id: &'static str) -> Self {
        Self { process: true, ..Self::new(message_id) }
    }

    /// The HTTP body.
    pub(crate) fn write(&self) -> Vec<u8> {
        let spools = spools();
        let outgoing = self.compose(&spools);
        let pair = self.signed_by.map(signature);
        let entry = pair.as_ref().map(signature_entry);
        let signing = pair.as_ref().map(|pair| Signing {
            signer: &*pair.key,
            by: SignedBy::Client,
            certificate_id: entry.as_ref().map(|entry| entry.id.as_str()),
            digest: DigestAlgorithm::Sha256,
        });
        let encryption = Encryption::STANDARD;
        let recipient = self.sealed_for.map(|name| Recipient { certificate: certificate(name), encryption });
        bytes(&seal(&outgoing, signing.as_ref(), recipient.as_ref(), &spools, &SystemRandom).unwrap())
    }

    fn compose(&self, spools: &SpoolDir) -> Outgoing {
        let people = vec![
            entry(CertificateRole::Originator, CertificateUse::Cipher, "alice-cipher"),
            entry(CertificateRole::Addressee, CertificateUse::Cipher, "bob-cipher"),
            entry(CertificateRole::Originator, CertificateUse::Signature, "alice-signature"),
        ];
        let mut container = NewContainer::new()
            .data(self.text)
            .attachment(rohrpost_client::NewAttachment::new("../form ä.pdf", "application/pdf", "%PDF"))
            .signed_by(signature("alice-signature"));
        if let Some(reader) = self.reader {
            container = container.sealed_for(certificate(reader));
        }
        let made = MadeContent::make(vec![container], people, spools, &SystemRandom).unwrap();
        let header = RequestHeader {
            control: self.control.clone().unwrap_or_else(|| control(self.kind())),
            languages: Some(DesiredLanguages::new(["en"])),
            certificates: NonIntermediaryCertificates::new(made.certificates).unwrap(),
            ..RequestHeader::default()
        };
        let cipher = entry(CertificateRole::Intermediary, CertificateUse::Cipher, "intermediary-cipher");
        let intermediary = Some(IntermediaryCertificates {
            cipher: self.with_cipher.then_some(cipher),
            signature: self.signed_by.map(|name| signature_entry(&signature(name))),
        });
        let card = self.message_id.map(card);
        if self.process {
            let reply_id = MessageId::new("reply-1").unwrap();
            let with_card = card.map(|card| RequestWithCard { reply_id, card });
            ProcessDelivery { header, intermediary, with_card }.compose(made.delivery).unwrap()
        } else {
            AcceptDelivery { header, intermediary, card: card.unwrap() }.compose(made.delivery).unwrap()
        }
    }

    fn kind(&self) -> MessageType {
        if self.process { MessageType::ProcessDelivery } else { MessageType::AcceptDelivery }
    }

    /// The answer to this, with everything checked that an intermediary checks.
    pub(crate) fn read(&self, answer: &[u8]) -> Answer {
        let (policy, limits, spools) = (Policy::standard(), Limits::default(), spools());
        let keys = ring("intermediary");
        let received = Spool::from_bytes(answer.to_vec());
        let opened = open(received, &keys, &policy, NOW, &spools, &SystemRandom, &mime::Limits::default()).unwrap();
        assert!(Fault::parse(opened.message(), opened.parts()).unwrap().is_none(), "{:?}", fault(answer));
        let encrypted = opened.protection().is_some();
        let verified = verify(read(opened, &limits).unwrap(), Signer::Recipient, &policy, NOW, &limits);
        let signer = match verified.signature() {
            SignatureState::Covered { proof, signer } => {
                assert_eq!(proof.by(), SignedBy::Supplier);
                Some((**signer).clone())
            }
            SignatureState::Absent => None,
            other => panic!("{other:?}"),
        };
        let (opened, envelope) = verified.into_read().into_parts();
        let response = RecipientResponse::parse(&envelope).unwrap();
        let mut dialog = ClientDialog::new();
        dialog.request(self.kind(), challenge()).unwrap();
        dialog.response(envelope.message_type(), response.control()).unwrap();
        let code = response.feedback().entries()[0].code.known().unwrap().number();
        let reply = envelope.body().package().map(|place| {
            let enclosed = Enclosed::new(&opened, place, response.header().certificates.clone());
            let reader = ContentReader {
                keys: ring("alice"),
                readers: Vec::new(),
                policy: Arc::new(policy),
                inspector: None,
                spools,
            };
            reader.open(&enclosed, NOW).unwrap()
        });
        Answer { response, encrypted, signer, code, reply }
    }
}

/// The code of a SOAP fault, which is never encrypted; `None` if the answer is something else.
pub(crate) fn fault(answer: &[u8]) -> Option<u16> {
    let multipart = mime::Multipart::scan(&answer, &mime::Limits::default()).unwrap();
    Fault::parse(&answer, &multipart).unwrap().map(|fault| fault.known_code().number())
}

pub(crate) fn challenge() -> Challenge {
    Challenge::new("Y2hhbGxlbmdl").unwrap()
}

fn control(kind: MessageType) -> ControlBlock {
    ClientDialog::new().request(kind, challenge()).unwrap()
}

fn card(id: &str) -> ProcessCardBundle {
    let at = datetime!(2026-12-01 11:59 UTC);
    ProcessCardBundle {
        message_id: MessageId::new(id).unwrap(),
        card: ProcessCard {
            recent_modification: at.into(),
            creation: Some(Timestamp::Plain(at.into())),
            forwarding: Some(Timestamp::Plain(at.into())),
            reception: None,
            subject: Some("move-in notice".to_owned()),
        },
        report: InspectionReport::default(),
    }
}

fn entry(role: CertificateRole, purpose: CertificateUse, name: &str) -> CertificateEntry {
    CertificateEntry::new(role, purpose, 0, certificate(name).der())
}

fn signature_entry(pair: &SignaturePair) -> CertificateEntry {
    let (role, purpose) = (CertificateRole::Intermediary, CertificateUse::Signature);
    CertificateEntry::new(role, purpose, 0, pair.certificate.der())
}

/// Key and certificate by name, e.g. `alice-cipher`.
fn key(name: &str) -> KeyEntry {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|at| at.join("certs-test/pem"));
    let folder = folder.into_iter().find(|folder| folder.is_dir()).unwrap();
    let file = |kind| std::fs::read(folder.join(format!("{name}.{kind}.pem"))).unwrap();
    KeyEntry::from_pem(&file("cert"), &file("key")).unwrap()
}

pub(crate) fn certificate(name: &str) -> Certificate {
    key(name).certificate
}

pub(crate) fn signature(name: &str) -> SignaturePair {
    let entry = key(name);
    let signer = entry.key.signer(SignatureAlgorithm::RsaSha256).unwrap();
    SignaturePair { key: Arc::new(signer), certificate: entry.certificate }
}

/// Cipher and signature pair of a party.
pub(crate) fn ring(party: &str) -> KeyRing {
    let cipher = key(&format!("{party}-cipher"));
    let cipher = CipherPair { key: Arc::new(cipher.key.decryptor().unwrap()), certificate: cipher.certificate };
    KeyRing::new(vec![cipher], Some(signature(&format!("{party}-signature"))))
}

pub(crate) fn spools() -> SpoolDir {
    SpoolDir::new(std::env::temp_dir()).unnamed()
}

pub(crate) fn bytes(spool: &Spool) -> Vec<u8> {
    rohrpost_osci::source::read_range(spool, 0..spool.len()).unwrap()
}
