//! PEM armour (RFC 7468), in the strict form that tools write: one label, Base64 lines, same label.
//! Text between the blocks is skipped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::certificate::{Certificate, CertificateError};

/// Label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// Label of an unencrypted PKCS#8 private key.
pub const PRIVATE_KEY: &str = "PRIVATE KEY";
/// Label of a certificate revocation list.
pub const REVOCATION_LIST: &str = "X509 CRL";

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
const LINE_LEN: usize = 64;

/// One PEM block. The content is wiped when dropped, since it may be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// The words after `BEGIN`, for example [`CERTIFICATE`].
    pub label: String,
    /// The decoded octets.
    pub content: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({}, {} octets)", self.label, self.content.len())
    }
}

/// All blocks of a PEM text, in order. A text without blocks yields none.
///
/// # Errors
/// [`PemError`] at the first block that is not complete or not Base64.
pub fn parse(text: &str) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end).enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else {
            continue;
        };
        let mut base64 = Zeroizing::new(String::new());
        loop {
            let (_, line) = lines.next().ok_or(PemError::Open { line: at + 1 })?;
            if let Some(end) = line.strip_prefix(END) {
                if end.strip_suffix(DASHES) != Some(label) {
                    return Err(PemError::Open { line: at + 1 });
                }
                break;
            }
            base64.push_str(line.trim_start());
        }
        let content = STANDARD.decode(base64.as_bytes()).map_err(|_| PemError::Base64 { line: at + 1 })?;
        blocks.push(Block { label: label.to_owned(), content: Zeroizing::new(content) });
    }
    Ok(blocks)
}

/// Writes one block with lines of 64 characters, each ended by LF.
#[must_use]
pub fn write(label: &str, content: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(content));
    let lines = base64.len().div_ceil(LINE_LEN);
    let mut text = Zeroizing::new(String::with_capacity(base64.len() + lines + 2 * label.len() + 40));
    for piece in [BEGIN, label, DASHES, "\n"] {
        text.push_str(piece);
    }
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_LEN));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    for piece in [END, label, DASHES, "\n"] {
        text.push_str(piece);
    }
    text
}

/// All certificates of a file that is either one DER certificate or a PEM text with any number of
/// them; other PEM blocks are skipped.
///
/// # Errors
/// [`PemError`] if the file is neither, holds no certificate, or one that cannot be read.
pub fn certificates(file: &[u8]) -> Result<Vec<Certificate>, PemError> {
    if file.first() == Some(&crate::der::SEQUENCE) {
        return Ok(vec![Certificate::from_der(file)?]);
    }
    let text = std::str::from_utf8(file).map_err(|_| PemError::NoText)?;
    let found = parse(text)?
        .iter()
        .filter(|block| block.label == CERTIFICATE)
        .map(|block| Certificate::from_der(&block.content))
        .collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        return Err(PemError::Missing { label: CERTIFICATE });
    }
    Ok(found)
}

/// The certificate as a PEM text.
#[must_use]
pub fn write_certificate(certificate: &Certificate) -> String {
    write(CERTIFICATE, certificate.der()).to_string()
}

/// Why a PEM file was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The file is neither text nor DER.
    #[error("neither a PEM text nor a DER encoding")]
    NoText,
    /// A block is not ended by its own label.
    #[error("the PEM block that begins at line {line} is not ended")]
    Open {
        /// Line of `BEGIN`, counted from 1.
        line: usize,
    },
    /// A block is not Base64.
    #[error("the PEM block that begins at line {line} is not Base64")]
    Base64 {
        /// Line of `BEGIN`, counted from 1.
        line: usize,
    },
    /// No block of the wanted kind.
    #[error("no PEM block \"{label}\"")]
    Missing {
        /// The wanted label.
        label: &'static str,
    },
    /// A certificate in it cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn skips_text_between_blocks() {
        let text = "Bag Attributes\n    friendlyName: x\n-----BEGIN A-----\r\nAQID\r\n-----END A-----\nmore\n-----BEGIN B B-----\n-----END B B-----\n";
        let blocks = parse(text).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].label.as_str(), blocks[0].content.as_slice()), ("A", &[1, 2, 3][..]));
        assert_eq!((blocks[1].label.as_str(), blocks[1].content.len()), ("B B", 0));
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn refuses_broken_blocks() {
        for (text, error) in [
            ("x\n-----BEGIN A-----\nAQID\n", PemError::Open { line: 2 }),
            ("-----BEGIN A-----\nAQID\n-----END B-----\n", PemError::Open { line: 1 }),
            ("-----BEGIN A-----\nAQI\n-----END A-----\n", PemError::Base64 { line: 1 }),
            ("-----BEGIN A-----\nA?ID\n-----END A-----\n", PemError::Base64 { line: 1 }),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
        assert_eq!(certificates(b"hello").unwrap_err(), PemError::Missing { label: CERTIFICATE });
        assert_eq!(certificates(&[0xff, 0xfe]).unwrap_err(), PemError::NoText);
        assert!(matches!(certificates(&[0x30, 0x00]).unwrap_err(), PemError::Certificate(_)));
    }

    proptest! {
        #[test]
        fn round_trips(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = write(PRIVATE_KEY, &content);
            prop_assert!(text.lines().all(|line| line.len() <= 64));
            let blocks = parse(&text).unwrap();
            prop_assert_eq!(blocks.len(), 1);
            prop_assert_eq!(&*blocks[0].content, &content);
        }

        #[test]
        fn never_panics(text in "(-----(BEGIN|END) A-----|[A-Za-z=\r\n]{0,8}|-----)*") {
            let _ = parse(&text);
        }
    }
}
