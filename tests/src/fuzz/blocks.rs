//! Header blocks, process cards, selection rules and feedback: what is read is written as canonical XML and reads again
//! as the same.

use std::fmt::Debug;

use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::header::{
    Block, BlockError, CustomBlock, DesiredLanguages, FeatureDescription, IntermediaryCertificates,
    NonIntermediaryCertificates, QualityOfTimestamp, control_block_from, control_block_to_block,
};
use rohrpost_osci::ns::{OSCI, OSCI2017, envelope_context};
use rohrpost_osci::selection::{CardSelection, DeliverySelection};
use rohrpost_osci::xml::XmlWriter;
use rohrpost_xmlsec::c14n::Dialect;
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, NsContext};

/// One element where the prefixes of an envelope are declared.
pub(super) fn element(data: &[u8]) -> Option<Element> {
    Element::parse(data, &Limits::default(), &scope()).ok()
}

pub(super) fn scope() -> NsContext {
    envelope_context().with("osci2017", OSCI2017)
}

/// The header block `ControlBlock`.
pub fn control_block(data: &[u8]) {
    let Some(element) = element(data) else { return };
    block_round_trip(&element, control_block_from, control_block_to_block);
    if let Ok(control) = control_block_from(&element) {
        let ControlBlock { sequence_number, .. } = control;
        assert!(sequence_number.is_none_or(|number| i32::try_from(number).is_ok()), "31 bits");
    }
}

/// The header block `NonIntermediaryCertificates`.
pub fn non_intermediary_certificates(data: &[u8]) {
    let Some(element) = element(data) else { return };
    type Block = NonIntermediaryCertificates;
    block_round_trip(&element, Block::from_element, Block::to_block);
    let Ok(block) = Block::from_element(&element) else { return };
    for entry in block.entries() {
        assert_eq!(block.by_id(&entry.id), Some(entry), "an Id names one entry");
        assert!(block.of(entry.role, entry.purpose).any(|other| other == entry));
        assert!(entry.id.starts_with(entry.person()) && !entry.der.is_empty());
    }
    let ordered = Block::new(block.entries().to_vec()).expect("the rules are the same for building");
    assert_eq!(ordered.entries().len(), block.entries().len());
    let kept = Block::from_text(block.to_block().canonical()).expect("as it is kept with a delivery");
    assert_eq!(kept, block);
}

/// The other header blocks that have a meaning.
pub fn header_blocks(data: &[u8]) {
    let Some(element) = element(data) else { return };
    block_round_trip(&element, DesiredLanguages::from_element, DesiredLanguages::to_block);
    block_round_trip(&element, FeatureDescription::from_element, FeatureDescription::to_block);
    block_round_trip(&element, IntermediaryCertificates::from_element, IntermediaryCertificates::to_block);
    block_round_trip(&element, QualityOfTimestamp::from_element, |quality| quality.to_block());
}

/// A text as header block of a foreign namespace.
pub fn custom_block(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(custom) = CustomBlock::new(text) else { return };
    let block = custom.to_block().expect("a block that was taken can be written");
    assert_eq!(block.id(), custom.id());
    let element = block_is_canonical(&block);
    assert_eq!(element.attr("Id"), Some(custom.id()));
    assert!(!matches!(element.name().uri(), Some(OSCI | OSCI2017)), "OSCI's own elements are no custom blocks");
    let again = CustomBlock::new(block.canonical()).and_then(|custom| custom.to_block());
    assert_eq!(again.expect("written blocks are blocks"), block, "adopting twice changes nothing");
}

/// The element `ProcessCardBundle`.
pub fn process_card(data: &[u8]) {
    let Some(element) = element(data) else { return };
    element_round_trip(&element, ProcessCardBundle::from_element, |bundle, xml| bundle.write(xml));
    if let Ok(bundle) = ProcessCardBundle::from_element(&element) {
        bundle.report.inspections().expect("the entries can be looked at");
    }
}

/// The elements `fetchDelivery` and `fetchProcessCard`.
pub fn selection(data: &[u8]) {
    let Some(element) = element(data) else { return };
    within(&element, DeliverySelection::from_order, |selection, xml| selection.write(xml));
    within(&element, CardSelection::from_order, |selection, xml| selection.write(xml));
}

/// The element `Feedback`.
pub fn feedback(data: &[u8]) {
    let Some(element) = element(data) else { return };
    element_round_trip(&element, Feedback::from_element, |feedback, xml| feedback.write(xml));
    let Ok(mut feedback) = Feedback::from_element(&element) else { return };
    assert!(!feedback.entries().is_empty());
    feedback.add(Code::OrderFailed);
    assert!(feedback.contains(Code::OrderFailed) && !feedback.is_executed(), "an error is never lost");
}

/// A block with declarations of its own.
fn block_round_trip<T: Debug + PartialEq>(
    element: &Element,
    read: impl Fn(&Element) -> Result<T, BlockError>,
    write: impl Fn(&T) -> Block,
) {
    let Ok(value) = read(element) else { return };
    let written = block_is_canonical(&write(&value));
    assert_eq!(read(&written).expect("what we write can be read"), value);
}

/// The text hashed is the text written.
fn block_is_canonical(block: &Block) -> Element {
    let bare = NsContext::empty();
    let element = Element::parse(block.canonical().as_bytes(), &Limits::default(), &bare).expect("blocks are XML");
    assert_eq!(element.to_canonical(&bare, Dialect::EscapeGtInAttributes), block.canonical());
    assert_eq!(element.attr("Id"), Some(block.id()));
    element
}

/// An element inside an envelope.
fn element_round_trip<T: Debug + PartialEq>(
    element: &Element,
    read: impl Fn(&Element) -> Result<T, BlockError>,
    write: impl Fn(&T, &mut XmlWriter),
) {
    let Ok(value) = read(element) else { return };
    let mut xml = XmlWriter::new();
    write(&value, &mut xml);
    let text = xml.finish();
    let written = self::element(text.as_bytes()).expect("what we write is XML");
    assert_eq!(written.to_canonical(&scope(), Dialect::EscapeGtInAttributes), text, "and canonical");
    assert_eq!(read(&written).expect("what we write can be read"), value);
}

/// The content of an element.
fn within<T: Debug + PartialEq>(
    element: &Element,
    read: impl Fn(&Element) -> Result<T, BlockError>,
    write: impl Fn(&T, &mut XmlWriter),
) {
    element_round_trip(element, read, |value, xml| {
        xml.open("osci:order", &[]);
        write(value, xml);
        xml.close();
    });
}
