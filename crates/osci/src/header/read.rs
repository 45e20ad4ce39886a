//! Reading blocks from trees: small checks that every block needs, each with one error.

use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, NsContext, XmlError};
use thiserror::Error;

use crate::ids::{IdError, MessageId};

/// Why a header block or an order is not what OSCI-Transport 1.2 says it is. All of these are the sender's fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// An attribute that must be there is not.
    #[error("{element} lacks the attribute {attribute}")]
    MissingAttribute {
        /// Local name of the element.
        element: String,
        /// Name of the attribute.
        attribute: &'static str,
    },
    /// A child element that must be there is not.
    #[error("{element} lacks the element {child}")]
    MissingChild {
        /// Local name of the element.
        element: String,
        /// Local name of the missing child.
        child: &'static str,
    },
    /// A child element occurs more often than allowed.
    #[error("{element} contains {child} more than once")]
    RepeatedChild {
        /// Local name of the element.
        element: String,
        /// Local name of the child.
        child: String,
    },
    /// A child element that may not be there.
    #[error("{element} may not contain {child}")]
    UnexpectedChild {
        /// Local name of the element.
        element: String,
        /// Local name of the child.
        child: String,
    },
    /// Text other than white space between elements.
    #[error("{element} contains text where only elements may be")]
    UnexpectedText {
        /// Local name of the element.
        element: String,
    },
    /// A value outside its range or form.
    #[error("{element}: {what}")]
    BadValue {
        /// Local name of the element, or of the attribute the value stands in.
        element: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An identifier outside its bounds.
    #[error("{element} holds no usable identifier")]
    BadIdentifier {
        /// Local name of the element, or of the attribute the identifier stands in.
        element: String,
        /// What is wrong with it.
        source: IdError,
    },
    /// The text of a block is no acceptable XML.
    #[error("the header block is not acceptable XML")]
    Xml(#[from] XmlError),
}

/// The element that a text of our own or of our store holds.
pub(crate) fn parse(text: &str) -> Result<Element, BlockError> {
    Ok(Element::parse(text.as_bytes(), &Limits::default(), &NsContext::empty())?)
}

/// Whether the element has this expanded name.
pub(crate) fn is(element: &Element, uri: &str, local: &str) -> bool {
    element.is(uri, local)
}

/// The child elements; refuses text between them.
pub(crate) fn children(element: &Element) -> Result<Vec<&Element>, BlockError> {
    if element.has_only_elements() {
        Ok(element.children().collect())
    } else {
        Err(BlockError::UnexpectedText { element: local(element) })
    }
}

/// Refuses child elements and text.
pub(crate) fn nothing_in(element: &Element) -> Result<(), BlockError> {
    match children(element)?.first() {
        Some(child) => Err(unexpected(element, child)),
        None => Ok(()),
    }
}

/// The text of an element that may hold nothing but text.
pub(crate) fn leaf(element: &Element) -> Result<&str, BlockError> {
    match element.children().next() {
        Some(child) => Err(unexpected(element, child)),
        None => Ok(element.leaf_text().unwrap_or_default()),
    }
}

/// A message id in its base64 form.
pub(crate) fn message_id(element: &Element) -> Result<MessageId, BlockError> {
    MessageId::from_base64(leaf(element)?).map_err(bad_identifier(element.name().local()))
}

/// An un-prefixed attribute.
pub(crate) fn attribute<'a>(element: &'a Element, name: &'static str) -> Result<&'a str, BlockError> {
    element.attr(name).ok_or_else(|| BlockError::MissingAttribute { element: local(element), attribute: name })
}

/// Fills a slot that may be filled once.
pub(crate) fn once<T>(slot: &mut Option<T>, value: T, parent: &Element, child: &Element) -> Result<(), BlockError> {
    if slot.is_some() {
        return Err(BlockError::RepeatedChild { element: local(parent), child: local(child) });
    }
    *slot = Some(value);
    Ok(())
}

/// The error for a child that may not be there.
pub(crate) fn unexpected(parent: &Element, child: &Element) -> BlockError {
    BlockError::UnexpectedChild { element: local(parent), child: local(child) }
}

/// The error for a child that is missing.
pub(crate) fn missing(parent: &Element, child: &'static str) -> BlockError {
    BlockError::MissingChild { element: local(parent), child }
}

/// The error for a value of this element.
pub(crate) fn bad_value(element: &Element, what: &'static str) -> BlockError {
    BlockError::BadValue { element: local(element), what }
}

/// The error for an identifier in this element or attribute.
pub(crate) fn bad_identifier(name: &str) -> impl FnOnce(IdError) -> BlockError {
    let element = name.to_owned();
    move |source| BlockError::BadIdentifier { element, source }
}

/// White space of XML 1.0, production 3.
pub(crate) fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn local(element: &Element) -> String {
    element.name().local().to_owned()
}
