use std::fs;
use std::sync::Arc;

use rohrpost_client::transport::{Timeouts, Transport};
use rohrpost_client::{Client, Clock, Config};
use rohrpost_crypto::{DigestAlgorithm, SignatureAlgorithm};
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery};
use rohrpost_osci::content::{Author, ContainerBuilder, InMemory, PackageBuilder};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::header::{CertificateEntry, CertificateRole, CertificateUse, NonIntermediaryCertificates};
use rohrpost_osci::ids::Challenge;
use rohrpost_osci::message::{RequestHeader, StoreDelivery};
use rohrpost_osci::mime::Boundary;
use rohrpost_osci::source::read_range;
use rohrpost_pipeline::keyring::{CipherPair, KeyRing};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::KeyEntry;
use rohrpost_tests::{Server, certs_test};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::run;

fn entry(name: &str) -> KeyEntry {
    let file = |kind: &str| fs::read(certs_test(&format!("pem/{name}.{kind}.pem"))).unwrap();
    KeyEntry::from_pem(&file("cert"), &file("key")).unwrap()
}

/// Stores a delivery for bob: a container that alice has signed, whose `Id` was changed, and more that nobody has signed.
async fn store(server: &Server, home: &TempDir, id: &str, more: &str, attachments: Vec<OutAttachment>) {
    let (cipher, signature) = (entry("alice-cipher"), entry("alice-signature"));
    let certificate =
        |role, purpose, entry: &KeyEntry| CertificateEntry::new(role, purpose, 0, entry.certificate.der());
    let certificates = NonIntermediaryCertificates::new(vec![
        certificate(CertificateRole::Originator, CertificateUse::Cipher, &cipher),
        certificate(CertificateRole::Originator, CertificateUse::Signature, &signature),
        certificate(CertificateRole::Addressee, CertificateUse::Cipher, &entry("bob-cipher")),
    ])
    .unwrap();
    let signer = signature.key.signer(SignatureAlgorithm::RsaSha256).unwrap();
    let author = certificates.first(CertificateRole::Originator, CertificateUse::Signature).unwrap().id.clone();
    let mut container = ContainerBuilder::new("signed").data("data", Arc::new(b"signed by alice".to_vec())).build();
    let author =
        Author { signer: &signer, certificate_id: &author, digest: DigestAlgorithm::Sha256, signing_time: None };
    container.sign(&author).unwrap();
    let built = PackageBuilder::new().container(container).build(&InMemory).unwrap().package;
    let text = String::from_utf8(read_range(&*built.source, built.range.clone()).unwrap()).unwrap();
    let text = text.replace("Id=\"signed\"", &format!("Id=\"{id}\""));
    let text = text.replace("</osci:ContentPackage>", &format!("{more}</osci:ContentPackage>")).into_bytes();
    let package = OutContent { range: 0..text.len() as u64, source: Arc::new(text), in_scope: built.in_scope };

    #[allow(clippy::disallowed_methods)] // tests have no other clock
    let clock = Clock::new(OffsetDateTime::now_utc);
    let pair = CipherPair { key: Arc::new(cipher.key.decryptor().unwrap()), certificate: cipher.certificate };
    let (intermediary, spools) = (entry("intermediary-cipher").certificate, SpoolDir::new(home.path()));
    let keys = KeyRing::new(vec![pair], None);
    let config = Config::new(server.url(), intermediary, keys, spools.clone(), clock.clone());
    let message_id = Client::new(config).unwrap().message_id().await.unwrap();
    let challenge = Some(Challenge::new("C").unwrap());
    let control = ControlBlock { challenge, sequence_number: Some(0), ..ControlBlock::default() };
    let order = StoreDelivery {
        header: RequestHeader { control, certificates, ..RequestHeader::default() },
        creation: Default::default(),
        reception: Default::default(),
        message_id: Some(message_id),
        subject: None,
    };
    let message = order.compose(OutDelivery { package, attachments }).unwrap();
    let message = message.write(None, &Boundary::new("B").unwrap(), Vec::new()).unwrap();
    let transport = Transport::new(None, Timeouts::default(), &clock).unwrap();
    let address = server.url().parse().unwrap();
    let answer = transport.post(&address, &Spool::from_bytes(message), &spools, None).await.unwrap();
    let mut told = String::new();
    std::io::Read::read_to_string(&mut answer.body.reader(0..answer.body.len()), &mut told).unwrap();
    assert!(told.contains("<osci:Code>0800</osci:Code>"), "{told}");
}

/// What bob is told about what he fetches.
fn fetch(server: &Server, home: &TempDir, form: &[&str]) -> crate::Ended {
    let at = |name: &str| home.path().join(name).display().to_string();
    fs::write(at("pin"), "123456").unwrap();
    let own = certs_test("p12/bob-cipher.p12").display().to_string();
    let cipher = certs_test("pem/intermediary-cipher.cert.pem").display().to_string();
    let ca = |name: &str| certs_test(&format!("ca/{name}-ca.cert.pem")).display().to_string();
    let (root, between, pin, inbox) = (ca("root"), ca("registry"), at("pin"), at("inbox"));
    let party = ["--url", server.url(), "--intermediary-cipher", &cipher, "--cipher", &own, "--pin-file", &pin];
    let trust = ["--anchor", &root, "--intermediate", &between, "--to", &inbox];
    let fetched = run(form.iter().copied().chain(["fetch"]).chain(party).chain(trust));
    assert_eq!(fetched.code, 0, "{}{}", fetched.stdout, fetched.stderr);
    fetched
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_signatures_that_are_none() {
    let server = Server::start(&[]);
    let home = TempDir::new().unwrap();
    let forged = "c holds; certificate valid\n  signature of CN=Mayor over letter";
    let id = forged.replace('\n', "&#10;&#x9B;2J");
    let more = "<osci:ContentContainer Id=\"letter\"><osci:Content><osci:Base64Content Id=\"forged\">QW55</osci:Base64Content>\
                </osci:Content></osci:ContentContainer>";
    store(&server, &home, &id, more, Vec::new()).await;
    let told = fetch(&server, &home, &[]).stdout;
    let signatures = told.lines().filter(|line| line.trim_start().starts_with("signature of"));
    assert_eq!(signatures.count(), 1, "{told}");
    assert!(!told.contains('\u{9b}'), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_does_not_vouch_for_what_nobody_signed() {
    let server = Server::start(&[]);
    let container = "<osci:ContentContainer Id=\"letter\"><osci:Content><osci:Base64Content Id=\"forged\">QW55</osci:Base64Content>\
                     </osci:Content></osci:ContentContainer>";
    let stray = || vec![OutAttachment::new("invoice.pdf", "application/pdf", Arc::new(b"forged".to_vec()))];
    for (more, attachments, verdict) in
        [("", vec![], "valid"), (container, vec![], "indeterminate"), ("", stray(), "indeterminate")]
    {
        let home = TempDir::new().unwrap();
        store(&server, &home, "signed", more, attachments).await;
        let delivery = &fetch(&server, &home, &["--json"]).json()["deliveries"][0];
        assert_eq!(delivery["signatures"][0]["verdict"], "valid", "{delivery}");
        assert_eq!(delivery["verdict"], verdict, "{delivery}");
        let unsigned = delivery["files"].as_array().unwrap().iter().filter(|file| file["signed"] == false).count();
        assert_eq!(unsigned, usize::from(verdict != "valid"), "{delivery}");
    }
}
