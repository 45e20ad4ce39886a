//! Keys and certificates of an HTTPS listener.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{Acceptor, ServerConfig, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, RootCertStore, SignatureAlgorithm};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::warn;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::config::{ClientCertificates, Tls};

/// Why TLS keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing, unreadable or has nothing of the kind in it.
    #[error("{path}: no {what} could be read: {source}; a PEM file is expected", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What happened.
        source: pem::Error,
    },
    /// Key and certificate do not go together, or one of them is of an unknown kind.
    #[error("{path}: key and certificate cannot be used together: {source}", path = .path.display())]
    Key {
        /// The file of the certificate.
        path: PathBuf,
        /// What happened.
        source: Error,
    },
    /// The file of authorities has a certificate that is none.
    #[error("{path}: not a certificate of an authority: {source}", path = .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: Error,
    },
    /// The authorities cannot be used to check clients.
    #[error("{path}: clients cannot be checked against this: {source}", path = .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: VerifierBuilderError,
    },
}

/// The keys in use, replaceable while connections go on.
#[derive(Debug)]
pub(crate) struct TlsKeys {
    settings: Tls,
    clock: Arc<dyn Clock>,
    current: RwLock<Arc<ServerConfig>>,
}

impl TlsKeys {
    pub(crate) fn load(settings: &Tls, clock: &Arc<dyn Clock>) -> Result<Self, TlsError> {
        Ok(Self {
            settings: settings.clone(),
            clock: Arc::clone(clock),
            current: RwLock::new(server_config(settings, clock)?),
        })
    }

    /// Reads the files again. On an error everything stays as it was.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let fresh = server_config(&self.settings, &self.clock)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Agrees with a client on keys. The work with our key waits for one of the `turns` and runs on the thread that serves the
    /// network: so many new connections at once hold up the others for the length of one handshake, not of all. Nobody holds a
    /// turn while waiting for a client.
    pub(crate) async fn handshake(&self, stream: TcpStream, turns: &Semaphore) -> io::Result<TlsStream<TcpStream>> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let turn = turns.acquire().await.map_err(io::Error::other)?;
        let mut rest = hello.into_stream(self.current());
        let answered = poll_fn(|cx| Poll::Ready(Pin::new(&mut rest).poll(cx))).await;
        drop(turn);
        match answered {
            Poll::Ready(finished) => finished,
            Poll::Pending => rest.await,
        }
    }

    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn server_config(settings: &Tls, clock: &Arc<dyn Clock>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let key = certified_key(settings)?;
    let builder = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(Time(Arc::clone(clock))))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("ring knows both versions");
    let builder = match client_verifier(&settings.clients, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certified_key(settings: &Tls) -> Result<CertifiedKey, TlsError> {
    let certificates = certificates(&settings.certificates)?;
    let key = private_key(&settings.key).map_err(|source| TlsError::File {
        path: settings.key.clone(),
        what: "private key",
        source,
    })?;
    let failed = |source| TlsError::Key { path: settings.certificates.clone(), source };
    let der = PrivateKeyDer::try_from(key.as_slice()).map_err(|reason| failed(Error::General(reason.to_owned())))?;
    // Borrowed: rustls would drop its own copy without wiping it.
    let key = CertifiedKey::new(certificates, any_supported_type(&der).map_err(failed)?);
    match key.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(error) => return Err(failed(error)),
    }
    if key.key.algorithm() == SignatureAlgorithm::RSA {
        warn!(certificate = %settings.certificates.display(),
            "the TLS key is RSA: every new connection costs as much as an order; prefer an ECDSA P-256 key");
    }
    Ok(key)
}

/// The first private key of a PEM file, wiped when dropped, as is everything it was read from.
fn private_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, pem::Error> {
    let file = Zeroizing::new(std::fs::read(path).map_err(pem::Error::Io)?);
    let text = str::from_utf8(&file).map_err(|_| pem::Error::NoItemsFound)?;
    let blocks = rohrpost_pki::pem::parse(text).map_err(|error| pem::Error::Base64Decode(error.to_string()))?;
    let key = blocks.into_iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    key.map(|block| block.content).ok_or(pem::Error::NoItemsFound)
}

fn client_verifier(
    clients: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let (path, required) = match clients {
        ClientCertificates::Ignored => return Ok(None),
        ClientCertificates::Optional(path) => (path, false),
        ClientCertificates::Required(path) => (path, true),
    };
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(path)? {
        authorities.add(certificate).map_err(|source| TlsError::Authority { path: path.clone(), source })?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(provider));
    if !required {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder.build().map_err(|source| TlsError::Authorities { path: path.clone(), source })?;
    Ok(Some(verifier))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File { path: path.to_owned(), what: "certificate", source };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<_, _>>).map_err(failed)?;
    if certificates.is_empty() {
        return Err(failed(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

/// Our clock, for rustls.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().unix_timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
    }

    fn load(certificates: &str, key: &str, clients: ClientCertificates) -> Result<TlsKeys, TlsError> {
        let settings = Tls { certificates: file(certificates), key: file(key), clients };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        TlsKeys::load(&settings, &clock)
    }

    #[test]
    fn errors_name_file_and_remedy() {
        let missing = load("absent.pem", "server.key", ClientCertificates::Ignored).unwrap_err();
        assert!(missing.to_string().contains("absent.pem: no certificate could be read"), "{missing}");
        let swapped = load("server.key", "server.key", ClientCertificates::Ignored).unwrap_err();
        assert!(swapped.to_string().contains("server.key: no certificate"), "{swapped}");
        let foreign = load("server.pem", "client.key", ClientCertificates::Ignored).unwrap_err();
        assert!(matches!(foreign, TlsError::Key { .. }), "{foreign}");
        let no_authority =
            load("server.pem", "server.key", ClientCertificates::Required(file("server.key"))).unwrap_err();
        assert!(matches!(no_authority, TlsError::File { .. }), "{no_authority}");
    }

    #[test]
    fn failed_reload_keeps_the_old_keys() {
        let directory = tempfile::tempdir().unwrap();
        let certificates = directory.path().join("server.pem");
        std::fs::copy(file("server.pem"), &certificates).unwrap();
        let settings =
            Tls { certificates: certificates.clone(), key: file("server.key"), clients: ClientCertificates::Ignored };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keys = TlsKeys::load(&settings, &clock).unwrap();
        let before = Arc::as_ptr(&keys.current());
        std::fs::write(&certificates, "nonsense").unwrap();
        assert!(keys.reload().is_err());
        assert_eq!(Arc::as_ptr(&keys.current()), before);
        std::fs::copy(file("server.pem"), &certificates).unwrap();
        keys.reload().unwrap();
        assert_ne!(Arc::as_ptr(&keys.current()), before);
    }
}
