use rohrpost_xmlsec::tree::Element;

use super::{Block, BlockError, read};
use crate::dialog::ControlBlock;
use crate::ids::{Challenge, ConversationId};
use crate::ns::{ACTOR_NEXT, NS5, OSCI};
use crate::xml::{escape_attribute, escape_text};

/// Reads the header block `ControlBlock`. Values are taken character by character, white space included.
///
/// # Errors
/// If there are other children than one `Response` and one `Challenge`, or the sequence number is no 31-bit number.
pub fn control_block_from(element: &Element) -> Result<ControlBlock, BlockError> {
    let (mut response, mut challenge) = (None, None);
    for child in read::children(element)? {
        let slot = match child.name().local() {
            "Response" if read::is(child, OSCI, "Response") => &mut response,
            "Challenge" if read::is(child, OSCI, "Challenge") => &mut challenge,
            _ => return Err(read::unexpected(element, child)),
        };
        let value = Challenge::new(read::leaf(child)?).map_err(read::bad_identifier(child.name().local()))?;
        read::once(slot, value, element, child)?;
    }
    let conversation_id = match element.attr("ConversationId") {
        Some(text) => Some(ConversationId::new(text).map_err(read::bad_identifier("ConversationId"))?),
        None => None,
    };
    let sequence_number = match element.attr("SequenceNumber") {
        Some(text) => {
            Some(sequence_number(text).ok_or_else(|| read::bad_value(element, "SequenceNumber is no number"))?)
        }
        None => None,
    };
    Ok(ControlBlock { response, challenge, conversation_id, sequence_number })
}

/// Writes the header block `ControlBlock`.
pub fn control_block_to_block(control: &ControlBlock) -> Block {
    let mut text = format!("<osci:ControlBlock{NS5}");
    if let Some(id) = &control.conversation_id {
        text += &format!(r#" ConversationId="{}""#, escape_attribute(id.as_str()));
    }
    text += &format!(r#" Id="{ID}""#);
    if let Some(number) = control.sequence_number {
        text += &format!(r#" SequenceNumber="{number}""#);
    }
    text += ACTOR_NEXT;
    text.push('>');
    for (name, value) in [("Response", &control.response), ("Challenge", &control.challenge)] {
        if let Some(value) = value {
            text += &format!("<osci:{name}>{}</osci:{name}>", escape_text(value.as_str()));
        }
    }
    text += "</osci:ControlBlock>";
    Block::written(ID, text)
}

const ID: &str = "controlblock";

fn sequence_number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok()? } else { return None };
    (number <= i32::MAX as u32).then_some(number)
}
