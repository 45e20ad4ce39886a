//! Identifiers and points in time.

use rohrpost_osci::datetime::DateTime;
use rohrpost_osci::feedback::CodeNumber;
use rohrpost_osci::ids::{Challenge, ConversationId, MessageId};

/// A text as each of the small values a message carries.
pub fn identifiers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    message_id(text);
    date_time(text);
    if let Ok(id) = ConversationId::new(text) {
        assert!(id.as_str() == text && text.len() <= ConversationId::MAX_LEN);
    }
    if let Ok(challenge) = Challenge::new(text) {
        assert!(challenge.as_str() == text && text.len() <= Challenge::MAX_LEN);
        assert_eq!(format!("{challenge:?}"), format!("Challenge({} bytes)", text.len()), "challenges are not shown");
    }
    if let Ok(code) = text.parse::<CodeNumber>() {
        assert_eq!(code.to_string(), text.trim_ascii());
        assert!(code.known().is_none_or(|known| code == known && known.to_string() == code.to_string()));
    }
}

fn message_id(text: &str) {
    for id in [MessageId::new(text), MessageId::from_base64(text)].into_iter().flatten() {
        assert!(!id.as_str().is_empty() && id.as_str().len() <= MessageId::MAX_LEN);
        assert_eq!(MessageId::from_base64(&id.to_base64()).as_ref(), Ok(&id));
        assert_eq!(MessageId::new(id.as_str()).as_ref(), Ok(&id));
    }
}

fn date_time(text: &str) {
    let Ok(read) = DateTime::parse(text) else { return };
    assert_eq!(read.as_str(), text.trim_ascii(), "what was read is written again");
    assert_eq!(DateTime::parse(read.as_str()).as_ref(), Ok(&read));
    let written = DateTime::from(read.at());
    let again = DateTime::parse(written.as_str()).expect("what we write can be read");
    assert_eq!(again.as_str(), written.as_str());
    assert!((read.at() - again.at()).whole_milliseconds() == 0, "finer than milliseconds is cut off");
}
