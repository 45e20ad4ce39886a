//! Keys, certificates, and how long they last.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rohrpost_crypto::KeyKind;
use rohrpost_crypto::policy::Policy;
use rohrpost_pki::{Anchors, Certificate, Use, Verdict, inspect};
use time::OffsetDateTime;

use super::finding::{Finding, chain, text};
use crate::config::{self, KeyFiles, OwnKey, RawConfig, keys};
use crate::failure::Failure;
use crate::output::stamp;

pub(super) fn examine(raw: &RawConfig, base: &Path, now: OffsetDateTime) -> Vec<Finding> {
    let (trust, mut findings) = trust(raw, base, now);
    let mut pair = |check, files: &KeyFiles, usage, fits: &dyn Fn(OwnKey) -> Result<()>| {
        findings.extend(key_pair(check, files, base, &trust, usage, now, fits));
    };
    pair("keys.cipher", &raw.keys.cipher, Use::Encryption, &|entry| config::cipher(entry, "keys.cipher").map(drop));
    for files in &raw.keys.previous_ciphers {
        let name = "keys.previous_ciphers";
        pair(name, files, Use::Encryption, &|entry| config::cipher(entry, name).map(drop));
    }
    pair("keys.signature", &raw.keys.signature, Use::TransportSignature, &|entry| {
        config::signature(entry, "keys.signature").map(drop)
    });
    for change in &raw.keys.changes {
        let name = "keys.changes";
        if let Some(files) = &change.cipher {
            pair(name, files, Use::Encryption, &|entry| config::cipher(entry, name).map(drop));
        }
        if let Some(files) = &change.signature {
            pair(name, files, Use::TransportSignature, &|entry| config::signature(entry, name).map(drop));
        }
    }
    if !raw.https.listen.is_empty() {
        findings.extend(tls(raw, base, now));
    }
    findings
}

struct Trust {
    anchors: Anchors,
    intermediates: Vec<Certificate>,
}

fn trust(raw: &RawConfig, base: &Path, now: OffsetDateTime) -> (Trust, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut read = |check, files: &[PathBuf]| {
        let mut all = Vec::new();
        for file in files {
            match keys::certificates(&base.join(file)) {
                Ok(found) => all.extend(found),
                Err(error) => findings.push(
                    Finding::problem(check, text!("Zertifikate sind nicht lesbar.", "Certificates cannot be read."))
                        .because(chain(&error))
                        .remedy(text!("Pfad, Rechte und Format (PEM) prüfen.", "Check path, rights and format (PEM).")),
                ),
            }
        }
        all
    };
    let (anchors, intermediates) =
        (read("trust.anchors", &raw.trust.anchors), read("trust.intermediates", &raw.trust.intermediates));
    let (trusted, between) = (anchors.len(), intermediates.len());
    if anchors.is_empty() {
        findings.push(
            Finding::warning("trust.anchors", text!("Niemandem wird vertraut.", "Nobody is trusted."))
                .cause(text!(
                    "trust.anchors ist leer: Jedes Zertifikat bleibt unbestimmt.",
                    "trust.anchors is empty: every certificate stays indeterminate."
                ))
                .remedy(text!(
                    "Die Wurzelzertifikate der Partner eintragen.",
                    "Name the root certificates of the partners."
                )),
        );
    } else {
        findings.push(Finding::ok(
            "trust.anchors",
            text!("{trusted} Wurzeln, {between} Zwischenzertifikate", "{trusted} roots, {between} intermediates"),
        ));
    }
    for (check, certificate) in anchors
        .iter()
        .map(|one| ("trust.anchors", one))
        .chain(intermediates.iter().map(|one| ("trust.intermediates", one)))
    {
        findings.extend(lifetime(check, certificate, now));
    }
    let anchors = config::trusted(anchors).unwrap_or_else(|_| Anchors::new());
    (Trust { anchors, intermediates }, findings)
}

fn key_pair(
    check: &'static str,
    files: &KeyFiles,
    base: &Path,
    trust: &Trust,
    usage: Use,
    now: OffsetDateTime,
    fits: &dyn Fn(OwnKey) -> Result<()>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in [&files.pkcs12, &files.pin_file, &files.key].into_iter().flatten() {
        findings.extend(exposed(check, &base.join(file)));
    }
    let read = keys::key_pair(files, base, check).and_then(|entry| {
        let (certificate, issuers) = (entry.certificate.clone(), entry.chain.clone());
        fits(entry).map(|()| (certificate, issuers))
    });
    let (certificate, issuers) = match read {
        Ok(read) => read,
        Err(error) => {
            let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.remedy.clone());
            let finding = Finding::problem(
                check,
                text!("Das Schlüsselpaar ist nicht brauchbar.", "The key pair cannot be used."),
            );
            findings.push(
                finding
                    .because(chain(&error))
                    .remedy(text!(
                        "Datei, PIN und die Zusammengehörigkeit von Schlüssel und Zertifikat prüfen.",
                        "Check the file, its PIN, and that key and certificate belong together."
                    ))
                    .hint(hint),
            );
            return findings;
        }
    };
    let (subject, until) = (certificate.subject().to_string(), stamp(certificate.not_after()));
    findings.push(Finding::ok(check, text!("{subject}, gültig bis {until}", "{subject}, valid until {until}")));
    let expiry = lifetime(check, &certificate, now);
    let over = expiry.is_some();
    findings.extend(expiry);
    let extra = [trust.intermediates.as_slice(), &issuers].concat();
    let judged = inspect(&certificate, &extra, &trust.anchors, usage, &Policy::standard(), now);
    if judged.verdict != Verdict::Valid && !over {
        let reasons: Vec<String> = judged.reasons.iter().map(ToString::to_string).collect();
        findings.push(
            Finding::warning(
                check,
                text!(
                    "Partner, die denselben Wurzeln vertrauen, werden dieses Zertifikat beanstanden.",
                    "Partners that trust the same roots will find fault with this certificate."
                ),
            )
            .because(reasons.join("; "))
            .remedy(text!(
                "Ein Zertifikat für diesen Zweck von einer anerkannten Stelle verwenden oder trust.* ergänzen.",
                "Use a certificate for this purpose of an authority that is trusted, or complete trust.*."
            )),
        );
    }
    findings
}

/// Warns 60 and 30 days before the end; the last week is a problem.
pub(super) fn lifetime(check: &'static str, certificate: &Certificate, now: OffsetDateTime) -> Option<Finding> {
    let (from, until) = (certificate.not_before(), certificate.not_after());
    let (subject, days) = (certificate.subject().to_string(), (until - now).whole_days());
    let (start, end) = (stamp(from), stamp(until));
    let renew = match check {
        "keys.cipher" => text!(
            "Jetzt ein neues Zertifikat beantragen; das alte Schlüsselpaar danach unter keys.previous_ciphers behalten.",
            "Ask for a new certificate now; keep the old key pair under keys.previous_ciphers afterwards."
        ),
        _ => text!("Ein neues Zertifikat besorgen und eintragen.", "Get a new certificate and name it in its place."),
    };
    let finding = if now < from {
        Finding::problem(check, text!("{subject} gilt erst ab {start}.", "{subject} is not valid before {start}."))
            .cause(text!(
                "Die Uhr geht nach, oder das Zertifikat ist zu neu.",
                "The clock is slow, or the certificate too new."
            ))
            .remedy(text!("Die Uhr prüfen.", "Check the clock."))
    } else if now > until {
        Finding::problem(check, text!("{subject} ist am {end} abgelaufen.", "{subject} expired at {end}."))
            .cause(text!(
                "Das Zertifikat wurde nicht erneuert, oder die Uhr geht vor.",
                "The certificate was not renewed, or the clock is fast."
            ))
            .remedy(renew)
    } else if days < 7 {
        Finding::problem(
            check,
            text!("{subject} läuft in {days} Tagen ab ({end}).", "{subject} expires in {days} days ({end})."),
        )
        .remedy(renew)
    } else if days < 60 {
        let urgent = if days < 30 { text!("Dringend: ", "Urgent: ") } else { text!("", "") };
        let (de, en) = (urgent.de, urgent.en);
        Finding::warning(
            check,
            text!("{de}{subject} läuft in {days} Tagen ab ({end}).", "{en}{subject} expires in {days} days ({end})."),
        )
        .remedy(renew)
    } else {
        return None;
    };
    Some(finding)
}

/// A secret that others than its owner can read.
pub(super) fn exposed(check: &'static str, file: &Path) -> Option<Finding> {
    let mode = fs::metadata(file).ok()?.mode() & 0o777;
    let path = file.display();
    (mode & 0o077 != 0).then(|| {
        Finding::warning(
            check,
            text!(
                "{path} ist für andere zugänglich (Rechte {mode:03o}).",
                "{path} is open to others (mode {mode:03o})."
            ),
        )
        .remedy(text!("chmod 600 {path}", "chmod 600 {path}"))
    })
}

fn tls(raw: &RawConfig, base: &Path, now: OffsetDateTime) -> Vec<Finding> {
    let check = "https";
    let (Some(certificate), Some(key)) = (&raw.https.certificate, &raw.https.key) else { return Vec::new() };
    let files = KeyFiles {
        certificate: Some(certificate.clone()),
        key: Some(key.clone()),
        pkcs12: None,
        pin_file: None,
        token: None,
    };
    let mut findings: Vec<Finding> = exposed(check, &base.join(key)).into_iter().collect();
    match keys::key_pair(&files, base, check) {
        Err(error) => findings.push(
            Finding::problem(
                check,
                text!("Das TLS-Schlüsselpaar ist nicht brauchbar.", "The TLS key pair cannot be used."),
            )
            .because(chain(&error))
            .remedy(text!(
                "https.certificate und https.key prüfen: PEM, nicht verschlüsselt, zusammengehörig.",
                "Check https.certificate and https.key: PEM, not encrypted, belonging together."
            )),
        ),
        Ok(entry) => {
            let (subject, until) = (entry.certificate.subject().to_string(), stamp(entry.certificate.not_after()));
            findings.push(Finding::ok(check, text!("{subject}, gültig bis {until}", "{subject}, valid until {until}")));
            findings.extend(lifetime(check, &entry.certificate, now));
            if matches!(entry.kind(), Ok(KeyKind::Rsa { .. })) {
                findings.push(
                    Finding::warning(
                        check,
                        text!(
                            "Der TLS-Schlüssel ist ein RSA-Schlüssel: Jede neue Verbindung kostet so viel wie ein Auftrag.",
                            "The TLS key is an RSA key: every new connection costs as much as an order."
                        ),
                    )
                    .remedy(text!("Ein Zertifikat für einen Schlüssel auf P-256 verwenden.", "Use a certificate for a key on P-256.")),
                );
            }
        }
    }
    findings
}
