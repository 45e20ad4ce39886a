//! Canonical XML against libxml2's.
//!
//! Out of process, by `xmllint --c14n`: a binding to libxml2 would bring `unsafe` code and a C library into the process whose memory
//! safety the other targets rely on, and would be another dependency of every test run. Starting a process costs some milliseconds, which is paid
//! only for documents that our reader accepts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rohrpost_xmlsec::c14n::{Canonicalizer, Dialect};
use rohrpost_xmlsec::reader::StrictReader;
use rohrpost_xmlsec::{Limits, NsContext, XmlError};

/// Bytes as a document that both read the same way.
pub fn canonical_xml(data: &[u8]) {
    let Ok(ours) = canonical(data) else { return };
    let ours = String::from_utf8(ours).expect("canonical XML is UTF-8");
    // Canonical XML 1.0 knows no relative namespace names, and libxml2 refuses them; nor does it go as deep as we do, or take a long name.
    match libxml2(data) {
        Ok(theirs) => assert_eq!(ours, without_comments(&theirs), "libxml2 reads something else"),
        Err(message) => {
            let excused = ["elative", "is not absolute", "Excessive depth", "too long", "too deep", "Namespace"];
            assert!(excused.iter().any(|text| message.contains(text)), "libxml2 does not accept it: {message}\n{ours}");
        }
    }
}

fn canonical(data: &[u8]) -> Result<Vec<u8>, XmlError> {
    let mut reader = StrictReader::new(data, &Limits::default());
    reader.next()?;
    let mut canonicalizer = Canonicalizer::new(Vec::new(), Dialect::Textbook, &NsContext::empty());
    canonicalizer.copy_element(&mut reader)?;
    reader.next()?;
    canonicalizer.finish().map_err(XmlError::Output)
}

/// The canonical form with comments (`xmllint` makes no other), or what it complains about.
fn libxml2(data: &[u8]) -> Result<String, String> {
    let mut child = Command::new("xmllint")
        .args(["--nonet", "--c14n", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint runs (package libxml2-utils)");
    // It reads everything before it writes. It may also stop reading, which is its way of complaining.
    let _ = child.stdin.take().expect("it is piped").write_all(data);
    let output = child.wait_with_output().expect("it ends");
    if output.status.success() && !output.stdout.is_empty() {
        String::from_utf8(output.stdout).map_err(|error| error.to_string())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// In canonical XML, `<!--` stands for nothing but the beginning of a comment. Outside the document element each comment has a line.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("<!--") {
        out.push_str(&rest[..start]);
        // A comment may begin with `>`.
        let comment = &rest[start + "<!--".len()..];
        let (_, behind) = comment.split_once("-->").expect("comments end");
        rest = behind;
        if out.is_empty() {
            rest = rest.strip_prefix('\n').expect("a line for each comment before the element");
        }
    }
    out.push_str(rest);
    // Text cannot follow the document element.
    out.trim_end_matches('\n').to_owned()
}
