//! Orders as the store takes them.

use proptest::prelude::*;
use selvage_checkout::domain::order::{Address, Amounts, Line, NewOrder, Speed};
use selvage_checkout::domain::refusal::{Refusal, Shortage};
use uuid::Uuid;

/// A small order.
pub(crate) fn order(owner: &str, key: &str) -> NewOrder {
    NewOrder {
        id: Uuid::now_v7(),
        owner: owner.into(),
        idempotency_key: key.into(),
        fingerprint: vec![7; 32],
        lines: vec![Line {
            sku: "HOX-INK-M".into(),
            slug: "hox-shirt".into(),
            title: "Hox shirt".into(),
            size: "M".into(),
            colour: "Ink".into(),
            quantity: 2,
            unit_price: 3495,
            picture_key: "shirt.relaxed.stripe.1d2a44.f2ede4".into(),
        }],
        amounts: Amounts {
            currency: "EUR".into(),
            subtotal: 6990,
            delivery: 390,
            tax: 1178,
            tax_basis_points: 1900,
            total: 7380,
        },
        email: "ada@example.org".into(),
        address: Address {
            recipient: "Ada Weber".into(),
            lines: vec!["Nikolaistraße 3".into()],
            postal_code: "04109".into(),
            city: "Leipzig".into(),
            country: "DE".into(),
        },
        speed: Speed::Standard,
        grams: 500,
    }
}

/// Any text but U+0000, which PostgreSQL doesn't store and no edge lets in.
fn text() -> impl Strategy<Value = String> {
    let stored = any::<String>().prop_map(|text| text.replace('\0', ""));
    prop_oneof![
        stored,
        Just(String::new()),
        Just("Łódź, \u{202e}דרך 5\u{202c}, 東京都 👩🏽‍🚀".to_owned()),
        Just(r#"'; DROP TABLE orders; -- "{}\u0041"#.to_owned()),
        Just("e\u{301}é\u{fffd}\u{feff}".to_owned()),
    ]
}

fn line() -> impl Strategy<Value = Line> {
    ([text(), text(), text(), text(), text(), text()], any::<u32>(), any::<i64>()).prop_map(
        |([sku, slug, title, size, colour, picture_key], quantity, unit_price)| Line {
            sku,
            slug,
            title,
            size,
            colour,
            quantity,
            unit_price,
            picture_key,
        },
    )
}

fn address() -> impl Strategy<Value = Address> {
    (text(), prop::collection::vec(text(), 0..4), [text(), text(), text()]).prop_map(
        |(recipient, lines, [postal_code, city, country])| Address { recipient, lines, postal_code, city, country },
    )
}

fn amounts() -> impl Strategy<Value = Amounts> {
    (text(), any::<[i64; 4]>(), any::<u32>()).prop_map(
        |(currency, [subtotal, delivery, tax, total], tax_basis_points)| Amounts {
            currency,
            subtotal,
            delivery,
            tax,
            tax_basis_points,
            total,
        },
    )
}

/// Whatever the domain can say.
pub(crate) fn any_order() -> impl Strategy<Value = NewOrder> {
    let speed = prop_oneof![Just(Speed::Standard), Just(Speed::Express)];
    let lines = prop::collection::vec(line(), 0..6);
    let rest = (prop::collection::vec(any::<u8>(), 0..40), speed, any::<i32>());
    ([text(), text(), text()], lines, amounts(), address(), rest).prop_map(
        |([owner, idempotency_key, email], lines, amounts, address, (fingerprint, speed, grams))| NewOrder {
            id: Uuid::now_v7(),
            owner,
            idempotency_key,
            fingerprint,
            lines,
            amounts,
            email,
            address,
            speed,
            grams,
        },
    )
}

pub(crate) fn any_refusal() -> impl Strategy<Value = Refusal> {
    let shortage = (text(), text()).prop_map(|(sku, why)| Shortage { sku, why });
    prop_oneof![
        prop::collection::vec(shortage, 0..4).prop_map(|shortages| Refusal::OutOfStock { shortages }),
        Just(Refusal::PaymentDeclined),
        Just(Refusal::ReservationLapsed),
        Just(Refusal::Interrupted),
    ]
}
