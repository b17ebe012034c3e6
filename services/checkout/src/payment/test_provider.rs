//! A provider for trying the shop out, shaped like a real one: it keeps its own books, which outlive a crash of ours, and
//! it can lose answers, take its time and say things twice. Its books are in checkout's database, behind a pool of
//! their own, and nobody but this file touches them.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{CaseStatement, ExprTrait as _, OnConflict};
use sea_orm::{Condition, DbErr};
use selvage_boot::Dependency;
use selvage_context::clock::Clock;
use selvage_context::lease::refuse_network_call;
use selvage_pool::{Class, Pool};
use uuid::Uuid;

use super::{Answer, Authorise, Provider, ProviderError};
use crate::domain::recovery::Authorisation;

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
    /// What makes every request to it fail or take its time.
    disturbed_by: Option<Dependency>,
}

impl TestProvider {
    /// A provider with its books behind `pool`.
    pub fn new(pool: Pool, clock: Clock) -> Self {
        Self { pool, clock, silence: Duration::from_secs(30), disturbed_by: None }
    }

    /// The same, whose calls pass `dependency` first.
    #[must_use]
    pub fn disturbed_by(self, dependency: Dependency) -> Self {
        Self { disturbed_by: Some(dependency), ..self }
    }

    /// The way to it. A request that was lost there may have arrived, as far as its caller knows.
    async fn reach(&self) -> Result<(), ProviderError> {
        refuse_network_call("the payment provider");
        match &self.disturbed_by {
            Some(dependency) => dependency.pass().await.map_err(|broken| ProviderError::Unknown(broken.to_string())),
            None => Ok(()),
        }
    }

    /// Books a request once, however often it arrives; returns what is booked. An earlier booking is changed by `then`. Each
    /// of the provider's changes is one conditional statement, which is its whole transaction.
    async fn book(
        &self,
        request: &Authorise,
        state: &str,
        known_from: i64,
        then: (book::Column, Expr),
    ) -> Result<book::Model, ProviderError> {
        let row = book::ActiveModel {
            order_id: Set(request.order_id),
            amount: Set(request.amount),
            currency: Set(request.currency.clone()),
            state: Set(state.to_owned()),
            captured: Set(0),
            refunded: Set(0),
            known_from: Set(known_from),
        };
        let booked_before = OnConflict::column(book::Column::OrderId).value(then.0, then.1).to_owned();
        let pool = self.pool.named("provider_book", Class::Normal);
        book::Entity::insert(row).on_conflict(booked_before).exec_with_returning(&pool).await.map_err(unknown)
    }

    /// Changes what is booked of an order; `false` if nothing is that `condition` allows.
    async fn change(
        &self,
        name: &'static str,
        order_id: Uuid,
        condition: Condition,
        changes: impl IntoIterator<Item = (book::Column, Expr)>,
    ) -> Result<bool, ProviderError> {
        let mut update = book::Entity::update_many().filter(book::Column::OrderId.eq(order_id)).filter(condition);
        for (column, value) in changes {
            update = update.col_expr(column, value);
        }
        let changed = update.exec(&self.pool.named(name, Class::Normal)).await.map_err(unknown)?;
        Ok(changed.rows_affected == 1)
    }

    async fn never_answers<T>(&self) -> Result<T, ProviderError> {
        tokio::time::sleep(self.silence).await;
        Err(ProviderError::Unknown("the answer was lost".into()))
    }
}

#[async_trait]
impl Provider for TestProvider {
    async fn authorise(&self, request: Authorise) -> Result<Answer, ProviderError> {
        self.reach().await?;
        let now = self.clock.now_ms();
        let (state, known_from) = match request.token.as_str() {
            "tok_never_arrives" => return self.never_answers().await,
            "tok_succeeds" | "tok_times_out" | "tok_answers_twice" => (APPROVED, now),
            "tok_answers_late" => (APPROVED, now + LATE_MS),
            _ => (DECLINED, now),
        };
        let as_before = || (book::Column::State, booked(book::Column::State));
        let mut known = self.book(&request, state, known_from, as_before()).await?;
        match request.token.as_str() {
            "tok_times_out" | "tok_answers_late" => return self.never_answers().await,
            "tok_answers_twice" => known = self.book(&request, state, known_from, as_before()).await?,
            _ => {}
        }
        Ok(if known.state == APPROVED { Answer::Approved } else { Answer::Declined })
    }

    async fn lookup(&self, order_id: Uuid) -> Result<Authorisation, ProviderError> {
        self.reach().await?;
        let lookup = self.pool.named("provider_lookup", Class::Normal);
        let booked = book::Entity::find_by_id(order_id).one(&lookup).await.map_err(unknown)?;
        Ok(match booked {
            Some(row) if row.known_from > self.clock.now_ms() => Authorisation::Processing,
            Some(row) if row.state == APPROVED => Authorisation::Approved,
            Some(row) if row.state == DECLINED => Authorisation::Declined,
            _ => Authorisation::Nothing,
        })
    }

    async fn capture(&self, order_id: Uuid) -> Result<(), ProviderError> {
        self.reach().await?;
        let approved = Condition::all().add(book::Column::State.eq(APPROVED));
        let all = (book::Column::Captured, booked(book::Column::Amount));
        if self.change("provider_capture", order_id, approved, [all]).await? {
            return Ok(());
        }
        Err(ProviderError::Refused(format!("nothing is set aside for order {order_id}")))
    }

    async fn void(&self, order_id: Uuid) -> Result<(), ProviderError> {
        self.reach().await?;
        let nothing = Authorise { order_id, amount: 0, currency: String::new(), token: String::new() };
        // A row of its own for an order that never came: should it come later, it is refused.
        let voided = self.book(&nothing, VOIDED, self.clock.now_ms(), (book::Column::State, voided())).await?;
        if voided.captured == 0 {
            return Ok(());
        }
        Err(ProviderError::Refused(format!("the payment of order {order_id} was taken already: refund it")))
    }

    async fn refund(&self, order_id: Uuid) -> Result<(), ProviderError> {
        self.reach().await?;
        let back = (book::Column::Refunded, booked(book::Column::Captured));
        let changes = [back, (book::Column::State, voided())];
        if self.change("provider_refund", order_id, Condition::all(), changes).await? {
            return Ok(());
        }
        Err(ProviderError::Refused(format!("there is no payment for order {order_id}")))
    }
}

/// What is in a column of the booked row, as against the row that an insertion brings.
fn booked(column: book::Column) -> Expr {
    Expr::col((book::Entity, column))
}

/// The state without what was set aside, if it wasn't taken.
fn voided() -> Expr {
    let untouched = booked(book::Column::State).eq(APPROVED).and(booked(book::Column::Captured).eq(0));
    CaseStatement::new().case(untouched, VOIDED).finally(booked(book::Column::State)).into()
}

fn unknown(error: DbErr) -> ProviderError {
    ProviderError::Unknown(error.to_string())
}
