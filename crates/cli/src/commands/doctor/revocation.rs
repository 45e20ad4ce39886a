//! Whether somebody says that our own certificates are not revoked: partners will ask the same.

use std::path::Path;

use rohrpost_crypto::policy::Policy;
use rohrpost_pki::revocation::{RevocationChecker, RevocationStatus};
use rohrpost_pki::{Inspection, Inspector, Use};
use time::OffsetDateTime;

use super::finding::{Finding, chain, text};
use crate::config::{self, RawConfig, Revocation, keys};
use crate::output::stamp;

const CHECK: &str = "revocation";

pub(super) fn examine(raw: &RawConfig, base: &Path, now: OffsetDateTime) -> Vec<Finding> {
    match Revocation::check(&raw.revocation) {
        // That is a finding about the configuration.
        Err(_) => Vec::new(),
        Ok(None) => vec![Finding::ok(
            CHECK,
            text!(
                "Nach Sperrungen wird nicht gefragt (revocation.mode ist \"off\").",
                "Nobody is asked about revocation (revocation.mode is \"off\")."
            ),
        )],
        Ok(Some(revocation)) => own(raw, base, &revocation, now),
    }
}

/// Asks about our own certificates, as partners would.
fn own(raw: &RawConfig, base: &Path, revocation: &Revocation, now: OffsetDateTime) -> Vec<Finding> {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![
                Finding::warning(CHECK, text!("Niemand kann gefragt werden.", "Nobody can be asked.")).because(error),
            ];
        }
    };
    let inspector = match inspector(raw, base, revocation.checker(runtime.handle().clone())) {
        Ok(inspector) => inspector,
        Err(error) => {
            return vec![
                Finding::warning(CHECK, text!("Niemand kann gefragt werden.", "Nobody can be asked."))
                    .because(chain(&error)),
            ];
        }
    };
    let pairs = [
        ("keys.cipher", &raw.keys.cipher, Use::Encryption),
        ("keys.signature", &raw.keys.signature, Use::TransportSignature),
    ];
    // Files that cannot be read are findings about keys.
    let read =
        pairs.into_iter().filter_map(|(name, files, usage)| Some((keys::key_pair(files, base, name).ok()?, usage)));
    read.map(|(entry, usage)| finding(&inspector.inspect(&entry.certificate, &entry.chain, usage, now))).collect()
}

fn inspector(raw: &RawConfig, base: &Path, checker: RevocationChecker) -> anyhow::Result<Inspector> {
    let all = |files: &[std::path::PathBuf]| -> anyhow::Result<Vec<_>> {
        let read = files.iter().map(|file| keys::certificates(&base.join(file))).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(read.concat())
    };
    let anchors = config::trusted(all(&raw.trust.anchors)?)?;
    let inspector = Inspector::new(anchors, Policy::standard()).with_intermediates(all(&raw.trust.intermediates)?);
    Ok(inspector.with_revocation(checker))
}

fn finding(found: &Inspection) -> Finding {
    let subject = &found.subject;
    match &found.online {
        Some(RevocationStatus::Good(evidence)) => {
            let (url, until) = (&evidence.url, stamp(evidence.until));
            Finding::ok(
                CHECK,
                text!("{subject} ist nicht gesperrt ({url}, gültig bis {until}).", "{subject} is not revoked ({url}, good until {until})."),
            )
        }
        Some(RevocationStatus::Revoked(revocation, _)) => {
            Finding::problem(CHECK, text!("{subject} ist gesperrt.", "{subject} is revoked.")).because(revocation).remedy(text!(
                "Ein neues Zertifikat beantragen; Partner lehnen dieses ab.",
                "Ask for a new certificate; partners refuse this one."
            ))
        }
        Some(status @ RevocationStatus::Indeterminate { .. }) => Finding::warning(
            CHECK,
            text!("Niemand sagt, ob {subject} gesperrt ist.", "Nobody says whether {subject} is revoked."),
        )
        .because(status)
        .remedy(text!(
            "Netz, Firewall und revocation.only_hosts und private_hosts prüfen; der Zertifizierungsstelle melden, wenn ihr Dienst schweigt.",
            "Check network, firewall, and revocation.only_hosts and private_hosts; tell the authority if its service is silent."
        )),
        None => Finding::warning(
            CHECK,
            text!("Wen man nach {subject} fragt, ist unbekannt.", "Whom to ask about {subject} is unknown."),
        )
        .cause(text!(
            "Es führt kein Weg zu einem Zertifikat aus trust.anchors, oder es ist selbst eines.",
            "There is no path to a certificate of trust.anchors, or it is one itself."
        ))
        .remedy(text!(
            "Die Zertifikate der ausstellenden Stellen unter trust eintragen.",
            "Name the certificates of the issuing authorities under trust."
        )),
    }
}
