use ring::rand::SecureRandom;

/// A source of unpredictable bytes.
///
/// Ids, initialisation vectors and session keys come from here, so that tests can repeat them. Backends draw the
/// random numbers inside signatures and key generation themselves.
pub trait Random: Send + Sync {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// The random source of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        ring::rand::SystemRandom::new()
            .fill(buffer)
            .expect("a system without randomness cannot run anything that encrypts");
    }
}
