//! Building trees from events.

use std::io::BufRead;
use std::sync::Arc;

use super::{Element, Node};
use crate::reader::{Bound, Event, NsContext, StartTag, StrictReader, XmlError, not_at_element};

/// Gets the path to the innermost element and a piece of its text; `true` if it took the text, so
/// that the tree shall not keep it.
pub(crate) type Diversion<'a> = dyn FnMut(&[Element], &str) -> Result<bool, XmlError> + 'a;

/// Builds a tree without recursion and within the limits.
pub(crate) struct Builder {
    path: Vec<Element>,
    room: Room,
}

/// Nodes and bytes that the tree may still take.
struct Room {
    nodes: usize,
    bytes: usize,
}

impl Builder {
    pub(crate) fn read<R: BufRead>(
        reader: &mut StrictReader<R>,
        nodes: usize,
        divert: &mut Diversion<'_>,
    ) -> Result<Element, XmlError> {
        let room = Room { nodes, bytes: reader.limits().tree_bytes };
        let mut builder = Self { path: Vec::new(), room };
        if reader.start_tag().is_none() {
            return Err(not_at_element(reader.event_start()));
        }
        loop {
            if let Some(tag) = reader.start_tag() {
                builder.start(tag, reader.shared_scope(), reader.event_start())?;
            }
            let offset = reader.offset();
            match reader.next()? {
                Event::Start(_) => {} // taken over above, when the reader is free to tell the scope
                Event::Text(text) if divert(&builder.path, text)? => {}
                Event::Text(text) => builder.text(text, offset)?,
                Event::End(_) => {
                    if let Some(element) = builder.end() {
                        return Ok(element);
                    }
                }
                Event::Eof => return Err(not_at_element(offset)),
            }
        }
    }

    fn start(&mut self, tag: &StartTag, in_scope: &Arc<NsContext>, at: u64) -> Result<(), XmlError> {
        let attributes = tag.attributes().iter().map(|a| a.name().qname().len() + a.value().len());
        let declarations = tag.declarations().iter().map(|d| d.prefix().len() + d.uri().len());
        let bytes = attributes.chain(declarations).sum::<usize>() + tag.name().qname().len();
        // A scope that differs from the parent's is kept as a whole, so every binding in it counts.
        let shared = self.path.last().map(|parent| &parent.in_scope);
        let shared = shared.filter(|scope| tag.declarations().is_empty() || *scope == in_scope).cloned();
        let bindings = if shared.is_some() { 0 } else { in_scope.len() };
        self.count(1 + tag.attributes().len() + tag.declarations().len() + bindings, bytes, at)?;
        let in_scope = shared.unwrap_or_else(|| Arc::clone(in_scope));
        self.path.push(Element { tag: tag.clone(), in_scope, nodes: Vec::new() });
        Ok(())
    }

    fn text(&mut self, text: &str, at: u64) -> Result<(), XmlError> {
        let joins = matches!(self.innermost().nodes.last(), Some(Node::Text(_)));
        self.count(usize::from(!joins), text.len(), at)?;
        match self.innermost().nodes.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ => push(&mut self.innermost().nodes, Node::Text(text.to_owned())),
        }
        Ok(())
    }

    /// Closes the innermost element; gives the whole if it was the outermost.
    fn end(&mut self) -> Option<Element> {
        let element = self.path.pop().expect("the reader matches starts and ends");
        match self.path.last_mut() {
            Some(parent) => {
                push(&mut parent.nodes, Node::Element(element));
                None
            }
            None => Some(element),
        }
    }

    fn innermost(&mut self) -> &mut Element {
        self.path.last_mut().expect("reading stops when the path is empty")
    }

    fn count(&mut self, nodes: usize, bytes: usize, at: u64) -> Result<(), XmlError> {
        let left = self.room.nodes.checked_sub(nodes).zip(self.room.bytes.checked_sub(bytes));
        let (nodes, bytes) = left.ok_or(XmlError::Limit { bound: Bound::Tree, at })?;
        self.room = Room { nodes, bytes };
        Ok(())
    }
}

/// Adds a node. Most elements have one, for which no more room is made than for one.
fn push(nodes: &mut Vec<Node>, node: Node) {
    if nodes.is_empty() {
        nodes.reserve_exact(1);
    }
    nodes.push(node);
}
