//! `openssl ocsp` as a responder.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use rohrpost_pki::issue::Authority;
use rohrpost_pki::{Certificate, pem};
use tempfile::TempDir;
use time::OffsetDateTime;

/// What the responder is to say about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Valid,
    /// With the reason as OpenSSL spells it.
    Revoked(&'static str),
}

/// A running responder, ended when dropped.
pub struct Responder {
    process: Child,
    port: u16,
    /// Where it writes to; it ends when nobody reads that.
    _output: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Responder {
    /// Answers for `issuer`, with the key and certificate of `signer`, about these certificates and no others.
    pub fn start(issuer: &Authority, signer: &Authority, about: &[(Certificate, Entry)]) -> Self {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
        };
        write("issuer.pem", &pem::write_certificate(issuer.certificate()));
        write("signer.pem", &pem::write_certificate(signer.certificate()));
        write("signer.key", &pem::write(pem::PRIVATE_KEY, &signer.key().to_pkcs8_der()));
        let mut index = String::new();
        for (certificate, entry) in about {
            let serial: u128 = certificate.serial().parse().unwrap();
            let (end, flag, revoked) = match entry {
                Entry::Valid => (stamp(certificate.not_after()), 'V', String::new()),
                Entry::Revoked(reason) => {
                    (stamp(certificate.not_after()), 'R', format!("{},{reason}", stamp(certificate.not_before())))
                }
            };
            index.push_str(&format!("{flag}\t{end}\t{revoked}\t{serial:032X}\tunknown\t/CN={serial}\n"));
        }
        write("index.txt", &index);
        let mut process = Command::new("openssl")
            .args(["ocsp", "-port", "0", "-index", "index.txt", "-CA", "issuer.pem"])
            .args(["-rsigner", "signer.pem", "-rkey", "signer.key", "-nmin", "60", "-ignore_err"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs the openssl command");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let told = output.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with("ACCEPT"));
        let told = told.expect("openssl ocsp says where it listens");
        let port = told.split_whitespace().nth(1).unwrap().rsplit(':').next().unwrap().parse().unwrap();
        Self { process, port, _output: output, _folder: folder }
    }

    /// What it answers to a question.
    pub fn ask(port: u16, question: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let length = question.len();
        let head =
            format!("POST / HTTP/1.0\r\nContent-Type: application/ocsp-request\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), question].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP answer") + 4;
        answer.split_off(body)
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// As in the index of an OpenSSL authority.
fn stamp(at: OffsetDateTime) -> String {
    let (year, month, day) = (at.year() % 100, u8::from(at.month()), at.day());
    format!("{year:02}{month:02}{day:02}{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second())
}
