//! FetchDelivery: one delivery for the owner of the mailbox (OSCI-Transport 1.2, selecting a delivery).

use rohrpost_osci::feedback::Code;
use rohrpost_osci::message::FetchDelivery;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_store::FetchRule;

use super::{Done, HandOut, Order};
use crate::entrance::Entrance;
use crate::handle::Stop;

pub(super) fn execute(order: &Order<'_>, request: &FetchDelivery, entrance: &mut Entrance<'_>) -> Result<Done, Stop> {
    let Some(mailbox) = order.proven_mailbox(entrance) else { return Ok(Done::refused(Code::OrderFailed)) };
    let Some(dialog) = entrance.dialog() else { return Ok(Done::refused(Code::ExplicitDialogNeeded)) };
    let rule = match &request.selection {
        DeliverySelection::Oldest => FetchRule::Oldest { not_in: dialog.handed_out() },
        DeliverySelection::ById(id) => FetchRule::ById(id),
        DeliverySelection::Since(time) => FetchRule::Since(time.at()),
    };
    let store = &order.intermediary.parts.store;
    match store.next_delivery(&mailbox, rule).map_err(Stop::internal)? {
        None => Ok(Done::refused(Code::NoMatchingDelivery)),
        Some(delivery) => {
            let more = delivery.more;
            Ok(Done::with(HandOut::Delivery(Box::new(delivery))).warning_if(more, Code::FurtherDeliveries))
        }
    }
}
