//! StoreDelivery: into the mailbox of the addressee.

use rohrpost_osci::card::{ProcessCard, ProcessCardBundle};
use rohrpost_osci::message::StoreDelivery;

use super::taking::Begun;
use super::{Done, HandOut, Order};
use crate::handle::Stop;

pub(super) fn execute(order: &Order<'_>, request: &StoreDelivery) -> Result<Done, Stop> {
    let message_id = match order.usable_id(request.message_id.as_ref()) {
        Ok(message_id) => message_id,
        Err(code) => return Ok(Done::refused(code)),
    };
    let wish = (request.creation, request.reception);
    let begun = match order.taking(message_id, request.subject.as_ref(), None, wish).begin()? {
        Ok(begun) => begun,
        Err(code) => return Ok(Done::refused(code)),
    };
    let Begun { report, creation, accepting } = begun;
    let now = order.context.now;
    let card = ProcessCard {
        recent_modification: now.into(),
        creation: Some(creation),
        forwarding: None,
        reception: None,
        subject: request.subject.clone(),
    };
    let bundle = ProcessCardBundle { message_id: message_id.clone(), card, report };
    Ok(Done { accepting: Some(accepting), ..Done::with(HandOut::Card(Box::new(bundle))) })
}
