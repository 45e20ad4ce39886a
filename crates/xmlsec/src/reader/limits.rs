//! Bounds on what one document may make us keep in memory.

/// Bounds for reading. All are checked before the work they bound is done.
///
/// The length of text and the number of elements are *not* bounded here: text is handed out in
/// pieces and elements are forgotten when they close, so neither costs memory. Whoever keeps them
/// ([`Element`](crate::tree::Element)) is bound by the two `tree_` limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open elements at a time. Trees are walked by recursion, so keep it small.
    pub depth: usize,
    /// Attributes of one element, namespace declarations not counted.
    pub attributes: usize,
    /// Namespace declarations of one element, and prefixes in scope.
    pub namespaces: usize,
    /// Bytes of all prefixes and namespace names in scope together. Names are compared again and again, so long ones cost time.
    pub namespace_bytes: usize,
    /// Bytes of a qualified name.
    pub name_len: usize,
    /// Bytes of one tag or comment.
    pub token_len: usize,
    /// Bytes of one attribute value or namespace name, after references were replaced.
    pub attribute_value_len: usize,
    /// `Id` attributes in the document.
    pub ids: usize,
    /// Bytes of all `Id` values together.
    pub id_bytes: usize,
    /// Elements, attributes, declarations, text nodes and scopes (each with all its bindings) of one element tree together.
    pub tree_nodes: usize,
    /// Bytes of names, attribute values and text of one element tree together.
    pub tree_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 100,
            attributes: 64,
            namespaces: 80,
            namespace_bytes: 12 * 1024,
            name_len: 512,
            token_len: 512 * 1024,
            attribute_value_len: 32 * 1024,
            ids: 60_000,
            id_bytes: 10 << 20,
            tree_nodes: 600_000,
            tree_bytes: 16 << 20,
        }
    }
}
