//! Whether the time of an answer tells why a message could not be decrypted.
//!
//! All answers are the same bytes (`tests/tests/malformed`). Here messages that fail for different reasons, of the same length each, are handled in
//! random order by one thread, whose processor time is taken: what others do on the machine is not in it. Each cause is compared with a
//! reference by medians, Welch's t and the Kolmogorov-Smirnov distance. The reference compared with itself shows the noise.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rohrpost_crypto::cipher::{IvLength, Sealer};
use rohrpost_crypto::{BlockCipher, KeyTransport, SessionKey, SystemRandom, wrap_key};
use rustix::time::{ClockId, clock_gettime};

use crate::Server;
use crate::harness::{Bench, Client, Seal, Setup, certs_test, key, key_ring, public_key};
use crate::load::Numbers;

const INTERMEDIARY: &str = "intermediary-2048-cipher";
const RSA15: &str = "http://www.w3.org/2001/04/xmlenc#rsa-1_5";
/// The group of messages under a cipher that does not authenticate.
pub const CBC: &str = "CBC, the work";
/// Different messages of every cause.
const VARIANTS: u64 = 16;

/// One cause beside the reference of its group.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The group: messages that an attacker could exchange for each other.
    pub group: &'static str,
    /// Why the message cannot be decrypted.
    pub cause: &'static str,
    /// Median of the time for one message.
    pub median: Duration,
    /// Difference of the medians as a part of the reference's.
    pub difference: f64,
    /// Welch's t, of the quicker nine tenths of both.
    pub t: f64,
    /// Kolmogorov-Smirnov distance, from 0 to 1.
    pub distance: f64,
    /// The difference of the medians in multiples of that of the reference with itself, or of its standard error, if that is larger.
    pub noise: f64,
}

impl Comparison {
    /// The heading of a table.
    pub const HEADING: &'static str = "| message | cannot be decrypted because of | median, µs | difference | Welch t | KS distance | x noise |\n|---|---|---|---|---|---|---|";

    /// Whether somebody who can measure as exactly as we can here learns something worth having: more than a hundredth, and more than noise.
    ///
    /// The work on [`CBC`] differs by nature: nothing is authenticated before the signature. There the gateway's answers are what counts.
    pub fn tells(&self) -> bool {
        self.group != CBC && self.difference.abs() > 0.01 && self.noise > 5.0 && self.t.abs() > 10.0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, cause, median, difference, t, distance, noise } = self;
        let (median, percent) = (median.as_secs_f64() * 1e6, difference * 100.0);
        write!(f, "| {group} | {cause} | {median:.1} | {percent:+.2} % | {t:+.1} | {distance:.3} | {noise:.1} |")
    }
}

struct Cause {
    group: &'static str,
    name: &'static str,
    messages: Vec<Vec<u8>>,
    times: Vec<f64>,
}

impl Cause {
    fn new(group: &'static str, name: &'static str, message: impl Fn(u64) -> Vec<u8>) -> Self {
        Self { group, name, messages: (0..VARIANTS).map(message).collect(), times: Vec::new() }
    }
}

/// Measures the work for every cause so often.
///
/// # Panics
/// If an answer differs from the others.
pub fn compare_work(samples: usize) -> Vec<Comparison> {
    let keys = key_ring(key(INTERMEDIARY), Some(key("intermediary-2048-signature")));
    let bench = Setup { keys, ..Setup::default() }.start();
    // What was recorded is for the larger key.
    let other = Setup::default().start();
    let mut comparisons = Vec::new();
    for (mut causes, bench) in [(authenticated(), &bench), (version_1_5(), &bench), (unauthenticated(), &other)] {
        measure(&mut causes, bench, samples);
        comparisons.extend(compared(causes));
    }
    comparisons
}

/// Measures how long the built binary takes to answer what works differently long: CBC. By the clock on the wall, so this is noisier.
///
/// # Panics
/// If the server cannot be reached or an answer differs from the others.
pub fn compare_answers(samples: usize) -> Vec<Comparison> {
    const CLIENTS: usize = 4;
    let server = Server::start(&["log.level=warn"]);
    let address = server.url().split('/').nth(2).expect("an address").to_owned();
    let causes = Mutex::new(unauthenticated());
    let numbers = Mutex::new(Numbers::new(8));
    let expected = Mutex::new(None::<Vec<u8>>);
    let left = AtomicUsize::new(samples * 5);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let (which, variant) = {
                        let mut numbers = numbers.lock().expect("nobody panics");
                        (numbers.below(5) as usize, numbers.below(VARIANTS) as usize)
                    };
                    let message = causes.lock().expect("nobody panics")[which].messages[variant].clone();
                    let (time, answer) = posted(&address, &message);
                    causes.lock().expect("nobody panics")[which].times.push(time.as_secs_f64());
                    let mut expected = expected.lock().expect("nobody panics");
                    assert_eq!(expected.get_or_insert_with(|| answer.clone()), &answer);
                }
            });
        }
    });
    let mut causes = causes.into_inner().expect("nobody panics");
    for cause in &mut causes {
        cause.group = "CBC, as answered";
        cause.times.sort_by(f64::total_cmp);
    }
    compared(causes)
}

/// Posts a message: the time to the answer, and its body.
fn posted(address: &str, message: &[u8]) -> (Duration, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("it is connected");
    let length = message.len();
    let head = format!("POST /osci HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), message].concat()).expect("it is read");
    let began = Instant::now();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it is answered");
    let time = began.elapsed();
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an end of the head");
    (time, answer.split_off(body))
}

/// Every cause but the first beside that.
fn compared(causes: Vec<Cause>) -> Vec<Comparison> {
    let (reference, rest) = causes.split_first().expect("there is a reference");
    let noise = difference(&reference.times, &rest[0].times).abs().max(standard_error(&reference.times));
    let comparison = |cause: &Cause| {
        let difference = difference(&reference.times, &cause.times);
        Comparison {
            group: cause.group,
            cause: cause.name,
            median: Duration::from_secs_f64(median(&cause.times)),
            difference,
            t: welch(&reference.times, &cause.times),
            distance: kolmogorov(&reference.times, &cause.times),
            noise: difference.abs() / noise,
        }
    };
    rest.iter().map(comparison).collect()
}

/// GCM with a session key in OAEP. The second line is the reference once more.
fn authenticated() -> Vec<Cause> {
    let group = "GCM, OAEP";
    let cause = |name, edit: fn(&mut Seal, u64)| {
        Cause::new(group, name, move |variant| {
            let mut seal = seal();
            edit(&mut seal, variant);
            seal.write()
        })
    };
    let wrap = |seal: &mut Seal, key: &SessionKey| {
        seal.wrapped = wrap_key(public_key(INTERMEDIARY), KeyTransport::OAEP_SHA256, key).expect("it fits");
    };
    let tag: fn(&mut Seal, u64) = |seal, _| *seal.ciphertext.last_mut().expect("a tag") ^= 1;
    let mut causes = vec![cause("the tag", tag), cause("the tag, once more", tag)];
    causes.push(cause("the ciphertext", |seal, variant| seal.ciphertext[100 + variant as usize] ^= 1));
    causes.push(cause("the padding of the key", |seal, variant| seal.wrapped[100 + variant as usize] ^= 1));
    causes.push(cause("a key of zeros", |seal, variant| {
        seal.wrapped.fill(0);
        seal.wrapped[255] = variant as u8;
    }));
    causes.push(Cause::new(group, "another session key", move |_| {
        let mut seal = seal();
        wrap(&mut seal, &SessionKey::random(32, &SystemRandom));
        seal.write()
    }));
    causes.push(Cause::new(group, "a session key of 16 octets", move |_| {
        let mut seal = seal();
        wrap(&mut seal, &SessionKey::random(16, &SystemRandom));
        seal.write()
    }));
    causes
}

/// GCM with a session key in PKCS#1 version 1.5, where Bleichenbacher's attack would live.
fn version_1_5() -> Vec<Cause> {
    let with = |wrapped: fn(u64) -> Vec<u8>| {
        move |variant| {
            let mut seal = seal();
            RSA15.clone_into(&mut seal.transport);
            seal.transport_parameters.clear();
            seal.wrapped = wrapped(variant);
            seal.write()
        }
    };
    let group = "GCM, PKCS#1 v1.5";
    let right: fn(u64) -> Vec<u8> = |_| wrapped_1_5(32);
    vec![
        Cause::new(group, "another session key, well padded", with(right)),
        Cause::new(group, "another session key, once more", with(right)),
        Cause::new(
            group,
            "the padding",
            with(|variant| {
                let mut wrapped = vec![0x3C; 256];
                wrapped[10] = variant as u8;
                wrapped
            }),
        ),
        Cause::new(group, "a session key of 16 octets, well padded", with(|_| wrapped_1_5(16))),
    ]
}

fn wrapped_1_5(len: usize) -> Vec<u8> {
    wrap_key(public_key(INTERMEDIARY), KeyTransport::Rsa15, &SessionKey::random(len, &SystemRandom)).expect("it fits")
}

/// CBC, recorded from another implementation, with one bit changed.
fn unauthenticated() -> Vec<Cause> {
    let file = certs_test("../tests/vectors/algo-aes256-cbc/request.mime");
    let message = std::fs::read(file).expect("the vectors are committed");
    let marker = b"<osci_enc>\r\n\r\n";
    let start = message.windows(marker.len()).position(|window| window == marker).expect("ciphertext") + marker.len();
    let end = message.windows(4).rposition(|window| window == b"\r\n--").expect("an end");
    let at = |place: usize| {
        let message = message.clone();
        move |variant: u64| {
            let mut changed = message.clone();
            changed[place] ^= 1 << (variant % 8);
            changed
        }
    };
    let group = CBC;
    vec![
        Cause::new(group, "the padding", at(end - 17)),
        Cause::new(group, "the padding, once more", at(end - 17)),
        Cause::new(group, "the first block", at(start + 18)),
        Cause::new(group, "a block in the middle", at(start + (end - start) / 2)),
        Cause::new(group, "the last block but some", at(end - 200)),
    ]
}

/// A message as it should be.
fn seal() -> Seal {
    let draft = Client::alice().get_message_id();
    let plain = draft.mime(&draft.envelope(None));
    let session_key = SessionKey::random(32, &SystemRandom);
    let mut sealer = Sealer::new(BlockCipher::Aes256Gcm, IvLength::Twelve, &session_key, &SystemRandom, Vec::new())
        .expect("a key for the cipher");
    sealer.write_all(&plain).expect("memory takes everything");
    let mut seal = Seal::new(&plain, key(INTERMEDIARY));
    seal.ciphertext = sealer.finish().expect("memory takes everything");
    seal.wrapped = wrap_key(public_key(INTERMEDIARY), KeyTransport::OAEP_SHA256, &session_key).expect("it fits");
    seal
}

fn measure(causes: &mut [Cause], bench: &Bench, samples: usize) {
    let mut numbers = Numbers::new(7);
    let mut expected: Option<Vec<u8>> = None;
    while causes.iter().any(|cause| cause.times.len() < samples) {
        let which = usize::try_from(numbers.below(causes.len() as u64)).expect("an index");
        let variant = usize::try_from(numbers.below(VARIANTS)).expect("an index");
        let cause = &mut causes[which];
        let message = cause.messages[variant].clone();
        let began = thread_time();
        let answer = bench.handle(message);
        cause.times.push((thread_time() - began).as_secs_f64());
        assert_eq!(answer.codes, [9202], "{}", cause.name);
        assert_eq!(expected.get_or_insert_with(|| answer.bytes.clone()), &answer.bytes, "{}", cause.name);
    }
    for cause in causes {
        // The first ones warm the machine up.
        cause.times.drain(..samples / 10);
        cause.times.sort_by(f64::total_cmp);
    }
}

fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("the clock is never before its beginning")
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn difference(reference: &[f64], other: &[f64]) -> f64 {
    median(other) / median(reference) - 1.0
}

/// The quicker nine tenths: what is slower was interrupted.
fn quick(sorted: &[f64]) -> &[f64] {
    &sorted[..sorted.len() * 9 / 10]
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0))
}

/// Of the median, as a part of it: about 1.25 times that of the mean.
fn standard_error(sorted: &[f64]) -> f64 {
    let (mean, variance) = mean_and_variance(quick(sorted));
    1.25 * (variance / sorted.len() as f64).sqrt() / mean
}

fn welch(one: &[f64], other: &[f64]) -> f64 {
    let ((mean, variance), (other_mean, other_variance)) =
        (mean_and_variance(quick(one)), mean_and_variance(quick(other)));
    (other_mean - mean) / (variance / one.len() as f64 + other_variance / other.len() as f64).sqrt()
}

fn kolmogorov(one: &[f64], other: &[f64]) -> f64 {
    let part_below =
        |sorted: &[f64], value: f64| sorted.partition_point(|found| *found <= value) as f64 / sorted.len() as f64;
    one.iter().chain(other).map(|value| (part_below(one, *value) - part_below(other, *value)).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_see_what_is_there() {
        let one: Vec<f64> = (0..1000).map(|n| 1.0 + f64::from(n % 100) / 1000.0).collect();
        let sorted = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values
        };
        let slower = sorted(one.iter().map(|value| value + 0.1).collect());
        let one = sorted(one);
        assert!(welch(&one, &one).abs() < 1e-9 && kolmogorov(&one, &one) < 1e-9);
        assert!(welch(&one, &slower) > 50.0 && kolmogorov(&one, &slower) > 0.9);
        assert!(difference(&one, &slower) > 0.09 && standard_error(&one) < 0.01);
    }

    /// Also compares all answers.
    #[test]
    fn every_cause_is_measured() {
        assert_eq!(compare_work(20).len(), 6 + 3 + 4);
    }
}
