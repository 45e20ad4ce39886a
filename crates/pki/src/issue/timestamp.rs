//! Answers of time-stamp services (RFC 3161, 2.4.2).

use rohrpost_crypto::sha256;
use time::{OffsetDateTime, UtcOffset};

use super::encode::{algorithm, oid};
use super::{Authority, IssueError};
use crate::certificate::Certificate;
use crate::der;
use crate::timestamp::TimestampRequest;

/// What a stamp is to say.
#[derive(Clone, Debug)]
pub struct TimestampAnswer<'a> {
    /// PKIStatus: 0 for granted.
    pub status: u8,
    /// What is stamped.
    pub imprint: [u8; 32],
    /// Content octets of the nonce.
    pub nonce: Option<Vec<u8>>,
    /// When.
    pub time: OffsetDateTime,
    /// The number of the stamp.
    pub serial: u64,
    /// Certificates that go with it.
    pub certificates: &'a [Certificate],
    /// What is signed instead of an encoding of all that.
    pub info: Option<&'a [u8]>,
}

impl<'a> TimestampAnswer<'a> {
    /// The answer to a question.
    #[must_use]
    pub fn to(question: &TimestampRequest, time: OffsetDateTime, certificates: &'a [Certificate]) -> Self {
        let nonce = Some(question.nonce().to_vec());
        Self { status: 0, imprint: *question.imprint(), nonce, time, serial: 1, certificates, info: None }
    }
}

const NULL: [u8; 2] = [0x05, 0];
const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";

pub(super) fn answer(answer: &TimestampAnswer<'_>, signer: &Authority) -> Result<Vec<u8>, IssueError> {
    let status = der::sequence(&[der::unsigned(&[answer.status])]);
    Ok(der::sequence(&[status, token(answer, signer)?]))
}

fn token(answer: &TimestampAnswer<'_>, signer: &Authority) -> Result<Vec<u8>, IssueError> {
    let info = answer.info.map_or_else(|| info(answer), |info| Ok(info.to_vec()))?;
    let hash = der::sequence(&[oid("2.16.840.1.101.3.4.2.1")?, NULL.to_vec()]);
    let content = der::sequence(&[oid(TST_INFO)?, der::tlv(0xa0, &der::tlv(der::OCTET_STRING, &info))]);
    let all: Vec<_> = answer.certificates.iter().map(Certificate::der).collect();
    let data = der::sequence(&[
        der::unsigned(&[3]),
        der::constructed(der::SET, &[&hash]),
        content,
        der::constructed(0xa0, &all),
        der::constructed(der::SET, &[signer_info(&info, &hash, signer)?]),
    ]);
    Ok(der::sequence(&[oid("1.2.840.113549.1.7.2")?, der::tlv(0xa0, &data)]))
}

fn info(answer: &TimestampAnswer<'_>) -> Result<Vec<u8>, IssueError> {
    let hash = der::sequence(&[oid("2.16.840.1.101.3.4.2.1")?, NULL.to_vec()]);
    let nonce = answer.nonce.as_ref().map(|nonce| der::tlv(der::INTEGER, nonce));
    Ok(der::sequence(&[
        der::unsigned(&[1]),
        oid("1.3.6.1.4.1.55555.1")?,
        der::sequence(&[hash, der::tlv(der::OCTET_STRING, &answer.imprint)]),
        der::unsigned(&answer.serial.to_be_bytes()),
        moment(answer.time),
        nonce.unwrap_or_default(),
    ]))
}

fn signer_info(info: &[u8], hash: &[u8], signer: &Authority) -> Result<Vec<u8>, IssueError> {
    let attribute =
        |name, value: Vec<u8>| Ok::<_, IssueError>(der::sequence(&[oid(name)?, der::constructed(der::SET, &[value])]));
    let id = der::sequence(&[der::tlv(der::OCTET_STRING, &sha256(signer.certificate.der()))]);
    let attributes = [
        attribute("1.2.840.113549.1.9.3", oid(TST_INFO)?)?,
        attribute("1.2.840.113549.1.9.4", der::tlv(der::OCTET_STRING, &sha256(info)))?,
        attribute("1.2.840.113549.1.9.16.2.47", der::sequence(&[der::sequence(&[id])]))?,
    ];
    let signature = signer.key.sign_x509(signer.algorithm, &der::constructed(der::SET, &attributes))?;
    let serial = der::tlv(der::INTEGER, signer.certificate.serial_der());
    Ok(der::sequence(&[
        der::unsigned(&[1]),
        der::sequence(&[signer.certificate.issuer_der().to_vec(), serial]),
        hash.to_vec(),
        der::constructed(0xa0, &attributes),
        algorithm(signer.algorithm)?,
        der::tlv(der::OCTET_STRING, &signature),
    ]))
}

fn moment(at: OffsetDateTime) -> Vec<u8> {
    let at = at.to_offset(UtcOffset::UTC);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let text = format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
    der::tlv(der::GENERALIZED_TIME, text.as_bytes())
}
