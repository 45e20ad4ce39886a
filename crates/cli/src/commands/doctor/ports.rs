//! Whether the addresses are free, or the server is there already.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rohrpost_gateway::probe::served_certificate;

use super::finding::{Finding, Text, text};
use crate::config::{RawConfig, keys};

const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn examine(raw: &RawConfig, base: &Path) -> Vec<Finding> {
    let plain = raw.http.listen.iter().map(|address| ("http", address));
    let management = [("management", &raw.management.listen)];
    let mut findings = Vec::new();
    for (check, address) in plain.chain(management) {
        let Ok(address) = address.parse() else { continue };
        findings.push(look(check, address, || answers(address)));
    }
    for address in &raw.https.listen {
        let Ok(address) = address.parse() else { continue };
        findings.push(look("https", address, || same_certificate(raw, base, address)));
    }
    findings
}

/// Nobody there is good; somebody there must be the server, which `ours` finds out.
fn look(check: &'static str, address: SocketAddr, ours: impl FnOnce() -> Result<(), Text>) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(check, text!("{address} ist frei.", "{address} is free.")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match ours() {
            Ok(()) => Finding::ok(check, text!("Auf {address} läuft der Server.", "The server runs at {address}.")),
            Err(cause) => Finding::problem(
                check,
                text!("Auf {address} lauscht etwas anderes.", "Something else listens at {address}."),
            )
            .cause(cause)
            .remedy(text!(
                "Mit `ss -ltnp` nachsehen, was es ist, und es beenden oder eine andere Adresse wählen; nach einem Wechsel des \
                 TLS-Zertifikats dem Server SIGHUP schicken.",
                "Look with `ss -ltnp` what it is, and end it or choose another address; after a change of the TLS \
                 certificate send SIGHUP to the server."
            )),
        },
        Err(error) => {
            let finding = Finding::problem(check, text!("Auf {address} kann nicht gelauscht werden.", "Nobody can listen at {address}."));
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => text!(
                    "Einen Port ab 1024 wählen oder dem Dienst CAP_NET_BIND_SERVICE geben.",
                    "Choose a port from 1024 on, or give the service CAP_NET_BIND_SERVICE."
                ),
                _ => text!("Eine Adresse dieses Rechners eintragen.", "Name an address of this machine."),
            };
            finding.because(error).remedy(remedy)
        }
    }
}

/// Whether a health check is answered as the server does.
fn answers(address: SocketAddr) -> Result<(), Text> {
    let ask = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&reachable(address), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.ends_with(b"alive\n") => Ok(()),
        Ok(_) => Err(text!("Es antwortet nicht wie der Server.", "It does not answer as the server does.")),
        Err(error) => Err(Text::verbatim(error.to_string())),
    }
}

fn same_certificate(raw: &RawConfig, base: &Path, address: SocketAddr) -> Result<(), Text> {
    let served = served_certificate(reachable(address), PATIENCE).map_err(|error| Text::verbatim(error.to_string()))?;
    let file = raw.https.certificate.as_ref().and_then(|file| keys::certificate(&base.join(file)).ok());
    match file {
        Some(certificate) if certificate.der() == served => Ok(()),
        _ => Err(text!(
            "Es zeigt ein anderes Zertifikat als das in https.certificate.",
            "It shows another certificate than the one in https.certificate."
        )),
    }
}

/// Where a server that listens at all addresses is found.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}
