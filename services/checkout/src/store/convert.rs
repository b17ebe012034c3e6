//! Rows to orders and back. A row that isn't an order is damage, and said to be.

use sea_orm::ActiveValue::Set;
use sea_orm::DbErr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::entity::{ActiveModel, Model};
use crate::domain::number;
use crate::domain::order::{NewOrder, Order, PaymentState, Speed, State};

pub(super) fn row(what: &NewOrder, attempt_until: i64, now_ms: i64) -> Result<ActiveModel, DbErr> {
    Ok(ActiveModel {
        id: Set(what.id),
        owner: Set(what.owner.clone()),
        idempotency_key: Set(what.idempotency_key.clone()),
        fingerprint: Set(what.fingerprint.clone()),
        number: Set(number::of(what.id)),
        state: Set(State::Pending.word().to_owned()),
        payment: Set(PaymentState::None.word().to_owned()),
        refusal: Set(None),
        lines: Set(json(&what.lines)?),
        amounts: Set(json(&what.amounts)?),
        email: Set(what.email.clone()),
        address: Set(json(&what.address)?),
        speed: Set(speed_word(what.speed).to_owned()),
        grams: Set(what.grams),
        attempt_until: Set(attempt_until),
        created_at: Set(now_ms),
        updated_at: Set(now_ms),
    })
}

impl TryFrom<Model> for Order {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let damaged = |column: &str| DbErr::Type(format!("order {}: column {column} is damaged", row.id));
        Ok(Self {
            state: State::from_word(&row.state),
            payment: PaymentState::from_word(&row.payment).ok_or_else(|| damaged("payment"))?,
            refusal: row.refusal.map(parse).transpose()?,
            number: row.number,
            attempt_until: row.attempt_until,
            created_at: row.created_at,
            updated_at: row.updated_at,
            what: NewOrder {
                id: row.id,
                owner: row.owner,
                idempotency_key: row.idempotency_key,
                fingerprint: row.fingerprint,
                lines: parse(row.lines)?,
                amounts: parse(row.amounts)?,
                email: row.email,
                address: parse(row.address)?,
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

pub(super) fn json(value: &impl Serialize) -> Result<Value, DbErr> {
    serde_json::to_value(value).map_err(|error| DbErr::Json(error.to_string()))
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, DbErr> {
    serde_json::from_value(value).map_err(|error| DbErr::Json(error.to_string()))
}
