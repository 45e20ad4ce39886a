//! What was stored, as it goes out: content, attachments, certificates and custom blocks unchanged (OSCI-Transport 1.2, what an
//! intermediary must preserve), and the card with the stamp of this moment.

use std::sync::Arc;

use rohrpost_crypto::Digest;
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery};
use rohrpost_osci::header::{CustomBlock, NonIntermediaryCertificates};
use rohrpost_osci::mime::Part;
use rohrpost_osci::source::ReadAt;
use rohrpost_store::{Attachment, Content, StoredDelivery};
use time::OffsetDateTime;

use crate::handle::Stop;
use crate::orders::bundle;

/// The parts of a message that hands a delivery out.
pub(crate) struct HandedOut {
    pub(crate) certificates: NonIntermediaryCertificates,
    pub(crate) custom: Vec<CustomBlock>,
    pub(crate) card: ProcessCardBundle,
    pub(crate) delivery: OutDelivery,
}

impl HandedOut {
    /// A stored delivery that is handed out now.
    pub(crate) fn new(delivery: StoredDelivery, now: OffsetDateTime) -> Result<Self, Stop> {
        let certificates = match &delivery.certificates {
            Some(text) => NonIntermediaryCertificates::from_text(text).map_err(Stop::internal)?,
            None => NonIntermediaryCertificates::default(),
        };
        let custom = delivery.custom_headers.iter().map(CustomBlock::kept).collect::<Result<_, _>>();
        let mut card = delivery.card;
        card.received = None;
        if card.forwarded.is_none() {
            // As the store will note it: never before the acceptance, nor does the card's last change go back.
            let at = now.max(card.created);
            card.forwarded = Some(at);
            card.modified = card.modified.max(at);
        }
        Ok(Self {
            certificates,
            custom: custom.map_err(Stop::internal)?,
            card: bundle(card),
            delivery: out_delivery(&delivery.body, &delivery.content, &delivery.attachments),
        })
    }
}

/// Content and attachments where they lie.
pub(crate) fn out_delivery(body: &Arc<dyn ReadAt>, content: &Content, attachments: &[Attachment]) -> OutDelivery {
    OutDelivery {
        package: OutContent::kept(Arc::clone(body), content.range.clone(), &content.namespaces),
        attachments: attachments.iter().map(|attachment| out_attachment(body, attachment)).collect(),
    }
}

fn out_attachment(body: &Arc<dyn ReadAt>, stored: &Attachment) -> OutAttachment {
    let part = Part::kept(
        stored.content_id.clone(),
        stored.content_type.clone(),
        stored.encoding,
        stored.extra_headers.clone(),
        stored.range.clone(),
    );
    OutAttachment::received(Arc::clone(body), &part, stored.length, Some(Digest::from(stored.sha256)))
}
