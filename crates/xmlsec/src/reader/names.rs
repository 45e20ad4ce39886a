//! Names (XML 1.0 fifth edition, productions 4 and 4a; Namespaces in XML 1.0, production 4).

use std::fmt;
use std::sync::Arc;

/// A qualified name with the namespace it resolves to.
#[derive(Clone, Default)]
pub struct Name {
    qname: String,
    local_start: usize,
    uri: Option<Arc<str>>,
}

impl Name {
    /// A name made by us; an empty prefix means none. The parts are not checked.
    pub fn new(prefix: &str, local: &str, uri: Option<&str>) -> Self {
        let mut name = Self::default();
        if !prefix.is_empty() {
            name.qname.push_str(prefix);
            name.qname.push(':');
        }
        name.local_start = name.qname.len();
        name.qname.push_str(local);
        name.uri = uri.map(Arc::from);
        name
    }

    /// The prefix, empty where there is none.
    pub fn prefix(&self) -> &str {
        &self.qname[..self.local_start.saturating_sub(1)]
    }

    /// The part after the colon.
    pub fn local(&self) -> &str {
        &self.qname[self.local_start..]
    }

    /// The namespace name; `None` for names in no namespace.
    pub fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// The name as written: `prefix:local` or `local`.
    pub fn qname(&self) -> &str {
        &self.qname
    }

    /// Whether this is the name `local` in the namespace `uri`.
    pub fn is(&self, uri: &str, local: &str) -> bool {
        self.local() == local && self.uri() == Some(uri)
    }

    /// Whether both have the same namespace and local part, whatever the prefixes.
    pub fn same_expanded(&self, other: &Self) -> bool {
        self.local() == other.local() && self.uri == other.uri
    }

    /// Takes over a qualified name, keeping the buffer. `false` if it is not a QName.
    pub(crate) fn assign(&mut self, qname: &str) -> bool {
        self.uri = None;
        self.qname.clear();
        self.qname.push_str(qname);
        match split(qname) {
            Some(local_start) => {
                self.local_start = local_start;
                true
            }
            None => false,
        }
    }

    pub(crate) fn assign_name(&mut self, other: &Self) {
        self.qname.clear();
        self.qname.push_str(&other.qname);
        self.local_start = other.local_start;
        self.uri.clone_from(&other.uri);
    }

    pub(crate) fn resolve(&mut self, uri: Option<Arc<str>>) {
        self.uri = uri;
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qname)
    }
}

/// Where the local part of a QName starts; `None` if the text is not a QName.
fn split(qname: &str) -> Option<usize> {
    let mut colon = None;
    let mut at_start = true;
    for (position, byte) in qname.bytes().enumerate() {
        match KINDS[usize::from(byte)] {
            Kind::Start => at_start = false,
            Kind::Part if !at_start => {}
            Kind::Colon if !at_start && colon.is_none() => {
                colon = Some(position);
                at_start = true;
            }
            Kind::BeyondAscii => return split_beyond_ascii(qname),
            _ => return None,
        }
    }
    (!at_start).then(|| colon.map_or(0, |position| position + 1))
}

/// The same, slower.
fn split_beyond_ascii(qname: &str) -> Option<usize> {
    let is_ncname = |name: &str| name.starts_with(is_start) && name.chars().all(is_part);
    match qname.split_once(':') {
        Some((prefix, local)) => (is_ncname(prefix) && is_ncname(local)).then(|| prefix.len() + 1),
        None => is_ncname(qname).then_some(0),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Start,
    Part,
    Colon,
    BeyondAscii,
    Other,
}

static KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        kinds[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Kind::Start,
            b'0'..=b'9' | b'-' | b'.' => Kind::Part,
            b':' => Kind::Colon,
            _ => Kind::Other,
        };
        byte += 1;
    }
    let mut beyond = 0x80;
    while beyond < 0x100 {
        kinds[beyond] = Kind::BeyondAscii;
        beyond += 1;
    }
    kinds
};

/// Whether `text` is an NCName: a name without a colon.
pub fn is_ncname(text: &str) -> bool {
    split(text) == Some(0)
}

fn is_start(character: char) -> bool {
    match character {
        'a'..='z' | 'A'..='Z' | '_' => true,
        _ if character.is_ascii() => false,
        _ => matches!(character,
            '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
            | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
            | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
            | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}'),
    }
}

fn is_part(character: char) -> bool {
    is_start(character)
        || matches!(character, '-' | '.' | '0'..='9' | '\u{B7}'
            | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qnames_split_at_their_one_colon() {
        for (qname, prefix, local) in
            [("a", "", "a"), ("a:b", "a", "b"), ("_x.1-2:é·", "_x.1-2", "é·"), ("\u{10000}", "", "\u{10000}")]
        {
            let mut name = Name::default();
            assert!(name.assign(qname), "{qname}");
            assert_eq!((name.prefix(), name.local(), name.qname()), (prefix, local, qname));
        }
        assert_eq!(Name::new("p", "l", None).qname(), "p:l");
    }

    #[test]
    fn what_is_no_qname() {
        for qname in
            ["", ":", "a:", ":a", "a:b:c", "1a", "-a", ".a", "a:1", "a b", "a$", "·a", "×", "a\u{37E}", "\u{F0000}"]
        {
            assert!(!Name::default().assign(qname), "{qname}");
        }
        assert!(is_ncname("a.b") && !is_ncname("a:b") && !is_ncname(""));
    }
}
