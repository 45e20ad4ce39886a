//! Memory does not grow with content or attachments. Alone in its process, because it looks at the process's peak.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use rohrpost_crypto::{Curve, DigestAlgorithm, PrivateKey, SignatureAlgorithm};
use rohrpost_osci::compose::{OutAttachment, OutBody, OutContent, Outgoing, Signing};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::{Envelope, Limits, SignedBy};
use rohrpost_osci::mime::{self, Boundary, Multipart};
use rohrpost_osci::ns::{self, MessageType};
use rohrpost_osci::signature::{self, MessageParts};
use rohrpost_osci::source::{ReadAt, reader};

const SIZE: u64 = 48 << 20;
const HEAD: &[u8] = br#"<osci:ContentPackage><osci:ContentContainer Id="c"><osci:Content><osci:Base64Content Id="d">"#;
const TAIL: &[u8] = b"</osci:Base64Content></osci:Content></osci:ContentContainer></osci:ContentPackage>";

/// A package with a single piece of data, or just bytes: made when they are read.
struct Made {
    head: &'static [u8],
    tail: &'static [u8],
}

impl ReadAt for Made {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (head, behind) = (self.head.len() as u64, self.head.len() as u64 + SIZE);
        let left = usize::try_from(self.len().saturating_sub(offset)).unwrap().min(buf.len());
        for (at, byte) in (offset..).zip(&mut buf[..left]) {
            *byte = match at {
                at if at < head => self.head[at as usize],
                at if at < behind => b'A',
                at => self.tail[(at - behind) as usize],
            };
        }
        Ok(left)
    }

    fn len(&self) -> u64 {
        (self.head.len() + self.tail.len()) as u64 + SIZE
    }
}

#[test]
fn memory_does_not_grow_with_the_message() {
    let key = PrivateKey::generate_ec(Curve::P256).unwrap();
    let signer = key.signer(SignatureAlgorithm::EcdsaSha256).unwrap();
    let signing =
        Signing { signer: &signer, by: SignedBy::Client, certificate_id: None, digest: DigestAlgorithm::Sha256 };
    let source: Arc<dyn ReadAt> = Arc::new(Made { head: HEAD, tail: TAIL });
    let package = OutContent { range: 0..source.len(), source, in_scope: ns::envelope_context() };
    let mut message = Outgoing::new(MessageType::StoreDelivery, &ControlBlock::default(), OutBody::Content(package));
    message.attachments.push(OutAttachment::new("a", "text/plain", Arc::new(Made { head: b"", tail: b"" })));
    let boundary = Boundary::new("BND").unwrap();
    let mut file = tempfile();
    let before = peak();

    message.write(Some(&signing), &boundary, &mut file).unwrap();
    file.flush().unwrap();
    assert!(ReadAt::len(&file) > 2 * SIZE);
    let multipart = Multipart::scan(&file, &mime::Limits::default()).unwrap();
    let root = BufReader::new(reader(&file, multipart.root().range.clone()));
    let envelope = Envelope::read(root, &Limits::default()).unwrap();
    let mut parts = MessageParts::new(&multipart, &file);
    signature::check(&envelope, &mut parts, key.public_key(), &Limits::default()).unwrap();

    let grown = peak() - before;
    assert!(grown < 4 << 20, "the peak grew by {grown} bytes");
}

/// A file that is gone when it is closed.
fn tempfile() -> std::fs::File {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("osci-memory");
    let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// Peak of the resident memory, in bytes.
fn peak() -> u64 {
    let mut status = String::new();
    std::fs::File::open("/proc/self/status").unwrap().read_to_string(&mut status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
