//! The orders as they are written: each with what the plan wants, and chunks of deliveries.

use std::num::NonZeroU32;
use std::sync::Arc;

use rohrpost_osci::compose::{OutDelivery, Outgoing};
use rohrpost_osci::content::{ContainerBuilder, InMemory, PackageBuilder};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{
    BlockError, CertificateEntry, CertificateRole, CertificateUse, DesiredLanguages, Feature, FeatureDescription,
    NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{
    ChunkInformation, ExitDialog, FetchDelivery, FetchProcessCard, ForwardDelivery, GetMessageId, InitDialog,
    MediateCard, MediateDelivery, PartialFetchDelivery, PartialStoreDelivery, RequestHeader, StoreDelivery, StoreWish,
};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::{CardRule, CardSelection, DeliverySelection};
use rohrpost_osci::source::ReadAt;

use crate::matrix::{Cell, Way, carries_delivery};
use crate::talk::{Damage, words, write};
use crate::trial::{Bench, Dialog, Miss, Plan, control};

impl Bench<'_> {
    /// The order of a plan, about this delivery.
    pub(crate) fn compose_for(
        &self,
        plan: &Plan<'_>,
        control: ControlBlock,
        message_id: Option<MessageId>,
    ) -> Result<Outgoing, Miss> {
        let Cell { order, code, .. } = plan.cell;
        let header = header(plan, control)?;
        let quality = TimestampQuality::default();
        let subject = Some(plan.subject.clone());
        let outgoing = match order {
            MessageType::InitDialog => InitDialog { header }.compose(),
            MessageType::ExitDialog => ExitDialog { header }.compose(),
            MessageType::GetMessageId => GetMessageId { header }.compose(),
            MessageType::StoreDelivery => {
                let message_id = message_id.clone();
                StoreDelivery { header, creation: quality, reception: quality, message_id, subject }.compose(content()?)
            }
            MessageType::ForwardDelivery => {
                let (message_id, receiver) = (message_id.clone(), plan.receiver.clone());
                ForwardDelivery { header, creation: quality, reception: quality, receiver, message_id, subject }
                    .compose(content()?)
            }
            MessageType::MediateDelivery => {
                let card = message_id.clone().map(|message_id| MediateCard {
                    message_id,
                    subject,
                    creation: quality,
                    reception: quality,
                });
                MediateDelivery { header, receiver: plan.receiver.clone(), card }.compose(content()?)
            }
            MessageType::FetchDelivery => {
                let selection = match &message_id {
                    Some(id) if code != Code::FurtherDeliveries => DeliverySelection::ById(id.clone()),
                    _ => DeliverySelection::Oldest,
                };
                FetchDelivery { header, selection }.compose()
            }
            MessageType::FetchProcessCard => {
                let selection = match &message_id {
                    Some(id) if code != Code::FurtherProcessCards => {
                        CardSelection { rule: CardRule::ByIds(vec![id.clone()]), limit: None }
                    }
                    _ => CardSelection { rule: CardRule::All, limit: NonZeroU32::new(1) },
                };
                FetchProcessCard { header, selection }.compose()
            }
            MessageType::PartialStoreDelivery => {
                let (wish, chunk) = self.chunk(plan, message_id.as_ref())?;
                let message_id = match &message_id {
                    Some(id) => Some(PartialStoreDelivery::id_for(id).map_err(words)?),
                    None => None,
                };
                PartialStoreDelivery { header, creation: quality, message_id, subject, wish }.compose(chunk)
            }
            MessageType::PartialFetchDelivery => {
                let selection = match &message_id {
                    Some(id) if code != Code::FurtherDeliveries => DeliverySelection::ById(id.clone()),
                    _ => DeliverySelection::Oldest,
                };
                let (number, size) = (Some(u64::from(code != Code::ChunkNumberWrong)), Some(self.chunk_size(code)?));
                let chunk = match code {
                    Code::ChunkInformationContradictory => ChunkInformation { number, ..ChunkInformation::default() },
                    _ => ChunkInformation { number, size, received: Some(Vec::new()), ..ChunkInformation::default() },
                };
                PartialFetchDelivery { header, selection, chunk }.compose()
            }
            other => return Err(Miss::Failed(format!("{other} is not known here"))),
        };
        Ok(outgoing?)
    }

    /// The size of chunks to be stated.
    fn chunk_size(&self, code: Code) -> Result<u64, Miss> {
        let usual = self.setup.chunk_kib.ok_or(Miss::Skipped("the profile names no size of chunks"))?;
        Ok(match code {
            Code::ChunkTooLarge => u64::from(u32::MAX),
            Code::ChunkTooSmall => 0,
            _ => usual,
        })
    }

    /// What is stored in chunks: nothing, unless the code is about that.
    fn chunk(
        &self,
        plan: &Plan<'_>,
        message_id: Option<&MessageId>,
    ) -> Result<(StoreWish, Option<Arc<dyn ReadAt>>), Miss> {
        let code = plan.cell.code;
        let usual = self.chunk_size(Code::ExecutedDialogClosed)?;
        let size = self.chunk_size(code)?;
        let stated = |number, total, message_size| ChunkInformation {
            number: Some(number),
            size: Some(size),
            total: Some(total),
            message_size: Some(message_size),
            received: None,
        };
        let mut bytes = b"not a message".to_vec();
        let information = match code {
            Code::ChunkAlreadyPresent => stated(2, 2, usual),
            Code::ChunkNumberWrong => stated(3, 2, usual),
            Code::ChunkTooLarge | Code::ChunkTooSmall => stated(1, 2, usual),
            Code::MessageTooLarge => stated(1, 2, u64::from(u32::MAX)),
            Code::ChunkInformationContradictory => ChunkInformation { number: Some(1), ..ChunkInformation::default() },
            Code::InnerFeedbackFails => stated(1, 1, 0),
            Code::InnerFeedbackWarns => {
                bytes = self.inner(plan, message_id)?;
                stated(1, 1, bytes.len() as u64 / 1024)
            }
            _ => return Ok((StoreWish::InfoOnly, None)),
        };
        Ok((StoreWish::Chunk(information), Some(Arc::new(bytes))))
    }

    /// The delivery in chunks, as a message of its own that causes a warning.
    fn inner(&self, plan: &Plan<'_>, message_id: Option<&MessageId>) -> Result<Vec<u8>, Miss> {
        let way = Way { signed: false, encrypted: false, explicit: false };
        let code = Code::ReaderCipherCertificateOutsideValidity;
        let cell = Cell { order: MessageType::StoreDelivery, code, way };
        let mut inner = self.plan(cell)?;
        inner.addressee.clone_from(&plan.addressee);
        let order = StoreDelivery {
            header: header(&inner, control(&cell, &Dialog::default()))?,
            creation: TimestampQuality::default(),
            reception: TimestampQuality::default(),
            message_id: message_id.cloned(),
            subject: Some(plan.subject.clone()),
        };
        Ok(write(&order.compose(content()?)?, None, None, Damage::None)?)
    }
}

fn header(plan: &Plan<'_>, control: ControlBlock) -> Result<RequestHeader, BlockError> {
    let mut entries = plan.more.clone();
    let mut add = |role, purpose, der: &[u8]| entries.push(CertificateEntry::new(role, purpose, 0, der));
    if let Some(der) = &plan.cipher {
        add(CertificateRole::Originator, CertificateUse::Cipher, der);
    }
    if let Some((_, der)) = &plan.signature {
        add(CertificateRole::Originator, CertificateUse::Signature, der);
    }
    if carries_delivery(plan.cell.order) {
        add(CertificateRole::Addressee, CertificateUse::Cipher, &plan.addressee);
    }
    Ok(RequestHeader {
        control,
        languages: Some(DesiredLanguages::new(["de"])),
        certificates: NonIntermediaryCertificates::new(entries)?,
        features: Some(FeatureDescription::announcing(Feature::ALL)),
        custom: Vec::new(),
    })
}

/// Something to carry.
pub(crate) fn content() -> Result<OutDelivery, Miss> {
    let container = ContainerBuilder::new("container").data("data", Arc::new(b"Inhalt".to_vec())).build();
    let package = PackageBuilder::new().container(container).build(&InMemory);
    package.map_err(|error| Miss::Failed(words(error)))
}
