//! What can be wrong with a document.

use std::io;

/// Why a document was refused, grouped by who is at fault.
///
/// Positions (`at`) are byte offsets from the start of the input, at the beginning of the piece of
/// markup or text that was refused, or where it became too long or ended. Nothing of the document's content is ever part of the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// The source could not be read.
    #[error("the XML source could not be read")]
    Input(#[source] io::Error),
    /// The sink could not be written.
    #[error("the XML sink could not be written")]
    Output(#[source] io::Error),
    /// The document is not well-formed XML 1.0 with namespaces.
    #[error("not well-formed XML at byte {at}: {fault}")]
    NotWellFormed {
        /// What rule is broken.
        fault: Fault,
        /// Byte offset.
        at: u64,
    },
    /// The document uses a part of XML that is refused on principle.
    #[error("forbidden XML at byte {at}: {construct}")]
    Forbidden {
        /// What is used.
        construct: Construct,
        /// Byte offset.
        at: u64,
    },
    /// A bound of [`Limits`](super::Limits) is exceeded.
    #[error("XML limit exceeded at byte {at}: {bound}")]
    Limit {
        /// Which bound.
        bound: Bound,
        /// Byte offset.
        at: u64,
    },
    /// Two elements carry the same `Id`.
    #[error("the Id of the element at byte {at} was already used in this document")]
    DuplicateId {
        /// Byte offset.
        at: u64,
    },
}

/// Rules of XML 1.0 (fifth edition) and Namespaces in XML 1.0 that a document can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the message says it")]
pub enum Fault {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("a character that XML does not allow")]
    Character,
    #[error("no root element")]
    Empty,
    #[error("the input ends inside the document")]
    Truncated,
    #[error("a second root element")]
    SecondRoot,
    #[error("text outside the root element")]
    TextOutsideRoot,
    #[error("something before or after the element of a fragment")]
    AroundFragment,
    #[error("markup of no known kind")]
    Markup,
    #[error("an ill-formed start tag")]
    StartTag,
    #[error("white space missing between attributes")]
    MissingSpace,
    #[error("'<' in a tag or an attribute value")]
    LessThanInTag,
    #[error("an attribute without a quoted value")]
    AttributeValue,
    #[error("an invalid name")]
    Name,
    #[error("an attribute occurs twice")]
    DuplicateAttribute,
    #[error("the end tag does not match the start tag")]
    EndTag,
    #[error("an undeclared namespace prefix")]
    UndeclaredPrefix,
    #[error("a namespace declaration that is not allowed")]
    Declaration,
    #[error("an ill-formed or invalid character reference")]
    CharacterReference,
    #[error("a reference to an entity that XML does not predefine")]
    UnknownEntity,
    #[error("']]>' in text")]
    CdataEndInText,
    #[error("a CDATA section outside the root element")]
    CdataOutsideRoot,
    #[error("an ill-formed comment")]
    Comment,
    #[error("an ill-formed XML declaration, or one that is not version 1.0")]
    XmlDeclaration,
    #[error("an encoding other than UTF-8")]
    Encoding,
    #[error("reading went on after an error")]
    AfterError,
    #[error("an element was asked for where no start tag was read last")]
    NotAtElement,
}

/// Parts of XML that are refused although they may be well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Construct {
    /// A document type declaration.
    #[error("a document type declaration")]
    Doctype,
    /// A processing instruction, or an XML declaration that is not at the very start.
    #[error("a processing instruction")]
    ProcessingInstruction,
}

/// The bounds of [`Limits`](super::Limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Bound {
    /// Open elements.
    #[error("nesting depth")]
    Depth,
    /// Attributes of one element.
    #[error("number of attributes")]
    Attributes,
    /// Namespace declarations of one element, or number or bytes of those in scope.
    #[error("number or length of namespace declarations")]
    Namespaces,
    /// Bytes of a name.
    #[error("length of a name")]
    Name,
    /// Bytes of a tag or comment.
    #[error("length of a tag or comment")]
    Token,
    /// Bytes of an attribute value.
    #[error("length of an attribute value")]
    AttributeValue,
    /// Number or bytes of `Id` values.
    #[error("number or length of Ids")]
    Ids,
    /// Nodes or bytes of an element tree.
    #[error("size of an element tree")]
    Tree,
}
