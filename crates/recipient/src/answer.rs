//! From what the recipient says to the bytes of the answer: signed if the request was, sealed if the request was
//! (OSCI-Transport 1.2, ResponseToAcceptDelivery and ResponseToProcessDelivery).

use rohrpost_client::MadeContent;
use rohrpost_crypto::DigestAlgorithm;
use rohrpost_osci::compose::{OutDelivery, Outgoing, Signing};
use rohrpost_osci::envelope::SignedBy;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, CustomBlock, Feature, FeatureDescription,
    NonIntermediaryCertificates,
};
use rohrpost_osci::message::{
    RecipientRequest, ReplyWithCard, ResponseHeader, ResponseToAcceptDelivery, ResponseToProcessDelivery,
};
use rohrpost_pipeline::keyring::SignaturePair;
use rohrpost_pipeline::seal::seal;
use rohrpost_pipeline::spool::Spool;
use tracing::debug;

use crate::handle::{Asked, Stop};
use crate::{Endpoint, Reply};

/// What we can do, announced in every answer (OSCI-Transport 1.2, FeatureDescription).
const FEATURES: [Feature; 5] = [
    Feature::DisableBase64,
    Feature::OaepEncryption,
    Feature::Sha3HashAlgorithms,
    Feature::GcmMode,
    Feature::TwelveByteIv,
];

/// What an answer says beside its feedback.
#[derive(Default)]
struct Saying {
    certificates: Vec<CertificateEntry>,
    headers: Vec<CustomBlock>,
    with_card: Option<ReplyWithCard>,
    delivery: Option<OutDelivery>,
}

impl Endpoint {
    /// The answer and its codes.
    pub(crate) fn answer(&self, asked: Asked, outcome: Result<Option<Reply>, Code>) -> Result<(Spool, Vec<u16>), Stop> {
        let role = match &asked.request {
            RecipientRequest::AcceptDelivery(_) => CertificateRole::Addressee,
            _ => CertificateRole::Originator,
        };
        let signer = self.parts.keys.signature().filter(|_| asked.verified.is_signed());
        let signer = signer
            .map(|pair| (pair, CertificateEntry::new(role, CertificateUse::Signature, 0, pair.certificate.der())));
        let own = signer.as_ref().map(|(_, entry)| entry.clone());
        let (code, mut saying) = match outcome {
            Ok(None) => (Code::ExecutedDialogClosed, Saying::default()),
            Ok(Some(reply)) => match self.reply(&asked.request, reply, own.clone())? {
                Some(saying) => (Code::ExecutedDialogClosed, saying),
                None => (Code::OrderFailed, Saying::default()),
            },
            Err(code) => (code, Saying::default()),
        };
        if let Some(own) = own
            && !saying.certificates.iter().any(|entry| entry.id == own.id)
        {
            saying.certificates.push(own);
        }
        let feedback = Feedback::new(code, asked.language);
        let outgoing = compose(&asked, saying, feedback)?;
        let answer = self.write(&asked, &outgoing, signer.as_ref().map(|(pair, entry)| (*pair, entry.id.as_str())))?;
        Ok((answer, vec![code.number()]))
    }

    /// The reply with the recipient as its originator and the first sender as its addressee; `None` if its content cannot be made.
    fn reply(
        &self,
        request: &RecipientRequest,
        reply: Reply,
        own: Option<CertificateEntry>,
    ) -> Result<Option<Saying>, Stop> {
        let sent = &request.header().certificates;
        let mut people: Vec<_> = own.into_iter().collect();
        let addressed = sent.first(CertificateRole::Addressee, CertificateUse::Cipher);
        let keys = &self.parts.keys;
        let pair = addressed.and_then(|entry| keys.cipher_for(&entry.der)).or_else(|| keys.current_cipher());
        let cipher = |role, der: &[u8]| CertificateEntry::new(role, CertificateUse::Cipher, 0, der);
        people.extend(pair.map(|pair| cipher(CertificateRole::Originator, pair.certificate.der())));
        let sender = sent.first(CertificateRole::Originator, CertificateUse::Cipher);
        people.extend(sender.map(|entry| cipher(CertificateRole::Addressee, &entry.der)));
        let made = MadeContent::make(reply.containers, people, &self.parts.spools, &*self.parts.random);
        let made = match made {
            Ok(made) => made,
            Err(rohrpost_client::Error::Unusable(error)) => {
                debug!(%error, "the reply cannot be made");
                return Ok(None);
            }
            Err(error) => return Err(Stop::internal(error)),
        };
        let with_card = match request {
            RecipientRequest::ProcessDelivery(request) => request.with_card.as_ref(),
            _ => None,
        };
        let with_card = with_card.map(|request| ReplyWithCard {
            message_id: request.reply_id.clone(),
            subject: reply.subject,
            creation: reply.creation,
            reception: reply.reception,
        });
        let MadeContent { certificates, delivery, .. } = made;
        Ok(Some(Saying { certificates, headers: reply.headers, with_card, delivery: Some(delivery) }))
    }

    fn write(&self, asked: &Asked, outgoing: &Outgoing, signer: Option<(&SignaturePair, &str)>) -> Result<Spool, Stop> {
        let signing = signer.map(|(pair, id)| Signing {
            signer: &*pair.key,
            by: SignedBy::Supplier,
            certificate_id: Some(id),
            digest: DigestAlgorithm::Sha256,
        });
        // How long a reply is, its maker decides.
        let spools = self.parts.spools.clone().with_limit(u64::MAX);
        seal(outgoing, signing.as_ref(), asked.sealed_for.as_ref(), &spools, &*self.parts.random)
            .map_err(Stop::internal)
    }
}

fn compose(asked: &Asked, saying: Saying, feedback: Feedback) -> Result<Outgoing, Stop> {
    let header = ResponseHeader {
        control: asked.control.clone(),
        intermediary: None,
        certificates: NonIntermediaryCertificates::new(saying.certificates).map_err(Stop::internal)?,
        features: Some(FeatureDescription::announcing(FEATURES)),
        custom: saying.headers,
    };
    match &asked.request {
        RecipientRequest::AcceptDelivery(_) => ResponseToAcceptDelivery { header, feedback }.compose(),
        RecipientRequest::ProcessDelivery(_) => {
            ResponseToProcessDelivery { header, feedback, with_card: saying.with_card }.compose(saying.delivery)
        }
        other => return Err(Stop::internal(format!("{} has no answer", other.message_type()))),
    }
    .map_err(Stop::internal)
}
