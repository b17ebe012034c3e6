//! Rows to orders and back. A row that isn't an order is damage, and said to be.

use sea_orm::ActiveValue::Set;
use selvage_pool::{StoreError, from_json, to_json};

use super::entity::{ActiveModel, Model};
use crate::domain::number;
use crate::domain::order::{NewOrder, Order, PaymentState, Speed, State};

pub(super) fn row(what: &NewOrder, attempt_until: i64, now_ms: i64) -> Result<ActiveModel, StoreError> {
    Ok(ActiveModel {
        id: Set(what.id),
        owner: Set(what.owner.clone()),
        idempotency_key: Set(what.idempotency_key.clone()),
        fingerprint: Set(what.fingerprint.clone()),
        number: Set(number::of(what.id)),
        state: Set(State::Pending.word().to_owned()),
        payment: Set(PaymentState::None.word().to_owned()),
        refusal: Set(None),
        lines: Set(to_json("lines", &what.lines)?),
        amounts: Set(to_json("amounts", &what.amounts)?),
        email: Set(what.email.clone()),
        address: Set(to_json("address", &what.address)?),
        speed: Set(speed_word(what.speed).to_owned()),
        grams: Set(what.grams),
        attempt_until: Set(attempt_until),
        created_at: Set(now_ms),
        updated_at: Set(now_ms),
    })
}

impl TryFrom<Model> for Order {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let id = row.id;
        let of = |column: &str| format!("order {id}: its {column}");
        Ok(Self {
            state: State::from_word(&row.state),
            payment: PaymentState::from_word(&row.payment)
                .ok_or_else(|| StoreError::damaged(of("payment"), &row.payment))?,
            refusal: row.refusal.map(|refusal| from_json(of("refusal"), refusal)).transpose()?,
            number: row.number,
            attempt_until: row.attempt_until,
            created_at: row.created_at,
            updated_at: row.updated_at,
            what: NewOrder {
                id: row.id,
                owner: row.owner,
                idempotency_key: row.idempotency_key,
                fingerprint: row.fingerprint,
                lines: from_json(of("lines"), row.lines)?,
                amounts: from_json(of("amounts"), row.amounts)?,
                email: row.email,
                address: from_json(of("address"), row.address)?,
                speed: if row.speed == speed_word(Speed::Express) { Speed::Express } else { Speed::Standard },
                grams: row.grams,
            },
        })
    }
}

fn speed_word(speed: Speed) -> &'static str {
    match speed {
        Speed::Standard => "standard",
        Speed::Express => "express",
    }
}
