//! What a header block is, by its name.

use super::BlockKind;
use crate::ns::{DS, MessageType, OSCI, OSCI2017, SOAP, XENC};

/// `None` for what is no header block of this message type: the order of another one, and elements that have their place
/// elsewhere. Handed on as a custom block, such an element would be taken for the real one by some readers.
pub(super) fn kind_of(uri: Option<&str>, local: &str, message_type: MessageType) -> Option<BlockKind> {
    let kind = match (uri, local) {
        (Some(OSCI), "ControlBlock") => BlockKind::ControlBlock,
        (Some(OSCI), "DesiredLanguages") => BlockKind::DesiredLanguages,
        (Some(OSCI), "QualityOfTimestamp") => BlockKind::QualityOfTimestamp,
        (Some(OSCI), "IntermediaryCertificates") => BlockKind::IntermediaryCertificates,
        (Some(OSCI), "NonIntermediaryCertificates") => BlockKind::NonIntermediaryCertificates,
        (Some(OSCI2017), "FeatureDescription") => BlockKind::FeatureDescription,
        (Some(uri), local) if Some((uri, local)) == message_type.order_block() => BlockKind::Order,
        (Some(uri), local) if MessageType::ALL.iter().any(|t| t.order_block() == Some((uri, local))) => return None,
        (Some(SOAP | DS | XENC), _) => return None,
        (Some(OSCI | OSCI2017), local) if ELSEWHERE.contains(&local) => return None,
        _ => BlockKind::Custom,
    };
    Some(kind)
}

/// Elements of OSCI-Transport 1.2 and its 2017 extension that stand inside of others.
const ELSEWHERE: [&str; 52] = [
    // control block, certificates, features
    "Response",
    "Challenge",
    "CipherCertificateOriginator",
    "CipherCertificateOtherAuthor",
    "CipherCertificateAddressee",
    "CipherCertificateOtherReader",
    "CipherCertificateIntermediary",
    "SignatureCertificateOriginator",
    "SignatureCertificateOtherAuthor",
    "SignatureCertificateAddressee",
    "SignatureCertificateIntermediary",
    "SupportedFeatures",
    "Feature",
    // orders and their results
    "initDialog",
    "exitDialog",
    "getMessageId",
    "fetchProcessCard",
    "responseToInitDialog",
    "responseToExitDialog",
    "responseToGetMessageId",
    "responseToFetchProcessCard",
    "MessageId",
    "MessageIdResponse",
    "Subject",
    "ContentReceiver",
    "SelectionRule",
    "ReceptionOfDelivery",
    "RecentModification",
    "Quantity",
    "ChunkInformation",
    "InfoOnly",
    "Feedback",
    "InsideFeedback",
    "Entry",
    "Code",
    "Text",
    // process cards
    "ProcessCardBundle",
    "RequestProcessCardBundle",
    "ReplyProcessCardBundle",
    "ProcessCard",
    "Creation",
    "Forwarding",
    "Reception",
    "Plain",
    "Cryptographic",
    "InspectionReport",
    "Inspection",
    "Timestamp",
    // content
    "ContentPackage",
    "ContentContainer",
    "Content",
    "Base64Content",
];
