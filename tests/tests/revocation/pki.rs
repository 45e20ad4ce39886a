//! The authorities of the test, and everything that stands between a certificate and the truth about it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use rohrpost_crypto::{Curve, DigestAlgorithm, PrivateKey, SystemRandom};
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_pki::Certificate;
use rohrpost_pki::issue::{Authority, Name, OcspAnswer, OcspStatus, Template, Validity};
use time::{Duration, OffsetDateTime};

use super::openssl::{Entry, Responder};
use super::servers::{Request, Server};

/// When everything happens: a responder that is real answers at the time that is real.
pub fn now() -> OffsetDateTime {
    static NOW: OnceLock<OffsetDateTime> = OnceLock::new();
    *NOW.get_or_init(|| SystemClock.now().replace_nanosecond(0).unwrap())
}

pub fn long() -> Validity {
    Validity::new(now() - Duration::days(30), now() + Duration::days(300))
}

/// From an hour ago until in an hour.
pub fn current() -> Validity {
    Validity::new(now() - Duration::HOUR, now() + Duration::HOUR)
}

pub fn key() -> PrivateKey {
    PrivateKey::generate_ec(Curve::P256).unwrap()
}

pub fn name(common: &str) -> Name {
    Name::new().country("DE").common_name(common)
}

pub fn root(common: &str) -> Authority {
    Authority::root(&Template::authority(name(common), long(), None), key(), &SystemRandom).unwrap()
}

/// Somebody with a certificate of the issuer.
pub fn holder(issuer: &Authority, template: &Template) -> Authority {
    let key = key();
    let certificate = issuer.issue(template, key.public_key(), &SystemRandom).unwrap();
    Authority::new(certificate, key).unwrap()
}

pub const OCSP: &str = "application/ocsp-response";
pub const LIST: &str = "application/pkix-crl";

/// A trusted root, authorities below it, a stranger, a responder, and a server of lists.
pub struct World {
    pub root: Authority,
    /// Issues nearly everything.
    pub sub: Authority,
    /// On the list of the root.
    pub withdrawn: Authority,
    /// Of which nobody knows anything.
    pub silent: Authority,
    pub stranger: Authority,
    /// Answers for `sub`.
    pub delegate: Authority,
    /// Everything issued by `sub`, for servers that have to know what they are asked about.
    pub issued: Arc<Mutex<Vec<Certificate>>>,
    /// Lists by path.
    pub lists: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    pub list_server: Server,
    /// In front of `openssl ocsp`, which has to know the certificates before it begins.
    pub responder: Server,
    port: Arc<OnceLock<u16>>,
}

impl World {
    pub fn new() -> Self {
        let lists: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
        let served = Arc::clone(&lists);
        let list_server = Server::of(LIST, move |request| served.lock().unwrap().get(&request.path).cloned());
        let port: Arc<OnceLock<u16>> = Arc::default();
        let asked = Arc::clone(&port);
        let responder = Server::of(OCSP, move |request| Some(Responder::ask(*asked.get()?, &request.body)));

        let root = root("Root");
        let of_root = list_server.url("root.crl");
        let authority = |common| Template::authority(name(common), long(), None).revocation_list(&of_root);
        let below = |template| root.subordinate(&template, key(), &SystemRandom).unwrap();
        let (sub, withdrawn) = (below(authority("Sub")), below(authority("Withdrawn")));
        let silent = below(Template::authority(name("Silent"), long(), None));
        let revoked = rohrpost_pki::issue::Revoked {
            certificate: withdrawn.certificate(),
            since: now() - Duration::DAY,
            reason: Some(rohrpost_pki::revocation::RevocationReason::AuthorityCompromise),
        };
        lists.lock().unwrap().insert("root.crl".to_owned(), root.revoke(&[revoked], current(), 1).unwrap());
        let delegate = holder(&sub, &Template::ocsp_signing(name("Responder"), long()));
        let stranger = self::root("Stranger");
        let issued = Arc::default();
        Self { root, sub, withdrawn, silent, stranger, delegate, issued, lists, list_server, responder, port }
    }

    /// Starts the responder with what it is to know.
    pub fn start(&self, about: &[(Certificate, Entry)]) -> Responder {
        let responder = Responder::start(&self.sub, &self.delegate, about);
        self.port.set(responder.port()).unwrap();
        responder
    }

    /// Puts a list onto the server and returns its address.
    pub fn publish(&self, path: &str, list: Vec<u8>) -> String {
        self.lists.lock().unwrap().insert(path.to_owned(), list);
        self.list_server.url(path)
    }

    /// A responder of the test's own: says that whatever it is asked about is good, signed by `signer`, after a change.
    pub fn answering(
        &self,
        signer: Authority,
        change: impl Fn(&mut OcspAnswer<'_>, &[u8]) + Send + Sync + 'static,
    ) -> Server {
        let (issued, issuer) = (Arc::clone(&self.issued), self.sub.certificate().clone());
        Server::of(OCSP, move |request| Some(answer(request, &issued.lock().unwrap(), &issuer, &signer, &change)))
    }
}

fn answer(
    request: &Request,
    issued: &[Certificate],
    issuer: &Certificate,
    signer: &Authority,
    change: &dyn Fn(&mut OcspAnswer<'_>, &[u8]),
) -> Vec<u8> {
    let about = |certificate: &&Certificate| {
        let serial = certificate.serial().parse::<u128>().unwrap().to_be_bytes();
        request.body.windows(serial.len()).any(|window| window == serial)
    };
    // Our questions end with their nonce.
    let nonce = &request.body[request.body.len() - 32..];
    let mut answer = OcspAnswer {
        certificate: issued.iter().find(about).expect("a certificate of this authority"),
        issuer,
        status: OcspStatus::Good,
        this_update: now(),
        next_update: Some(now() + Duration::HOUR),
        nonce: Some(nonce.to_vec()),
        hash: DigestAlgorithm::Sha1,
        by_key: true,
        certificates: std::slice::from_ref(signer.certificate()),
    };
    change(&mut answer, nonce);
    signer.answer(&answer).unwrap()
}
