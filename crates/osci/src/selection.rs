//! Selection rules: which delivery or which process cards an order is about (OSCI-Transport 1.2, FetchDelivery and
//! FetchProcessCard).
//!
//! Both are read from the order's element, wherever that stands, and written as its content; the response repeats
//! them.

use std::num::NonZeroU32;

use rohrpost_xmlsec::tree::Element;

use crate::datetime::DateTime;
use crate::header::{BlockError, read};
use crate::ids::MessageId;
use crate::ns::OSCI;
use crate::xml::XmlWriter;

/// Which delivery is to be fetched. One order fetches one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeliverySelection {
    /// The oldest that has not been received.
    #[default]
    Oldest,
    /// This one, received or not.
    ById(MessageId),
    /// The oldest that was accepted at or after this time.
    Since(DateTime),
}

/// Which process cards are to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CardSelection {
    /// The cards.
    pub rule: CardRule,
    /// At most so many.
    pub limit: Option<NonZeroU32>,
}

/// The rule of a [`CardSelection`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CardRule {
    /// All cards of deliveries in which the client takes part.
    #[default]
    All,
    /// These.
    ByIds(Vec<MessageId>),
    /// Cards of deliveries accepted at or after a time.
    Accepted(CardFilter),
    /// Cards changed at or after a time.
    Modified(CardFilter),
}

/// What the rules by date have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardFilter {
    /// From this time on.
    pub since: DateTime,
    /// The client's part in the delivery; without it, either.
    pub role: Option<Role>,
    /// Only cards without Reception.
    pub no_reception: bool,
}

/// The client's part in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The delivery was sent to the client.
    Addressee,
    /// The delivery was sent by the client.
    Originator,
}

impl DeliverySelection {
    /// Reads the content of `fetchDelivery`.
    ///
    /// # Errors
    /// If there is more than one rule, an unknown one or a malformed value.
    pub fn from_order(order: &Element) -> Result<Self, BlockError> {
        only_child(order, "SelectionRule")?.map_or(Ok(Self::Oldest), Self::from_rule)
    }

    /// Reads `SelectionRule`.
    pub(crate) fn from_rule(rule: &Element) -> Result<Self, BlockError> {
        match read::children(rule)?.as_slice() {
            [] => Ok(Self::Oldest),
            [child] if child.is(OSCI, "MessageId") => read::message_id(child).map(Self::ById),
            [child] if child.is(OSCI, "ReceptionOfDelivery") => date(child).map(Self::Since),
            [child] => Err(read::unexpected(rule, child)),
            _ => Err(read::bad_value(rule, "more than one rule")),
        }
    }

    /// Writes the content of `fetchDelivery`: nothing or one `osci:SelectionRule`.
    pub fn write(&self, xml: &mut XmlWriter) {
        match self {
            Self::Oldest => {}
            Self::ById(id) => {
                xml.open("osci:SelectionRule", &[]).leaf("osci:MessageId", &[], &id.to_base64()).close();
            }
            Self::Since(since) => {
                xml.open("osci:SelectionRule", &[]);
                xml.leaf("osci:ReceptionOfDelivery", &[], since.as_str()).close();
            }
        }
    }
}

impl CardSelection {
    /// Reads the content of `fetchProcessCard`.
    ///
    /// # Errors
    /// If there is more than one kind of rule, an unknown one or a malformed value.
    pub fn from_order(order: &Element) -> Result<Self, BlockError> {
        let (mut rule, mut limit) = (None, None);
        for child in read::children(order)? {
            if child.is(OSCI, "SelectionRule") {
                read::once(&mut rule, CardRule::from_element(child)?, order, child)?;
            } else if child.is(OSCI, "Quantity") {
                read::once(&mut limit, quantity(child)?, order, child)?;
            } else {
                return Err(read::unexpected(order, child));
            }
        }
        Ok(Self { rule: rule.unwrap_or_default(), limit })
    }

    /// Writes the content of `fetchProcessCard`: rule and quantity, each if there is one.
    pub fn write(&self, xml: &mut XmlWriter) {
        self.rule.write(xml);
        if let Some(limit) = self.limit {
            xml.leaf("osci:Quantity", &[("Limit", &limit.to_string())], "");
        }
    }
}

impl CardRule {
    fn from_element(rule: &Element) -> Result<Self, BlockError> {
        let children = read::children(rule)?;
        match children.as_slice() {
            [] => Ok(Self::All),
            [child] if child.is(OSCI, "ReceptionOfDelivery") => CardFilter::from_element(child).map(Self::Accepted),
            [child] if child.is(OSCI, "RecentModification") => CardFilter::from_element(child).map(Self::Modified),
            ids => {
                let id = |child: &&Element| match child.is(OSCI, "MessageId") {
                    true => read::message_id(child),
                    false => Err(read::unexpected(rule, child)),
                };
                ids.iter().map(id).collect::<Result<_, _>>().map(Self::ByIds)
            }
        }
    }

    fn write(&self, xml: &mut XmlWriter) {
        if matches!(self, Self::All) {
            return;
        }
        xml.open("osci:SelectionRule", &[]);
        match self {
            Self::All => {}
            Self::ByIds(ids) => {
                for id in ids {
                    xml.leaf("osci:MessageId", &[], &id.to_base64());
                }
            }
            Self::Accepted(filter) => filter.write_as("osci:ReceptionOfDelivery", xml),
            Self::Modified(filter) => filter.write_as("osci:RecentModification", xml),
        }
        xml.close();
    }
}

impl CardFilter {
    fn from_element(element: &Element) -> Result<Self, BlockError> {
        let role = match element.attr("Role") {
            None => None,
            Some("Addressee") => Some(Role::Addressee),
            Some("Originator") => Some(Role::Originator),
            Some(_) => return Err(read::bad_value(element, "Role is neither Addressee nor Originator")),
        };
        let no_reception = match element.attr("NoReception").map(str::trim_ascii) {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err(read::bad_value(element, "NoReception is no boolean")),
        };
        Ok(Self { since: date(element)?, role, no_reception })
    }

    fn write_as(&self, name: &'static str, xml: &mut XmlWriter) {
        let no_reception = self.no_reception.then_some(("NoReception", "true"));
        let role = self.role.map(|role| match role {
            Role::Addressee => ("Role", "Addressee"),
            Role::Originator => ("Role", "Originator"),
        });
        let attributes: Vec<_> = no_reception.into_iter().chain(role).collect();
        xml.leaf(name, &attributes, self.since.as_str());
    }
}

/// The only child of an element that may have one such child and no other.
fn only_child<'a>(element: &'a Element, name: &str) -> Result<Option<&'a Element>, BlockError> {
    let mut found = None;
    for child in read::children(element)? {
        if !child.is(OSCI, name) {
            return Err(read::unexpected(element, child));
        }
        read::once(&mut found, child, element, child)?;
    }
    Ok(found)
}

fn date(element: &Element) -> Result<DateTime, BlockError> {
    DateTime::parse(read::leaf(element)?).map_err(|_| read::bad_value(element, "no date and time"))
}

/// A number beyond what we count to is as good as the largest.
fn quantity(element: &Element) -> Result<NonZeroU32, BlockError> {
    let limit = read::attribute(element, "Limit")?.trim_ascii();
    if limit.is_empty() || !limit.bytes().all(|b| b.is_ascii_digit()) {
        return Err(read::bad_value(element, "Limit is no number"));
    }
    let limit = limit.parse().unwrap_or(u32::MAX);
    NonZeroU32::new(limit).ok_or_else(|| read::bad_value(element, "Limit is 0"))
}
