//! A generator of nasty documents that repeats itself for the same seed.

/// What is in scope and how deep we are.
#[derive(Clone)]
struct Place {
    bindings: Vec<(String, String)>,
    depth: usize,
}

/// A document with comments, and the same without.
pub(crate) struct Document {
    pub(crate) with_comments: String,
    pub(crate) without_comments: String,
}

pub(crate) struct Generator {
    state: u64,
    with_comments: String,
    without_comments: String,
    elements: usize,
}

const PREFIXES: [&str; 6] = ["", "a", "b", "ab", "b-1", "ß"];
/// No `&`: libxml2 2.9 does not escape it in namespace declarations, which is wrong.
const URIS: [&str; 7] =
    ["urn:a", "urn:b", "urn:B", "http://example.org/z", "http://example.org/y?q=1", "urn:ab", "urn:c"];
const LOCALS: [&str; 9] = ["x", "y", "X", "xy", "_", "x.1", "x-y", "größe", "\u{10000}"];
const TEXT: [&str; 18] = [
    "plain text ",
    "QUJDRA==\nRUZHSA==\n",
    "&amp;",
    "&lt;",
    "&gt;",
    "&quot;&apos;",
    "&#13;",
    "&#xD;&#xA;",
    "\r\n",
    "\r",
    "\n\t ",
    "\t",
    "\"'",
    "ä€\u{1F600}",
    "&#x1F600;",
    " > ",
    "]] ",
    "\u{85}\u{2028}\u{A0}",
];
const VALUES: [&str; 16] = [
    "v",
    " v  v ",
    "&amp;&lt;",
    ">",
    "&gt;",
    "&quot;",
    "&apos;",
    "&#9;",
    "&#10;",
    "&#13;",
    "\t",
    "\r\n",
    "\n",
    "\r",
    "ö\u{1F600}",
    "&#xe4;",
];

impl Generator {
    pub(crate) fn document(seed: u64) -> Document {
        let mut generator = Self {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            with_comments: String::new(),
            without_comments: String::new(),
            elements: 0,
        };
        generator.prolog();
        generator.element(&Place { bindings: Vec::new(), depth: 0 });
        generator.push("\n");
        if generator.one_in(3) {
            generator.comment();
        }
        Document { with_comments: generator.with_comments, without_comments: generator.without_comments }
    }

    fn prolog(&mut self) {
        if self.one_in(2) {
            self.push("<?xml version=\"1.0\" encoding='UTF-8'?>\r\n");
        }
        if self.one_in(3) {
            self.comment();
        }
        self.push("\n");
    }

    fn element(&mut self, place: &Place) {
        self.elements += 1;
        let mut place = place.clone();
        place.depth += 1;
        let declarations = self.declarations(&mut place);
        let name = self.name(&place, true);
        let mut parts = declarations;
        parts.extend(self.attributes(&place));
        self.shuffle(&mut parts);
        self.push("<");
        self.push(&name);
        for part in parts {
            let space = self.choose(&[" ", "\n", "  ", "\t", "\r\n "]);
            self.push(space);
            self.push(&part);
        }
        if self.one_in(5) {
            self.push(" ");
        }
        if self.one_in(5) {
            self.push("/>");
            return;
        }
        self.push(">");
        self.content(&place);
        self.push("</");
        self.push(&name);
        self.push(if self.state.is_multiple_of(7) { " >" } else { ">" });
    }

    fn content(&mut self, place: &Place) {
        for _ in 0..self.below(7) {
            match self.below(10) {
                0..=2 if place.depth < 7 && self.elements < 60 => self.element(place),
                3 => self.comment(),
                4 => {
                    let inside = self.choose(&["", "<&>", "]]", "a\r\nb\rc", "&amp;", "]", "<![CDATA[", "ä", "]>"]);
                    self.push(&format!("<![CDATA[{inside}]]>"));
                }
                _ => {
                    let text = self.choose(&TEXT);
                    self.push(text);
                }
            }
        }
    }

    fn comment(&mut self) {
        if self.without_comments.ends_with('\r') {
            self.push("x"); // or CR and LF would join where the comment is left out
        }
        let comment = self.choose(&["<!---->", "<!-- c -->", "<!-- - <a> & ]]> -->", "<!--\r\n-->"]);
        self.with_comments.push_str(comment);
    }

    /// Declares new, known, repeated and undone bindings.
    fn declarations(&mut self, place: &mut Place) -> Vec<String> {
        let mut declared: Vec<&str> = Vec::new();
        let mut parts = Vec::new();
        for _ in 0..self.below(4) {
            let prefix = self.choose(&PREFIXES);
            if declared.contains(&prefix) {
                continue;
            }
            declared.push(prefix);
            let known = place.bindings.iter().find(|(p, _)| p == prefix).map(|(_, uri)| uri.clone());
            let uri = match known {
                Some(uri) if self.one_in(3) => uri,
                _ if prefix.is_empty() && self.one_in(3) => String::new(),
                _ => self.choose(&URIS).to_owned(),
            };
            place.bindings.retain(|(p, _)| p != prefix);
            let attribute = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            parts.push(self.quoted(&attribute, &uri));
            place.bindings.push((prefix.to_owned(), uri));
        }
        parts
    }

    fn attributes(&mut self, place: &Place) -> Vec<String> {
        let mut expanded: Vec<(String, String)> = Vec::new();
        let mut parts = Vec::new();
        for _ in 0..self.below(6) {
            let name = match self.below(8) {
                0 => self.choose(&["xml:lang", "xml:space"]).to_owned(),
                _ => self.name(place, false),
            };
            let (prefix, local) = name.split_once(':').unwrap_or(("", &name));
            let uri = place.bindings.iter().find(|(p, _)| p == prefix && !p.is_empty());
            let uri = uri.map_or(prefix, |(_, uri)| uri).to_owned();
            if expanded.contains(&(uri.clone(), local.to_owned())) {
                continue;
            }
            expanded.push((uri, local.to_owned()));
            let value = match name.as_str() {
                "xml:space" => "preserve".to_owned(),
                "xml:lang" => "de".to_owned(),
                _ => (0..self.below(4)).map(|_| self.choose(&VALUES)).collect(),
            };
            parts.push(self.quoted(&name, &value));
        }
        parts
    }

    fn name(&mut self, place: &Place, element: bool) -> String {
        let local = self.choose(&LOCALS);
        let prefixed: Vec<&String> = place.bindings.iter().map(|(p, _)| p).filter(|p| !p.is_empty()).collect();
        if prefixed.is_empty() || self.one_in(if element { 3 } else { 2 }) {
            return local.to_owned();
        }
        format!("{}:{local}", prefixed[self.below(prefixed.len())])
    }

    fn quoted(&mut self, name: &str, value: &str) -> String {
        let equals = self.choose(&["=", "=", "=", " = ", "\n="]);
        let other = self.choose(&["", "", "'"]);
        if self.one_in(2) {
            format!("{name}{equals}\"{value}{}\"", if value.is_empty() { "" } else { other })
        } else {
            format!("{name}{equals}'{value}'")
        }
    }

    fn push(&mut self, text: &str) {
        self.with_comments.push_str(text);
        self.without_comments.push_str(text);
    }

    fn shuffle(&mut self, parts: &mut [String]) {
        for index in (1..parts.len()).rev() {
            let other = self.below(index + 1);
            parts.swap(index, other);
        }
    }

    fn choose<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ((self.state >> 33) as usize) % bound
    }
}
