//! The MIME framing of a message.

use std::io::{self, Read as _};

use rohrpost_crypto::sha256;
use rohrpost_osci::mime::{Boundary, Encoding, Limits, MimeError, Multipart, Part, PartHead, Writer};
use rohrpost_osci::source::{ReadAt, Slice, read_range};
use rohrpost_xmlsec::base64::decode;

/// Bytes as the body of an HTTP request.
pub fn mime(data: &[u8]) {
    let scanned = Multipart::scan(&data, &Limits::default());
    source_does_not_matter(data, &scanned);
    let Ok(message) = scanned else { return };
    let parts = all(&message);
    ranges_are_in_order(data, &parts);
    parts.iter().for_each(|part| part_decodes(data, part));
    written_again(data, &message);
}

fn all(message: &Multipart) -> Vec<&Part> {
    std::iter::once(message.root()).chain(message.attachments()).collect()
}

/// A medium that gives a few bytes at a time, and a view into the middle of something larger, make no difference.
fn source_does_not_matter(data: &[u8], scanned: &Result<Multipart, MimeError>) {
    let outcome = |result: &Result<Multipart, MimeError>| match result {
        Ok(message) => Ok(all(message).into_iter().cloned().collect::<Vec<_>>()),
        Err(error) => Err(format!("{error:?}")),
    };
    let expected = outcome(scanned);
    // A few hundred reads are enough.
    let size = 1 + data.len() % 7 + data.len() / 256;
    assert_eq!(outcome(&Multipart::scan(&Trickle { data, size }, &Limits::default())), expected, "in small pieces");
    let larger = [b"\r\n--x\r\n", data, b"\r\n--x--\r\n"].concat();
    let view = Slice::new(&larger, 7..7 + data.len() as u64);
    assert_eq!(outcome(&Multipart::scan(&view, &Limits::default())), expected, "as a view");
}

/// Ranges lie in the source one after the other, each between an empty line and a boundary.
fn ranges_are_in_order(data: &[u8], parts: &[&Part]) {
    let mut behind = 0;
    let mut names = std::collections::HashSet::new();
    for part in parts {
        let (start, end) = (index(part.range.start), index(part.range.end));
        assert!(behind < start && start <= end && end <= data.len(), "{behind} {:?} {}", part.range, data.len());
        assert!(data[..start].ends_with(b"\r\n"), "headers end with an empty line");
        let boundary = |at: usize| data[at..].starts_with(b"\r\n--");
        assert!(boundary(end) || (start == end && boundary(end - 2)), "a boundary follows");
        assert!(!part.content_id.is_empty() && names.insert(&part.content_id), "names are unique");
        behind = end;
    }
}

fn part_decodes(data: &[u8], part: &Part) {
    let raw = read_range(&data, part.range.clone()).expect("ranges lie in the source");
    assert_eq!(raw, &data[index(part.range.start)..index(part.range.end)]);
    let mut decoded = Vec::new();
    let read = part.reader(data).read_to_end(&mut decoded);
    match part.encoding {
        Encoding::Raw => assert_eq!(decoded, raw),
        Encoding::Base64 => {
            assert!(decoded.len() <= raw.len() / 4 * 3 + 3, "base64 does not grow");
            assert_eq!(read.ok().map(|_| decoded), decode(&raw).ok());
        }
    }
}

/// What was read can be written by us and read again.
fn written_again(data: &[u8], message: &Multipart) {
    // Our headers are a little longer than the shortest that are read, and our root part has a name of its own.
    let fits = |part: &Part| part.extra_headers.len() < 50 && part.content_id != "osci@message";
    if data.len() > 20_000 || !message.attachments().iter().all(fits) {
        return;
    }
    let contents: Option<Vec<_>> = message.attachments().iter().map(|part| content(data, part)).collect();
    let Some(contents) = contents else { return };
    let written = write(data, message, &contents).expect("a Vec takes everything");
    let again = Multipart::scan(&written, &Limits::default()).expect("what we write can be read");
    assert_eq!(again.attachments().len(), contents.len());
    for ((before, after), content) in message.attachments().iter().zip(again.attachments()).zip(contents) {
        let head = |part: &Part| {
            (part.content_id.clone(), part.content_type.clone(), part.encoding, part.extra_headers.clone())
        };
        assert_eq!(head(before), head(after));
        assert_eq!(self::content(&written, after), Some(content));
    }
}

fn write(data: &[u8], message: &Multipart, contents: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    let mut random = [0; 24];
    random.copy_from_slice(&sha256(data)[..24]);
    let mut writer = Writer::new(Vec::new(), &Boundary::from_random(random))?;
    io::Write::write_all(writer.root()?, b"<a></a>")?;
    for (part, content) in message.attachments().iter().zip(contents) {
        let head = PartHead {
            content_id: &part.content_id,
            content_type: &part.content_type,
            encoding: part.encoding,
            extra_headers: &part.extra_headers,
        };
        writer.attachment(&head, content.len() as u64, &mut content.as_slice())?;
    }
    writer.finish()
}

fn content(data: &[u8], part: &Part) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    part.reader(data).read_to_end(&mut content).ok().map(|_| content)
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("offsets in a slice fit")
}

/// Gives at most `size` bytes at a time.
struct Trickle<'a> {
    data: &'a [u8],
    size: usize,
}

impl ReadAt for Trickle<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf.len().min(self.size);
        self.data.read_at(offset, &mut buf[..wanted])
    }

    fn len(&self) -> u64 {
        self.data.len() as u64
    }
}
