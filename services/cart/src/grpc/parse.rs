//! Reading requests: each wrong field is named, all at once.

use std::ops::RangeInclusive;

use selvage_proto::cart::v1::{
    AddItemRequest, EmptyCartRequest, RemoveItemRequest, RemoveOrderedLinesRequest, UpdateItemRequest,
};
use selvage_status::{Error, ErrorCode, Result};
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
    let mut wrong = Wrong::default();
    let etag = wrong.etag(&request.etag);
    wrong.none()?;
    Ok(etag)
}

pub(super) fn remove_ordered_lines(request: &RemoveOrderedLinesRequest) -> Result<Removal> {
    let mut wrong = Wrong::default();
    let order_id = Uuid::try_parse(&request.order_id).ok();
    if order_id.is_none() {
        wrong.field("order_id", "must be a UUID");
    }
    let owner = &request.owner;
    if owner.is_empty() || owner.len() > MAX_OWNER || owner.chars().any(char::is_control) {
        wrong.field("owner", format!("must have 1 to {MAX_OWNER} bytes and no control characters"));
    }
    if request.lines.is_empty() || request.lines.len() > MAX_LINES {
        wrong.field("lines", format!("must be 1 to {MAX_LINES} lines, are {}", request.lines.len()));
    }
    let mut lines = Vec::new();
    for (index, line) in request.lines.iter().take(MAX_LINES).enumerate() {
        let sku = wrong.sku(format!("lines[{index}].sku"), &line.sku);
        wrong.quantity(format!("lines[{index}].quantity"), line.quantity, &(1..=MAX_QUANTITY));
        lines.extend(sku.map(|sku| (sku, line.quantity)));
    }
    wrong.none()?;
    let order_id = order_id.ok_or_else(|| Error::internal("a wrong order id was not noted"))?;
    Ok(Removal { order_id, owner: owner.clone(), lines })
}

fn change(sku: &str, quantity: Option<(i32, RangeInclusive<i32>)>, etag: &str) -> Result<Change> {
    let mut wrong = Wrong::default();
    let sku = wrong.sku("sku", sku);
    if let Some((quantity, bounds)) = &quantity {
        wrong.quantity("quantity", *quantity, bounds);
    }
    let etag = wrong.etag(etag);
    match (wrong.none(), sku) {
        (Ok(()), Some(sku)) => Ok(Change { sku, quantity: quantity.map_or(0, |(quantity, _)| quantity), etag }),
        (Err(error), _) => Err(error),
        (Ok(()), None) => Err(Error::internal("a wrong SKU was not noted")),
    }
}

/// Collects wrong fields.
#[derive(Default)]
struct Wrong(Option<Error>);

impl Wrong {
    fn field(&mut self, field: impl Into<String>, description: impl Into<String>) {
        let error =
            self.0.take().unwrap_or_else(|| Error::new(ErrorCode::InvalidArgument, "the request has wrong fields"));
        self.0 = Some(error.field(field, description));
    }

    fn sku(&mut self, field: impl Into<String>, text: &str) -> Option<Sku> {
        let sku = Sku::parse(text);
        if sku.is_none() {
            self.field(field, "must be 1 to 64 of A-Z, 0-9, '-', '.', '_' and '/'");
        }
        sku
    }

    fn quantity(&mut self, field: impl Into<String>, quantity: i32, bounds: &RangeInclusive<i32>) {
        if !bounds.contains(&quantity) {
            self.field(field, format!("must be {} to {}, is {quantity}", bounds.start(), bounds.end()));
        }
    }

    /// An empty one means that none was given.
    fn etag(&mut self, etag: &str) -> Option<String> {
        if etag.len() > MAX_ETAG {
            self.field("etag", format!("must have at most {MAX_ETAG} bytes"));
        }
        (!etag.is_empty()).then(|| etag.to_owned())
    }

    fn none(&mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), Err)
    }
}
