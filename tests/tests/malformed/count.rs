//! How many cases there are: tables only grow.

use super::stage::counted;
use super::{control, encryption, framing, limits, signatures, structure, wrapping, xml};

/// Every table of cases with an exact outcome.
const TABLES: &[fn()] = &[
    control::opening,
    control::alone,
    control::within_a_dialog,
    control::orders_that_need_a_dialog,
    encryption::what_nobody_can_decrypt,
    encryption::recipients,
    encryption::outer_envelope,
    framing::no_message_at_all,
    framing::headers_of_the_message,
    framing::boundaries,
    framing::headers_of_parts,
    framing::parts_and_what_is_signed_of_them,
    limits::counts,
    signatures::missing_references,
    signatures::surplus_references,
    signatures::digests,
    signatures::transforms,
    signatures::methods_and_values,
    signatures::further_children,
    signatures::signers,
    signatures::where_signatures_are_demanded,
    structure::types,
    structure::envelope,
    structure::header_blocks,
    structure::certificates_in_the_header,
    structure::orders,
    wrapping::of_the_body,
    wrapping::of_header_blocks,
    wrapping::of_attachments,
    wrapping::of_dialogs_and_encryption,
    xml::prologue,
    xml::epilogue,
    xml::markup,
    xml::tags_and_attributes,
    xml::bounds,
    xml::ids,
];

/// Those where something else takes the place of what was signed.
const WRAPPING: &[fn()] =
    &[wrapping::of_the_body, wrapping::of_header_blocks, wrapping::of_attachments, wrapping::of_dialogs_and_encryption];

#[test]
fn tables_only_grow() {
    let (cases, wrapping) = (counted(TABLES), counted(WRAPPING));
    println!("{cases} cases with an exact outcome, {wrapping} of them of signature wrapping");
    assert!(cases >= 500, "{cases} cases");
    assert!(wrapping >= 30, "{wrapping} cases of wrapping");
}
