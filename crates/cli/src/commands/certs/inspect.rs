//! `rohrpost certs inspect`.

use std::fs;

use anyhow::{Context as _, Result};
use comfy_table::Cell;
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_pki::{Certificate, Inspection, Use, Verdict, inspect};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::key;
use crate::args::InspectArgs;
use crate::config::{self, keys};
use crate::failure::{Failure, Kind};
use crate::output::{Output, Tone, facts, stamp, table};

/// A file taken apart.
struct Found {
    certificate: Certificate,
    /// What came with it.
    further: Vec<Certificate>,
    has_key: bool,
}

/// Prints a certificate and what it is good for.
pub(super) fn run(args: &InspectArgs, output: Output) -> Result<()> {
    let at = args.at.as_deref().map_or_else(|| Ok(SystemClock.now().truncate_to_second()), time)?;
    let found = read(args)?;
    let anchors = args.anchors.iter().map(|file| keys::certificates(file)).collect::<Result<Vec<_>>>()?;
    let anchors = config::trusted(anchors.concat())?;
    let mut extra = found.further.clone();
    for file in &args.intermediates {
        extra.extend(keys::certificates(file)?);
    }
    let judged = [Use::TransportSignature, Use::ContentSignature, Use::Encryption]
        .map(|usage| inspect(&found.certificate, &extra, &anchors, usage, &Policy::standard(), at));
    let report = report(&found, &judged, at);
    let text = || text(&found, &judged, args, at, output);
    if judged.iter().any(|inspection| inspection.verdict != Verdict::Invalid) {
        return output.result(&report, text);
    }
    output.step(&text());
    let reasons = judged[0].reasons.first().map(ToString::to_string);
    Err(Failure::new(Kind::Untrue, "the certificate is good for nothing here")
        .cause(reasons.unwrap_or_default())
        .remedy(if found.certificate.is_authority() {
            "this is the certificate of an authority: name it under trust.anchors or with --anchor"
        } else {
            "get a new certificate from its issuer"
        })
        .report(report)
        .into())
}

fn read(args: &InspectArgs) -> Result<Found> {
    if let Some(pin_file) = &args.pin_file {
        let entry = keys::pkcs12_file(&args.file, pin_file)?;
        return Ok(Found { certificate: entry.certificate, further: entry.chain, has_key: true });
    }
    if is_pkcs12(args) {
        let what = format!("{} is a PKCS#12 file", args.file.display());
        return Err(Failure::new(Kind::Configuration, what)
            .remedy("give the file with its PIN: --pin-file FILE")
            .into());
    }
    let mut all = keys::certificates(&args.file)?;
    Ok(Found { certificate: all.remove(0), further: all, has_key: false })
}

/// A DER sequence that begins with the version number 3 (RFC 7292, 4).
fn is_pkcs12(args: &InspectArgs) -> bool {
    let version = |start: &[u8]| start.windows(3).any(|window| window == [2, 1, 3]);
    fs::read(&args.file).is_ok_and(|bytes| bytes.starts_with(&[0x30]) && bytes.get(..8).is_some_and(version))
}

fn time(text: &str) -> Result<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).with_context(|| {
        Failure::new(Kind::Configuration, format!("--at {text} is no time"))
            .remedy("write it like 2026-05-01T12:00:00Z")
    })
}

fn report(found: &Found, judged: &[Inspection], at: OffsetDateTime) -> Value {
    let certificate = &found.certificate;
    let uses = judged.iter().map(|inspection| {
        json!({
            "use": inspection.usage.to_string(),
            "verdict": inspection.verdict.to_string(),
            "issuer_signature": inspection.math.as_str(),
            "rules": inspection.offline.as_str(),
            "reasons": inspection.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "serial": certificate.serial(),
        "not_before": stamp(certificate.not_before()),
        "not_after": stamp(certificate.not_after()),
        "key_usage": certificate.key_usage().map(|usage| usage.to_string()),
        "authority": certificate.is_authority(),
        "key": key(certificate),
        "fingerprint": certificate.fingerprint().to_string(),
        "has_private_key": found.has_key,
        "further_certificates": found.further.iter().map(Certificate::subject).collect::<Vec<_>>(),
        "at": stamp(at),
        "uses": uses.collect::<Vec<_>>(),
    })
}

fn text(found: &Found, judged: &[Inspection], args: &InspectArgs, at: OffsetDateTime, output: Output) -> String {
    let certificate = &found.certificate;
    let usage = certificate.key_usage().map_or_else(|| "anything (no extension)".to_owned(), |usage| usage.to_string());
    let mut text = facts([
        ("subject", certificate.subject().to_owned()),
        ("issuer", certificate.issuer().to_owned()),
        ("serial", certificate.serial().to_owned()),
        ("valid", format!("{} to {}", stamp(certificate.not_before()), stamp(certificate.not_after()))),
        ("key usage", usage),
        ("key", format!("{}{}", key(certificate), if found.has_key { ", private key present" } else { "" })),
        ("SHA-256", certificate.fingerprint().to_string()),
    ]);
    for further in &found.further {
        text.push_str(&format!("  with it    {}\n", further.subject()));
    }
    text.push_str(&format!("\nJudged for {}:\n\n", stamp(at)));
    text.push_str(&table(
        ["use", "verdict", "reasons"],
        judged.iter().map(|inspection| {
            let reasons = inspection.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
            let tone = match inspection.verdict {
                Verdict::Valid => Tone::Good,
                Verdict::Indeterminate => Tone::Warning,
                Verdict::Invalid => Tone::Bad,
            };
            let reasons = if reasons.is_empty() { "nothing speaks against it".to_owned() } else { reasons.join("\n") };
            [Cell::from(inspection.usage), output.cell(tone, inspection.verdict), Cell::from(reasons)]
        }),
    ));
    text.push_str("\n\n");
    if args.anchors.is_empty() {
        text.push_str("Nobody was named as trusted (--anchor FILE), so no issuer counts.\n");
    }
    text.push_str("Revocation was not checked.");
    text
}
