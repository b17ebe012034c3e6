//! The domain's words in the API's.

use selvage_outbox::DeadLetter;
use selvage_proto::checkout::v1 as api;
use selvage_proto::money::v1::Money;
use selvage_proto::time::timestamp;

use crate::domain::order::{Amounts, Line, Order, PaymentState, State};
use crate::peers::convert::{address, speed};
use crate::saga::order_of;

pub(super) fn order(order: &Order) -> api::Order {
    let what = &order.what;
    api::Order {
        order_id: what.id.to_string(),
        number: order.number.clone(),
        state: state(order.state).into(),
        payment_state: payment(order.payment).into(),
        lines: lines(&what.lines, &what.amounts.currency),
        amounts: Some(amounts(&what.amounts)),
        email: what.email.clone(),
        address: Some(address(&what.address)),
        speed: speed(what.speed).into(),
        create_time: Some(timestamp(order.created_at)),
        update_time: Some(timestamp(order.updated_at)),
    }
}

pub(super) fn state(state: State) -> api::order::State {
    match state {
        State::Pending => api::order::State::Pending,
        State::Confirmed | State::OnItsWay => api::order::State::Confirmed,
        State::OutOfStock => api::order::State::OutOfStock,
        State::Declined => api::order::State::Declined,
        State::Undone => api::order::State::Undone,
        State::Cancelling => api::order::State::Cancelling,
        State::Cancelled => api::order::State::Cancelled,
        State::Refunding => api::order::State::Refunding,
        State::Refunded => api::order::State::Refunded,
        State::Unknown => api::order::State::Unspecified,
    }
}

fn payment(payment: PaymentState) -> api::order::PaymentState {
    match payment {
        PaymentState::None => api::order::PaymentState::Unspecified,
        PaymentState::Authorised => api::order::PaymentState::Authorised,
        PaymentState::Captured => api::order::PaymentState::Captured,
        PaymentState::Voided => api::order::PaymentState::Voided,
        PaymentState::Refunded => api::order::PaymentState::PaymentRefunded,
    }
}

pub(super) fn lines(lines: &[Line], currency: &str) -> Vec<api::OrderLine> {
    let line = |line: &Line| api::OrderLine {
        sku: line.sku.clone(),
        slug: line.slug.clone(),
        title: line.title.clone(),
        size: line.size.clone(),
        colour: line.colour.clone(),
        quantity: i32::try_from(line.quantity).unwrap_or(i32::MAX),
        unit_price: Some(Money::new(currency, line.unit_price)),
        line_total: Some(Money::new(currency, line.unit_price.saturating_mul(i64::from(line.quantity)))),
        picture_key: line.picture_key.clone(),
    };
    lines.iter().map(line).collect()
}

pub(super) fn amounts(amounts: &Amounts) -> api::Amounts {
    let money = |minor_units| Some(Money::new(&amounts.currency, minor_units));
    api::Amounts {
        subtotal: money(amounts.subtotal),
        delivery: money(amounts.delivery),
        tax: money(amounts.tax),
        tax_basis_points: i32::try_from(amounts.tax_basis_points).unwrap_or(i32::MAX),
        total: money(amounts.total),
    }
}

pub(super) fn dead_letter(letter: &DeadLetter) -> api::DeadLetter {
    api::DeadLetter {
        message_id: letter.position.to_string(),
        order_id: order_of(letter).to_string(),
        topic: letter.topic.clone(),
        attempts: letter.attempts,
        last_error: letter.last_error.clone().unwrap_or_default(),
        create_time: Some(timestamp(letter.created_at)),
    }
}
