//! OSCI-Transport 1.2 as a pure library: MIME framing, envelope, messages, dialogs, process cards and feedback codes.
//!
//! | to read a message | to write one | to know what comes next |
//! |---|---|---|
//! | [`mime`]: the parts | [`compose`]: header, body, signature, parts | [`dialog`]: who may say what |
//! | [`encrypted`], [`fault`]: what is no order itself | [`encrypted`], [`fault`] | [`algorithms`]: how to encrypt the answer |
//! | [`envelope`], [`signature`]: what is in it and who signed | [`header`]: the blocks | [`feedback`]: how it went |
//! | [`message`], [`card`], [`selection`]: what it means | [`message`], [`card`], [`selection`] | |
//!
//! Deliberately not in here: sockets, files, a clock, certificate rules and SQL. Bytes come in through
//! [`std::io`] and [`source::ReadAt`], the time is an argument, random bytes come from `rohrpost_crypto`.
//!
//! ```
//! use rohrpost_osci::ids::MessageId;
//!
//! let id = MessageId::new("demo-4711")?;
//! assert_eq!(id.to_base64(), "ZGVtby00NzEx");
//! assert_eq!(MessageId::from_base64(" ZGVtby00\nNzEx ")?, id);
//! # Ok::<(), rohrpost_osci::ids::IdError>(())
//! ```

pub mod algorithms;
pub mod card;
pub mod compose;
pub mod content;
pub mod datetime;
pub mod dialog;
pub mod encrypted;
pub mod envelope;
pub mod fault;
pub mod feedback;
pub mod header;
pub mod ids;
pub mod message;
pub mod mime;
pub mod ns;
mod outer;
pub mod selection;
pub mod signature;
pub mod source;
pub mod xml;
