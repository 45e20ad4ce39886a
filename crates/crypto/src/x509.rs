use crate::der;

/// A hash inside a signature on a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum X509Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// The algorithm of a signature on a certificate, revocation list or OCSP response (RFC 3279, 4055, 5758, 8410).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum X509SignatureAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-1; verifies, so that old chains can be judged, and is the policy's to refuse.
    RsaSha1,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    RsaSha384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    RsaSha512,
    /// RSA-PSS with SHA-256 and MGF1 with SHA-256.
    PssSha256 {
        /// Length of the salt in bytes.
        salt_len: u16,
    },
    /// RSA-PSS with SHA-384 and MGF1 with SHA-384.
    PssSha384 {
        /// Length of the salt in bytes.
        salt_len: u16,
    },
    /// RSA-PSS with SHA-512 and MGF1 with SHA-512.
    PssSha512 {
        /// Length of the salt in bytes.
        salt_len: u16,
    },
    /// ECDSA with SHA-256, the value in DER.
    EcdsaSha256,
    /// ECDSA with SHA-384, the value in DER.
    EcdsaSha384,
    /// ECDSA with SHA-512, the value in DER.
    EcdsaSha512,
    /// Ed25519.
    Ed25519,
}

impl X509SignatureAlgorithm {
    /// Reads an `AlgorithmIdentifier` in DER; `None` if it is malformed or unknown.
    pub fn from_der(identifier: &[u8]) -> Option<Self> {
        let mut outer = der::Reader::new(identifier);
        let mut sequence = outer.nested(der::SEQUENCE)?;
        let oid = sequence.value(der::OBJECT_IDENTIFIER)?;
        let parameters = sequence.rest();
        outer.is_empty().then(|| Self::from_parts(oid, (!parameters.is_empty()).then_some(parameters)))?
    }

    /// As [`from_der`](Self::from_der), from the content octets of the object identifier and the parameters in DER.
    pub fn from_parts(oid: &[u8], parameters: Option<&[u8]>) -> Option<Self> {
        let absent = parameters.is_none();
        let null_or_absent = absent || parameters == Some(&[der::NULL, 0]);
        match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last] => match last {
                0x05 if null_or_absent => Some(Self::RsaSha1),
                0x0b if null_or_absent => Some(Self::RsaSha256),
                0x0c if null_or_absent => Some(Self::RsaSha384),
                0x0d if null_or_absent => Some(Self::RsaSha512),
                0x0a => pss(parameters?),
                _ => None,
            },
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last] if absent => match last {
                0x02 => Some(Self::EcdsaSha256),
                0x03 => Some(Self::EcdsaSha384),
                0x04 => Some(Self::EcdsaSha512),
                _ => None,
            },
            [0x2b, 0x65, 0x70] if absent => Some(Self::Ed25519),
            _ => None,
        }
    }

    /// The identifier under which a policy knows the algorithm: that of XML-DSig or RFC 9231.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::RsaSha1 => "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
            Self::RsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Self::RsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
            Self::RsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
            Self::PssSha256 { .. } => "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
            Self::PssSha384 { .. } => "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1",
            Self::PssSha512 { .. } => "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
            Self::EcdsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            Self::EcdsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
            Self::EcdsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
            Self::Ed25519 => "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519",
        }
    }
}

/// `RSASSA-PSS-params` (RFC 4055 3.1). Everything defaults to SHA-1 there, which is not accepted.
fn pss(parameters: &[u8]) -> Option<X509SignatureAlgorithm> {
    const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
    let mut outer = der::Reader::new(parameters);
    let mut params = outer.nested(der::SEQUENCE)?;
    let digest = hash(&mut params.optional(der::context(0))?)?;
    let mut mgf = params.optional(der::context(1))?.nested(der::SEQUENCE)?;
    if mgf.value(der::OBJECT_IDENTIFIER)? != MGF1 || hash(&mut mgf)? != digest || !mgf.is_empty() {
        return None;
    }
    let salt_len = match params.optional(der::context(2)) {
        Some(mut salt) => small_integer(&mut salt)?,
        None => 20,
    };
    if let Some(mut trailer) = params.optional(der::context(3))
        && small_integer(&mut trailer)? != 1
    {
        return None;
    }
    if !params.is_empty() || !outer.is_empty() {
        return None;
    }
    match digest {
        X509Hash::Sha1 => None,
        X509Hash::Sha256 => Some(X509SignatureAlgorithm::PssSha256 { salt_len }),
        X509Hash::Sha384 => Some(X509SignatureAlgorithm::PssSha384 { salt_len }),
        X509Hash::Sha512 => Some(X509SignatureAlgorithm::PssSha512 { salt_len }),
    }
}

fn hash(reader: &mut der::Reader<'_>) -> Option<X509Hash> {
    let mut identifier = reader.nested(der::SEQUENCE)?;
    let hash = match identifier.value(der::OBJECT_IDENTIFIER)? {
        [0x2b, 0x0e, 0x03, 0x02, 0x1a] => X509Hash::Sha1,
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => X509Hash::Sha256,
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => X509Hash::Sha384,
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => X509Hash::Sha512,
        _ => return None,
    };
    matches!(identifier.rest(), [] | [der::NULL, 0]).then_some(hash)
}

fn small_integer(reader: &mut der::Reader<'_>) -> Option<u16> {
    match reader.value(der::INTEGER)? {
        [low @ 0..=0x7f] => Some(u16::from(*low)),
        [0, low @ 0x80..=0xff] => Some(u16::from(*low)),
        [high @ 1..=0x7f, low] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}
