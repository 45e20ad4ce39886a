//! Encrypted messages and faults: their exact form, every combination of algorithms, and what cannot be opened.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::io::Write;
use std::sync::LazyLock;

use expect_test::expect;
use rohrpost_crypto::cipher::{IvLength, OpenError};
use rohrpost_crypto::{
    BlockCipher, Curve, DecryptionFailed, Decryptor, KeyTransport, OaepHash, PrivateKey, Random, SessionKey,
    SystemRandom,
};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::encrypted::{EncryptedError, EncryptedMessage, EncryptedWriter, Recipient, SealError};
use rohrpost_osci::fault::{Fault, FaultMalformed};
use rohrpost_osci::feedback::{Code, FaultSide, Language};
use rohrpost_osci::mime::{Boundary, Encoding, Limits, Multipart};

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate_rsa(2048).unwrap());

const CERTIFICATE: &[u8] = b"the DER of a certificate";
const PLAINTEXT: &[u8] = b"MIME-Version: 1.0\r\nand so on";

fn seal(encryption: &Encryption, carrier: Encoding, plaintext: &[u8]) -> Vec<u8> {
    let recipient = Recipient { certificate: CERTIFICATE, public_key: KEY.public_key() };
    let boundary = Boundary::new("BND").unwrap();
    let mut writer =
        EncryptedWriter::new(Vec::new(), &boundary, encryption, carrier, &recipient, &SystemRandom).unwrap();
    for piece in plaintext.chunks(1000) {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap()
}

fn parse(bytes: &[u8]) -> Result<EncryptedMessage, EncryptedError> {
    EncryptedMessage::parse(&bytes, &Multipart::scan(&bytes, &Limits::default()).unwrap())
}

fn open(bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
    let message = parse(bytes).unwrap();
    let key = message.unwrap_key(&KEY.decryptor().unwrap()).map_err(OpenError::Failed)?;
    let mut opened = Vec::new();
    message.open(&bytes, &key, &mut opened)?;
    Ok(opened)
}

/// Takes the message apart as Latin-1 text, so that its envelope can be changed.
fn changed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text: String = bytes.iter().map(|b| char::from(*b)).collect();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).chars().map(|c| u8::try_from(c).unwrap()).collect()
}

#[test]
fn the_envelope_is_that_of_the_reference_implementation() {
    let sealed = seal(&Encryption::STANDARD, Encoding::Raw, PLAINTEXT);
    let end = sealed.windows(10).position(|w| w == b"<osci_enc>").unwrap();
    let text = String::from_utf8(sealed[..end].to_vec()).unwrap();
    let value = text.split("<xenc:CipherValue>").nth(1).unwrap().split('<').next().unwrap();
    expect![[r##"
        MIME-Version: 1.0
        Content-Type: Multipart/Related; boundary=BND; type=text/xml

        --BND
        Content-Type: text/xml; charset=UTF-8
        Content-Transfer-Encoding: 8bit
        Content-ID: <osci@message>

        <?xml version="1.0" encoding="UTF-8"?>

        <soap:Envelope xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://schemas.xmlsoap.org/soap/envelope/ soapMessageEncrypted.xsd http://www.w3.org/2000/09/xmldsig# oscisig.xsd http://www.w3.org/2001/04/xmlenc# oscienc.xsd"><soap:Body><xenc:EncryptedData MimeType="Multipart/Related"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"><osci128:IvLength xmlns:osci128="http://xoev.de/transport/osci12/8" Value="12"></osci128:IvLength></xenc:EncryptionMethod><ds:KeyInfo><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#rsa-oaep"><xenc11:MGF xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" Algorithm="http://www.w3.org/2009/xmlenc11#mgf1sha256"></xenc11:MGF><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod></xenc:EncryptionMethod><ds:KeyInfo><ds:X509Data><ds:X509Certificate>dGhlIERFUiBvZiBhIGNlcnRpZmljYXRl</ds:X509Certificate></ds:X509Data></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>KEY</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherReference URI="cid:osci_enc"><xenc:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"></ds:Transform></xenc:Transforms></xenc:CipherReference></xenc:CipherData></xenc:EncryptedData></soap:Body></soap:Envelope>

        --BND
        Content-Type: application/octet-stream
        Content-Transfer-Encoding: binary
        Content-ID: "##]]
    .assert_eq(&text.replace(value, "KEY").replace("\r\n", "\n"));
    assert!(sealed.ends_with(b"\r\n--BND--\r\n"));
    assert_eq!(parse(&sealed).unwrap().recipient(), CERTIFICATE);
}

#[test]
fn every_combination_opens_again() {
    let large = vec![7; 200_000];
    let oaep = |digest, mgf| KeyTransport::RsaOaep { digest, mgf };
    for cipher in [BlockCipher::Aes128Gcm, BlockCipher::Aes192Gcm, BlockCipher::Aes256Gcm] {
        for iv in [IvLength::Twelve, IvLength::Sixteen] {
            for transport in [
                oaep(OaepHash::Sha256, OaepHash::Sha256),
                oaep(OaepHash::Sha512, OaepHash::Sha512),
                KeyTransport::Rsa15,
            ] {
                for carrier in [Encoding::Raw, Encoding::Base64] {
                    for plaintext in [&b""[..], PLAINTEXT, &large] {
                        let encryption = Encryption { cipher, iv, transport };
                        let sealed = seal(&encryption, carrier, plaintext);
                        let message = parse(&sealed).unwrap();
                        assert_eq!(message.encryption(), encryption);
                        assert_eq!(message.ciphertext().encoding, carrier);
                        assert_eq!(open(&sealed).unwrap(), plaintext, "{encryption:?} {carrier:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn sixteen_bytes_of_initialisation_vector_are_not_announced() {
    let encryption = Encryption { iv: IvLength::Sixteen, ..Encryption::STANDARD };
    let sealed = seal(&encryption, Encoding::Raw, PLAINTEXT);
    assert!(!sealed.windows(8).any(|w| w == b"IvLength"));
}

#[test]
fn what_we_only_read_is_not_written() {
    let recipient = Recipient { certificate: CERTIFICATE, public_key: KEY.public_key() };
    let boundary = Boundary::new("BND").unwrap();
    let cbc = Encryption { cipher: BlockCipher::Aes256Cbc, ..Encryption::STANDARD };
    let refused = EncryptedWriter::new(Vec::new(), &boundary, &cbc, Encoding::Raw, &recipient, &SystemRandom);
    assert!(matches!(refused, Err(SealError::Io(_))));
    let ec = PrivateKey::generate_ec(Curve::P256).unwrap();
    let recipient = Recipient { public_key: ec.public_key(), ..recipient };
    let refused =
        EncryptedWriter::new(Vec::new(), &boundary, &Encryption::STANDARD, Encoding::Raw, &recipient, &SystemRandom);
    assert!(matches!(refused, Err(SealError::Key(_))));
}

#[test]
fn variants_of_peers_are_read() {
    let sealed = seal(&Encryption::STANDARD, Encoding::Raw, PLAINTEXT);
    let text: String = sealed.iter().map(|b| char::from(*b)).collect();
    let at = text.find("<xenc:EncryptedKey>").unwrap();
    let key = &text[at..text.find("</xenc:EncryptedKey>").unwrap() + "</xenc:EncryptedKey>".len()];
    let transforms = &text[text.find("<xenc:Transforms>").unwrap()..text.find("</xenc:CipherReference>").unwrap()];
    for (from, to) in [
        ("osci_enc", "ciphertext"),
        (" MimeType=\"Multipart/Related\"", " Id=\"x\""),
        (" MimeType=\"Multipart/Related\"", ""),
        ("<soap:Body>", "<soap:Body Id=\"body\">\n "),
        ("<soap:Envelope", "<soap:Envelope xmlns:osci=\"http://www.osci.de/2002/04/osci\""),
        ("Content-ID: <osci@message>", "Content-ID: <osci@message>\r\nContent-Length: 1"),
        (transforms, ""),
        (key, &format!("{key}{key}")),
        (key, &format!("\n{}\n", key.replace("><", "> <"))),
        ("dGhlIERFUiBvZiBhIGNlcnRpZmljYXRl", "dGhl\nIERFUiBvZiBh IGNlcnRpZmljYXRl\n"),
    ] {
        let variant = changed(&sealed, from, to);
        let variant = if from == "osci_enc" { changed(&variant, from, to) } else { variant };
        assert_eq!(open(&variant).unwrap(), PLAINTEXT, "{from} -> {to}");
    }
}

#[test]
fn broken_envelopes_are_told_apart() {
    let sealed = seal(&Encryption::STANDARD, Encoding::Raw, PLAINTEXT);
    let oaep = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
    let x509 = "<ds:X509Data><ds:X509Certificate>dGhlIERFUiBvZiBhIGNlcnRpZmljYXRl</ds:X509Certificate></ds:X509Data>";
    for (from, to, code) in [
        ("<soap:Body>", "<soap:Header></soap:Header><soap:Body>", Code::NotAMessage),
        ("<soap:Body>", "text<soap:Body>", Code::NotAMessage),
        ("</soap:Body>", "</soap:Body><soap:Body></soap:Body>", Code::NotAMessage),
        ("</xenc:EncryptedData>", "</xenc:EncryptedData><xenc:EncryptedData></xenc:EncryptedData>", Code::NotAMessage),
        ("<soap:Body>", "<!DOCTYPE x><soap:Body>", Code::NotAMessage),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "<!DOCTYPE soap:Envelope>", Code::NotAMessage),
        ("</soap:Envelope>", "", Code::NotAMessage),
        (" MimeType=\"Multipart/Related\"", "><xenc:Other></xenc:Other", Code::NotAMessage),
        (
            "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\">",
            "<xenc:EncryptionMethod>",
            Code::NotAMessage,
        ),
        ("xmlenc11#aes256-gcm", "xmlenc11#aes512-gcm", Code::Undecryptable),
        ("Value=\"12\"", "Value=\"8\"", Code::Undecryptable),
        (oaep, "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", Code::Undecryptable),
        ("mgf1sha256", "mgf1sha1", Code::Undecryptable),
        ("cid:osci_enc", "cid:other", Code::Undecryptable),
        ("cid:osci_enc", "cid:osci%5Fenc", Code::Undecryptable),
        ("cid:osci_enc", "#osci_enc", Code::Undecryptable),
        ("Content-ID: <osci_enc>", "Content-ID: <OSCI_ENC>", Code::Undecryptable),
        (x509, "<ds:RetrievalMethod URI=\"#x\"></ds:RetrievalMethod>", Code::Undecryptable),
        ("dGhlIERFUiBvZiBhIGNlcnRpZmljYXRl", "dGhlIER", Code::Undecryptable),
    ] {
        let error = parse(&changed(&sealed, from, to)).unwrap_err();
        assert!(!matches!(error, EncryptedError::NotEncrypted), "{from} -> {to}");
        assert_eq!(error.code(), code, "{from} -> {to}: {error:?}");
    }
}

#[test]
fn other_messages_are_recognised_by_their_first_tag() {
    let sealed = seal(&Encryption::STANDARD, Encoding::Raw, PLAINTEXT);
    for (from, to) in [
        ("soapMessageEncrypted.xsd", "soapStoreDelivery.xsd"),
        ("envelope/ soapMessageEncrypted", "envelope/  soapMessageEncrypted"),
        ("xsi:schemaLocation", "schemaLocation"),
        ("xmlns:xsi=", "xmlns:other='http://www.w3.org/2001/XMLSchema-instance' xmlns:xsi="),
    ] {
        let mut other = changed(&sealed, from, to);
        if from == "xmlns:xsi=" {
            other = changed(&other, "xsi:schemaLocation", "other:schemaLocation");
        }
        // Whatever follows is not looked at.
        let other = changed(&other, "</soap:Body>", "</nonsense>");
        assert!(matches!(parse(&other), Err(EncryptedError::NotEncrypted)), "{from} -> {to}");
    }
}

#[test]
fn every_damage_is_the_same_failure() {
    let sealed = seal(&Encryption::STANDARD, Encoding::Raw, PLAINTEXT);
    let message = parse(&sealed).unwrap();
    let range = message.ciphertext().range.clone();
    let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
    for at in [start, start + 11, start + 12, end - 17, end - 16, end - 1] {
        let mut damaged = sealed.clone();
        damaged[at] ^= 1;
        assert!(matches!(open(&damaged), Err(OpenError::Failed(DecryptionFailed))), "{at}");
    }
    for cut in [1, 16, end - start - 5, end - start] {
        let mut damaged = sealed.clone();
        damaged.drain(end - cut..end);
        assert!(matches!(open(&damaged), Err(OpenError::Failed(DecryptionFailed))), "{cut}");
    }
    let iv_announced_wrongly = changed(&sealed, "Value=\"12\"", "Value=\"16\"");
    assert!(matches!(open(&iv_announced_wrongly), Err(OpenError::Failed(DecryptionFailed))));

    let sealed = seal(&Encryption::STANDARD, Encoding::Base64, PLAINTEXT);
    let damaged = changed(&sealed, "\r\n--BND--", "A\r\n--BND--");
    assert!(matches!(open(&damaged), Err(OpenError::Failed(DecryptionFailed))));
    // Taken for what it is not.
    let relabelled = changed(&sealed, "7bit", "8bit");
    assert_eq!(open(&relabelled).unwrap(), PLAINTEXT, "the type alone says that it is base64");
    let relabelled = changed(&sealed, "text/base64", "application/octet-stream");
    assert!(matches!(open(&relabelled), Err(OpenError::Failed(DecryptionFailed))));
}

#[test]
fn a_wrong_key_is_the_same_failure() {
    let stranger = PrivateKey::generate_rsa(2048).unwrap().decryptor().unwrap();
    let rsa15 = Encryption { transport: KeyTransport::Rsa15, ..Encryption::STANDARD };
    for encryption in [Encryption::STANDARD, rsa15] {
        let sealed = seal(&encryption, Encoding::Raw, PLAINTEXT);
        let message = parse(&sealed).unwrap();
        let opened = message.unwrap_key(&stranger).map_err(OpenError::Failed);
        let opened = opened.and_then(|key| message.open(&sealed, &key, Vec::new()));
        assert!(matches!(opened, Err(OpenError::Failed(DecryptionFailed))));
    }
}

/// A decryptor that shows what it is asked for.
struct Asked;

impl Decryptor for Asked {
    fn key_bits(&self) -> u32 {
        2048
    }

    fn unwrap_key(&self, transport: KeyTransport, _: &[u8], wanted_len: usize) -> Result<SessionKey, DecryptionFailed> {
        assert_eq!((transport, wanted_len), (Encryption::STANDARD.transport, 32));
        Err(DecryptionFailed)
    }
}

#[test]
fn the_session_key_is_fresh_and_has_the_length_of_the_cipher() {
    struct Fixed;
    impl Random for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(9);
        }
    }
    let recipient = Recipient { certificate: CERTIFICATE, public_key: KEY.public_key() };
    let boundary = Boundary::generate(&Fixed);
    let writer = EncryptedWriter::new(Vec::new(), &boundary, &Encryption::STANDARD, Encoding::Raw, &recipient, &Fixed);
    let sealed = writer.unwrap().finish().unwrap();
    let message = parse(&sealed).unwrap();
    assert!(message.unwrap_key(&Asked).is_err());
    let key = message.unwrap_key(&KEY.decryptor().unwrap()).unwrap();
    assert_eq!(key.expose(), [9; 32]);
}

fn fault(envelope: &str) -> Result<Option<Fault>, FaultMalformed> {
    let message = format!(
        "\r\nMIME-Version: 1.0\r\nContent-Type: Multipart/Related; boundary=B\r\n\r\n--B\r\nContent-Type: text/xml\r\n\
         Content-ID: <x>\r\n\r\n{envelope}\r\n--B--\r\n"
    );
    Fault::parse(&message.as_bytes(), &Multipart::scan(&message.as_bytes(), &Limits::default()).unwrap())
}

#[test]
fn a_fault_is_written_as_everybody_does() {
    let fault = Fault::new(Code::NotAnOrder, Language::English);
    let text = String::from_utf8(fault.write(Vec::new()).unwrap()).unwrap();
    expect![[r#"
        MIME-Version: 1.0
        Content-Type: Multipart/Related; boundary=MIME_boundary; type=text/xml

        --MIME_boundary
        Content-Type: text/xml; charset=UTF-8
        Content-Transfer-Encoding: 8bit
        Content-ID: <osci@message>

        <?xml version="1.0" encoding="UTF-8"?>

        <soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:osci="http://www.osci.de/2002/04/osci"><soap:Body><soap:Fault><faultcode>soap:Client</faultcode><faultstring>The request is not an order that is executed here.</faultstring><detail><osci:Code>9300</osci:Code></detail></soap:Fault></soap:Body></soap:Envelope>
        --MIME_boundary--
    "#]]
    .assert_eq(&text.replace("\r\n", "\n"));
}

#[test]
fn every_fault_comes_back() {
    let mut faults = 0;
    for code in Code::ALL.iter().filter(|code| code.fault_side().is_some()) {
        for language in [Language::German, Language::English] {
            let sent = Fault::new(*code, language);
            let bytes = sent.write(Vec::new()).unwrap();
            let multipart = Multipart::scan(&bytes, &Limits::default()).unwrap();
            let read = Fault::parse(&bytes, &multipart).unwrap().unwrap();
            assert_eq!((read.known_code(), Some(read.side)), (*code, code.fault_side()));
            assert_eq!(read, sent);
            faults += 1;
        }
    }
    assert_eq!(faults, 22);
    let nasty =
        Fault { text: "<&>\r\n--MIME_boundary--\r\n".to_owned(), ..Fault::new(Code::InternalError, Language::German) };
    let bytes = nasty.write(Vec::new()).unwrap();
    let multipart = Multipart::scan(&bytes, &Limits::default()).unwrap();
    assert_eq!(Fault::parse(&bytes, &multipart).unwrap(), Some(nasty));
}

#[test]
fn faults_are_read_liberally() {
    let envelope = |fault: &str| {
        format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body Id='x'>\n<s:Fault>{fault}</s:Fault></s:Body></s:Envelope>"
        )
    };
    let code = "<detail><Code xmlns='http://www.osci.de/2002/04/osci'> 9400 </Code></detail>";
    for (inside, side, known, text) in [
        (
            format!("<faultcode>s:Client</faultcode><faultstring>a</faultstring>{code}"),
            FaultSide::Client,
            Code::DialogViolated,
            "a",
        ),
        (
            format!("<faultcode>s:Server</faultcode><faultactor>urn:x</faultactor>{code}"),
            FaultSide::Server,
            Code::DialogViolated,
            "",
        ),
        (format!("<faultcode>Server</faultcode><faultstring/>{code}"), FaultSide::Client, Code::DialogViolated, ""),
        (format!("<faultcode>other:Server</faultcode>{code}"), FaultSide::Client, Code::DialogViolated, ""),
        (
            "<faultcode>Client</faultcode><faultstring>why</faultstring>".to_owned(),
            FaultSide::Client,
            Code::OrderFailed,
            "why",
        ),
        (
            "<faultcode>s:Server</faultcode><detail><Code>9400</Code></detail>".to_owned(),
            FaultSide::Server,
            Code::OrderFailed,
            "",
        ),
        (format!("<faultcode/>{}", code.replace("9400", "9999")), FaultSide::Client, Code::OrderFailed, ""),
        (format!("<faultcode/>{}", code.replace("9400", "error")), FaultSide::Client, Code::OrderFailed, ""),
    ] {
        let read = fault(&envelope(&inside)).unwrap().unwrap();
        assert_eq!((read.side, read.known_code(), read.text.as_str()), (side, known, text), "{inside}");
    }
    assert!(matches!(fault(&envelope("<faultstring>no code</faultstring>")), Err(FaultMalformed::Structure)));
}

#[test]
fn what_is_no_fault_is_told() {
    let ns =
        "xmlns:soap='http://schemas.xmlsoap.org/soap/envelope/' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'";
    let inside = "<soap:Fault><faultcode>x</faultcode></soap:Fault>";
    let typed = format!("<soap:Envelope {ns} xsi:schemaLocation='any'><soap:Body>{inside}</soap:Body></soap:Envelope>");
    assert!(matches!(fault(&typed), Ok(None)));
    for bad in [
        format!("<soap:Envelope {ns}><soap:Header/><soap:Body>{inside}</soap:Body></soap:Envelope>"),
        format!("<soap:Envelope {ns}><soap:Body>{inside}{inside}</soap:Body></soap:Envelope>"),
        format!("<soap:Envelope {ns}><soap:Body/></soap:Envelope>"),
        format!("<soap:Envelope {ns}><soap:Body><soap:Other/></soap:Body></soap:Envelope>"),
        format!("<soap:Other {ns}><soap:Body>{inside}</soap:Body></soap:Other>"),
        "<html></html>".to_owned(),
    ] {
        assert!(matches!(fault(&bad), Err(FaultMalformed::Structure)), "{bad}");
    }
    for bad in ["", "<a>", "<!DOCTYPE html><html></html>", "<a></a><b></b>"] {
        assert!(matches!(fault(bad), Err(FaultMalformed::Xml(_))), "{bad}");
    }
}
