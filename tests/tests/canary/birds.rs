//! Canaries: byte strings that occur nowhere else, and finding them however they were written down.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A string that must not be heard of again.
#[derive(Debug, Clone)]
pub(crate) struct Bird(String);

impl Bird {
    pub(crate) fn text(&self) -> String {
        self.0.clone()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// All canaries of a run.
#[derive(Default)]
pub(crate) struct Flock {
    count: u32,
    /// What was hidden, and one way to write it.
    forms: Vec<(String, Vec<u8>)>,
}

impl Flock {
    /// A fresh canary: letters and digits, so that it stands as it is in most forms a text can take.
    pub(crate) fn hatch(&mut self, name: &str) -> Bird {
        self.count += 1;
        let mark = rohrpost_crypto::sha256(format!("canary {} {name}", self.count).as_bytes());
        let mark: String = mark.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let bird = Bird(format!("kanari{mark}"));
        self.add(name, bird.bytes());
        bird
    }

    /// Listens for these bytes.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        let name = |form: &str| format!("{name} ({form})");
        self.forms.push((name("as it is"), bytes.to_vec()));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.forms.push((name("HEX"), hex.to_uppercase().into()));
        self.forms.push((name("hex"), hex.into()));
        for (form, upper) in [("percent", true), ("percent, small", false)] {
            let percent: String =
                bytes.iter().map(|byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") }).collect();
            self.forms.push((name(form), percent.into()));
        }
        let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
        self.forms.push((name("list of numbers"), list.join(", ").into()));
        self.forms.push((name("list of numbers, tight"), list.join(",").into()));
        let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        self.forms.push((name("escaped"), escaped.into()));
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            // Wherever it begins in a longer text: what depends on its neighbours is cut off.
            for before in 0..3 {
                let coded = engine.encode([&vec![0; before], bytes].concat());
                let end = (before + bytes.len()) * 8 / 6;
                self.forms.push((name("base64"), coded[(before * 8).div_ceil(6)..end].into()));
            }
        }
    }

    /// Listens for pieces of a key, except for what its certificate tells everybody.
    pub(crate) fn add_key(&mut self, name: &str, key: &[u8], public: &[u8]) {
        for piece in key.chunks_exact(16).step_by(3) {
            let is_public = public.windows(8).any(|known| piece.windows(8).any(|part| part == known));
            // The first bytes say only what kind of key it is.
            if !is_public && piece.iter().collect::<BTreeSet<_>>().len() > 10 {
                self.add(name, piece);
            }
        }
    }

    /// What of all that is in these bytes.
    pub(crate) fn heard_in(&self, bytes: &[u8]) -> Vec<String> {
        let is_in = |form: &[u8]| memchr::memmem::find(bytes, form).is_some();
        self.forms
            .iter()
            .filter(|(_, form)| is_in(form))
            .map(|(name, form)| format!("{name}: {}", String::from_utf8_lossy(form)))
            .collect()
    }
}

#[test]
fn every_form_is_heard() {
    let mut flock = Flock::default();
    let bird = flock.hatch("x");
    let text = bird.text();
    for before in ["", "a", "ab", "abc"] {
        for after in ["", "z", "zy"] {
            let longer = format!("{before}{text}{after}");
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                assert!(!flock.heard_in(engine.encode(&longer).as_bytes()).is_empty(), "{longer}");
            }
        }
    }
    for form in [
        format!("x{text}y"),
        format!("{:?}", text.as_bytes()),
        format!("{:02x?}", text.as_bytes()).replace(", ", ""),
        text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
    ] {
        assert!(!flock.heard_in(form.as_bytes()).is_empty(), "{form}");
    }
    assert!(flock.heard_in(b"nothing").is_empty());
}
