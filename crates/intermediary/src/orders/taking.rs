//! Takes a delivery over: whatever it is and wherever it goes, it is durable before anything says "accepted".

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use rohrpost_audit::{Commitment, Event, Leaf, Salt};
use rohrpost_crypto::DigestAlgorithm;
use rohrpost_osci::card::{InspectionReport, Timestamp};
use rohrpost_osci::envelope::{BlockKind, Envelope};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse, NonIntermediaryCertificates};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::mime::{Encoding, Part};
use rohrpost_pipeline::gate::leave;
use rohrpost_pipeline::judge::Judged;
use rohrpost_pipeline::open::Opened;
use rohrpost_pipeline::spool::SpoolParts;
use rohrpost_pipeline::verify::{SignatureState, Verified};
use rohrpost_pki::timestamp::MAX_LEN as LONGEST_STAMP;
use rohrpost_planted::planted;
use rohrpost_store::{
    AcceptError, Accepting, Attachment, BodySource, Content, Delivery, Fingerprint, Outbound, Stamp, StorageError,
    UploadEnd,
};
use time::OffsetDateTime;

use crate::handle::{Stop, algorithms, signature_verdict};
use crate::timestamps::{Wish, timestamp};
use crate::{Intermediary, certificates, rechecks};

/// A delivery in the message that brought it.
pub(super) struct Taking<'a> {
    pub(super) intermediary: &'a Intermediary,
    pub(super) verified: &'a Verified,
    /// The certificates in the message.
    pub(super) certificates: &'a NonIntermediaryCertificates,
    pub(super) judged: &'a [Judged],
    /// Whose mailbox it is for; otherwise the addressee's in the message.
    pub(super) mailbox: Option<Fingerprint>,
    pub(super) message_id: &'a MessageId,
    pub(super) subject: Option<&'a String>,
    pub(super) outbound: Option<Outbound>,
    /// The upload that ends with it.
    pub(super) upload: Option<UploadEnd>,
    pub(super) stamps: Wish,
    /// For the log.
    pub(super) order: &'static str,
    pub(super) warnings: &'a [Code],
    pub(super) correlation: &'a str,
    pub(super) now: OffsetDateTime,
}

/// A delivery that is being made durable.
pub(super) struct Begun {
    pub(super) report: InspectionReport,
    /// The stamp of its Creation.
    pub(super) creation: Timestamp,
    pub(super) accepting: Accepting,
}

impl Taking<'_> {
    /// Makes the delivery durable, or says with which code it is refused.
    pub(super) fn take(self) -> Result<Result<(), Code>, Stop> {
        match self.begin()? {
            Ok(begun) => settle(begun.accepting),
            Err(code) => Ok(Err(code)),
        }
    }

    /// Begins to make it durable: for an answer that is written meanwhile.
    pub(super) fn begin(self) -> Result<Result<Begun, Code>, Stop> {
        let parts = &self.intermediary.parts;
        if !parts.spools.has_room(0) {
            // What was accepted can still be fetched, acknowledged and logged with what is left.
            tracing::error!("no space for deliveries: make some, or less is left free than storage.reserve_bytes");
            return Ok(Err(Code::OrderFailed));
        }
        let report = self.report();
        let mut delivery = self.delivery(&report)?;
        delivery.stamps = match self.intermediary.stamps(self.stamps, &delivery, self.now) {
            Ok(stamps) => stamps,
            Err(code) => return Ok(Err(code)),
        };
        let creation = timestamp(self.now, &delivery.stamps.creation);
        if header_when_handed_out(&delivery) > self.intermediary.settings.envelope.header_bytes {
            tracing::debug!("a delivery whose header no client would read is not accepted");
            return Ok(Err(Code::OrderFailed));
        }
        let accepting = match delivery.body {
            BodySource::Inline(_) => parts.store.begin_to_accept(delivery),
            // Moving and syncing a file is no work for the processor.
            BodySource::File(_) => leave(|| parts.store.begin_to_accept(delivery)),
        };
        Ok(Ok(Begun { report, creation, accepting }))
    }

    fn opened(&self) -> &Opened {
        self.verified.read().opened()
    }

    /// One entry for each certificate and use, however often it occurs.
    fn report(&self) -> InspectionReport {
        let mut seen = HashSet::new();
        let distinct = self.judged.iter().filter(|judged| match &judged.finding {
            Ok((certificate, _)) => seen.insert((certificate.fingerprint(), judged.purpose)),
            Err(_) => false,
        });
        let entries: Vec<_> = distinct.filter_map(|judged| certificates::report(judged, self.now)).collect();
        InspectionReport::new(&entries)
    }

    fn delivery(&self, report: &InspectionReport) -> Result<Delivery, Stop> {
        let (envelope, opened) = (self.verified.read().envelope(), self.opened());
        let certificate = |role, purpose| {
            let entry = self.certificates.first(role, purpose);
            entry.map(|entry| Fingerprint::of_der(&entry.der))
        };
        let addressee = self
            .mailbox
            .or_else(|| certificate(CertificateRole::Addressee, CertificateUse::Cipher))
            .ok_or_else(|| Stop::new(Code::NotAMessage, "no cipher certificate of the addressee"))?;
        let attachments = attachments(self.verified)?;
        let body = body(opened)?;
        let mut delivery = Delivery::new(self.message_id.clone(), addressee, self.now, body);
        delivery.originator = certificate(CertificateRole::Originator, CertificateUse::Cipher);
        delivery.subject = self.subject.cloned();
        delivery.inspections = report.as_str().to_owned();
        delivery.certificates = texts(envelope, BlockKind::NonIntermediaryCertificates).next();
        delivery.custom_headers = texts(envelope, BlockKind::Custom).collect();
        delivery.content = content(envelope, opened)?;
        delivery.attachments = attachments;
        delivery.outbound.clone_from(&self.outbound);
        delivery.recheck = rechecks::needed(self.judged, self.now);
        delivery.upload.clone_from(&self.upload);
        delivery.limits = self.intermediary.settings.mailbox;
        delivery.leaf = self.leaf();
        self.commit(&mut delivery).map_err(Stop::internal)?;
        Ok(delivery)
    }

    /// Binds the log to subject and content without revealing them: salted hashes, whose salt goes when the body goes. `body` is
    /// the SHA-256 of the body in the canonical form that is signed; without a signature of that kind `content` is the SHA-256 of
    /// the package as received. Both are followed by the SHA-256 of the attachments in their order.
    fn commit(&self, delivery: &mut Delivery) -> io::Result<()> {
        let salt = Salt::from_bytes(self.intermediary.random());
        // What the sender signed is what the log is bound to, and a large body is not hashed again.
        let body = format!("#{}", self.verified.read().envelope().body().id);
        let (name, mut content) = match verified_digest(self.verified, &body) {
            Some(digest) => ("body", digest.to_vec()),
            None => ("content", package_digest(self.opened(), delivery.content.range.clone())?),
        };
        delivery.attachments.iter().for_each(|attachment| content.extend_from_slice(&attachment.sha256));
        delivery.leaf.commitments.push(Commitment::new(name, &salt, &content));
        if let Some(subject) = &delivery.subject {
            delivery.leaf.commitments.push(Commitment::new("subject", &salt, subject.as_bytes()));
        }
        delivery.salt = Some(salt);
        Ok(())
    }

    fn leaf(&self) -> Leaf {
        let mut leaf = Leaf::new(self.now, Event::Accepted);
        leaf.order = Some(self.order.to_owned());
        leaf.correlation = Some(self.correlation.to_owned());
        for judged in self.judged {
            certificates::note(judged, &mut leaf);
        }
        leaf.verdicts = signature_verdict(self.verified);
        leaf.algorithms = algorithms(self.verified);
        leaf.feedback = self.warnings.iter().map(|code| code.number()).collect();
        leaf
    }
}

/// Waits until a delivery is durable; otherwise the code it is refused with.
pub(crate) fn settle(accepting: Accepting) -> Result<Result<(), Code>, Stop> {
    match accepting.wait() {
        Ok(()) => Ok(Ok(())),
        Err(AcceptError::MessageIdUsed) => Ok(Err(Code::MessageIdIllegal)),
        Err(AcceptError::MailboxFull { .. }) => Ok(Err(Code::OrderFailed)),
        Err(_) if planted("failure-to-store-taken-for-success") => Ok(Ok(())),
        // Perhaps it is stored: no answer may say that it is not.
        Err(AcceptError::Storage(error @ StorageError::Stopped)) => Err(Stop::internal(error)),
        Err(error) => {
            tracing::error!(%error, "a delivery could not be stored");
            Ok(Err(Code::OrderFailed))
        }
    }
}

/// The attachments of a message.
///
/// # Errors
/// If base64 is malformed: the sender's fault.
pub(super) fn attachments(verified: &Verified) -> Result<Vec<Attachment>, Stop> {
    let all = verified.read().opened().parts().attachments();
    all.iter().map(|part| attachment(verified, part)).collect::<io::Result<_>>().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Stop::new(Code::NotAMessage, error),
        _ => Stop::internal(error),
    })
}

/// Where the content of a delivery lies in its message.
pub(super) fn content(envelope: &Envelope, opened: &Opened) -> Result<Content, Stop> {
    let package =
        envelope.body().package().ok_or_else(|| Stop::new(Code::NotAMessage, "a delivery without content package"))?;
    let root = opened.parts().root().range.start;
    Ok(Content {
        range: root + package.range.start..root + package.range.end,
        namespaces: package.in_scope.iter().map(|(prefix, uri)| (prefix.to_owned(), uri.to_owned())).collect(),
    })
}

/// How long the header will be that the addressee gets. What it could not read would block its mailbox.
fn header_when_handed_out(delivery: &Delivery) -> usize {
    let custom: usize = delivery.custom_headers.iter().map(String::len).sum();
    let subject = delivery.subject.as_ref().map_or(0, |subject| LONGEST_ESCAPE * subject.len());
    let token = if delivery.stamps.creation == Stamp::Plain { 0 } else { LONGEST_TOKEN };
    let certificates = delivery.certificates.as_ref().map_or(0, String::len);
    certificates + delivery.inspections.len() + custom + subject + token + OWN_BLOCKS
}

/// Bytes that one character of a text may take when it is escaped.
const LONGEST_ESCAPE: usize = 6;
/// Bytes of a time stamp of a service in base64.
const LONGEST_TOKEN: usize = LONGEST_STAMP.div_ceil(3) * 4;
/// Room for the blocks that we add: control block, signature, certificates and features.
const OWN_BLOCKS: usize = 64 * 1024;

/// The SHA-256 of the package as received.
fn package_digest(opened: &Opened, range: Range<u64>) -> io::Result<Vec<u8>> {
    let mut hasher = DigestAlgorithm::Sha256.hasher();
    io::copy(&mut opened.message().reader(range), &mut hasher)?;
    Ok(hasher.finish().as_bytes().to_vec())
}

/// The stored body is the opened message itself: a file of the spool changes hands, it is not copied.
fn body(opened: &Opened) -> Result<BodySource, Stop> {
    match opened.message().clone().into_parts().map_err(Stop::internal)? {
        SpoolParts::Memory(bytes) => Ok(BodySource::Inline(bytes)),
        SpoolParts::File(path, _) => Ok(BodySource::File(path)),
    }
}

/// Digest and length of an attachment; what the signature check has hashed already is not hashed again.
fn attachment(verified: &Verified, part: &Part) -> io::Result<Attachment> {
    if let (Encoding::Raw, Some(sha256)) =
        (part.encoding, verified_digest(verified, &format!("cid:{}", part.content_id)))
    {
        return Ok(Attachment::new(part, part.range.end - part.range.start, sha256));
    }
    let mut hasher = DigestAlgorithm::Sha256.hasher();
    let length = io::copy(&mut part.reader(verified.read().opened().message()), &mut hasher)?;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hasher.finish().as_bytes());
    Ok(Attachment::new(part, length, sha256))
}

/// The SHA-256 of what a reference of the transport signature names, if that vouches for it.
fn verified_digest(verified: &Verified, uri: &str) -> Option<[u8; 32]> {
    let SignatureState::Covered { .. } = verified.signature() else { return None };
    let signature = &verified.read().envelope().signature()?.signature;
    let reference = signature.reference(uri)?;
    let is_sha256 = reference.digest_algorithm == DigestAlgorithm::Sha256;
    is_sha256.then(|| reference.digest.as_slice().try_into().ok()).flatten()
}

fn texts(envelope: &Envelope, kind: BlockKind) -> impl Iterator<Item = String> + '_ {
    envelope.blocks_of(kind).map(|block| block.canonical.clone())
}
