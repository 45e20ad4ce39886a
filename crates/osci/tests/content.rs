//! Content is built, sent, received, decrypted and checked.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::BufReader;
use std::sync::{Arc, LazyLock};

use expect_test::expect;
use proptest::prelude::*;
use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{
    BlockCipher, Curve, Decryptor, DigestAlgorithm, PrivateKey, PublicKey, SignatureAlgorithm, SoftwareSigner,
    SystemRandom,
};
use rohrpost_osci::compose::{OutContent, OutDelivery};
use rohrpost_osci::content::{
    Attachment, AttachmentContent, AttachmentEncryption, Author, BuildError, Container, ContainerBuilder, Content,
    ContentError, ContentKey, ContentSignatureFault, InMemory, NewAttachment, NewContainer, Package, PackageBuilder,
    ReaderKey, Sealed, SealedContainer, Sealing, SignatureVerdict,
};
use rohrpost_osci::datetime::DateTime;
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::{Envelope, EnvelopeError, Limits};
use rohrpost_osci::header::{CertificateEntry, CertificateRole, CertificateUse, NonIntermediaryCertificates};
use rohrpost_osci::message::{RequestHeader, StoreDelivery};
use rohrpost_osci::mime::{self, Boundary, Multipart};
use rohrpost_osci::ns;
use rohrpost_osci::source::{ReadAt, read_range, reader};

/// Someone with a key. The "certificate" is the name: this crate does not look into certificates.
struct Person {
    entry: CertificateEntry,
    key: PrivateKey,
}

impl Person {
    fn new(name: &str, role: CertificateRole, purpose: CertificateUse, key: PrivateKey) -> Self {
        let entry = CertificateEntry { role, purpose, id: format!("{name}_id"), der: name.as_bytes().to_vec() };
        Self { entry, key }
    }

    fn author(name: &str) -> Self {
        let key = PrivateKey::generate_ec(Curve::P256).unwrap();
        Self::new(name, CertificateRole::OtherAuthor, CertificateUse::Signature, key)
    }

    fn signer(&self) -> SoftwareSigner {
        self.key.signer(SignatureAlgorithm::EcdsaSha256).unwrap()
    }

    fn sign(&self, container: &mut NewContainer) {
        self.sign_at(container, None);
    }

    fn sign_at(&self, container: &mut NewContainer, time: Option<&str>) {
        let signing_time = time.map(|time| DateTime::parse(time).unwrap());
        let certificate_id = &self.entry.id;
        let signer = self.signer();
        let author = Author { signer: &signer, certificate_id, digest: DigestAlgorithm::Sha256, signing_time };
        container.sign(&author).unwrap();
    }
}

/// RSA keys take time to make; two are enough.
static READERS: LazyLock<[Person; 2]> = LazyLock::new(|| {
    ["bob", "dave"].map(|name| {
        let key = PrivateKey::generate_rsa(2048).unwrap();
        Person::new(name, CertificateRole::OtherReader, CertificateUse::Cipher, key)
    })
});

static AUTHORS: LazyLock<[Person; 2]> = LazyLock::new(|| ["alice", "carol"].map(Person::author));

fn blob(bytes: impl Into<Vec<u8>>) -> Arc<dyn ReadAt> {
    Arc::new(bytes.into())
}

fn bytes(blob: &Arc<dyn ReadAt>) -> Vec<u8> {
    read_range(blob, 0..blob.len()).unwrap()
}

fn certificates() -> NonIntermediaryCertificates {
    let mut entries: Vec<_> = READERS.iter().chain(AUTHORS.iter()).map(|person| person.entry.clone()).collect();
    entries.push(CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Cipher, 0, b"addressee"));
    NonIntermediaryCertificates::new(entries).unwrap()
}

fn key_of(der: &[u8]) -> Option<PublicKey> {
    let person = AUTHORS.iter().find(|person| person.entry.der == der)?;
    Some(person.key.public_key().clone())
}

fn seal(container: NewContainer, id: &str, readers: &[&Person]) -> SealedContainer {
    seal_with(container, id, readers, |_| {})
}

fn seal_with(
    container: NewContainer,
    id: &str,
    readers: &[&Person],
    change: impl FnOnce(&mut Sealing<'_>),
) -> SealedContainer {
    let mut sealing = Sealing::new(&SystemRandom, &InMemory);
    change(&mut sealing);
    let keys: Vec<_> = readers
        .iter()
        .map(|person| ReaderKey { certificate_id: &person.entry.id, key: person.key.public_key() })
        .collect();
    container.seal(id, &keys, &sealing).unwrap()
}

/// A delivery on the wire.
fn send(delivery: OutDelivery) -> Vec<u8> {
    let header = RequestHeader { control: ControlBlock::default(), certificates: certificates(), ..Default::default() };
    let store = StoreDelivery {
        header,
        creation: Default::default(),
        reception: Default::default(),
        message_id: None,
        subject: None,
    };
    store.compose(delivery).unwrap().write(None, &Boundary::new("BND").unwrap(), Vec::new()).unwrap()
}

struct Received {
    package: Package,
    attachments: Vec<Attachment>,
    verdicts: Vec<SignatureVerdict>,
}

fn receive(octets: &[u8], readers: &[&Person]) -> Received {
    let source: Arc<dyn ReadAt> = blob(octets);
    let multipart = Multipart::scan(&*source, &mime::Limits::default()).unwrap();
    let root = multipart.root().range.clone();
    let envelope = Envelope::read(BufReader::new(reader(&*source, root.clone())), &Limits::default()).unwrap();
    let place = OutContent::received(Arc::clone(&source), root.start, envelope.body().package().unwrap());
    let mut package = Package::read(&place, &InMemory).unwrap();
    let decryptors: Vec<_> = readers.iter().map(|reader| reader.key.decryptor().unwrap()).collect();
    let keys: Vec<_> = readers
        .iter()
        .zip(&decryptors)
        .map(|(reader, decryptor)| ContentKey {
            certificate: &reader.entry.der,
            decryptor: decryptor as &dyn Decryptor,
        })
        .collect();
    let certificates = envelope.certificates().unwrap();
    package.decrypt(&keys, certificates, &InMemory).unwrap();
    let attachments = package.attachments(&multipart, &source, &InMemory).unwrap();
    let verdicts = package.verify(&attachments, certificates, &key_of).unwrap();
    Received { package, attachments, verdicts }
}

fn data(container: &Container, at: usize) -> Vec<u8> {
    match &container.contents[at] {
        Content::Data(data) => bytes(&data.bytes),
        other => panic!("{other:?} is no data"),
    }
}

fn letter() -> NewAttachment {
    NewAttachment::new("Brief an Müller.txt", "text/plain", blob("Hallo"))
}

/// A container with one content of every kind.
fn everything() -> NewContainer {
    let inner = ContainerBuilder::new("inner").data("inner_data", blob("nested")).attachment(
        "inner_attachment",
        NewAttachment::new("second", "application/octet-stream", blob(vec![7; 70_000])),
    );
    ContainerBuilder::new("outer")
        .data("data", blob(vec![b'x'; 100_000]))
        .data("empty", blob(""))
        .attachment("attachment", letter())
        .container("nested", inner.build())
        .build()
}

fn check_everything(container: &Container) {
    assert_eq!(container.id, "outer");
    assert_eq!(data(container, 0), vec![b'x'; 100_000]);
    assert_eq!(data(container, 1), b"");
    let Content::Attachment(reference) = &container.contents[2] else { panic!("the third is an attachment") };
    assert_eq!((reference.id.as_str(), reference.content_id.as_str()), ("attachment", "Brief an Müller.txt"));
    let Content::Container(nested) = &container.contents[3] else { panic!("the fourth is a container") };
    assert_eq!((nested.id.as_str(), nested.container.id.as_str()), ("nested", "inner"));
    assert_eq!(data(&nested.container, 0), b"nested");
}

fn outcomes(received: &Received) -> Vec<(&str, &Result<(), ContentSignatureFault>)> {
    received.verdicts.iter().map(|verdict| (verdict.container_id.as_str(), &verdict.outcome)).collect()
}

#[test]
fn open_content_arrives() {
    let mut container = everything();
    AUTHORS[0].sign(&mut container);
    AUTHORS[1].sign_at(&mut container, Some("2024-05-01T10:00:00+02:00"));
    let delivery = PackageBuilder::new().container(container).build(&InMemory).unwrap();
    let received = receive(&send(delivery), &[]);
    check_everything(&received.package.containers[0]);
    assert!(matches!(&received.attachments[..], [first, second]
        if first.content_id == "Brief an Müller.txt" && bytes(first.bytes().unwrap()) == b"Hallo"
        && bytes(second.bytes().unwrap()) == vec![7; 70_000]
        && matches!(second.content, AttachmentContent::Transmitted(_))));
    assert_eq!(outcomes(&received), [("outer", &Ok(())), ("outer", &Ok(()))]);
    let [first, second] = &received.verdicts[..] else { panic!("two authors signed") };
    assert_eq!((first.signer.as_deref(), first.signing_time.as_deref()), (Some("alice_id"), None));
    assert_eq!(second.signing_time.as_deref(), Some("2024-05-01T10:00:00+02:00"));
    assert_eq!(second.algorithm, Some(SignatureAlgorithm::EcdsaSha256));
}

#[test]
fn encrypted_content_arrives_with_its_readers() {
    let [bob, dave] = &*READERS;
    let mut container = everything();
    AUTHORS[0].sign(&mut container);
    let sealed = seal(container, "sealed", &[bob, dave]);
    let delivery = PackageBuilder::new().sealed(sealed).build(&InMemory).unwrap();
    let octets = send(delivery);
    assert!(!String::from_utf8_lossy(&octets).contains("Hallo"));
    for reader in [bob, dave] {
        let received = receive(&octets, &[reader]);
        assert_eq!(received.package.encrypted[0].id.as_deref(), Some("sealed"));
        let container = received.package.encrypted[0].content.as_ref().unwrap();
        check_everything(container);
        assert!(container.encrypted.is_empty());
        assert_eq!(outcomes(&received), [("outer", &Ok(()))]);
        assert!(
            matches!(&received.attachments[0].content, AttachmentContent::Decrypted(text) if bytes(text) == b"Hallo")
        );
    }
    let nobody = receive(&octets, &[]);
    assert_eq!(nobody.package.encrypted[0].content.as_ref().unwrap_err(), &Sealed::NotForUs);
    assert!(nobody.verdicts.is_empty());
    assert_ne!(bytes(nobody.attachments[0].bytes().unwrap()), b"Hallo");
    // Bob's name with Dave's key
    let key = dave.key.clone();
    let impostor = Person { entry: bob.entry.clone(), key };
    let failed = receive(&octets, &[&impostor]);
    assert_eq!(failed.package.encrypted[0].content.as_ref().unwrap_err(), &Sealed::Failed);
}

#[test]
fn every_cipher_that_is_written_arrives() {
    let [bob, _] = &*READERS;
    for cipher in [BlockCipher::Aes128Gcm, BlockCipher::Aes192Gcm, BlockCipher::Aes256Gcm] {
        for iv in [IvLength::Twelve, IvLength::Sixteen] {
            let sealed = seal_with(everything(), "sealed", &[bob], |sealing| {
                sealing.cipher = cipher;
                sealing.iv = iv;
            });
            let delivery = PackageBuilder::new().sealed(sealed).build(&InMemory).unwrap();
            let received = receive(&send(delivery), &[bob]);
            check_everything(received.package.encrypted[0].content.as_ref().unwrap());
            let encryption = received.package.encrypted[0].encryption.as_ref().unwrap();
            assert_eq!((encryption.cipher, encryption.iv), (cipher, iv));
        }
    }
}

#[test]
fn layers_and_signed_encrypted_data_arrive() {
    let [bob, dave] = &*READERS;
    let mut inner = ContainerBuilder::new("c1").data("d1", blob("innermost")).attachment("a1", letter()).build();
    AUTHORS[1].sign(&mut inner);
    let mut middle = ContainerBuilder::new("c2").sealed(seal(inner, "e1", &[dave])).data("d2", blob("2")).build();
    AUTHORS[0].sign(&mut middle);
    let outer = seal(middle, "e2", &[bob]);
    let mut open = ContainerBuilder::new("c3").sealed(outer).build();
    AUTHORS[0].sign(&mut open);
    let octets = send(PackageBuilder::new().container(open).build(&InMemory).unwrap());

    let both = receive(&octets, &[bob, dave]);
    assert_eq!(outcomes(&both), [("c3", &Ok(())), ("c2", &Ok(())), ("c1", &Ok(()))]);
    assert!(matches!(&both.attachments[0].content, AttachmentContent::Decrypted(text) if bytes(text) == b"Hallo"));
    let one = receive(&octets, &[bob]);
    assert_eq!(outcomes(&one), [("c3", &Ok(())), ("c2", &Ok(()))]);
    let middle = one.package.containers[0].encrypted[0].content.as_ref().unwrap();
    assert_eq!(data(middle, 0), b"2");
    assert_eq!(middle.encrypted[0].content.as_ref().unwrap_err(), &Sealed::NotForUs);
    assert!(receive(&octets, &[dave]).package.containers[0].encrypted[0].content.is_err());
}

#[test]
fn an_attachment_may_stay_open() {
    let [bob, _] = &*READERS;
    let mut attachment = letter();
    attachment.encryption = AttachmentEncryption::Never;
    let mut container = ContainerBuilder::new("c").attachment("a", attachment).build();
    AUTHORS[0].sign(&mut container);
    let delivery = PackageBuilder::new().sealed(seal(container, "e", &[bob])).build(&InMemory).unwrap();
    let received = receive(&send(delivery), &[bob]);
    assert!(
        matches!(&received.attachments[0].content, AttachmentContent::Transmitted(text) if bytes(text) == b"Hallo")
    );
    assert_eq!(outcomes(&received), [("c", &Ok(()))]);
}

#[test]
fn changes_are_found_and_content_stays_readable() {
    let mut container = ContainerBuilder::new("c")
        .data("d", blob("Any"))
        .attachment("a", letter())
        .container("n", ContainerBuilder::new("i").data("x", blob("nested")).build())
        .build();
    AUTHORS[0].sign_at(&mut container, Some("2024-05-01T10:00:00Z"));
    let text = String::from_utf8(send(PackageBuilder::new().container(container).build(&InMemory).unwrap())).unwrap();
    let fault = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let received = receive(text.replace(from, to).as_bytes(), &[]);
        assert_eq!(received.package.containers.len(), 1);
        received.verdicts[0].outcome.clone()
    };
    assert_eq!(fault(">QW55<", ">\nQW\t55\n<"), Ok(()), "white space in base64 is no change");
    assert_eq!(fault(">QW55<", ">QW56<"), Err(ContentSignatureFault::Digest));
    assert_eq!(fault("\r\nHallo\r\n", "\r\nHello\r\n"), Err(ContentSignatureFault::Digest));
    assert_eq!(fault(r#"Id="i""#, r#"Id="j""#), Err(ContentSignatureFault::Digest));
    assert_eq!(fault("10:00:00Z", "11:00:00Z"), Err(ContentSignatureFault::Digest));
    assert_eq!(fault(r#"Id="a" href"#, r#"Id="b" href"#), Err(ContentSignatureFault::Incomplete));
    let more = r#"<osci:Content><osci:Base64Content Id="new">QW55</osci:Base64Content></osci:Content></osci:ContentContainer></osci:ContentPackage>"#;
    assert_eq!(fault("</osci:ContentContainer></osci:ContentPackage>", more), Err(ContentSignatureFault::Incomplete));
    let from = text.find(r#"<osci:Content Id="a""#).unwrap();
    let to = from + text[from..].find("</osci:Content>").unwrap() + "</osci:Content>".len();
    assert_eq!(fault(&text[from..to], ""), Err(ContentSignatureFault::Surplus));
    assert_eq!(fault("#alice_id", "#carol_id"), Err(ContentSignatureFault::Value));
    assert_eq!(fault("#alice_id", "#bob_id"), Err(ContentSignatureFault::SignerNotAuthor));
    assert_eq!(
        fault("2001/04/xmlenc#sha256", "2001/04/xmldsig-more#sha384"),
        Err(ContentSignatureFault::Malformed(rohrpost_xmlsec::dsig::SignatureMalformed::UnknownDigestAlgorithm))
    );
    assert_eq!(
        fault("xmldsig#base64", "xmldsig#enveloped-signature"),
        Err(ContentSignatureFault::Value),
        "the list of references is authentic or nothing"
    );
    let part = text.find("\r\n--BND\r\nContent-Type: text/plain").unwrap();
    let end = text.rfind("\r\n--BND--").unwrap();
    assert_eq!(fault(&text[part..end], ""), Err(ContentSignatureFault::AttachmentUnreadable));
}

#[test]
fn a_signature_by_nobody_in_the_message_never_enters() {
    let mut container = ContainerBuilder::new("c").data("d", blob("Any")).build();
    AUTHORS[0].sign(&mut container);
    let octets = send(PackageBuilder::new().container(container).build(&InMemory).unwrap());
    let text = String::from_utf8(octets).unwrap().replace("#alice_id", "#nobody_id");
    let multipart = Multipart::scan(&text.as_bytes(), &mime::Limits::default()).unwrap();
    let root = reader(text.as_bytes(), multipart.root().range.clone());
    let error = Envelope::read(BufReader::new(root), &Limits::default()).unwrap_err();
    assert!(matches!(error, EnvelopeError::UnresolvedCertificate), "{error:?}");
}

#[test]
fn collisions_are_found_before_sending() {
    let [bob, _] = &*READERS;
    let build = |builder: PackageBuilder| builder.build(&InMemory).map(drop).unwrap_err();
    let one = |id: &str, data: &str| ContainerBuilder::new(id).data(data, blob("")).build();
    let error = build(PackageBuilder::new().container(one("a", "b")).container(one("b", "c")));
    assert!(matches!(error, BuildError::IdTaken(id) if id == "b"));
    let error = build(PackageBuilder::new().container(one("a", "b")).sealed(seal(one("x", "b"), "e", &[bob])));
    assert!(matches!(error, BuildError::IdTaken(id) if id == "b"));
    let error = build(PackageBuilder::new().container(one("a", "body")));
    assert!(matches!(error, BuildError::IdTaken(id) if id == "body"));
    let error = build(PackageBuilder::new().container(one("a", "1 b")));
    assert!(matches!(error, BuildError::BadId(_)));
    let with = |id: &str, attachment: NewAttachment| {
        ContainerBuilder::new(id).attachment(format!("{id}_a"), attachment).build()
    };
    let error = build(PackageBuilder::new().container(with("a", letter())).container(with("b", letter())));
    assert!(matches!(error, BuildError::AttachmentNameTaken));
    let shared = letter();
    let twice = PackageBuilder::new().container(with("a", shared.clone())).container(with("b", shared));
    assert_eq!(twice.build(&InMemory).unwrap().attachments.len(), 1);
    let signer = AUTHORS[0].signer();
    let author =
        Author { signer: &signer, certificate_id: "alice_id", digest: DigestAlgorithm::Sha256, signing_time: None };
    assert!(matches!(ContainerBuilder::new("a").build().sign(&author), Err(BuildError::NothingToSign)));
    let sealing = Sealing::new(&SystemRandom, &InMemory);
    assert!(matches!(one("a", "b").seal("e", &[], &sealing), Err(BuildError::NoReader)));
    let elliptic = ReaderKey { certificate_id: "x", key: AUTHORS[0].key.public_key() };
    assert!(matches!(one("a", "b").seal("e", &[elliptic], &sealing), Err(BuildError::Reader(_))));
}

#[test]
fn a_package_as_text() {
    let mut container = ContainerBuilder::new("c").data("d", blob("Any")).attachment("a", letter()).build();
    AUTHORS[0].sign_at(&mut container, Some("2024-05-01T10:00:00+02:00"));
    let delivery = PackageBuilder::new().container(container).build(&InMemory).unwrap();
    let text = String::from_utf8(bytes(&delivery.package.source)).unwrap();
    let value = text.find("<ds:SignatureValue>").unwrap()..text.find("</ds:SignatureValue>").unwrap();
    let text = text.replace(&text[value], "<ds:SignatureValue>…");
    expect![[r##"
        <osci:ContentPackage>
        <osci:ContentContainer Id="c">
        <ds:Signature>
        <ds:SignedInfo>
        <ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315">
        </ds:CanonicalizationMethod>
        <ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256">
        </ds:SignatureMethod>
        <ds:Reference URI="#d">
        <ds:Transforms>
        <ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64">
        </ds:Transform>
        </ds:Transforms>
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256">
        </ds:DigestMethod>
        <ds:DigestValue>K1BVl9qnNvE8KRDCYOjesa87IP/jdeteAaAD6S9UHbk=</ds:DigestValue>
        </ds:Reference>
        <ds:Reference URI="#a">
        <ds:Transforms>
        <ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315">
        </ds:Transform>
        </ds:Transforms>
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256">
        </ds:DigestMethod>
        <ds:DigestValue>ha62SHQkkVBd4IKuIuoZvHWifuD00CSazvlzW1CzJJA=</ds:DigestValue>
        </ds:Reference>
        <ds:Reference URI="cid:Brief an Müller.txt">
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256">
        </ds:DigestMethod>
        <ds:DigestValue>dTaS7DattMeUyXOUXrKpnBZJcD6m92vyWau0+4OOAT4=</ds:DigestValue>
        </ds:Reference>
        <ds:Reference URI="#cTS0">
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256">
        </ds:DigestMethod>
        <ds:DigestValue>+As85HuS3d7xd41wwBhj7lIH8Had6Qb31O+NB+Y0VUo=</ds:DigestValue>
        </ds:Reference>
        </ds:SignedInfo>
        <ds:SignatureValue>…</ds:SignatureValue>
        <ds:KeyInfo>
        <ds:RetrievalMethod URI="#alice_id">
        </ds:RetrievalMethod>
        </ds:KeyInfo>
        <ds:Object>
        <xades:QualifyingProperties xmlns:xades="http://uri.etsi.org/01903/v1.3.2#">
        <xades:SignedProperties Id="cTS0">
        <xades:SignedSignatureProperties>
        <xades:SigningTime>2024-05-01T10:00:00+02:00</xades:SigningTime>
        </xades:SignedSignatureProperties>
        </xades:SignedProperties>
        </xades:QualifyingProperties>
        </ds:Object>
        </ds:Signature>
        <osci:Content>
        <osci:Base64Content Id="d">QW55</osci:Base64Content>
        </osci:Content>
        <osci:Content Id="a" href="cid:Brief an Müller.txt">
        </osci:Content>
        </osci:ContentContainer>
        </osci:ContentPackage>"##]]
    .assert_eq(&text.replace("><", ">\n<"));
}

#[test]
fn malformed_packages_are_refused() {
    let read = |text: &str| {
        let package = format!("<osci:ContentPackage>{text}</osci:ContentPackage>");
        let range = 0..package.len() as u64;
        let place = OutContent { source: blob(package), range, in_scope: ns::envelope_context() };
        Package::read(&place, &InMemory)
    };
    let container = |text: &str| read(&format!(r#"<osci:ContentContainer Id="c">{text}</osci:ContentContainer>"#));
    assert!(read("").unwrap().containers.is_empty());
    assert_eq!(container("").unwrap().containers.len(), 1);
    for text in [
        "<osci:Content/>",
        "text",
        "<osci:ContentContainer/>",
        "<osci:ContentContainer Id=''/>",
        "<x:ContentContainer xmlns:x='urn:x' Id='c'/>",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    for text in [
        "text",
        "<osci:Other/>",
        "<osci:Content/>",
        "<osci:Content Id='x'/>",
        "<osci:Content Id='x' href='http://example.org/'/>",
        "<osci:Content href='cid:a'/>",
        "<osci:Content><osci:ContentContainer Id='n'/></osci:Content>",
        "<osci:Content><osci:Base64Content>QW55</osci:Base64Content></osci:Content>",
        "<osci:Content><osci:Base64Content Id='d'>QW5</osci:Base64Content></osci:Content>",
        "<osci:Content><osci:Base64Content Id='d'><a/></osci:Base64Content></osci:Content>",
        "<osci:Content>text</osci:Content>",
        "<osci:Content Id='x' href='cid:a'><osci:Base64Content Id='d'></osci:Base64Content></osci:Content>",
        "<osci:Content><osci:Base64Content Id='d'></osci:Base64Content><osci:Base64Content Id='e'></osci:Base64Content></osci:Content>",
        "<osci:Content Id='x'><osci:ContentContainer Id='n'/><osci:ContentContainer Id='m'/></osci:Content>",
        "<osci:Content Id='c' href='cid:a'/>",
    ] {
        assert!(container(text).is_err(), "{text}");
    }
    let unknown = container(
        "<xenc:EncryptedData Id='e'><xenc:EncryptionMethod Algorithm='urn:new'/><ds:KeyInfo/><xenc:CipherData><xenc:CipherValue>QQ==</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData><osci:Content><osci:Base64Content Id='d'>QW55</osci:Base64Content></osci:Content>",
    )
    .unwrap();
    assert_eq!(unknown.containers[0].encrypted[0].content.as_ref().unwrap_err(), &Sealed::Malformed);
    assert_eq!(data(&unknown.containers[0], 0), b"Any");
}

#[derive(Debug, Clone)]
enum Plan {
    Data(Vec<u8>),
    Attachment(Vec<u8>),
    Container(Vec<Self>),
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let leaf = prop_oneof![bytes().prop_map(Plan::Data), bytes().prop_map(Plan::Attachment)];
    let plan = leaf.prop_recursive(3, 16, 4, |inner| proptest::collection::vec(inner, 0..4).prop_map(Plan::Container));
    proptest::collection::vec(plan, 0..5)
}

/// Builds what is planned; `count` numbers everything.
fn built(plans: &[Plan], count: &mut u32) -> NewContainer {
    let mut builder = ContainerBuilder::new(next(count, "c"));
    for plan in plans {
        let id = next(count, "i");
        builder = match plan {
            Plan::Data(bytes) => builder.data(id, blob(bytes.clone())),
            Plan::Attachment(bytes) => {
                let name = next(count, "Anhang ä&<");
                builder.attachment(id, NewAttachment::new(name, "text/plain", blob(bytes.clone())))
            }
            Plan::Container(plans) => builder.container(id, built(plans, count)),
        };
    }
    builder.build()
}

fn next(count: &mut u32, prefix: &str) -> String {
    *count += 1;
    format!("{prefix}{count}")
}

fn compare(plans: &[Plan], container: &Container, attachments: &[Attachment]) {
    assert_eq!(plans.len(), container.contents.len());
    for (plan, content) in plans.iter().zip(&container.contents) {
        match (plan, content) {
            (Plan::Data(planned), Content::Data(read)) => assert_eq!(planned, &bytes(&read.bytes)),
            (Plan::Attachment(planned), Content::Attachment(read)) => {
                let attachment = attachments.iter().find(|a| a.content_id == read.content_id).unwrap();
                assert_eq!(planned, &bytes(attachment.bytes().unwrap()));
            }
            (Plan::Container(planned), Content::Container(read)) => compare(planned, &read.container, attachments),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_is_built_arrives(plans in plans(), sealed in any::<bool>()) {
        let mut container = built(&plans, &mut 0);
        if !plans.is_empty() {
            AUTHORS[0].sign(&mut container);
        }
        let package = match sealed {
            true => PackageBuilder::new().sealed(seal(container, "sealed", &[&READERS[0]])),
            false => PackageBuilder::new().container(container),
        };
        let received = receive(&send(package.build(&InMemory).unwrap()), &[&READERS[0]]);
        let read = match sealed {
            true => received.package.encrypted[0].content.as_ref().unwrap(),
            false => &received.package.containers[0],
        };
        compare(&plans, read, &received.attachments);
        prop_assert_eq!(received.verdicts.len(), usize::from(!plans.is_empty()));
        prop_assert!(received.verdicts.iter().all(|verdict| verdict.outcome.is_ok()));
    }
}

/// A key that counts how often it is used.
struct Counting<'a>(&'a dyn Decryptor, std::sync::atomic::AtomicUsize);

impl Decryptor for Counting<'_> {
    fn key_bits(&self) -> u32 {
        self.0.key_bits()
    }

    fn unwrap_key(
        &self,
        transport: rohrpost_crypto::KeyTransport,
        wrapped: &[u8],
        wanted_len: usize,
    ) -> Result<rohrpost_crypto::SessionKey, rohrpost_crypto::DecryptionFailed> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0.unwrap_key(transport, wrapped, wanted_len)
    }
}

/// The package of a message, not decrypted.
fn package(octets: &[u8]) -> Package {
    let source: Arc<dyn ReadAt> = blob(octets);
    let multipart = Multipart::scan(&*source, &mime::Limits::default()).unwrap();
    let root = multipart.root().range.clone();
    let envelope = Envelope::read(BufReader::new(reader(&*source, root.clone())), &Limits::default()).unwrap();
    let place = OutContent::received(Arc::clone(&source), root.start, envelope.body().package().unwrap());
    Package::read(&place, &InMemory).unwrap()
}

#[test]
fn one_key_is_tried_once() {
    let [bob, _] = &*READERS;
    let sealed = seal(ContainerBuilder::new("c").data("d", blob("Any")).build(), "e", &[bob]);
    let octets = send(PackageBuilder::new().sealed(sealed).build(&InMemory).unwrap());
    let text = String::from_utf8(octets).unwrap();
    let from = text.find("<xenc:EncryptedKey>").unwrap();
    let to = text.find("</xenc:EncryptedKey>").unwrap() + "</xenc:EncryptedKey>".len();
    let (key, damaged) = (&text[from..to], text[from..to].replacen("<xenc:CipherValue>", "<xenc:CipherValue>AAAA", 1));
    let decryptor = bob.key.decryptor().unwrap();
    for (keys, opens) in [(key.to_owned() + &damaged.repeat(500), true), (damaged.repeat(500) + key, false)] {
        let counting = Counting(&decryptor, Default::default());
        let mut package = package(text.replace(key, &keys).as_bytes());
        let keys = [ContentKey { certificate: &bob.entry.der, decryptor: &counting }];
        package.decrypt(&keys, &certificates(), &InMemory).unwrap();
        assert_eq!(package.encrypted[0].content.is_ok(), opens);
        assert_eq!(counting.1.into_inner(), 1);
    }
}

#[test]
fn ids_of_what_was_encrypted_are_new() {
    let [bob, _] = &*READERS;
    let signed = |id: &str, data: &str| {
        let mut container = ContainerBuilder::new(id).data(data, blob("signed by alice")).build();
        AUTHORS[0].sign(&mut container);
        seal(container, "e", &[bob])
    };
    let octets = |sealed, shown: &str, data: &str| {
        let open = ContainerBuilder::new("shown").data("data_shown", blob("not signed")).build();
        let delivery = PackageBuilder::new().sealed(sealed).container(open).build(&InMemory).unwrap();
        let text = String::from_utf8(send(delivery)).unwrap();
        text.replace(r#"Id="shown""#, &format!("Id=\"{shown}\""))
            .replace(r#"Id="data_shown""#, &format!("Id=\"{data}\""))
    };
    let received = receive(octets(signed("c", "d"), "c2", "d2").as_bytes(), &[bob]);
    assert_eq!(outcomes(&received), [("c", &Ok(()))]);
    // A verdict names the container by its Id: it must not be taken for one about other content.
    for (shown, data) in [("c", "d2"), ("c2", "d"), ("d", "d2"), ("c2", "c")] {
        let received = receive(octets(signed("c", "d"), shown, data).as_bytes(), &[bob]);
        assert_eq!(outcomes(&received), [], "{shown} {data}");
        assert_eq!(received.package.encrypted[0].content.as_ref().unwrap_err(), &Sealed::Failed);
    }
}

#[test]
fn encrypted_data_without_id_cannot_be_covered() {
    let [bob, _] = &*READERS;
    let inner = |id: &str| ContainerBuilder::new(id).data(format!("d_{id}"), blob("x")).build();
    let sealed = seal(inner("a"), "e", &[bob]);
    let mut open = ContainerBuilder::new("c").sealed(sealed).build();
    AUTHORS[0].sign(&mut open);
    let other =
        String::from_utf8(send(PackageBuilder::new().sealed(seal(inner("b"), "f", &[bob])).build(&InMemory).unwrap()))
            .unwrap();
    let from = other.find("<xenc:EncryptedData").unwrap();
    let to = other.find("</xenc:EncryptedData>").unwrap() + "</xenc:EncryptedData>".len();
    let stranger = other[from..to].replace(r#" Id="f""#, "");
    let text = String::from_utf8(send(PackageBuilder::new().container(open).build(&InMemory).unwrap())).unwrap();
    let text = text.replace("</osci:ContentContainer>", &format!("{stranger}</osci:ContentContainer>"));
    assert_eq!(outcomes(&receive(text.as_bytes(), &[bob]))[0], ("c", &Err(ContentSignatureFault::Incomplete)));
}

#[test]
fn many_signatures_cost_one_digest() {
    let mut container = ContainerBuilder::new("c").data("d", blob(vec![b'x'; 2_000_000])).build();
    AUTHORS[0].sign(&mut container);
    let octets = send(PackageBuilder::new().container(container).build(&InMemory).unwrap());
    let text = String::from_utf8(octets).unwrap();
    let from = text.find("<ds:Signature>").unwrap();
    let to = text.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let signature = &text[from..to];
    let time = |count: usize| {
        let text = text.replacen(signature, &signature.repeat(count), 1);
        let began = std::time::Instant::now();
        let received = receive(text.as_bytes(), &[]);
        assert!(received.verdicts.iter().all(|verdict| verdict.outcome.is_ok()));
        assert_eq!(received.verdicts.len(), count);
        began.elapsed()
    };
    let (one, many) = (time(1), time(200));
    assert!(many < 3 * one + std::time::Duration::from_millis(700), "{many:?} against {one:?}");
}

#[test]
fn what_is_kept_in_memory_is_bounded() {
    let mut container = ContainerBuilder::new("c").data("d", blob("Any")).build();
    AUTHORS[0].sign(&mut container);
    let octets = send(PackageBuilder::new().container(container).build(&InMemory).unwrap());
    let text = String::from_utf8(octets).unwrap();
    let from = text.find("<ds:Signature>").unwrap();
    let to = text.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let signature = &text[from..to];
    let read = |count: usize| {
        let text = text.replacen(signature, &signature.repeat(count), 1);
        let (from, to) = (text.find("<osci:ContentPackage>").unwrap(), text.find("</soap:Body>").unwrap());
        let place =
            OutContent { source: blob(&text[..to]), range: from as u64..to as u64, in_scope: ns::envelope_context() };
        Package::read(&place, &InMemory)
    };
    assert_eq!(read(100).unwrap().containers[0].signatures.len(), 100);
    let beyond = (16 << 20) / signature.len() + 1;
    assert!(matches!(read(beyond), Err(ContentError::TooMuchKept)));
}
