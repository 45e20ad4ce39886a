//! Arbitrary bytes as instructions.

/// Reads instructions from bytes; what is missing at the end is zero.
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// A change to some text: where, how much goes, and what comes instead.
    pub(super) fn edit(&mut self) -> Edit {
        let (high, low) = (self.byte(), self.byte());
        let cut = usize::from(self.byte());
        let choice = self.byte();
        let text = match TOKENS.get(usize::from(choice.wrapping_sub(16))) {
            Some(token) => token.to_vec(),
            None => self.bytes(usize::from(choice % 16)).to_vec(),
        };
        // Most cuts are short.
        let cut = if cut < 128 { cut % 8 } else { cut * 8 };
        Edit { at: usize::from(u16::from_be_bytes([high, low])), cut, text }
    }
}

/// What hostile messages are made of.
const TOKENS: &[&[u8]] = &[
    b"<",
    b">",
    b"/>",
    b"\"",
    b"&",
    b"&amp;",
    b"&#xD;",
    b"]]>",
    b"<!-- x -->",
    b"<![CDATA[x]]>",
    b"<!DOCTYPE a>",
    b"<?a b?>",
    b"\r\n",
    b"\r\n--BND\r\n",
    b"\r\n--BND--\r\n",
    b"\r\n\r\n",
    b" Id=\"body\"",
    b" Id=\"controlblock\"",
    b" Id=\"storedelivery\"",
    b" Id=\"x\"",
    b" ID=\"body\"",
    b" xml:id=\"body\"",
    b" xmlns:x=\"urn:x\"",
    b" xmlns=\"\"",
    b" xml:lang=\"de\"",
    b"#body",
    b"#",
    b"cid:",
    b"cid:plan.pdf",
    b"<w:W xmlns:w=\"urn:w\" Id=\"w\">",
    b"</w:W>",
    b"<soap:Body Id=\"body\">",
    b"</soap:Body>",
    b"<soap:Header>",
    b"</soap:Header>",
    b"</soap:Envelope>",
    b"<ds:Object>",
    b"</ds:Object>",
    b"<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"></ds:Transform>",
    b"http://www.w3.org/2000/09/xmldsig#sha1",
    b"http://www.w3.org/2001/10/xml-exc-c14n#",
    b"<osci:ContentContainer Id=\"c2\">",
    b"</osci:ContentContainer>",
    b"<osci:Subject>x</osci:Subject>",
    b"<osci:MessageId>YQ==</osci:MessageId>",
    b"<osci:Response>x</osci:Response>",
    b" ConversationId=\"4711\"",
    b" SequenceNumber=\"1\"",
    b"Content-ID: <plan.pdf>\r\n",
    b"Content-ID: <osci@message>\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"\xC3\xA4",
    b"\xFF",
    b"\0",
    b" ",
    b"\t",
    b"\n",
    b"=",
    b"AAAA",
];

/// One change to some text.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    at: usize,
    cut: usize,
    text: Vec<u8>,
}

impl Edit {
    /// Odd places are those where markup begins or ends, so that a change of the text before does not move them much.
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        let mut from = (self.at * (bytes.len() + 1)) >> 16;
        if self.at % 2 == 1 {
            let is_markup = |byte: &u8| b"<>\"= /:\r\n".contains(byte);
            from += bytes[from..].iter().position(is_markup).unwrap_or_default();
        }
        let to = (from + self.cut).min(bytes.len());
        bytes.splice(from..to, self.text.iter().copied());
    }

    pub(super) fn apply_to_text(&self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        self.apply(&mut bytes);
        *text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    }
}
