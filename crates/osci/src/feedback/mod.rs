//! Feedback: what one side tells the other about the outcome, as numbered codes with a text
//! (OSCI-Transport 1.2, feedback codes).
//!
//! [`Code`] is the complete table. [`Feedback`] is the list in a response; it keeps the order that lets every reader see
//! the outcome, whether it looks at the first entry or at the last.
//!
//! ```
//! use rohrpost_osci::feedback::{Code, Feedback, Language};
//!
//! let mut feedback = Feedback::new(Code::ExecutedDialogOpen, Language::negotiate("fr en"));
//! feedback.add(Code::FurtherDeliveries);
//! assert!(feedback.is_executed());
//! feedback.add(Code::OrderFailed);
//! let codes: Vec<_> = feedback.entries().iter().map(|entry| entry.code.to_string()).collect();
//! assert_eq!(codes, ["9811", "3800"]);
//! ```

mod code;
mod list;
mod texts;

pub use code::{Code, FaultSide, Level, Severity, UnknownCode};
pub use list::{CodeNumber, CodeNumberInvalid, Entry, Feedback};
pub use texts::Language;
