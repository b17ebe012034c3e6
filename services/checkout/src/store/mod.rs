//! Orders in the database. Every change of an order's state is a conditional update from the state it is believed to be
//! in, in one transaction with the outbox messages that follow from it: of two who try, one succeeds.

mod convert;
mod entity;
pub(crate) mod meter;

use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, TryInsertResult,
};
use selvage_outbox::{DeadLetter, Outgoing, enqueue};
use selvage_pool::{Class, Pool, Tx};
use uuid::Uuid;

use crate::domain::order::{NewOrder, Order, PaymentState, State};
use crate::domain::refusal::Refusal;
use entity::{Column, Entity, Model};

/// Looks that one list takes: it is short if it meets as many pages of damaged rows.
const LOOKS_A_LIST: usize = 4;

/// The orders.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
}

/// What became of inserting an order.
#[derive(Debug)]
pub enum Inserted {
    /// It is new, and the caller's to place.
    New,
    /// The caller's key was used before, for this order.
    Existing(Box<Order>),
}

/// What a state change does besides.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The payment's new state, if that changes too.
    pub payment: Option<PaymentState>,
    /// Why it was refused, if it was.
    pub refusal: Option<Refusal>,
    /// What is to be done because of it.
    pub messages: Vec<Outgoing>,
}

impl Store {
    /// The orders behind `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Inserts an order as pending, unless its owner has used its key before.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn order_insert(&self, what: &NewOrder, attempt_until: i64, now_ms: i64) -> Result<Inserted, DbErr> {
        let key_taken = OnConflict::columns([Column::Owner, Column::IdempotencyKey]).do_nothing().to_owned();
        let insert = Entity::insert(convert::row(what, attempt_until, now_ms)?).on_conflict(key_taken).try_insert();
        // One statement is the whole transaction: the unique index decides.
        let inserted = insert.exec_without_returning(&self.pool.named("order_insert", Class::Normal)).await?;
        if matches!(inserted, TryInsertResult::Inserted(1..)) {
            meter::changed(State::Pending);
            return Ok(Inserted::New);
        }
        match self.order_by_key(&what.owner, &what.idempotency_key).await? {
            Some(order) => Ok(Inserted::Existing(Box::new(order))),
            None => Err(DbErr::RecordNotInserted),
        }
    }

    /// The order that its owner made with this key.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn order_by_key(&self, owner: &str, key: &str) -> Result<Option<Order>, DbErr> {
        let found = Entity::find()
            .filter(Column::Owner.eq(owner))
            .filter(Column::IdempotencyKey.eq(key))
            .one(&self.pool.named("order_by_key", Class::Normal))
            .await?;
        found.map(Order::try_from).transpose()
    }

    /// One order.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn order_get(&self, id: Uuid) -> Result<Option<Order>, DbErr> {
        let found = Entity::find_by_id(id).one(&self.pool.named("order_get", Class::Normal)).await?;
        found.map(Order::try_from).transpose()
    }

    /// Up to `limit` of an owner's orders, newest first, behind the one at `after` (created, id).
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn order_list(&self, owner: &str, after: Option<(i64, Uuid)>, limit: u64) -> Result<Vec<Order>, DbErr> {
        let (mut orders, mut after) = (Vec::new(), after);
        // Once, ordinarily: what damaged rows leave of the page is filled with those behind them.
        for _ in 0..LOOKS_A_LIST {
            let missing = limit - orders.len() as u64;
            let mut query = Entity::find().filter(Column::Owner.eq(owner));
            if let Some((created_at, id)) = after {
                let older = Condition::any()
                    .add(Column::CreatedAt.lt(created_at))
                    .add(Condition::all().add(Column::CreatedAt.eq(created_at)).add(Column::Id.lt(id)));
                query = query.filter(older);
            }
            let rows = query
                .order_by_desc(Column::CreatedAt)
                .order_by_desc(Column::Id)
                .limit(missing)
                .all(&self.pool.named("order_list", Class::Sheddable))
                .await?;
            let ended = (rows.len() as u64) < missing;
            after = rows.last().map(|row| (row.created_at, row.id));
            orders.extend(rows.into_iter().filter_map(readable));
            if ended || orders.len() as u64 == limit {
                break;
            }
        }
        Ok(orders)
    }

    /// The states of those orders that exist.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn order_states(&self, ids: Vec<Uuid>) -> Result<Vec<(Uuid, State)>, DbErr> {
        let rows: Vec<(Uuid, String)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::State])
            .filter(Column::Id.is_in(ids))
            .into_tuple()
            .all(&self.pool.named("order_states", Class::Normal))
            .await?;
        Ok(rows.into_iter().map(|(id, word)| (id, State::from_word(&word))).collect())
    }

    /// Takes an order from one state to another, with what follows: `false` if it isn't in that state, and nothing was
    /// done.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn order_advance(
        &self,
        id: Uuid,
        (from, to): (State, State),
        change: &Change,
        now_ms: i64,
    ) -> Result<bool, DbErr> {
        self.pool
            .run_tx("order_advance", Class::Critical, |tx| async move {
                order_advance(&tx, id, (from, to), change, now_ms).await
            })
            .await
            .inspect(|advanced| {
                if *advanced {
                    meter::changed(to);
                }
            })
    }

    /// How many orders are being placed.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn orders_pending(&self) -> Result<u64, DbErr> {
        // In words, not as a parameter: the index is for this state alone.
        let pending = Expr::cust("state = 'pending'");
        Entity::find().filter(pending).count(&self.pool.named("orders_pending", Class::Sheddable)).await
    }

    /// Claims up to `limit` orders whose placing was interrupted, until `attempt_until`.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn orders_claim_interrupted(
        &self,
        now_ms: i64,
        attempt_until: i64,
        limit: u64,
    ) -> Result<Vec<Order>, DbErr> {
        let rows = self
            .pool
            .run_tx("orders_claim_interrupted", Class::Normal, |tx| async move {
                let mut query = Entity::find()
                    .filter(Column::State.eq(State::Pending.word()))
                    .filter(Column::AttemptUntil.lt(now_ms))
                    .order_by_asc(Column::AttemptUntil)
                    .limit(limit);
                if tx.get_database_backend() == DbBackend::Postgres {
                    query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
                }
                let rows = query.all(&tx).await?;
                if !rows.is_empty() {
                    Entity::update_many()
                        .col_expr(Column::AttemptUntil, Expr::value(attempt_until))
                        .filter(Column::Id.is_in(rows.iter().map(|row| row.id)))
                        .exec(&tx)
                        .await?;
                }
                Ok::<_, DbErr>(rows)
            })
            .await?;
        Ok(rows.into_iter().filter_map(readable).collect())
    }

    /// Dead letters behind `after`, oldest first.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn dead_letters(&self, after: i64, limit: u64) -> Result<Vec<DeadLetter>, DbErr> {
        selvage_outbox::dead_letters(&self.pool.named("dead_letters", Class::Normal), after, limit).await
    }

    /// Gives a dead letter to the relay again.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn dead_letter_retry(&self, position: i64, now_ms: i64) -> Result<Option<DeadLetter>, DbErr> {
        self.pool
            .run_tx("dead_letter_retry", Class::Normal, |tx| async move {
                selvage_outbox::retry(&tx, position, now_ms).await
            })
            .await
    }

    /// Removes a dead letter.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn dead_letter_discard(&self, position: i64) -> Result<Option<DeadLetter>, DbErr> {
        self.pool
            .run_tx(
                "dead_letter_discard",
                Class::Normal,
                |tx| async move { selvage_outbox::discard(&tx, position).await },
            )
            .await
    }
}

/// The row's order. One that is damaged is left out and logged: it must not stand in the way of all others.
fn readable(row: Model) -> Option<Order> {
    let id = row.id;
    Order::try_from(row)
        .inspect_err(|error| tracing::error!(order = %id, error = %error, "an order can't be read and is passed over"))
        .ok()
}

/// [`Store::order_advance`] within the caller's transaction.
///
/// # Errors
/// If the database refuses.
pub(crate) async fn order_advance(
    tx: &Tx,
    id: Uuid,
    (from, to): (State, State),
    change: &Change,
    now_ms: i64,
) -> Result<bool, DbErr> {
    debug_assert!(from.may_become(to), "an order can't go from {from:?} to {to:?}");
    let mut update = Entity::update_many()
        .col_expr(Column::State, Expr::value(to.word()))
        .col_expr(Column::UpdatedAt, Expr::value(now_ms));
    if let Some(payment) = change.payment {
        update = update.col_expr(Column::Payment, Expr::value(payment.word()));
    }
    if let Some(refusal) = &change.refusal {
        update = update.col_expr(Column::Refusal, Expr::value(convert::json(refusal)?));
    }
    let updated = update.filter(Column::Id.eq(id)).filter(Column::State.eq(from.word())).exec(tx).await?;
    if updated.rows_affected == 0 {
        return Ok(false);
    }
    enqueue(tx, now_ms, change.messages.clone()).await?;
    Ok(true)
}

/// Stores a payment's new state within the caller's transaction.
///
/// # Errors
/// If the database refuses.
pub(crate) async fn payment_set(tx: &Tx, id: Uuid, payment: PaymentState, now_ms: i64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Payment, Expr::value(payment.word()))
        .col_expr(Column::UpdatedAt, Expr::value(now_ms))
        .filter(Column::Id.eq(id))
        .exec(tx)
        .await
        .map(drop)
}
