//! The numbers of an RSA key.

/// From a `PrivateKeyInfo` (RFC 5208) with an `RSAPrivateKey` (RFC 8017, appendix A.1.2).
pub(crate) struct RsaNumbers(Vec<Vec<u8>>);

impl RsaNumbers {
    pub(crate) fn of(pkcs8: &[u8]) -> Self {
        let (_, info, _) = element(pkcs8);
        let (_, _, after_version) = element(info);
        let (_, _, after_algorithm) = element(after_version);
        let (_, key, _) = element(after_algorithm);
        let (_, mut numbers, _) = element(key);
        let mut found = Vec::new();
        while !numbers.is_empty() {
            let (tag, number, rest) = element(numbers);
            assert_eq!(tag, 2, "an INTEGER");
            found.push(number.strip_prefix(&[0]).unwrap_or(number).to_vec());
            numbers = rest;
        }
        Self(found)
    }

    /// Those that are secret, by name, without their ends, which are padded here and there.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        let names = ["d", "p", "q", "d mod p-1", "d mod q-1", "1/q mod p"];
        let inner = |number: &Vec<u8>| number[8..number.len() - 8].to_vec();
        names.into_iter().zip(self.0[3..].iter().map(inner))
    }
}

/// The first element of some DER: tag, content, and what follows.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..=127 => (2, usize::from(short)),
        0x81 => (3, usize::from(der[2])),
        _ => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
    };
    (der[0], &der[header..header + length], &der[header + length..])
}
