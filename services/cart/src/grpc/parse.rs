//! Reading requests: each wrong field is named, all at once.

use std::ops::RangeInclusive;

use selvage_proto::cart::v1::{
    AddItemRequest, EmptyCartRequest, RemoveItemRequest, RemoveOrderedLinesRequest, UpdateItemRequest,
};
use selvage_status::{FieldViolations, Result};
use uuid::Uuid;

use crate::domain::cart::{MAX_LINES, MAX_QUANTITY, Sku};

/// The longest etag that is compared; ours have 20 bytes.
const MAX_ETAG: usize = 64;
/// The longest subject, in bytes, as in tokens.
const MAX_OWNER: usize = 64;

/// A change of one line.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) sku: Sku,
    pub(super) quantity: i32,
    pub(super) etag: Option<String>,
}

/// The lines of an order that are to leave its buyer's cart.
#[derive(Debug)]
pub(super) struct Removal {
    pub(super) order_id: Uuid,
    pub(super) owner: String,
    pub(super) lines: Vec<(Sku, i32)>,
}

pub(super) fn add_item(request: &AddItemRequest) -> Result<Change> {
    change(&request.sku, Some((request.quantity, 1..=MAX_QUANTITY)), &request.etag)
}

pub(super) fn update_item(request: &UpdateItemRequest) -> Result<Change> {
    change(&request.sku, Some((request.quantity, 0..=MAX_QUANTITY)), &request.etag)
}

pub(super) fn remove_item(request: &RemoveItemRequest) -> Result<Change> {
    change(&request.sku, None, &request.etag)
}

pub(super) fn empty_cart(request: &EmptyCartRequest) -> Result<Option<String>> {
    let mut violations = FieldViolations::default();
    let etag = etag(&request.etag, &mut violations);
    violations.finish(Some(etag))
}

pub(super) fn remove_ordered_lines(request: &RemoveOrderedLinesRequest) -> Result<Removal> {
    let mut violations = FieldViolations::default();
    let order_id = violations.parse("order_id", &request.order_id, "must be a UUID");
    let owner = request.owner.clone();
    let is_subject = (1..=MAX_OWNER).contains(&owner.len()) && !owner.chars().any(char::is_control);
    violations.require(is_subject, "owner", format!("must have 1 to {MAX_OWNER} bytes and no control characters"));
    let count = request.lines.len();
    violations.require(
        (1..=MAX_LINES).contains(&count),
        "lines",
        format!("must be 1 to {MAX_LINES} lines, are {count}"),
    );
    let mut lines = Vec::new();
    for (index, line) in request.lines.iter().take(MAX_LINES).enumerate() {
        let sku = sku(&format!("lines[{index}].sku"), &line.sku, &mut violations);
        let field = format!("lines[{index}].quantity");
        quantity(field, line.quantity, &(1..=MAX_QUANTITY), &mut violations);
        lines.extend(sku.map(|sku| (sku, line.quantity)));
    }
    violations.finish(order_id.map(|order_id| Removal { order_id, owner, lines }))
}

fn change(text: &str, pieces: Option<(i32, RangeInclusive<i32>)>, tag: &str) -> Result<Change> {
    let mut violations = FieldViolations::default();
    let sku = sku("sku", text, &mut violations);
    if let Some((pieces, bounds)) = &pieces {
        quantity("quantity", *pieces, bounds, &mut violations);
    }
    let etag = etag(tag, &mut violations);
    let quantity = pieces.map_or(0, |(pieces, _)| pieces);
    violations.finish(sku.map(|sku| Change { sku, quantity, etag }))
}

fn sku(field: &str, text: &str, violations: &mut FieldViolations) -> Option<Sku> {
    violations.value(field, Sku::parse(text), "must be 1 to 64 of A-Z, 0-9, '-', '.', '_' and '/'")
}

fn quantity(field: impl Into<String>, quantity: i32, bounds: &RangeInclusive<i32>, violations: &mut FieldViolations) {
    let description = format!("must be {} to {}, is {quantity}", bounds.start(), bounds.end());
    violations.require(bounds.contains(&quantity), field, description);
}

/// An empty one means that none was given.
fn etag(etag: &str, violations: &mut FieldViolations) -> Option<String> {
    violations.require(etag.len() <= MAX_ETAG, "etag", format!("must have at most {MAX_ETAG} bytes"));
    (!etag.is_empty()).then(|| etag.to_owned())
}
