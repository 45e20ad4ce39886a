//! The requesting side for tests that put load on a server: persons with quick keys, their clients, and content that
//! follows from a number, so that what comes back can be checked without having been kept.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rohrpost_client::{Bytes, Client, Clock, Config, Contents, NewAttachment, NewContainer, Retries, Shipment, stream};
use rohrpost_crypto::{PrivateKey, SignatureAlgorithm, SystemRandom};
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_osci::content::Content;
use rohrpost_osci::source::ReadAt;
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::issue::{Authority, Name, Template, Validity};
use rohrpost_pki::{Certificate, KeyEntry, pem};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::runtime::Runtime;

use crate::certs_test;

/// The time.
pub fn now() -> OffsetDateTime {
    SystemClock.now()
}

/// A sequence of numbers that follows from a seed (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed from the variable of this name, for repeating a run, or a fresh one. Printed, so that it can be repeated.
    ///
    /// # Panics
    /// If the variable holds something else than a number.
    pub fn seed(variable: &str) -> u64 {
        let given = std::env::var(variable).ok().map(|text| text.parse().expect("a seed is a number"));
        let seed = given.unwrap_or_else(|| {
            let mut bytes = [0; 4];
            rohrpost_crypto::Random::fill(&SystemRandom, &mut bytes);
            u64::from(u32::from_le_bytes(bytes))
        });
        #[expect(clippy::print_stderr, reason = "who sees the test fail needs it")]
        {
            eprintln!("{variable}={seed}");
        }
        seed
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A sequence of its own that follows from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.draw())
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Bytes that follow from a seed, any number of them without memory.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    seed: u64,
    len: u64,
}

impl Noise {
    /// `len` bytes.
    pub fn new(seed: u64, len: u64) -> Self {
        Self { seed, len }
    }

    /// Whether a stream brings exactly these bytes.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn is_in(self, mut stream: impl io::Read) -> io::Result<bool> {
        let (mut expected, mut found) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        let mut position = 0;
        loop {
            let read = stream.read(&mut found)?;
            let wanted = self.read_at(position, &mut expected[..read.max(1)])?;
            if read == 0 {
                return Ok(wanted == 0);
            }
            if wanted != read || found[..read] != expected[..read] {
                return Ok(false);
            }
            position += read as u64;
        }
    }
}

impl ReadAt for Noise {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buf.len().min(left);
        let mut done = 0;
        while done < count {
            let position = offset + done as u64;
            let word = mix(self.seed ^ (position / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes();
            let rest = &word[(position % 8) as usize..];
            let piece = rest.len().min(count - done);
            buf[done..done + piece].copy_from_slice(&rest[..piece]);
            done += piece;
        }
        Ok(count)
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// One party: its cipher pair, which is also its mailbox, and its signature pair.
#[derive(Clone)]
pub struct Person {
    /// Name in its certificates.
    pub name: String,
    /// Cipher pair.
    pub cipher: CipherPair,
    /// Signature pair.
    pub signature: SignaturePair,
}

impl Person {
    /// One of the test PKI, e.g. `alice`.
    ///
    /// # Panics
    /// If there is no such pair of pairs.
    pub fn of_test_pki(name: &str) -> Self {
        Self::new(name, key_entry(&format!("{name}-cipher")), key_entry(&format!("{name}-signature")))
    }

    /// A fresh one with RSA-2048, which is quick, under the Registry CA of the test PKI.
    ///
    /// # Panics
    /// If the certificates cannot be made.
    pub fn fresh(name: &str) -> Self {
        let authority = KeyEntry::from_pem(
            &fs::read(certs_test("ca/registry-ca.cert.pem")).expect("the authority is committed"),
            &fs::read(certs_test("ca/registry-ca.key.pem")).expect("its key is committed"),
        )
        .expect("they belong together");
        let authority = Authority::new(authority.certificate, authority.key).expect("it is an authority");
        let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2044-12-31 0:00 UTC));
        let issue = |template: fn(Name, Validity) -> Template| {
            let key = PrivateKey::generate_rsa(2048).expect("a key");
            let subject = Name::new().country("DE").organization("Rohrpost Test").common_name(name);
            let certificate = authority.issue(&template(subject, validity), key.public_key(), &SystemRandom);
            KeyEntry { certificate: certificate.expect("a certificate"), key, chain: Vec::new() }
        };
        Self::new(name, issue(Template::encryption), issue(Template::signature))
    }

    fn new(name: &str, cipher: KeyEntry, signature: KeyEntry) -> Self {
        let decryptor = cipher.key.decryptor().expect("an RSA key");
        let signer = signature.key.signer(SignatureAlgorithm::RsaSha256).expect("an RSA key");
        Self {
            name: name.to_owned(),
            cipher: CipherPair { certificate: cipher.certificate, key: Arc::new(decryptor) },
            signature: SignaturePair { certificate: signature.certificate, key: Arc::new(signer) },
        }
    }

    /// Both pairs.
    pub fn keys(&self) -> KeyRing {
        KeyRing::new(vec![self.cipher.clone()], Some(self.signature.clone()))
    }
}

/// A certificate of the test PKI, e.g. `alice-cipher`.
///
/// # Panics
/// If there is none.
pub fn certificate(name: &str) -> Certificate {
    let text = fs::read(certs_test(&format!("pem/{name}.cert.pem"))).expect("the certificate is committed");
    pem::certificates(&text).expect("a certificate").swap_remove(0)
}

/// A key with its certificate of the test PKI, e.g. `alice-cipher`.
///
/// # Panics
/// If there is none.
pub fn key_entry(name: &str) -> KeyEntry {
    let read = |path: String| fs::read(certs_test(&path)).expect("the file is committed");
    KeyEntry::from_pem(&read(format!("pem/{name}.cert.pem")), &read(format!("pem/{name}.key.pem")))
        .expect("key and certificate belong together")
}

/// Settings for [`Server::start`](crate::Server::start) that give the intermediary RSA-2048 keys.
pub fn quick_keys() -> Vec<String> {
    ["cipher", "signature"]
        .map(|role| {
            let file = certs_test(&format!("p12/intermediary-2048-{role}.p12"));
            format!("keys.{role}.pkcs12={}", file.display())
        })
        .into()
}

/// The setting that makes a server listen on the same port after every start, so that its clients find it again, and its
/// URL. The port lies below those that systems give to outgoing connections.
///
/// # Panics
/// If no port is free.
pub fn fixed_port(numbers: &mut Numbers) -> (String, String) {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut ports = (0..100).map(|_| u16::try_from(20_000 + numbers.below(10_000)).expect("a port"));
    let port = ports.find(is_free).expect("a free port");
    (format!("http.listen=[\"127.0.0.1:{port}\"]"), format!("http://127.0.0.1:{port}/osci"))
}

/// A client of an intermediary with the keys of [`quick_keys`], to be changed before use. It asks again quickly and does
/// not give up for a minute.
pub fn config(url: &str, person: &Person, spools: SpoolDir) -> Config {
    let clock = Clock::new(now);
    let mut config = Config::new(url, certificate("intermediary-2048-cipher"), person.keys(), spools, clock);
    config.intermediary_signature = Some(certificate("intermediary-2048-signature"));
    let (first_pause, longest_pause) = (Duration::from_millis(10), Duration::from_millis(200));
    config.retries = Retries { tries: 300, first_pause, longest_pause };
    // What is measured, or killed at a certain moment, comes in one piece.
    config.chunks.from_bytes = u64::MAX;
    config
}

/// The client of a [`config`].
///
/// # Panics
/// If it cannot work.
pub fn client(config: Config) -> Client {
    Client::new(config).expect("the configuration is good")
}

/// A runtime for one thread of a test.
///
/// # Panics
/// If the system gives none.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A delivery that follows from its seed.
#[derive(Debug, Clone, Copy)]
pub struct Parcel {
    /// Everything follows from it.
    pub seed: u64,
    /// Bytes of data in the content.
    pub data: u64,
    /// Bytes of an attachment, if there is one.
    pub attachment: Option<u64>,
}

impl Parcel {
    /// A small one, which a store keeps in its database, or one that it keeps in a file.
    pub fn any(numbers: &mut Numbers) -> Self {
        let (seed, small) = (numbers.draw(), numbers.below(4_000));
        let large = 80_000 + numbers.below(120_000);
        match numbers.below(6) {
            0 => Self { seed, data: large, attachment: None },
            1 => Self { seed, data: small, attachment: Some(large) },
            2 => Self { seed, data: small, attachment: Some(small) },
            _ => Self { seed, data: small, attachment: None },
        }
    }

    /// Whether it is beyond what is kept in a database.
    pub fn is_large(self) -> bool {
        self.data + self.attachment.unwrap_or(0) > 64 * 1024
    }

    /// Its subject.
    pub fn subject(self) -> String {
        format!("parcel {:016x} & more", self.seed)
    }

    /// For the mailbox of this certificate.
    pub fn shipment(self, to: &Certificate) -> Shipment {
        let bytes = |noise: Noise| Bytes::from(Arc::new(noise) as Arc<dyn ReadAt>);
        let mut container = NewContainer::new().data(bytes(self.data_bytes()));
        if let Some(noise) = self.attachment_bytes() {
            let name = format!("attachment {:x}.bin", self.seed);
            container = container.attachment(NewAttachment::new(name, "application/octet-stream", bytes(noise)));
        }
        Shipment::to(to.clone()).with_subject(self.subject()).with_container(container)
    }

    /// Whether these files are its parts, in any order.
    pub fn is_in_files(self, files: &[Vec<u8>]) -> bool {
        let parts = [Some(self.data_bytes()), self.attachment_bytes()];
        let is_there = |part: Noise| files.iter().any(|file| part.is_in(file.as_slice()).unwrap_or(false));
        files.len() == parts.iter().flatten().count() && parts.into_iter().flatten().all(is_there)
    }

    /// Whether what was fetched is this.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn is_in(self, contents: &Contents) -> bool {
        let is = |noise: Noise, bytes: &Arc<dyn ReadAt>| noise.is_in(stream(bytes)).expect("spools can be read");
        let containers = contents.containers();
        let [container] = containers.as_slice() else { return false };
        let data = container.contents.iter().filter_map(|content| match content {
            Content::Data(data) => Some(&data.bytes),
            _ => None,
        });
        let data: Vec<_> = data.collect();
        let attachments: Vec<_> = contents.attachments.iter().filter_map(|attachment| attachment.bytes()).collect();
        let [only] = data.as_slice() else { return false };
        let attached = match (self.attachment_bytes(), attachments.as_slice()) {
            (Some(noise), [bytes]) => is(noise, bytes),
            (None, []) => contents.attachments.is_empty(),
            _ => false,
        };
        attached && is(self.data_bytes(), only)
    }

    fn data_bytes(self) -> Noise {
        Noise::new(self.seed, self.data)
    }

    fn attachment_bytes(self) -> Option<Noise> {
        self.attachment.map(|len| Noise::new(!self.seed, len))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn noise_is_the_same_from_everywhere() {
        let noise = Noise::new(7, 1000);
        let mut whole = Vec::new();
        rohrpost_osci::source::reader(noise, 0..1000).read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len(), 1000);
        for start in [0, 1, 7, 8, 500, 999] {
            let mut part = [0; 13];
            let read = noise.read_at(start, &mut part).unwrap();
            assert_eq!(part[..read], whole[start as usize..][..read]);
        }
        assert!(noise.is_in(whole.as_slice()).unwrap());
        assert!(!noise.is_in(&whole[..999]).unwrap());
        assert!(!noise.is_in([whole.as_slice(), b"x"].concat().as_slice()).unwrap());
        whole[500] ^= 1;
        assert!(!noise.is_in(whole.as_slice()).unwrap());
    }
}
