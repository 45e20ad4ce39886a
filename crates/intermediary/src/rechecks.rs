//! Looking again at certificates that nobody could judge completely when their delivery was accepted: whoever was silent may have
//! spoken since, and then the process card says so (OSCI-Transport 1.2, process card: changes of the inspection report).

use rohrpost_audit::{Event, Leaf};
use rohrpost_osci::card::{self, InspectionReport};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole as Role, CertificateUse as Use, NonIntermediaryCertificates,
};
use rohrpost_pipeline::judge::{Judged, judge};
use rohrpost_pki::Verdict;
use rohrpost_pki::revocation::RevocationStatus;
use rohrpost_store::{Amendment, DueRecheck, Recheck, StorageError};
use time::{Duration, OffsetDateTime};
use tracing::warn;

use crate::{Intermediary, certificates};

/// Who was silent is asked again after as much time as has passed since the acceptance, but within these bounds …
const SHORTEST_PAUSE: Duration = Duration::minutes(5);
const LONGEST_PAUSE: Duration = Duration::hours(6);
/// … and for so long.
const GIVEN_UP_AFTER: Duration = Duration::days(7);

/// What has to be looked at again of what was just judged.
pub(crate) fn needed(judged: &[Judged], now: OffsetDateTime) -> Option<Recheck> {
    let certificates = encode(judged.iter().filter(|judged| is_pending(judged)));
    let recheck = Recheck { due: now + SHORTEST_PAUSE, until: now + GIVEN_UP_AFTER, certificates };
    (!recheck.certificates.is_empty()).then_some(recheck)
}

/// Whether nobody said if the certificate is revoked.
fn is_pending(judged: &Judged) -> bool {
    let online = judged.finding.as_ref().ok().and_then(|(_, inspection)| inspection.online.as_ref());
    matches!(online, Some(RevocationStatus::Indeterminate { .. }))
}

impl Intermediary {
    /// Looks again at the certificates of the delivery that has waited longest for that, and amends its card with what is known by
    /// now. Returns whether there was one. Waits for the network; meant to be called now and then beside the orders.
    ///
    /// # Errors
    /// If the store fails.
    pub fn recheck_next(&self, now: OffsetDateTime) -> Result<bool, StorageError> {
        let Some(due) = self.parts.store.due_recheck(now)? else { return Ok(false) };
        let amendment = self.recheck(&due, now);
        self.parts.store.amend(&due.card.message_id, amendment, now)?;
        Ok(true)
    }

    fn recheck(&self, due: &DueRecheck, now: OffsetDateTime) -> Amendment {
        let all = decode(&due.recheck.certificates);
        let judged = all.map(|all| judge(&all, &self.parts.inspector, now)).unwrap_or_default();
        let is_known = |judged: &Judged| {
            let online = judged.finding.as_ref().ok().and_then(|(_, inspection)| inspection.online.as_ref());
            matches!(online, Some(RevocationStatus::Good(_) | RevocationStatus::Revoked(..)))
        };
        let (known, pending): (Vec<_>, Vec<_>) = judged.into_iter().partition(is_known);
        let pause = (now - due.card.created).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let again = Recheck { due: now + pause, until: due.recheck.until, certificates: encode(&pending) };
        let goes_on = !pending.is_empty() && again.due <= again.until;
        Amendment { inspections: self.amended(due, &known, now), again: goes_on.then_some(again) }
    }

    /// The report with what is known now, and the entry of the log; nothing if there is no news.
    fn amended(&self, due: &DueRecheck, known: &[Judged], now: OffsetDateTime) -> Option<(String, Leaf)> {
        let mut inspections = InspectionReport::from_stored(due.card.inspections.clone()).inspections().ok()?;
        let mut leaf = Leaf::new(now, Event::Inspected);
        for judged in known {
            replace(&mut inspections, certificates::report(judged, now)?);
            certificates::note(judged, &mut leaf);
            if judged.finding.as_ref().is_ok_and(|(_, inspection)| inspection.verdict == Verdict::Invalid) {
                warn!(
                    "a certificate of a delivery accepted earlier turns out to be revoked; its process card says which"
                );
            }
        }
        let report = InspectionReport::new(&inspections).as_str().to_owned();
        // With more evidence than that, the addressee could not read the answer that brings the delivery.
        let fits = report.len() <= self.settings.envelope.header_bytes;
        (!known.is_empty() && fits).then_some((report, leaf))
    }
}

/// Puts a new entry into the place of the one about the same certificate that says nothing about revocation.
fn replace(inspections: &mut Vec<card::Inspection>, new: card::Inspection) {
    let names = |one: &card::Inspection| [&one.subject_name, &one.issuer_name, &one.serial_number].map(String::clone);
    let old = inspections.iter_mut().find(|old| old.online.is_none() && names(old) == names(&new));
    match old {
        Some(old) => *old = new,
        None => inspections.push(new),
    }
}

/// In the order of their numbers in the store; only ever to be extended.
const KINDS: [(Role, Use); 8] = [
    (Role::Originator, Use::Cipher),
    (Role::Originator, Use::Signature),
    (Role::Addressee, Use::Cipher),
    (Role::Addressee, Use::Signature),
    (Role::OtherAuthor, Use::Cipher),
    (Role::OtherAuthor, Use::Signature),
    (Role::OtherReader, Use::Cipher),
    (Role::OtherReader, Use::Signature),
];

/// For each certificate its kind, its length in four octets, and its DER.
fn encode<'a>(judged: impl IntoIterator<Item = &'a Judged>) -> Vec<u8> {
    let mut out = Vec::new();
    for judged in judged {
        let kind = KINDS.iter().position(|kind| *kind == (judged.role, judged.purpose));
        let (Some(kind), Ok((certificate, _))) = (kind, &judged.finding) else { continue };
        let (Ok(kind), Ok(length)) = (u8::try_from(kind), u32::try_from(certificate.der().len())) else { continue };
        out.push(kind);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(certificate.der());
    }
    out
}

/// `None` for what was not written here.
fn decode(mut octets: &[u8]) -> Option<NonIntermediaryCertificates> {
    let (mut entries, mut number) = (Vec::new(), 0);
    while let Some((kind, rest)) = octets.split_first() {
        let (role, purpose) = *KINDS.get(usize::from(*kind))?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (der, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        entries.push(CertificateEntry::new(role, purpose, number, der));
        number += 1;
        octets = rest;
    }
    NonIntermediaryCertificates::new(entries).ok()
}
