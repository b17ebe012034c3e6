//! A provider for trying the shop out, shaped like a real one: it keeps its own books, which outlive a crash of ours, and
//! it can lose answers, take its time and say things twice. Its books are in checkout's database, behind a pool of
//! their own, and nobody but this file touches them.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{DbErr, TryInsertResult};
use selvage_context::clock::Clock;
use selvage_context::lease::refuse_network_call;
use selvage_pool::{Class, Pool};
use uuid::Uuid;

use super::{Answer, Authorise, Provider, ProviderError};
use crate::domain::recovery::Known;

mod book {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "provider_payments")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) order_id: Uuid,
        pub(super) amount: i64,
        pub(super) currency: String,
        pub(super) state: String,
        pub(super) captured: i64,
        pub(super) refunded: i64,
        /// From when on a look-up finds it.
        pub(super) known_from: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const APPROVED: &str = "approved";
const DECLINED: &str = "declined";
const VOIDED: &str = "voided";

/// How long after the request a late answer is known.
const LATE_MS: i64 = 5_000;

/// The provider for trying the shop out. What it does, its tokens say:
///
/// | token | what happens |
/// |---|---|
/// | `tok_succeeds` | approved |
/// | `tok_declines` | declined |
/// | `tok_times_out` | approved, but the answer is lost |
/// | `tok_answers_late` | approved after 5 s; until then a look-up says that it is at it, and the answer is lost |
/// | `tok_answers_twice` | the request arrives twice, and is booked once |
/// | `tok_never_arrives` | the request is lost: the provider never hears of it |
///
/// Any other token is declined.
pub struct TestProvider {
    pool: Pool,
    clock: Clock,
    /// How long a lost answer keeps its caller waiting before the caller's own time-out, at the most.
    silence: Duration,
}

impl TestProvider {
    /// A provider with its books behind `pool`.
    pub fn new(pool: Pool, clock: Clock) -> Self {
        Self { pool, clock, silence: Duration::from_secs(30) }
    }

    /// Books a request once, however often it arrives: the state of what is booked.
    async fn book(&self, request: &Authorise, state: &str, known_from: i64) -> Result<String, DbErr> {
        self.pool
            .run_tx("provider_book", Class::Normal, |tx| async move {
                let row = book::ActiveModel {
                    order_id: Set(request.order_id),
                    amount: Set(request.amount),
                    currency: Set(request.currency.clone()),
                    state: Set(state.to_owned()),
                    captured: Set(0),
                    refunded: Set(0),
                    known_from: Set(known_from),
                };
                let booked_before = OnConflict::column(book::Column::OrderId).do_nothing().to_owned();
                let inserted = book::Entity::insert(row)
                    .on_conflict(booked_before)
                    .try_insert()
                    .exec_without_returning(&tx)
                    .await?;
                if matches!(inserted, TryInsertResult::Inserted(1..)) {
                    return Ok(state.to_owned());
                }
                let booked = book::Entity::find_by_id(request.order_id).one(&tx).await?;
                booked.map(|row| row.state).ok_or(DbErr::RecordNotInserted)
            })
            .await
    }

    /// Changes the booked row of an order by `change`; `None` if there is none.
    async fn change<T: Send>(
        &self,
        name: &'static str,
        order_id: Uuid,
        change: impl Fn(book::Model) -> (Option<book::ActiveModel>, T) + Send + Sync,
    ) -> Result<Option<T>, ProviderError> {
        let change = &change;
        self.pool
            .run_tx(name, Class::Normal, |tx| async move {
                let Some(row) = book::Entity::find_by_id(order_id).one(&tx).await? else { return Ok(None) };
                let (changed, answer) = change(row);
                if let Some(row) = changed {
                    row.update(&tx).await?;
                }
                Ok::<_, DbErr>(Some(answer))
            })
            .await
            .map_err(unknown)
    }

    async fn never_answers<T>(&self) -> Result<T, ProviderError> {
        tokio::time::sleep(self.silence).await;
        Err(ProviderError::Unknown("the answer was lost".into()))
    }
}

#[async_trait]
impl Provider for TestProvider {
    async fn authorise(&self, request: Authorise) -> Result<Answer, ProviderError> {
        refuse_network_call("the payment provider");
        let now = self.clock.now_ms();
        let (state, known_from) = match request.token.as_str() {
            "tok_never_arrives" => return self.never_answers().await,
            "tok_succeeds" | "tok_times_out" | "tok_answers_twice" => (APPROVED, now),
            "tok_answers_late" => (APPROVED, now + LATE_MS),
            _ => (DECLINED, now),
        };
        let mut booked = self.book(&request, state, known_from).await.map_err(unknown)?;
        match request.token.as_str() {
            "tok_times_out" | "tok_answers_late" => return self.never_answers().await,
            "tok_answers_twice" => booked = self.book(&request, state, known_from).await.map_err(unknown)?,
            _ => {}
        }
        Ok(if booked == APPROVED { Answer::Approved } else { Answer::Declined })
    }

    async fn lookup(&self, order_id: Uuid) -> Result<Known, ProviderError> {
        refuse_network_call("the payment provider");
        let lookup = self.pool.named("provider_lookup", Class::Normal);
        let booked = book::Entity::find_by_id(order_id).one(&lookup).await.map_err(unknown)?;
        Ok(match booked {
            Some(row) if row.known_from > self.clock.now_ms() => Known::Processing,
            Some(row) if row.state == APPROVED => Known::Approved,
            Some(row) if row.state == DECLINED => Known::Declined,
            _ => Known::Nothing,
        })
    }

    async fn capture(&self, order_id: Uuid) -> Result<(), ProviderError> {
        refuse_network_call("the payment provider");
        let captured = self
            .change("provider_capture", order_id, |row| {
                let approved = row.state == APPROVED;
                let amount = row.amount;
                let change =
                    (approved && row.captured == 0).then(|| book::ActiveModel { captured: Set(amount), ..row.into() });
                (change, approved)
            })
            .await?;
        match captured {
            Some(true) => Ok(()),
            _ => Err(ProviderError::Refused(format!("nothing is set aside for order {order_id}"))),
        }
    }

    async fn void(&self, order_id: Uuid) -> Result<(), ProviderError> {
        refuse_network_call("the payment provider");
        let nothing = Authorise { order_id, amount: 0, currency: String::new(), token: String::new() };
        // A row of its own for an order that never came: should it come later, it is refused.
        self.book(&nothing, VOIDED, self.clock.now_ms()).await.map_err(unknown)?;
        let voided = self
            .change("provider_void", order_id, |row| {
                let captured = row.captured > 0;
                let change = (row.state == APPROVED && !captured)
                    .then(|| book::ActiveModel { state: Set(VOIDED.to_owned()), ..row.into() });
                (change, !captured)
            })
            .await?;
        match voided {
            Some(true) => Ok(()),
            _ => Err(ProviderError::Refused(format!("the payment of order {order_id} was taken already: refund it"))),
        }
    }

    async fn refund(&self, order_id: Uuid) -> Result<(), ProviderError> {
        refuse_network_call("the payment provider");
        let found = self
            .change("provider_refund", order_id, |row| {
                let change = if row.captured > row.refunded {
                    Some(book::ActiveModel { refunded: Set(row.captured), ..row.into() })
                } else if row.state == APPROVED && row.captured == 0 {
                    Some(book::ActiveModel { state: Set(VOIDED.to_owned()), ..row.into() })
                } else {
                    None
                };
                (change, ())
            })
            .await?;
        found.ok_or_else(|| ProviderError::Refused(format!("there is no payment for order {order_id}")))
    }
}

fn unknown(error: DbErr) -> ProviderError {
    ProviderError::Unknown(error.to_string())
}
