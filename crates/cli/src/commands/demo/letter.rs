//! What the demo sends: a move-in notice in the manner of the German registration authorities, and the landlord's
//! confirmation as PDF. Both are made up here, for nobody who exists.

use time::Date;

/// A word of the notice that nobody but author and reader may see.
pub(super) const FAMILY_NAME: &str = "Größmann-Weißhäupl";

/// Another one.
pub(super) const STREET: &str = "Königsbrücker Straße";

/// What the intermediary may see: who looks at the process card learns what kind of message it is, not whom it is about.
pub(super) const SUBJECT: &str = "Rückmeldung (Beispiel)";

/// Name of the attachment, readable for the intermediary as every MIME header is.
pub(super) const ATTACHMENT: &str = "wohnungsgeberbestaetigung.pdf";

/// The notice of the new authority to the old one that somebody has moved.
pub(super) fn notice(moved_in: Date) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- BEISPIEL: frei erfundene Nachricht nach Art des Meldewesens. Keine Nachricht nach XMeld, keine wirklichen Personen. -->
<rueckmeldung xmlns="urn:rohrpost:beispiel:rueckmeldung" beispiel="ja">
  <kopf>
    <art>Rückmeldung nach Anmeldung einer neuen Wohnung</art>
    <absender schluessel="ags:99000001">Meldebehörde Musterstadt</absender>
    <empfaenger schluessel="ags:99000002">Meldebehörde Beispielhausen</empfaenger>
    <erstellt>{moved_in}</erstellt>
  </kopf>
  <person>
    <familienname>{FAMILY_NAME}</familienname>
    <geburtsname>Süßmilch</geburtsname>
    <vornamen>Jördis Änne</vornamen>
    <geburtsdatum>1984-02-29</geburtsdatum>
    <geburtsort>Übersee &amp; Öd</geburtsort>
  </person>
  <zuzug datum="{moved_in}">
    <neueWohnung>
      <strasse>{STREET}</strasse>
      <hausnummer>7b</hausnummer>
      <postleitzahl>99998</postleitzahl>
      <ort>Musterstadt</ort>
    </neueWohnung>
    <bisherigeWohnung>
      <strasse>Am Mühlgäßchen</strasse>
      <hausnummer>12</hausnummer>
      <postleitzahl>99999</postleitzahl>
      <ort>Beispielhausen</ort>
    </bisherigeWohnung>
  </zuzug>
  <anlage art="Wohnungsgeberbestätigung">{ATTACHMENT}</anlage>
</rueckmeldung>
"#
    )
}

/// The landlord's confirmation: one page, PDF 1.4.
pub(super) fn confirmation(moved_in: Date) -> Vec<u8> {
    let lines = [
        "BEISPIEL - Wohnungsgeberbest\u{e4}tigung".to_owned(),
        String::new(),
        "Frei erfunden, f\u{fc}r die Vorf\u{fc}hrung von Rohrpost.".to_owned(),
        String::new(),
        format!("Hiermit wird der Einzug von J\u{f6}rdis \u{c4}nne {FAMILY_NAME}"),
        format!("am {moved_in} in die Wohnung {STREET} 7b, 99998 Musterstadt, best\u{e4}tigt."),
    ];
    let mut text = b"BT /F1 12 Tf 18 TL 72 770 Td".to_vec();
    for line in &lines {
        text.extend_from_slice(b"\n(");
        text.extend(line.chars().flat_map(escaped));
        text.extend_from_slice(b") Tj T*");
    }
    text.extend_from_slice(b"\nET\n");
    let mut stream = format!("<< /Length {} >>\nstream\n", text.len()).into_bytes();
    stream.extend_from_slice(&text);
    stream.extend_from_slice(b"endstream");
    document(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_vec(),
        stream,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
    ])
}

/// A character in the font's encoding, which for these is Latin-1.
fn escaped(c: char) -> Vec<u8> {
    match (c, u8::try_from(c)) {
        ('(' | ')' | '\\', Ok(byte)) => vec![b'\\', byte],
        (_, Ok(byte)) => vec![byte],
        _ => vec![b'?'],
    }
}

/// Objects with their numbers, and the table of their places.
fn document(objects: &[Vec<u8>]) -> Vec<u8> {
    // The second line tells programs for the transfer of files that this is no text.
    let mut pdf = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(objects) {
        table.push_str(&format!("{:010} 00000 n \n", pdf.len()));
        pdf.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
        pdf.extend_from_slice(object);
        pdf.extend_from_slice(b"\nendobj\n");
    }
    let start = pdf.len();
    let size = objects.len() + 1;
    pdf.extend_from_slice(table.as_bytes());
    pdf.extend_from_slice(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").as_bytes());
    pdf
}

#[cfg(test)]
mod tests {
    use rohrpost_xmlsec::tree::Element;
    use rohrpost_xmlsec::{Limits, NsContext};
    use time::macros::date;

    use super::*;

    #[test]
    fn the_notice_is_xml() {
        let text = notice(date!(2026 - 05 - 01));
        let element = text[text.find("<rueckmeldung").unwrap()..].trim_end();
        let notice = Element::parse(element.as_bytes(), &Limits::default(), &NsContext::empty()).unwrap();
        assert_eq!(notice.name().local(), "rueckmeldung");
        assert!(text.contains("BEISPIEL") && text.contains(FAMILY_NAME) && text.contains(STREET));
    }

    #[test]
    fn the_table_of_the_pdf_leads_to_its_objects() {
        let pdf = confirmation(date!(2026 - 05 - 01));
        let text: String = pdf.iter().map(|byte| char::from(*byte)).collect();
        let start = text.rsplit_once("startxref\n").unwrap().1.split_once('\n').unwrap().0.parse::<usize>().unwrap();
        let table = &text[text.char_indices().nth(start).unwrap().0..];
        assert!(table.starts_with("xref\n0 6\n"));
        let entries: Vec<&str> = table.lines().skip(3).take(5).collect();
        for (number, entry) in (1..).zip(entries) {
            let place: usize = entry[..10].parse().unwrap();
            assert!(pdf[place..].starts_with(format!("{number} 0 obj\n").as_bytes()), "{entry}");
            assert_eq!(entry.len() + 1, 20, "an entry has 20 bytes with its line end");
        }
        let length = text.split_once("/Length ").unwrap().1.split_once(' ').unwrap().0.parse::<usize>().unwrap();
        let stream = text.split_once("stream\n").unwrap().1;
        assert!(stream.chars().skip(length).collect::<String>().starts_with("endstream"));
    }
}
