//! `rohrpost certs generate`.

use std::path::Path;

use anyhow::Result;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::key;
use crate::args::GenerateArgs;
use crate::output::{Output, stamp, table};
use crate::test_pki::{self, Order, Pair, Party, TestPki};

/// Makes the authority and tells what was made.
pub(super) fn run(args: &GenerateArgs, output: Output) -> Result<()> {
    let order = Order { parties: &args.parties, bits: args.bits, days: args.days, now: SystemClock.now() };
    let bar = output.counter("keys");
    bar.set_length(1 + 2 * args.parties.len() as u64);
    let made = test_pki::generate(&args.to, &order, |_| bar.inc(1));
    bar.finish_and_clear();
    let pki = made?;
    let intermediary = pki.parties.iter().find(|party| party.name == "intermediary").or_else(|| pki.parties.first());
    let snippet = intermediary.map(|party| pki.config_snippet(party, absolute)).unwrap_or_default();
    // Only the configuration goes to standard output, so that it can be sent to a file.
    output.aside(&text(&args.to, &pki, intermediary));
    output.result(&report(&args.to, &pki, &snippet), || snippet.clone())
}

fn pairs(pki: &TestPki) -> impl Iterator<Item = (&Party, &'static str, &Pair)> {
    pki.parties.iter().flat_map(|party| [(party, "cipher", &party.cipher), (party, "signature", &party.signature)])
}

fn report(directory: &Path, pki: &TestPki, snippet: &str) -> Value {
    let pairs = pairs(pki).map(|(party, purpose, pair)| {
        json!({
            "party": party.name,
            "purpose": purpose,
            "pkcs12": pair.archive,
            "certificate": pair.public,
            "fingerprint": pair.entry.certificate.fingerprint().to_string(),
        })
    });
    json!({
        "directory": directory,
        "root": pki.root_file,
        "pin_file": pki.pin_file,
        "valid_until": stamp(pki.root.not_after()),
        "key_pairs": pairs.collect::<Vec<_>>(),
        "config": snippet,
    })
}

fn text(directory: &Path, pki: &TestPki, intermediary: Option<&Party>) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let made = table(
        ["party", "purpose", "key", "certificate, to give away", "key pair (PKCS#12), to keep"],
        pairs(pki).map(|(party, purpose, pair)| {
            let key = key(&pair.entry.certificate);
            [party.name.clone(), purpose.to_owned(), key, name(&pair.public), name(&pair.archive)]
        }),
    );
    let mut text = format!(
        "Made in {}, for trying things out and never for production:\n\n{made}\n\n\
         {} certifies them all, until {}. Its own key was thrown away.\n\
         {} holds the PIN of every PKCS#12 file.\n",
        directory.display(),
        name(&pki.root_file),
        stamp(pki.root.not_after()),
        name(&pki.pin_file),
    );
    if let Some(party) = intermediary {
        text.push_str(&format!(
            "\nThe configuration that makes {} the intermediary, complete with the defaults (`rohrpost config print-default`):\n",
            party.name
        ));
    }
    text
}

/// A configuration may lie anywhere, so what it is given must not depend on where it lies.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
