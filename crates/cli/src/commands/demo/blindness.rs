//! Looks through everything the intermediary keeps for words it must not know.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::letter::{FAMILY_NAME, STREET, SUBJECT};
use super::stage::Stage;
use super::story::Story;
use crate::output::table;

/// Tells what the intermediary knows, and searches its disk for what it must not.
pub(super) fn look(stage: &Stage, story: &mut Story) -> Result<()> {
    story.chapter("What the intermediary saw");
    story.tell(
        "It had to open the outer envelope to know where to put the message. The inner one it cannot open:\n\
         it has no key for that.\n",
    );
    story.tell(&table(
        ["it knows", "it does not know"],
        [
            ["who writes to whom (certificates)", "what the notice says: names, birth dates, addresses"],
            ["when, how many bytes, how many attachments", "what is in the attachment"],
            ["the subject, the names of attachments", "what is signed there, and whether the signatures hold"],
        ],
    ));
    story.tell("");
    let data = stage.directory.join("data");
    let search =
        |word: &str| found(&data, &spellings(word)).with_context(|| format!("cannot search {}", data.display()));
    let (files, subject) = search(SUBJECT)?;
    story.check(subject, "its disk holds the subject in clear: the search works");
    let (_, name) = search(FAMILY_NAME)?;
    let (_, street) = search(STREET)?;
    story.check(!name && !street, format!("neither name nor street of the person is in any of its {files} files"));
    Ok(())
}

/// A word as text, and as it looks within base64 at each of the three positions it can begin at.
fn spellings(word: &str) -> Vec<Vec<u8>> {
    let shifted = (0..3).map(|shift| {
        let padded = [&vec![b' '; shift][..], word.as_bytes()].concat();
        let encoded = base64(&padded);
        // The characters at both ends also depend on the neighbours.
        let inner = &encoded[(shift * 8).div_ceil(6)..padded.len() * 8 / 6];
        inner.as_bytes().to_vec()
    });
    shifted.chain([word.as_bytes().to_vec()]).collect()
}

/// Base64 without padding, for words only.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |position: usize| bytes.get(position / 8).is_some_and(|byte| byte >> (7 - position % 8) & 1 == 1);
    let character =
        |start: usize| (start..start + 6).fold(0, |value, position| value << 1 | usize::from(bit(position)));
    (0..bytes.len() * 8).step_by(6).map(|start| char::from(ALPHABET[character(start)])).collect()
}

/// How many files there are, and whether one of them holds one of the words.
fn found(folder: &Path, words: &[Vec<u8>]) -> io::Result<(usize, bool)> {
    let (mut files, mut any) = (0, false);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (within, hit) = if entry.file_type()?.is_dir() {
            found(&entry.path(), words)?
        } else {
            // Base64 is broken into lines.
            let bytes: Vec<u8> =
                fs::read(entry.path())?.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
            (1, words.iter().any(|word| bytes.windows(word.len()).any(|window| window == word)))
        };
        files += within;
        any |= hit;
    }
    Ok((files, any))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_however_they_are_spelt() {
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        let folder = tempfile::tempdir().unwrap();
        let search = |content: &str| {
            fs::write(folder.path().join("file"), content).unwrap();
            found(folder.path(), &spellings("Größmann")).unwrap()
        };
        for before in ["", "x", "xy", "xyz"] {
            let text = format!("{before}<name>Größmann</name>");
            assert_eq!(search(&text), (1, true));
            let mut encoded = base64(text.as_bytes());
            assert_eq!(search(&encoded), (1, true), "{text}");
            encoded.insert_str(14, "\r\n");
            assert_eq!(search(&encoded), (1, true));
        }
        assert_eq!(search("<name>Großmann</name>"), (1, false));
        assert_eq!(search(&base64("<name>Großmann</name>".as_bytes())), (1, false));
    }
}
