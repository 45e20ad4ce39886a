//! `rohrpost certs`: test certificates, and what a certificate is good for.

mod generate;
mod inspect;
mod rollover;

use anyhow::Result;
use rohrpost_pki::Certificate;

use crate::args::CertsCommand;
use crate::output::Output;

/// Runs the chosen command.
pub(crate) fn run(command: &CertsCommand, output: Output) -> Result<()> {
    match command {
        CertsCommand::Generate(args) => generate::run(args, output),
        CertsCommand::Inspect(args) => inspect::run(args, output),
        CertsCommand::Rollover(args) => rollover::run(args, output),
    }
}

/// Kind and length of a certificate's key, in words.
fn key(certificate: &Certificate) -> String {
    use rohrpost_crypto::KeyKind;
    match certificate.public_key().map(|key| key.kind()) {
        Ok(KeyKind::Rsa { bits }) => format!("RSA {bits}"),
        Ok(KeyKind::Ec { curve }) => format!("EC P-{}", curve.bits()),
        Ok(KeyKind::Ed25519) => "Ed25519".to_owned(),
        Ok(_) => "of a kind not supported here".to_owned(),
        Err(error) => format!("unreadable: {error}"),
    }
}
