//! Encrypted data: what is read, what is refused, what is written.

use std::io::Write;

use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{BlockCipher, KeyTransport, OaepHash, SessionKey};
use rohrpost_xmlsec::enc::{CipherData, EncryptedData, EncryptedKey, EncryptionMalformed, Limits, Recipient};
use rohrpost_xmlsec::reader::StrictReader;
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{NsContext, dsig, enc};

fn context() -> NsContext {
    NsContext::from_pairs([("ds", dsig::NAMESPACE), ("xenc", enc::NAMESPACE), ("o", "urn:o")])
}

fn parse(text: &str) -> Result<EncryptedData, EncryptionMalformed> {
    let element = Element::parse(text.as_bytes(), &rohrpost_xmlsec::Limits::default(), &context())?;
    EncryptedData::parse(&element, &Limits::default())
}

fn streamed(text: &str) -> Result<(EncryptedData, Vec<u8>), EncryptionMalformed> {
    let mut sink = Vec::new();
    let source = std::io::BufReader::with_capacity(7, text.as_bytes());
    let mut reader = StrictReader::fragment(source, &rohrpost_xmlsec::Limits::default(), &context());
    reader.next()?;
    let data = EncryptedData::read_streaming(&mut reader, &Limits::default(), &mut sink)?;
    Ok((data, sink))
}

fn key(recipient: Recipient) -> EncryptedKey {
    EncryptedKey { transport: KeyTransport::OAEP_SHA256, recipient, wrapped: vec![7; 256] }
}

/// An encrypted container for two readers.
fn container() -> EncryptedData {
    EncryptedData {
        id: Some("encdata_0".into()),
        mime_type: Some("text/xml".into()),
        cipher: BlockCipher::Aes256Gcm,
        iv: IvLength::Twelve,
        keys: vec![key(Recipient::Retrieval("#a&b".into())), key(Recipient::Certificate(vec![48, 130]))],
        plain_key: None,
        data: CipherData::Value((0..=255).collect()),
    }
}

/// An attachment inside an encryption.
fn attachment() -> EncryptedData {
    EncryptedData {
        id: None,
        mime_type: None,
        cipher: BlockCipher::Aes128Gcm,
        iv: IvLength::Sixteen,
        keys: Vec::new(),
        plain_key: Some(SessionKey::from_bytes(&[0; 16])),
        data: CipherData::Reference("cid:a b".into()),
    }
}

#[test]
fn the_layout_of_an_attachment() {
    assert_eq!(
        attachment().to_xml(&NsContext::empty()),
        "<xenc:EncryptedData><xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#aes128-gcm\">\
         </xenc:EncryptionMethod><ds:KeyInfo><ds:MgmtData>AAAAAAAAAAAAAAAAAAAAAA==</ds:MgmtData></ds:KeyInfo>\
         <xenc:CipherData><xenc:CipherReference URI=\"cid:a b\"><xenc:Transforms>\
         <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#base64\"></ds:Transform></xenc:Transforms>\
         </xenc:CipherReference></xenc:CipherData></xenc:EncryptedData>"
    );
}

#[test]
fn the_layout_of_a_container() {
    let text = container().to_xml(&NsContext::from_pairs([("o", "urn:o")]));
    assert!(
        text.starts_with(
            "<xenc:EncryptedData xmlns:o=\"urn:o\" Id=\"encdata_0\" MimeType=\"text/xml\"><xenc:EncryptionMethod \
         Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\"><osci128:IvLength \
         xmlns:osci128=\"http://xoev.de/transport/osci12/8\" Value=\"12\"></osci128:IvLength></xenc:EncryptionMethod>\
         <ds:KeyInfo><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#rsa-oaep\">\
         <xenc11:MGF xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" \
         Algorithm=\"http://www.w3.org/2009/xmlenc11#mgf1sha256\"></xenc11:MGF>\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>\
         </xenc:EncryptionMethod><ds:KeyInfo><ds:RetrievalMethod \
         Type=\"http://www.w3.org/2000/09/xmldsig#X509Data\" URI=\"#a&amp;b\"></ds:RetrievalMethod></ds:KeyInfo>\
         <xenc:CipherData><xenc:CipherValue>BwcHBwc"
        ),
        "{text}"
    );
    let canonical = rohrpost_xmlsec::c14n::canonicalize(
        text.as_bytes(),
        &context(),
        &context().with("o", "urn:other"),
        rohrpost_xmlsec::c14n::Dialect::EscapeGtInAttributes,
        &rohrpost_xmlsec::Limits::default(),
        Vec::new(),
    );
    assert_eq!(String::from_utf8(canonical.unwrap()).unwrap(), text, "it is canonical already");
}

#[test]
fn what_is_written_is_read() {
    for data in [container(), attachment()] {
        let read = parse(&data.to_xml(&NsContext::empty())).unwrap();
        assert_eq!((&read.id, &read.mime_type), (&data.id, &data.mime_type));
        assert_eq!((read.cipher, read.iv, &read.data), (data.cipher, data.iv, &data.data));
        assert_eq!(read.plain_key.map(|k| k.expose().to_vec()), data.plain_key.map(|k| k.expose().to_vec()));
        assert_eq!(read.keys.len(), data.keys.len());
        for (read, key) in read.keys.iter().zip(&data.keys) {
            assert_eq!((read.transport, &read.recipient, &read.wrapped), (key.transport, &key.recipient, &key.wrapped));
        }
    }
}

#[test]
fn values_stream_in_both_directions() {
    let value: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let data = container();
    let mut writer = data.write_value(&NsContext::empty(), Vec::new()).unwrap();
    value.chunks(999).for_each(|piece| writer.write_all(piece).unwrap());
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    let whole = EncryptedData { data: CipherData::Value(value.clone()), ..data };
    assert_eq!(text, whole.to_xml(&NsContext::empty()));

    let (read, octets) = streamed(&text).unwrap();
    assert_eq!(octets, value);
    assert_eq!(read.data, CipherData::Streamed(100_000));
    assert_eq!(read.keys.len(), 2);
    assert_eq!(read.keys[0].wrapped, [7; 256]);
    assert_eq!(parse(&text).unwrap().data, CipherData::Value(value));

    let (read, octets) = streamed(&attachment().to_xml(&NsContext::empty())).unwrap();
    assert_eq!((read.data, octets), (CipherData::Reference("cid:a b".into()), vec![]));
}

#[test]
fn lengths_of_the_initialization_vector() {
    let text = container().to_xml(&NsContext::empty());
    let with = |value: &str| parse(&text.replace("Value=\"12\"", value));
    assert_eq!(with("Value='12'").unwrap().iv, IvLength::Twelve);
    assert_eq!(with("Value='16' other='x'").unwrap().iv, IvLength::Sixteen);
    for value in ["Value='13'", "Value=''", "Value='+12'", "Value='0'", "Value='1 2'"] {
        assert!(matches!(with(value), Err(EncryptionMalformed::IvLength)), "{value}");
    }
    assert!(matches!(with("value='12'"), Err(EncryptionMalformed::Missing("Value"))));
    assert_eq!(parse(&attachment().to_xml(&NsContext::empty())).unwrap().iv, IvLength::Sixteen);
}

#[test]
fn key_transports() {
    let text = container().to_xml(&NsContext::empty());
    let mgf = "<xenc11:MGF xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" Algorithm=\"http://www.w3.org/2009/xmlenc11#mgf1sha256\"></xenc11:MGF>";
    let digest = "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>";
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        parse(&text.replacen(from, to, 1)).map(|data| data.keys[0].transport)
    };
    assert_eq!(
        with("xmlenc#sha256", "xmlenc#sha512").unwrap(),
        KeyTransport::RsaOaep { digest: OaepHash::Sha512, mgf: OaepHash::Sha256 }
    );
    assert_eq!(with(&format!("{mgf}{digest}"), &format!("{digest}\n{mgf}")).unwrap(), KeyTransport::OAEP_SHA256);
    let rsa15 = "http://www.w3.org/2001/04/xmlenc#rsa-1_5";
    let method = format!("http://www.w3.org/2009/xmlenc11#rsa-oaep\">{mgf}{digest}");
    assert_eq!(with(&method, &format!("{rsa15}\">")).unwrap(), KeyTransport::Rsa15);
    for (from, to) in [
        (mgf, ""),
        (digest, ""),
        ("mgf1sha256", "mgf1sha1"),
        ("xmlenc11#rsa-oaep", "xmlenc11#rsa-oaep-mgf1p"),
        ("http://www.w3.org/2009/xmlenc11#rsa-oaep", "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"),
        ("xmlenc#sha256", "xmlenc#md5"),
    ] {
        assert!(matches!(with(from, to), Err(EncryptionMalformed::UnknownKeyTransport)), "{from} -> {to}");
    }
}

#[test]
fn what_must_not_be_in_encrypted_data() {
    use EncryptionMalformed::*;
    let text = container().to_xml(&NsContext::empty());
    let name = |error: &EncryptionMalformed| format!("{error:?}");
    let retrieval = "</ds:RetrievalMethod>";
    let table = [
        ("<ds:KeyInfo>", "<o:x/><ds:KeyInfo>", Missing("KeyInfo")),
        ("<xenc:EncryptionMethod", "text<xenc:EncryptionMethod", Forbidden),
        ("</xenc:EncryptedData>", "<xenc:EncryptionProperties/></xenc:EncryptedData>", Forbidden),
        ("</osci128:IvLength>", "</osci128:IvLength><xenc:KeySize>256</xenc:KeySize>", Forbidden),
        ("</osci128:IvLength>", "</osci128:IvLength><o:IvLength Value='12'/>", Forbidden),
        ("aes256-gcm", "aes256-ccm", UnknownCipher),
        ("Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\"", "", Missing("Algorithm")),
        ("</ds:DigestMethod>", "</ds:DigestMethod><xenc:OAEPparams>AA==</xenc:OAEPparams>", Forbidden),
        ("</ds:DigestMethod>", "</ds:DigestMethod><ds:DigestMethod Algorithm='x'/>", Forbidden),
        ("</ds:DigestMethod>", "<o:x/></ds:DigestMethod>", Forbidden),
        ("<ds:KeyInfo><xenc:EncryptedKey>", "<ds:KeyInfo><ds:KeyValue/><xenc:EncryptedKey>", Missing("EncryptedKey")),
        ("<ds:KeyInfo><xenc:EncryptedKey>", "<ds:KeyInfo><ds:KeyName/><xenc:EncryptedKey>", Missing("EncryptedKey")),
        (
            "<ds:KeyInfo><xenc:EncryptedKey>",
            "<ds:KeyInfo><ds:MgmtData>AA==</ds:MgmtData><xenc:EncryptedKey>",
            Forbidden,
        ),
        ("</xenc:EncryptedKey>", "<xenc:ReferenceList/></xenc:EncryptedKey>", Forbidden),
        ("</xenc:EncryptedKey></ds:KeyInfo>", "</xenc:EncryptedKey><xenc:AgreementMethod/></ds:KeyInfo>", Forbidden),
        (retrieval, "<o:x/></ds:RetrievalMethod>", Forbidden),
        (retrieval, "</ds:RetrievalMethod><ds:X509Data/>", Forbidden),
        ("URI=\"#a&amp;b\"", "", Missing("URI")),
        ("<ds:X509Certificate>", "<ds:X509IssuerSerial/><ds:X509Certificate>", Missing("X509Certificate")),
        ("</ds:X509Certificate>", "</ds:X509Certificate><ds:X509Certificate/>", Forbidden),
        ("</ds:X509Certificate>", "=</ds:X509Certificate>", Base64),
        (
            "<xenc:CipherData><xenc:CipherValue>Bw",
            "<xenc:CipherData><xenc:CipherReference URI='cid:a'/><xenc:CipherValue>Bw",
            Forbidden,
        ),
        (
            "</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>",
            "=</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>",
            Base64,
        ),
        (
            "</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>",
            "<o:x/></xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>",
            Forbidden,
        ),
        (
            "</xenc:CipherData></xenc:EncryptedData>",
            "<xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>",
            Forbidden,
        ),
    ];
    for (from, to, expected) in table {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        assert_eq!(parse(&changed).as_ref().map_err(name).err(), Some(name(&expected)), "{from} -> {to}");
        assert_eq!(streamed(&changed).as_ref().map_err(name).err(), Some(name(&expected)), "streamed {from} -> {to}");
    }
    let text = attachment().to_xml(&NsContext::empty());
    let table = [
        ("AAAAAA==", "AA==", KeyLength),
        ("AAAA==", "AAA==", Base64),
        ("</ds:MgmtData>", "</ds:MgmtData><ds:MgmtData/>", Forbidden),
        ("<ds:MgmtData>AAAAAAAAAAAAAAAAAAAAAA==</ds:MgmtData>", "", Missing("EncryptedKey")),
        ("</ds:Transform>", "<o:x/></ds:Transform>", Forbidden),
        ("</xenc:Transforms>", "</xenc:Transforms><o:x/>", Forbidden),
        ("URI=\"cid:a b\"", "", Missing("URI")),
    ];
    for (from, to, expected) in table {
        assert!(text.contains(from), "{from}");
        assert_eq!(
            parse(&text.replacen(from, to, 1)).as_ref().map_err(name).err(),
            Some(name(&expected)),
            "{from} -> {to}"
        );
    }
    assert!(matches!(parse("<o:EncryptedData/>"), Err(Missing("EncryptedData"))));
    assert!(parse("<xenc:EncryptedData").is_err());
}

#[test]
fn counts_are_limited() {
    let text = container().to_xml(&NsContext::empty());
    let element = Element::parse(text.as_bytes(), &rohrpost_xmlsec::Limits::default(), &context()).unwrap();
    assert!(EncryptedData::parse(&element, &Limits { keys: 2 }).is_ok());
    assert!(matches!(EncryptedData::parse(&element, &Limits { keys: 1 }), Err(EncryptionMalformed::TooMany)));
}
