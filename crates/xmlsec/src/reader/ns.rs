//! Namespace bindings in scope.

use std::fmt;
use std::sync::Arc;

/// Name of the namespace that the prefix `xml` always means.
pub const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
/// Name of the namespace of namespace declarations.
pub const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// One namespace binding. The default namespace has the empty prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declaration {
    pub(crate) prefix: Arc<str>,
    pub(crate) uri: Arc<str>,
}

impl Declaration {
    /// The prefix, empty for `xmlns="…"`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The namespace name, empty for `xmlns=""`.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

/// The namespace bindings in scope at some place of a document, ordered by prefix.
///
/// An absent default namespace is no entry; the prefix `xml` is never an entry.
///
/// ```
/// use rohrpost_xmlsec::NsContext;
/// let context = NsContext::from_pairs([("b", "urn:b"), ("", "urn:default")]);
/// assert_eq!(context.uri("b"), Some("urn:b"));
/// assert_eq!(context.iter().next(), Some(("", "urn:default")));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct NsContext {
    bindings: Vec<Declaration>,
}

impl NsContext {
    /// Nothing in scope.
    pub const fn empty() -> Self {
        Self { bindings: Vec::new() }
    }

    /// A context of the given (prefix, namespace name) pairs; later pairs win. The prefix `xml`
    /// and an empty name are left out.
    pub fn from_pairs<P: AsRef<str>, U: AsRef<str>>(pairs: impl IntoIterator<Item = (P, U)>) -> Self {
        let mut context = Self::empty();
        for (prefix, uri) in pairs {
            context.set(Arc::from(prefix.as_ref()), bound(Arc::from(uri.as_ref())));
        }
        context
    }

    /// This context with one more binding.
    #[must_use]
    pub fn with(&self, prefix: &str, uri: &str) -> Self {
        let mut context = self.clone();
        context.set(Arc::from(prefix), bound(Arc::from(uri)));
        context
    }

    /// What `prefix` is bound to.
    pub fn uri(&self, prefix: &str) -> Option<&str> {
        self.get(prefix).map(Declaration::uri)
    }

    /// All (prefix, namespace name) pairs in the order of their prefixes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.bindings.iter().map(|binding| (binding.prefix(), binding.uri()))
    }

    /// Number of bindings.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// The bindings as they stand in a canonical start tag: ` xmlns:a="…" xmlns:b="…"`.
    pub fn to_declarations(&self) -> String {
        let mut text = String::new();
        for (prefix, uri) in self.iter() {
            text.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            text.push_str(prefix);
            text.push_str("=\"");
            text.push_str(&crate::c14n::escape_attribute(uri));
            text.push('"');
        }
        text
    }

    pub(crate) fn get(&self, prefix: &str) -> Option<&Declaration> {
        self.bindings.iter().find(|binding| binding.prefix.as_ref() == prefix)
    }

    pub(crate) fn bindings(&self) -> &[Declaration] {
        &self.bindings
    }

    fn find(&self, prefix: &str) -> Result<usize, usize> {
        self.bindings.binary_search_by(|binding| binding.prefix.as_ref().cmp(prefix))
    }

    /// Binds, or unbinds; returns what was bound before.
    fn set(&mut self, prefix: Arc<str>, uri: Option<Arc<str>>) -> Option<Arc<str>> {
        if prefix.as_ref() == "xml" {
            return None;
        }
        match (self.find(&prefix), uri) {
            (Ok(index), Some(uri)) => Some(std::mem::replace(&mut self.bindings[index].uri, uri)),
            (Ok(index), None) => Some(self.bindings.remove(index).uri),
            (Err(index), Some(uri)) => {
                self.bindings.insert(index, Declaration { prefix, uri });
                None
            }
            (Err(_), None) => None,
        }
    }
}

/// A declaration of the empty name unbinds.
fn bound(uri: Arc<str>) -> Option<Arc<str>> {
    Some(uri).filter(|uri| !uri.is_empty())
}

impl fmt::Debug for NsContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A context that changes with the open elements and can go back.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// What it began with.
    outer: Arc<NsContext>,
    /// Shared with those who keep it: a change makes a new one then.
    now: Arc<NsContext>,
    undo: Vec<(Arc<str>, Option<Arc<str>>)>,
}

impl Scope {
    pub(crate) fn new(context: &NsContext) -> Self {
        let outer = Arc::new(context.clone());
        Self { now: Arc::clone(&outer), outer, undo: Vec::new() }
    }

    pub(crate) fn now(&self) -> &Arc<NsContext> {
        &self.now
    }

    /// Whether the declaration says nothing new.
    fn says(&self, declaration: &Declaration) -> bool {
        match self.now.get(&declaration.prefix) {
            Some(binding) => binding.uri == declaration.uri,
            None => declaration.uri.is_empty(),
        }
    }

    pub(crate) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes over a declaration and tells whether it says anything new. An empty name unbinds.
    pub(crate) fn bind(&mut self, declaration: &Declaration) -> bool {
        if self.says(declaration) {
            return false;
        }
        let before = Arc::make_mut(&mut self.now).set(declaration.prefix.clone(), bound(declaration.uri.clone()));
        self.undo.push((declaration.prefix.clone(), before));
        true
    }

    /// Takes over a whole context where nothing is bound.
    pub(crate) fn fill(&mut self, context: &NsContext) {
        debug_assert!(self.now.is_empty(), "nothing is bound over");
        Arc::make_mut(&mut self.now).clone_from(context);
        self.undo.extend(context.bindings.iter().map(|binding| (binding.prefix.clone(), None)));
    }

    pub(crate) fn back_to(&mut self, mark: usize) {
        if mark == 0 && !self.undo.is_empty() {
            self.undo.clear();
            self.now = Arc::clone(&self.outer);
        }
        while self.undo.len() > mark {
            if let Some((prefix, before)) = self.undo.pop() {
                Arc::make_mut(&mut self.now).set(prefix, before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declare(prefix: &str, uri: &str) -> Declaration {
        Declaration { prefix: prefix.into(), uri: uri.into() }
    }

    #[test]
    fn scope_goes_back() {
        let outer = NsContext::from_pairs([("", "urn:d"), ("a", "urn:a")]);
        let mut scope = Scope::new(&outer);
        let mark = scope.mark();
        for declaration in [declare("a", "urn:x"), declare("", ""), declare("b", "urn:b"), declare("b", "urn:b")] {
            scope.bind(&declaration);
        }
        assert_eq!(**scope.now(), NsContext::from_pairs([("b", "urn:b"), ("a", "urn:x")]));
        let inner = scope.mark();
        scope.bind(&declare("a", "urn:y"));
        scope.back_to(inner);
        assert_eq!(scope.now().uri("a"), Some("urn:x"));
        scope.back_to(mark);
        assert_eq!(**scope.now(), outer);
    }

    #[test]
    fn a_filled_scope_goes_back_too() {
        let context = NsContext::from_pairs([("", "urn:d"), ("a", "urn:a")]);
        let mut scope = Scope::new(&NsContext::empty());
        scope.fill(&context);
        let mark = scope.mark();
        assert!(scope.bind(&declare("a", "urn:x")) && !scope.bind(&declare("", "urn:d")));
        scope.back_to(mark);
        assert_eq!(**scope.now(), context);
        scope.back_to(0);
        assert!(scope.now().is_empty());
    }

    #[test]
    fn declarations_are_sorted_and_escaped() {
        let context = NsContext::from_pairs([("b", "urn:\"b\""), ("", "urn:d"), ("xml", "urn:no")]);
        assert_eq!(context.to_declarations(), " xmlns=\"urn:d\" xmlns:b=\"urn:&quot;b&quot;\"");
        assert_eq!(NsContext::from_pairs([("", "")]).len(), 0);
    }
}
