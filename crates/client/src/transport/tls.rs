use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rohrpost_pki::{Certificate, KeyEntry};
use rustls::crypto::ring;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::{Address, Phase, Reach, TransportError};
use crate::clock::Clock;

/// Whom to trust, and who to be, on encrypted connections. This is about the server behind an `https` address; who the
/// intermediary is, its signature and cipher certificates say.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Tls {
    /// Authorities that issue server certificates.
    pub authorities: Vec<Certificate>,
    /// Key and certificate for servers that ask for one.
    pub identity: Option<KeyEntry>,
}

impl Tls {
    /// Trusts these authorities.
    pub fn trusting(authorities: Vec<Certificate>) -> Self {
        Self { authorities, identity: None }
    }
}

/// The TLS settings cannot be used.
#[derive(Debug, Error)]
#[error("authorities or key for TLS cannot be used")]
pub struct TlsUnusable(#[source] rustls::Error);

/// Makes connections.
pub(super) struct Connector {
    reach: Reach,
    tls: Option<TlsConnector>,
}

impl Connector {
    pub(super) fn new(reach: Reach, tls: Option<&Tls>, clock: &Clock) -> Result<Self, TlsUnusable> {
        let tls = match tls {
            Some(tls) => Some(TlsConnector::from(Arc::new(config(tls, clock).map_err(TlsUnusable)?))),
            None => None,
        };
        Ok(Self { reach, tls })
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) async fn connect(&self, to: &Address, patience: Duration) -> Result<Connection, TransportError> {
        match timeout(patience, self.set_up(to)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::Timeout { phase: Phase::Connect, after: patience }),
        }
    }

    async fn set_up(&self, to: &Address) -> Result<Connection, TransportError> {
        let tls = match (to.is_tls(), &self.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some(tls),
            (true, None) => return Err(TransportError::NoAuthorities),
        };
        let host = || to.host().to_owned();
        let unreachable = |source| TransportError::Connect { host: host(), port: to.port(), source };
        let found = lookup_host((to.host(), to.port())).await.map_err(unreachable)?;
        let allowed: Vec<_> = found.filter(|found| self.reach.allows(to, found.ip())).collect();
        if allowed.is_empty() {
            return Err(TransportError::OutOfReach { host: host() });
        }
        let tcp = TcpStream::connect(&allowed[..]).await.map_err(unreachable)?;
        // Requests are written in few large pieces; waiting for more only adds delay.
        tcp.set_nodelay(true).map_err(unreachable)?;
        let Some(tls) = tls else { return Connection::over(tcp).await };
        let untrusted = |source| TransportError::Tls { host: host(), source };
        let name = ServerName::try_from(host()).map_err(|error| untrusted(io::Error::other(error)))?;
        Connection::over(tls.connect(name, tcp).await.map_err(untrusted)?).await
    }
}

fn config(tls: &Tls, clock: &Clock) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in &tls.authorities {
        roots.add(CertificateDer::from(authority.der().to_vec()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(Time(clock.clone())))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots);
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(entry) => {
            let chain = [&entry.certificate].into_iter().chain(&entry.chain);
            let chain = chain.map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
            // Borrowed: rustls would drop a copy of its own without wiping it.
            let der = entry.key.to_pkcs8_der();
            let key = any_supported_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice())))?;
            let key = SingleCertAndKey::from(CertifiedKey::new(chain, key));
            Ok(builder.with_client_cert_resolver(Arc::new(key)))
        }
    }
}

/// Our clock as TLS wants it.
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().unix_timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}
