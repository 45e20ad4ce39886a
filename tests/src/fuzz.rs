//! What must hold for any input whatever: one function per decoder.
//!
//! Each function takes arbitrary bytes, gives them to one decoder and panics if something is promised that does not
//! hold. "Does not panic" is the least of it: what a decoder accepts must survive being written and read again, must not
//! depend on how the input arrives in pieces, and must agree with a second way to the same answer.
//!
//! The same functions run under libFuzzer (`tests/fuzz`) and, with the committed seeds and some deterministic mutations
//! of them, in every test run (`tests/tests/fuzz_seeds.rs`).

mod audit;
mod base64;
mod blocks;
mod canonical_xml;
mod certificates;
mod content;
mod crypt;
mod delivery;
mod dialog;
mod envelope;
mod identifiers;
mod message;
mod mime;
mod policy;
mod revocation;
mod script;
mod signature;
mod signed_order;
mod timestamp;
mod xml;

pub use audit::{audit_checkpoint, audit_export, audit_leaf, audit_proof};
pub use base64::base64;
pub use blocks::{
    control_block, custom_block, feedback, header_blocks, non_intermediary_certificates, process_card, selection,
};
pub use canonical_xml::canonical_xml;
pub use certificates::{certificate, pem, pkcs12};
pub use content::content;
pub use crypt::{encrypted_data, encrypted_message};
pub use delivery::delivery;
pub use dialog::dialog;
pub use envelope::envelope;
pub use identifiers::identifiers;
pub use message::{fault, message};
pub use mime::mime;
pub use policy::policy;
pub use revocation::{ocsp_response, revocation_list};
pub use signature::signature;
pub use signed_order::signed_order;
pub use timestamp::timestamp_response;
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
    Target { name: "audit_checkpoint", run: audit_checkpoint },
    Target { name: "audit_export", run: audit_export },
    Target { name: "audit_leaf", run: audit_leaf },
    Target { name: "audit_proof", run: audit_proof },
    Target { name: "base64", run: base64 },
    Target { name: "canonical_xml", run: canonical_xml },
    Target { name: "certificate", run: certificate },
    Target { name: "content", run: content },
    Target { name: "control_block", run: control_block },
    Target { name: "custom_block", run: custom_block },
    Target { name: "delivery", run: delivery },
    Target { name: "dialog", run: dialog },
    Target { name: "encrypted_data", run: encrypted_data },
    Target { name: "encrypted_message", run: encrypted_message },
    Target { name: "envelope", run: envelope },
    Target { name: "fault", run: fault },
    Target { name: "feedback", run: feedback },
    Target { name: "header_blocks", run: header_blocks },
    Target { name: "identifiers", run: identifiers },
    Target { name: "message", run: message },
    Target { name: "mime", run: mime },
    Target { name: "non_intermediary_certificates", run: non_intermediary_certificates },
    Target { name: "ocsp_response", run: ocsp_response },
    Target { name: "pem", run: pem },
    Target { name: "pkcs12", run: pkcs12 },
    Target { name: "policy", run: policy },
    Target { name: "process_card", run: process_card },
    Target { name: "revocation_list", run: revocation_list },
    Target { name: "selection", run: selection },
    Target { name: "signature", run: signature },
    Target { name: "signed_order", run: signed_order },
    Target { name: "strict_xml", run: strict_xml },
    Target { name: "timestamp_response", run: timestamp_response },
];
