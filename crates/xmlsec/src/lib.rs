//! Strict streaming XML, canonicalisation, XML Signature and XML Encryption.
//!
//! What is in it:
//!
//! * [`reader`]: a pull reader that refuses everything OSCI messages must not contain, and more;
//! * [`c14n`]: inclusive Canonical XML 1.0 with an explicit namespace context;
//! * [`tree`]: small bounded element trees;
//! * [`dsig`]: XML Signature;
//! * [`enc`]: XML Encryption;
//! * [`base64`]: streaming decoder and encoder.
//!
//! What is deliberately not in it: names of OSCI, trust decisions (keys and certificates are
//! arguments), dereferencing (the caller digests what a reference names, while it streams by),
//! DTDs, XPath, XSLT, exclusive canonicalisation.
//!
//! The tokenizer is our own. `quick-xml`, the obvious base, checks few of the rules that must hold
//! here, does not bound its tokens and gives text nodes as a whole; on top of it nearly every byte
//! would have to be looked at twice. Without DTDs a tokenizer is about as long as those checks, and
//! it bounds memory by construction.

pub mod base64;
pub mod c14n;
mod cursor;
pub mod dsig;
pub mod enc;
pub mod reader;
pub mod tree;

pub use reader::{Limits, NsContext, XmlError};
