//! What clients want.

use std::fmt;

use rohrpost_osci::ids::MessageId;
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::{CardSelection, DeliverySelection};

/// Something to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shipment {
    /// Unique in a run; the content follows from it.
    pub(super) number: u64,
    pub(super) to: &'static str,
    pub(super) size: usize,
    pub(super) id: Option<MessageId>,
}

impl Shipment {
    pub(super) fn subject(&self) -> String {
        format!("shipment {}", self.number)
    }

    /// The content, which is of no other shipment.
    pub(super) fn data(&self) -> Vec<u8> {
        format!("<content of=\"{}\"/>", self.number).bytes().cycle().take(self.size).collect()
    }
}

/// A request.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Init,
    Exit,
    Id,
    Store(Shipment),
    Fetch(DeliverySelection),
    Cards(CardSelection),
}

impl Ask {
    pub(super) fn message_type(&self) -> MessageType {
        match self {
            Self::Init => MessageType::InitDialog,
            Self::Exit => MessageType::ExitDialog,
            Self::Id => MessageType::GetMessageId,
            Self::Store(_) => MessageType::StoreDelivery,
            Self::Fetch(_) => MessageType::FetchDelivery,
            Self::Cards(_) => MessageType::FetchProcessCard,
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(shipment) => {
                let id = shipment.id.as_ref().map_or("", MessageId::as_str);
                write!(f, "store {} for {} as {}", shipment.number, shipment.to, short(id))
            }
            Self::Fetch(DeliverySelection::Oldest) => f.write_str("fetch oldest"),
            Self::Fetch(DeliverySelection::ById(id)) => write!(f, "fetch {}", short(id.as_str())),
            Self::Fetch(DeliverySelection::Since(_)) => f.write_str("fetch since"),
            other => f.write_str(other.message_type().name()),
        }
    }
}

/// Enough of a message id to tell it from others.
pub(super) fn short(id: &str) -> &str {
    id.get(10..18).unwrap_or(id)
}
