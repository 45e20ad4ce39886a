//! What can be wrong, and what it amounts to.

use std::io::Write as _;

use rohrpost_pki::issue::{Authority, ListTemplate, Revoked, Template, Validity};
use rohrpost_pki::revocation::RevocationReason;
use rohrpost_pki::{Certificate, KeyUsage};
use time::Duration;

use super::openssl::Entry;
use super::pki::{LIST, OCSP, World, current, holder, long, name, now};
use super::servers::{Server, respond};

/// What a fault amounts to, whatever the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amounts {
    /// Nothing: it is known not to be revoked.
    Good,
    Revoked,
    /// Nobody says whether it is revoked.
    Unknown,
    OutsideValidity,
    Corrupted,
    /// Nobody trusted stands behind it, so nobody is asked.
    Untrusted,
}

/// One fault: where a certificate says that its issuer can be asked, and what happens there.
pub struct Fault {
    pub name: &'static str,
    pub amounts: Amounts,
    /// A part of the reasons that an inspection gives; empty if there are none.
    pub why: &'static str,
    /// Addresses for the certificate.
    responder: Option<String>,
    lists: Vec<String>,
    /// What the responder of OpenSSL is told of it.
    pub entry: Option<Entry>,
    /// Whether the list of the authority has it, and why.
    pub listed: Option<RevocationReason>,
    pub issuer: By,
    pub expired: bool,
    pub damaged: bool,
}

/// Who issued it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Sub,
    Withdrawn,
    Silent,
    Stranger,
    /// Nobody but itself.
    Itself,
}

impl Fault {
    fn new(name: &'static str, amounts: Amounts) -> Self {
        Self {
            name,
            amounts,
            why: REASONS.iter().find(|(fault, _)| *fault == name).map_or("", |(_, why)| why),
            responder: None,
            lists: Vec::new(),
            entry: None,
            listed: None,
            issuer: By::Sub,
            expired: false,
            damaged: false,
        }
    }

    fn ask(self, url: &str) -> Self {
        Self { responder: Some(url.to_owned()), ..self }
    }

    fn list(mut self, url: &str) -> Self {
        self.lists.push(url.to_owned());
        self
    }

    pub fn template(&self, template: fn(rohrpost_pki::issue::Name, Validity) -> Template) -> Template {
        let past = Validity::new(now() - Duration::days(20), now() - Duration::days(2));
        let mut template = template(name(self.name), if self.expired { past } else { long() });
        if let Some(url) = &self.responder {
            template = template.responder(url);
        }
        self.lists.iter().fold(template, |template, url| template.revocation_list(url))
    }
}

/// The list of the authority, which is published when everything is issued.
pub const ALL: &str = "all.crl";

/// Everything, with the servers it needs.
pub fn faults(world: &World) -> Vec<Fault> {
    use Amounts::{Corrupted, Good, OutsideValidity, Revoked, Unknown, Untrusted};
    let (real, all) = (world.responder.url(""), world.list_server.url(ALL));
    let down = "http://127.0.0.1:1/";
    let by_openssl = |name, amounts, entry| Fault { entry, ..Fault::new(name, amounts).ask(&real) };
    let listed = |name, amounts, reason| Fault { listed: reason, ..Fault::new(name, amounts).list(&all) };
    let mut faults = vec![
        by_openssl("responder: good", Good, Some(Entry::Valid)),
        by_openssl("responder: revoked", Revoked, Some(Entry::Revoked("keyCompromise"))),
        by_openssl("responder: on hold", Revoked, Some(Entry::Revoked("certificateHold"))),
        by_openssl("responder: unknown there", Unknown, None),
        listed("list: good", Good, None),
        listed("list: revoked", Revoked, Some(RevocationReason::Superseded)),
        listed("list: on hold", Revoked, Some(RevocationReason::CertificateHold)),
        listed("list: an entry of a list of changes", Unknown, Some(RevocationReason::RemoveFromList)),
        listed("responder down and list: good", Good, None).ask(down),
        listed("responder down and list: revoked", Revoked, Some(RevocationReason::Superseded)).ask(down),
        listed("unknown to the responder and list: revoked", Revoked, Some(RevocationReason::Superseded)).ask(&real),
        Fault::new("nobody to ask", Unknown),
        Fault::new("only a directory", Unknown).list("ldap://127.0.0.1/cn=Sub?certificateRevocationList"),
        Fault::new("only over TLS", Unknown).ask("https://127.0.0.1/").list("https://127.0.0.1/all.crl"),
        Fault::new("only in a network closed to us", Unknown)
            .ask("http://127.0.0.2:1/")
            .list("http://10.0.0.1/all.crl"),
        Fault::new("everybody is down", Unknown).ask(down).list("http://127.0.0.1:1/all.crl"),
        Fault { issuer: By::Withdrawn, ..Fault::new("the authority is revoked", Revoked) },
        Fault { issuer: By::Silent, ..Fault::new("nobody knows of the authority", Unknown) },
        Fault { issuer: By::Stranger, ..Fault::new("an authority that nobody trusts", Untrusted) },
        Fault { issuer: By::Itself, ..Fault::new("self-signed", Untrusted) },
        Fault { expired: true, ..by_openssl("expired", OutsideValidity, Some(Entry::Valid)) },
        Fault { expired: true, ..by_openssl("expired and revoked", Revoked, Some(Entry::Revoked("superseded"))) },
        Fault { damaged: true, ..by_openssl("forged", Corrupted, Some(Entry::Revoked("superseded"))) },
    ];
    faults.extend(
        false_responders(world)
            .into_iter()
            .map(|(name, amounts, server)| Fault::new(name, amounts).ask(&server.url("ocsp"))),
    );
    faults.extend(hostile_servers(&real).into_iter().flat_map(|(names, server)| {
        let [ask, list] = names.map(|name| Fault::new(name, Unknown));
        [ask.ask(&server.url("ocsp")), list.list(&server.url("list"))]
    }));
    faults.extend(false_lists(world).into_iter().map(|(name, url)| Fault::new(name, Unknown).list(&url)));
    faults
}

/// Responders whose answers are well-formed.
fn false_responders(world: &World) -> Vec<(&'static str, Amounts, Server)> {
    use Amounts::{Good, Unknown};
    let template = || Template::ocsp_signing(name("Responder"), long());
    let delegate = |template: &Template| holder(&world.sub, template);
    let honest = || delegate(&template());
    let revoked = delegate(&template().revocation_list(&world.list_server.url("responder.crl")));
    let entry = Revoked { certificate: revoked.certificate(), since: now(), reason: None };
    world.publish("responder.crl", world.sub.revoke(&[entry], current(), 1).unwrap());
    let replayed = std::sync::OnceLock::new();
    vec![
        ("own responder: good", Good, world.answering(honest(), |_, _| {})),
        (
            "own responder: good by SHA-256 and name",
            Good,
            world.answering(honest(), |answer, _| {
                (answer.hash, answer.by_key) = (rohrpost_crypto::DigestAlgorithm::Sha256, false);
            }),
        ),
        ("own responder: no nonce", Good, world.answering(honest(), |answer, _| answer.nonce = None)),
        ("a responder of a stranger", Unknown, world.answering(holder(&world.stranger, &template()), |_, _| {})),
        ("a responder without the right to be one", Unknown, {
            world.answering(delegate(&Template::signature(name("Anybody"), long())), |_, _| {})
        }),
        ("a responder with a key for encryption", Unknown, {
            world.answering(delegate(&template().key_usage(Some(KeyUsage::KEY_ENCIPHERMENT))), |_, _| {})
        }),
        ("a responder whose certificate expired", Unknown, {
            let past = Validity::new(now() - Duration::days(20), now() - Duration::days(2));
            world.answering(delegate(&Template::ocsp_signing(name("Old"), past)), |_, _| {})
        }),
        ("a responder whose certificate is revoked", Unknown, world.answering(revoked, |_, _| {})),
        (
            "a responder without its certificate",
            Unknown,
            world.answering(honest(), |answer, _| answer.certificates = &[]),
        ),
        (
            "an answer that is out of date",
            Unknown,
            world.answering(honest(), |answer, _| {
                (answer.this_update, answer.next_update) = (now() - Duration::DAY, Some(now() - Duration::HOUR));
            }),
        ),
        (
            "an old answer without an end",
            Unknown,
            world.answering(honest(), |answer, _| {
                (answer.this_update, answer.next_update) = (now() - Duration::DAY, None);
            }),
        ),
        (
            "an answer from the future",
            Unknown,
            world.answering(honest(), |answer, _| {
                (answer.this_update, answer.next_update) = (now() + Duration::DAY, Some(now() + Duration::WEEK));
            }),
        ),
        (
            "an answer to an earlier question",
            Unknown,
            world.answering(honest(), move |answer, nonce| {
                let earlier: &Vec<u8> = replayed.get_or_init(|| nonce.iter().map(|octet| !octet).collect());
                answer.nonce = Some(earlier.clone());
            }),
        ),
        ("an answer about a namesake's certificate", Unknown, {
            let other: &'static Certificate = Box::leak(Box::new(world.stranger.certificate().clone()));
            world.answering(honest(), move |answer, _| answer.issuer = other)
        }),
        ("an answer about somebody else", Unknown, {
            let other: &'static Certificate = Box::leak(Box::new(world.stranger.certificate().clone()));
            world.answering(honest(), move |answer, _| answer.certificate = other)
        }),
    ]
}

/// Servers that do everything they should not: as a responder, and as a server of lists.
fn hostile_servers(real: &str) -> Vec<([&'static str; 2], Server)> {
    let real = real.to_owned();
    vec![
        (
            ["a silent responder", "a silent server of lists"],
            Server::new(|_, _| {
                std::thread::sleep(std::time::Duration::from_secs(600));
            }),
        ),
        (
            ["an endless answer", "an endless list"],
            Server::new(|_, stream| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {OCSP}\r\n\r\n0");
                let mut sent = stream.write_all(head.as_bytes());
                while sent.is_ok() {
                    sent = stream.write_all(&[0x30; 64 * 1024]);
                }
            }),
        ),
        (
            ["a responder that sends us on", "a server of lists that sends us on"],
            Server::new(move |_, stream| {
                respond(stream, 307, &format!("Location: {real}\r\n"), b"");
            }),
        ),
        (
            ["a web page instead of an answer", "a web page instead of a list"],
            Server::of("text/html", |_| Some(b"<html>Sign in to the hotel network</html>".to_vec())),
        ),
        (
            ["an answer announced too large", "a list announced too large"],
            Server::new(|_, stream| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {OCSP}\r\nContent-Length: 99999999999\r\n\r\n");
                drop(stream.write_all(head.as_bytes()));
            }),
        ),
        (
            ["a refusal instead of an answer", "a refusal instead of a list"],
            Server::of(OCSP, |_| Some(vec![0x30, 3, 0x0a, 1, 3])),
        ),
        (
            ["a server with errors", "a server of lists with errors"],
            Server::new(|_, stream| {
                respond(stream, 500, "", b"");
            }),
        ),
        (
            ["an answer cut short", "a list cut short"],
            Server::new(|_, stream| {
                drop(stream.write_all(
                    format!("HTTP/1.1 200 OK\r\nContent-Type: {OCSP}\r\nContent-Length: 999\r\n\r\n0").as_bytes(),
                ));
            }),
        ),
        (["no answer under the address", "no list under the address"], Server::of(LIST, |_| None)),
    ]
}

/// Lists that are well-formed and do not count.
fn false_lists(world: &World) -> Vec<(&'static str, String)> {
    let extended = |oid, value: &[u8]| {
        let list = ListTemplate::new(&[], current(), 1).extension(oid, true, value.to_vec());
        world.sub.publish(&list).unwrap()
    };
    let by = |authority: &Authority| authority.revoke(&[], current(), 1).unwrap();
    let published = |from, until| world.sub.revoke(&[], Validity::new(from, until), 1).unwrap();
    let mut damaged = by(&world.sub);
    *damaged.last_mut().unwrap() ^= 1;
    let lists = [
        ("a list that is out of date", published(now() - Duration::DAY, now() - Duration::HOUR)),
        ("a list from the future", published(now() + Duration::DAY, now() + Duration::WEEK)),
        (
            "a list without an end",
            world.sub.publish(&ListTemplate::new(&[], current(), 1).without_next_update()).unwrap(),
        ),
        ("a list of a stranger", by(&world.stranger)),
        ("a list of the authority above", by(&world.root)),
        ("a list signed by a responder", by(&world.delegate)),
        ("a forged list", damaged),
        ("a list of changes", extended("2.5.29.27", &[2, 1, 1])),
        ("a list on behalf of others", extended("2.5.29.28", &[0x30, 3, 0x84, 1, 0xff])),
        ("a list about authorities", extended("2.5.29.28", &[0x30, 3, 0x82, 1, 0xff])),
        ("a list about some reasons", extended("2.5.29.28", &[0x30, 4, 0x83, 2, 1, 0x40])),
        (
            "a part of a list that is another's",
            extended("2.5.29.28", &[0x30, 9, 0xa0, 7, 0xa0, 5, 0x86, 3, b'x', b':', b'y']),
        ),
        ("a list with something unheard of", extended("1.2.3.4", &[5, 0])),
        ("garbage instead of a list", b"0123456789".to_vec()),
    ];
    lists.into_iter().enumerate().map(|(at, (name, list))| (name, world.publish(&format!("{at}.crl"), list))).collect()
}

/// By fault, a part of what an inspection says about it.
const REASONS: &[(&str, &str)] = &[
    ("responder: revoked", "(keyCompromise)"),
    ("responder: on hold", "(certificateHold)"),
    ("responder: unknown there", "the responder does not know the certificate"),
    ("list: revoked", "(superseded)"),
    ("list: on hold", "(certificateHold)"),
    ("list: an entry of a list of changes", "a complete list with an entry of a list of changes"),
    ("responder down and list: revoked", "(superseded)"),
    ("unknown to the responder and list: revoked", "(superseded)"),
    ("nobody to ask", "the certificate does not say whom to ask"),
    ("only a directory", "addresses of this kind are not asked"),
    ("only over TLS", "addresses of this kind are not asked"),
    ("only in a network closed to us", "its address is a private one"),
    ("everybody is down", "cannot be reached"),
    ("the authority is revoked", "the certificate of CN=Withdrawn,C=DE above it is revoked"),
    ("nobody knows of the authority", "whether CN=Silent,C=DE was revoked cannot be said"),
    ("an authority that nobody trusts", "the issuer is unknown or not trusted"),
    ("self-signed", "self-signed and not a trust anchor"),
    ("expired", "expired at"),
    ("expired and revoked", "(superseded)"),
    ("forged", "the issuer's signature on the certificate, or on one above it, is wrong"),
    ("a responder of a stranger", "another issuer has entitled the responder"),
    ("a responder without the right to be one", "the certificate of the responder is not for that"),
    ("a responder with a key for encryption", "the certificate of the responder is not for signatures"),
    ("a responder whose certificate expired", "the certificate of the responder is outside its validity"),
    ("a responder whose certificate is revoked", "the certificate of the responder is revoked"),
    ("a responder without its certificate", "it is somebody else who signed"),
    ("an answer that is out of date", "out of date since"),
    ("an old answer without an end", "out of date since"),
    ("an answer from the future", "made for"),
    ("an answer to an earlier question", "the answer belongs to another request"),
    ("an answer about a namesake's certificate", "it is about others"),
    ("an answer about somebody else", "it is about others"),
    ("a silent responder", "took too long"),
    ("a silent server of lists", "took too long"),
    ("an endless answer", "sent too much"),
    ("an endless list", "sent too much"),
    ("a responder that sends us on", "answered with HTTP status 307"),
    ("a server of lists that sends us on", "answered with HTTP status 307"),
    ("a web page instead of an answer", "sent something else than asked for"),
    ("a web page instead of a list", "neither DER nor PEM"),
    ("an answer announced too large", "sent too much"),
    ("a list announced too large", "sent too much"),
    ("a refusal instead of an answer", "tryLater"),
    ("a refusal instead of a list", "not a revocation list"),
    ("a server with errors", "answered with HTTP status 500"),
    ("a server of lists with errors", "answered with HTTP status 500"),
    ("an answer cut short", "the connection broke"),
    ("a list cut short", "the connection broke"),
    ("no answer under the address", "answered with HTTP status 404"),
    ("no list under the address", "answered with HTTP status 404"),
    ("a list that is out of date", "out of date since"),
    ("a list from the future", "made for"),
    ("a list without an end", "does not say until when it holds"),
    ("a list of a stranger", "it is the list of another issuer"),
    ("a list of the authority above", "it is the list of another issuer"),
    ("a list signed by a responder", "it is the list of another issuer"),
    ("a forged list", "the signature is wrong"),
    ("a list of changes", "a list of changes"),
    ("a list on behalf of others", "a list on behalf of other issuers"),
    ("a list about authorities", "it is about authorities only"),
    ("a list about some reasons", "it is about some reasons only"),
    ("a part of a list that is another's", "does not name the part of the list that this is"),
    ("a list with something unheard of", "a critical extension of the list"),
    ("garbage instead of a list", "not a revocation list"),
];
