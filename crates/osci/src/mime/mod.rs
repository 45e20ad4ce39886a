//! MIME framing (OSCI-Transport 1.2, transport of messages): a message is one `Multipart/Related` entity whose first
//! part is the SOAP document and whose other parts are attachments.
//!
//! Reading ([`Multipart::scan`]) finds byte ranges and copies nothing; writing ([`Writer`]) streams. Only what the
//! protocol uses of MIME exists here: no nesting, no quoted-printable, no encoded words.
//!
//! ```
//! use rohrpost_osci::mime::{Boundary, Limits, Multipart, PartHead, Writer};
//! use std::io::{Read as _, Write as _};
//!
//! let boundary = Boundary::from_random([7; 24]);
//! let mut mime = Writer::new(Vec::new(), &boundary)?;
//! mime.root()?.write_all(b"<a></a>")?;
//! mime.attachment(&PartHead::raw("letter.txt", "text/plain"), 5, &mut &b"hello"[..])?;
//! let bytes = mime.finish()?;
//!
//! let message = Multipart::scan(&bytes, &Limits::default())?;
//! let mut letter = String::new();
//! message.attachment("letter.txt").unwrap().reader(&bytes).read_to_string(&mut letter)?;
//! assert_eq!(letter, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod header;
mod read;
mod window;
mod write;

pub use error::{Limits, MimeError};
pub use header::Header;
pub use read::{Encoding, Multipart, Part, PartReader};
pub use write::{Boundary, BoundaryInvalid, OpenPart, PartHead, Writer};
