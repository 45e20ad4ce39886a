//! GetMessageId: issues a token, writes nothing.

use super::{Done, HandOut, Order};

pub(super) fn execute(order: &Order<'_>) -> Done {
    let parts = &order.intermediary.parts;
    Done::with(HandOut::MessageId(parts.message_ids.issue(parts.random.as_ref(), order.context.now)))
}
