//! What must hold for any input whatever: one function per decoder.
//!
//! Each function takes arbitrary bytes, gives them to one decoder and panics if something is promised that does not
//! hold. "Does not panic" is the least of it: what a decoder accepts must survive being written and read again, must not
//! depend on how the input arrives in pieces, and must agree with a second way to the same answer.
//!
//! The same functions run under libFuzzer (`tests/fuzz`) and, with the committed seeds and some deterministic mutations
//! of them, in every test run (`tests/tests/fuzz_seeds.rs`).

mod base64;
mod content;
mod encrypted;
mod envelope;
mod mime;
mod xml;

pub use base64::base64;
pub use content::content;
pub use encrypted::encrypted;
pub use envelope::{control_block, envelope};
pub use mime::mime;
pub use xml::strict_xml;

/// One decoder under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the fuzz target and of its folder of seeds.
    pub name: &'static str,
    /// Panics if the input shows that something is wrong.
    pub run: fn(&[u8]),
}

/// All decoders.
pub const TARGETS: &[Target] = &[
    Target { name: "base64", run: base64 },
    Target { name: "content", run: content },
    Target { name: "control_block", run: control_block },
    Target { name: "encrypted", run: encrypted },
    Target { name: "envelope", run: envelope },
    Target { name: "mime", run: mime },
    Target { name: "strict_xml", run: strict_xml },
];
