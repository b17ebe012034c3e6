//! Carts as the API shows them.

use selvage_proto::cart::v1::cart_line::Availability as ProtoAvailability;
use selvage_proto::cart::v1::{CartLine, CartView};
use selvage_proto::money::v1::Money;
use selvage_proto::time::timestamp;

use crate::domain::cart::Line;
use crate::domain::offer::{Availability, Offers, line_total};
use crate::store::KeptCart;

pub(super) fn cart(kept: &KeptCart, offers: &Offers, currency: &str) -> CartView {
    let money = |minor_units| Money::new(currency, minor_units);
    CartView {
        lines: kept.cart.lines().iter().map(|line| self::line(line, offers, money)).collect(),
        subtotal: Some(money(offers.subtotal(&kept.cart))),
        etag: kept.cart.etag(),
        expire_time: kept.expire_at.map(timestamp),
        item_count: kept.cart.item_count(),
    }
}

fn line(line: &Line, offers: &Offers, money: impl Fn(i64) -> Money) -> CartLine {
    let availability = match offers.availability(line) {
        Availability::Available => ProtoAvailability::Available,
        Availability::Insufficient => ProtoAvailability::Insufficient,
        Availability::Withdrawn => ProtoAvailability::Withdrawn,
    };
    let bare = CartLine {
        sku: line.sku.as_str().to_owned(),
        quantity: line.quantity,
        availability: availability.into(),
        ..CartLine::default()
    };
    let Some(offer) = offers.get(&line.sku) else { return bare };
    CartLine {
        slug: offer.slug.clone(),
        title: offer.title.clone(),
        size: offer.size.clone(),
        colour: offer.colour.clone(),
        unit_price: Some(money(offer.unit_price)),
        line_total: Some(money(line_total(offer, line.quantity))),
        available: offer.available,
        image_url: offer.image_url.clone(),
        picture_key: offer.picture_key.clone(),
        grams: offer.grams,
        ..bare
    }
}
