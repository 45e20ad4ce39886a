//! Which parts a control block must, may or must not have, by message type.

use thiserror::Error;

use super::ControlBlock;
use crate::ns::MessageType;

/// Whether a part of the control block has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Has to be there.
    Required,
    /// May be there.
    Optional,
    /// Must not be there.
    Forbidden,
}

/// A part of the control block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// `Response`
    Response,
    /// `Challenge`
    Challenge,
    /// `ConversationId`
    ConversationId,
    /// `SequenceNumber`
    SequenceNumber,
}

/// A control block that does not fit its message type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Misplaced {
    /// A required part is not there.
    #[error("the control block lacks {0:?}")]
    Missing(Part),
    /// A forbidden part is there.
    #[error("the control block must not have {0:?}")]
    Unexpected(Part),
}

/// What the control block of one message type looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// For `Response`.
    pub response: Presence,
    /// For `Challenge`.
    pub challenge: Presence,
    /// For `ConversationId`.
    pub conversation_id: Presence,
    /// For `SequenceNumber`.
    pub sequence_number: Presence,
}

impl Rule {
    /// The rule for a message type; `None` for the encrypted envelope, which has no control block.
    ///
    /// For responses and for requests to passive recipients it is what the reference implementation enforces, for
    /// requests to an intermediary what the schemas say.
    pub const fn of(message: MessageType) -> Option<Self> {
        use MessageType as M;
        Some(match message {
            M::InitDialog | M::AcceptDelivery | M::ProcessDelivery => Self::new(b"0100"),
            M::ResponseToInitDialog => Self::new(b"1110"),
            M::ExitDialog
            | M::FetchDelivery
            | M::PartialFetchDelivery
            | M::FetchProcessCard
            | M::MediateDelivery
            | M::ResponseToFetchDelivery
            | M::ResponseToPartialFetchDelivery
            | M::ResponseToFetchProcessCard
            | M::ResponseToMediateDelivery => Self::new(b"1111"),
            M::ResponseToExitDialog => Self::new(b"1011"),
            M::GetMessageId | M::StoreDelivery | M::PartialStoreDelivery | M::ForwardDelivery => Self::new(b"-1-1"),
            M::ResponseToGetMessageId | M::ResponseToStoreDelivery | M::ResponseToPartialStoreDelivery => {
                Self::new(b"1-11")
            }
            M::ResponseToForwardDelivery => Self::new(b"1--1"),
            M::ResponseToAcceptDelivery | M::ResponseToProcessDelivery => Self::new(b"1000"),
            M::MessageEncrypted => return None,
        })
    }

    /// Whether the control block has all it needs and nothing it must not have.
    ///
    /// # Errors
    /// The first part, in the order of [`Part`], that is misplaced.
    pub fn check(&self, block: &ControlBlock) -> Result<(), Misplaced> {
        let parts = [
            (Part::Response, self.response, block.response.is_some()),
            (Part::Challenge, self.challenge, block.challenge.is_some()),
            (Part::ConversationId, self.conversation_id, block.conversation_id.is_some()),
            (Part::SequenceNumber, self.sequence_number, block.sequence_number.is_some()),
        ];
        for (part, presence, is_there) in parts {
            match (presence, is_there) {
                (Presence::Required, false) => return Err(Misplaced::Missing(part)),
                (Presence::Forbidden, true) => return Err(Misplaced::Unexpected(part)),
                _ => {}
            }
        }
        Ok(())
    }

    /// One column per part, as the protocol's table has them: `1` required, `0` forbidden, `-` optional.
    const fn new(columns: &[u8; 4]) -> Self {
        Self {
            response: presence(columns[0]),
            challenge: presence(columns[1]),
            conversation_id: presence(columns[2]),
            sequence_number: presence(columns[3]),
        }
    }
}

/// Whether this order is only possible between InitDialog and ExitDialog, because it proves who the client is.
pub const fn needs_explicit_dialog(message: MessageType) -> bool {
    matches!(
        message,
        MessageType::ExitDialog
            | MessageType::FetchDelivery
            | MessageType::PartialFetchDelivery
            | MessageType::FetchProcessCard
            | MessageType::MediateDelivery
    )
}

const fn presence(column: u8) -> Presence {
    match column {
        b'1' => Presence::Required,
        b'0' => Presence::Forbidden,
        _ => Presence::Optional,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Challenge, ConversationId};

    #[test]
    fn every_message_with_a_control_block_has_a_rule() {
        for message in MessageType::ALL {
            assert_eq!(Rule::of(message).is_none(), message == MessageType::MessageEncrypted);
        }
    }

    #[test]
    fn missing_and_unexpected_parts_are_named() {
        let full = ControlBlock {
            response: Some(Challenge::new("r").unwrap()),
            challenge: Some(Challenge::new("c").unwrap()),
            conversation_id: Some(ConversationId::new("1").unwrap()),
            sequence_number: Some(0),
        };
        let empty = ControlBlock::default();
        for (message, with_all, with_none) in [
            (MessageType::InitDialog, Some(Misplaced::Unexpected(Part::Response)), Misplaced::Missing(Part::Challenge)),
            (
                MessageType::ResponseToInitDialog,
                Some(Misplaced::Unexpected(Part::SequenceNumber)),
                Misplaced::Missing(Part::Response),
            ),
            (
                MessageType::ResponseToExitDialog,
                Some(Misplaced::Unexpected(Part::Challenge)),
                Misplaced::Missing(Part::Response),
            ),
            (MessageType::FetchDelivery, None, Misplaced::Missing(Part::Response)),
            (MessageType::StoreDelivery, None, Misplaced::Missing(Part::Challenge)),
            (
                MessageType::ResponseToAcceptDelivery,
                Some(Misplaced::Unexpected(Part::Challenge)),
                Misplaced::Missing(Part::Response),
            ),
        ] {
            let rule = Rule::of(message).unwrap();
            assert_eq!(rule.check(&full).err(), with_all, "{message}");
            assert_eq!(rule.check(&empty).err(), Some(with_none), "{message}");
        }
    }

    #[test]
    fn the_conversation_id_is_required_where_clients_insist_on_it() {
        for message in [
            MessageType::ResponseToGetMessageId,
            MessageType::ResponseToStoreDelivery,
            MessageType::ResponseToPartialStoreDelivery,
        ] {
            assert_eq!(Rule::of(message).unwrap().conversation_id, Presence::Required);
        }
    }
}
