//! What a byte of a large message costs: CPU of the server for 100 MB, beside hashing and encrypting as many bytes once.

use std::io::{self, Write as _};

use anyhow::{Result, ensure};
use rohrpost_benches::{Bits, Clock, Party};
use rohrpost_crypto::cipher::{IvLength, Sealer};
use rohrpost_crypto::{BlockCipher, DigestAlgorithm, SessionKey, SystemRandom};

use super::Bench;
use crate::line::{Bar, Line};
use crate::load::Load;
use crate::machine::Watch;
use crate::server::Server;

const BYTES: u64 = 100_000_000;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let bytes = if bench.options.quick { BYTES / 4 } else { BYTES };
    let server = Server::start(&bench.server, &Party::intermediary(Bits::Rsa2048), &[])?;
    let mut lines = Vec::new();
    for (case, as_attachment) in [("attachment", true), ("content", false)] {
        let mut line = Line::new("G8", case, Bar::AtMost(4.0));
        // It is the message that has so many bytes; base64 makes four of three.
        let payload = if as_attachment { bytes } else { bytes / 4 * 3 };
        Load::of_bytes(&server, 1_000_000, as_attachment, 1)?.go()?;
        for _ in 0..bench.options.rounds {
            let before = roof(bytes);
            let mut load = Load::of_bytes(&server, payload, as_attachment, 1)?;
            let watch = Watch::new(&[server.pid(), load.pid()]);
            let cpu = server.cpu();
            let outcome = load.go()?;
            let cpu = server.cpu() - cpu;
            ensure!(outcome.answered == 1, "the delivery was not answered");
            let others = watch.others();
            drop(load);
            let roof = (before + roof(bytes)) / 2.0;
            line.add(cpu / roof, others);
            line.note("cpu_seconds", cpu);
            line.note("roof_cpu_seconds", roof);
            line.note("seconds", outcome.seconds);
        }
        lines.push(line);
    }
    let stored = server.metrics()?.get("rohrpost_deliveries_waiting").copied().unwrap_or(0.0);
    let sent = 2 * (bench.options.rounds + 1);
    ensure!((stored - sent as f64).abs() < 0.5, "of {sent} deliveries {stored} were stored");
    Ok(lines)
}

/// CPU seconds of SHA-256 and AES-256-GCM of so many bytes, in pieces that fit into the cache.
fn roof(bytes: u64) -> f64 {
    let piece = vec![0x5a; 1_000_000];
    let count = bytes / piece.len() as u64;
    let key = SessionKey::random(32, &SystemRandom);
    let time = Clock::Thread.time(|| {
        let mut hasher = DigestAlgorithm::Sha256.hasher();
        let mut sealer = Sealer::new(BlockCipher::Aes256Gcm, IvLength::Twelve, &key, &SystemRandom, io::sink())
            .expect("the key has the right length");
        for _ in 0..count {
            hasher.update(&piece);
            sealer.write_all(&piece).expect("a sink takes everything");
        }
        let _ = hasher.finish();
        sealer.finish().expect("a sink takes everything");
    });
    time.as_secs_f64()
}
