//! Canonicalising a large text into SHA-256, beside bare SHA-256.

use anyhow::Result;
use rohrpost_benches::{Clock, Pattern};
use rohrpost_crypto::{DigestAlgorithm, sha256};
use rohrpost_osci::source::read_range;
use rohrpost_xmlsec::Limits;
use rohrpost_xmlsec::base64;
use rohrpost_xmlsec::c14n::{Dialect, canonicalize_document};

use super::Bench;
use crate::line::{Bar, Line};
use crate::machine::Watch;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let bytes = read_range(&Pattern(7_500_000), 0..7_500_000)?;
    let document =
        format!("<osci:Base64Content xmlns:osci=\"urn:x\" Id=\"a\">{}</osci:Base64Content>", base64::encode(bytes));
    let canonical = || {
        let (dialect, hasher) = (Dialect::EscapeGtInAttributes, DigestAlgorithm::Sha256.hasher());
        canonicalize_document(document.as_bytes(), dialect, &Limits::default(), hasher).map(|hasher| hasher.finish())
    };
    let mut line = Line::new("G13", "text", Bar::AtLeast(0.75));
    canonical()?;
    for _ in 0..bench.options.rounds {
        let watch = Watch::new(&[]);
        let (mut with, mut without) = (0.0, 0.0);
        for _ in 0..10 {
            with += Clock::Thread.time(|| drop(std::hint::black_box(canonical()))).as_secs_f64();
            without += Clock::Thread
                .time(|| {
                    std::hint::black_box(sha256(document.as_bytes()));
                })
                .as_secs_f64();
        }
        line.add(without / with, watch.others());
    }
    Ok(vec![line])
}
