//! Orders in the database. Every change of an order's state is a conditional update from the state it is believed to be
//! in, in one transaction with the outbox messages that follow from it: of two who try, one succeeds.

mod convert;
mod entity;
pub(crate) mod meter;

use sea_orm::sea_query::{CaseStatement, Expr, LockBehavior, LockType, OnConflict, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, FromQueryResult as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait as _, Select,
    Statement, TryInsertResult,
};
use selvage_outbox::{DeadLetter, Outgoing, Waiting, enqueue};
use selvage_pool::{Class, Each, Pool, StoreError, Tx, to_json};
use uuid::Uuid;

use crate::domain::order::{NewOrder, Order, PaymentState, State};
#[cfg(doc)]
use crate::domain::recovery::STANDING_AFTER_MS;
use crate::domain::recovery::next_take_up;
use crate::domain::refusal::Refusal;
use entity::{Column, Entity, Model};

/// Looks that one list takes: it is short if it meets as many pages of damaged rows.
const LOOKS_A_LIST: usize = 4;

/// After how many milliseconds an order is looked at again whose row is damaged: whoever mends it needs to do nothing else.
const PASSED_OVER_MS: i64 = 3_600_000;
/// What a damaged row is named by.
const TABLE: &str = "orders";

/// Orders that stand still are counted up to here: whoever is told of a thousand need not know how many more there are, and
/// the count stays some milliseconds' work.
pub const MOST_STANDING: u64 = 1_000;
/// What `domain::order::is_at_rest` says no to, in words: the index `orders_open` is for these alone.
pub(crate) const OPEN: &str = "state IN ('pending', 'cancelling', 'refunding') OR payment = 'authorised' \
                               OR (payment = 'captured' AND state IN ('cancelled', 'refunded'))";

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

/// What a message's being done, or left undone, changes about its order.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    /// The payment's new state.
    pub(crate) payment: Option<PaymentState>,
    /// A step of the order, taken if it stands where the step begins, with what follows from it.
    pub(crate) step: Option<((State, State), Change)>,
    /// What else is to be done.
    pub(crate) messages: Vec<Outgoing>,
}

impl Settlement {
    /// Whether there may be new messages to be done.
    pub(crate) fn sends(&self) -> bool {
        !self.messages.is_empty() || self.step.as_ref().is_some_and(|(_, change)| !change.messages.is_empty())
    }
}

impl Store {
    /// The orders behind `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Inserts an order as pending, unless its owner has used its key before.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn order_insert(&self, what: &NewOrder, attempt_until: i64, now_ms: i64) -> Result<Inserted, StoreError> {
        let key_taken = OnConflict::columns([Column::Owner, Column::IdempotencyKey]).do_nothing().to_owned();
        let insert = Entity::insert(convert::row(what, attempt_until, now_ms)?).on_conflict(key_taken).try_insert();
        // One statement is the whole transaction: the unique index decides.
        let inserted = insert.exec_without_returning(&self.pool.named("order_insert", Class::Normal)).await?;
        if matches!(inserted, TryInsertResult::Inserted(1..)) {
            meter::changed(State::Pending);
            return Ok(Inserted::New);
        }
        match self.order_get_by_key(&what.owner, &what.idempotency_key).await? {
            Some(order) => Ok(Inserted::Existing(Box::new(order))),
            None => Err(DbErr::RecordNotInserted.into()),
        }
    }

    /// The order that its owner made with this key.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn order_get_by_key(&self, owner: &str, key: &str) -> Result<Option<Order>, StoreError> {
        let found = Entity::find()
            .filter(Column::Owner.eq(owner))
            .filter(Column::IdempotencyKey.eq(key))
            .one(&self.pool.named("order_get_by_key", Class::Normal))
            .await?;
        found.map(Order::try_from).transpose()
    }

    /// One order.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn order_get(&self, id: Uuid) -> Result<Option<Order>, StoreError> {
        let found = Entity::find_by_id(id).one(&self.pool.named("order_get", Class::Normal)).await?;
        found.map(Order::try_from).transpose()
    }

    /// Up to `limit` of an owner's orders, newest first, behind the one at `after` (created, id).
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn order_list(
        &self,
        owner: &str,
        after: Option<(i64, Uuid)>,
        limit: u64,
    ) -> Result<Vec<Order>, StoreError> {
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
            let query = query.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).limit(missing).into_query();
            let rows = self.pool.named("order_list", Class::Sheddable).query_all(&query).await?;
            let last = rows.last().map(|row| Ok::<_, DbErr>((row.try_get("", "created_at")?, row.try_get("", "id")?)));
            let ended = (rows.len() as u64) < missing;
            orders.extend(Each::of(rows, order_of).or_pass_over(TABLE, "id"));
            after = last.transpose()?;
            if ended || orders.len() as u64 == limit {
                break;
            }
        }
        Ok(orders)
    }

    /// The states of those orders that exist.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn order_list_states(&self, ids: Vec<Uuid>) -> Result<Vec<(Uuid, State)>, StoreError> {
        let rows: Vec<(Uuid, String)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::State])
            .filter(Column::Id.is_in(ids))
            .into_tuple()
            .all(&self.pool.named("order_list_states", Class::Normal))
            .await?;
        Ok(rows.into_iter().map(|(id, word)| (id, State::from_word(&word))).collect())
    }

    /// Takes an order from one state to another, with what follows: `false` if it isn't in that state, and nothing was
    /// done.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn order_advance(
        &self,
        id: Uuid,
        (from, to): (State, State),
        change: &Change,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
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
    /// [`StoreError`]; doing it again is safe.
    pub async fn order_count_pending(&self) -> Result<u64, StoreError> {
        // In words, not as a parameter: the index is for this state alone.
        let pending = Expr::cust("state = 'pending'");
        Ok(Entity::find().filter(pending).count(&self.pool.named("order_count_pending", Class::Sheddable)).await?)
    }

    /// How many orders stand still: those that aren't [at rest](crate::domain::order::is_at_rest) and haven't changed
    /// since `since` (milliseconds since the Unix epoch), and those of which a message has waited since before then, their
    /// mails apart: of each order the first one, which has waited as long as those behind it. Counts no further than
    /// [`MOST_STANDING`]. One statement.
    ///
    /// # Errors
    /// [`StoreError`]; the caller counts again later.
    pub async fn order_count_standing(&self, since: i64) -> Result<u64, StoreError> {
        let sql = format!(
            "SELECT count(*) FROM ( \
               SELECT id FROM (SELECT id FROM orders WHERE updated_at < $1 AND ({OPEN}) \
                               ORDER BY updated_at LIMIT {MOST_STANDING}) AS open \
               UNION \
               SELECT id FROM (SELECT o.id FROM outbox_messages AS m JOIN orders AS o ON o.id = m.key \
                               WHERE NOT m.behind AND m.created_at < $1 ORDER BY m.created_at LIMIT {MOST_STANDING}) AS waiting \
             ) AS standing"
        );
        let pool = self.pool.named("order_count_standing", Class::Sheddable);
        let statement = Statement::from_sql_and_values(pool.get_database_backend(), sql, [since.into()]);
        let row = pool.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound("a count".into()))?;
        Ok(u64::try_from(row.try_get_by_index::<i64>(0)?).unwrap_or_default().min(MOST_STANDING))
    }

    /// Claims up to `limit` orders whose placing was interrupted, until `attempt_until`. Damaged ones are passed over, and looked
    /// at again in [`PASSED_OVER_MS`].
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn order_claim_interrupted(
        &self,
        now_ms: i64,
        attempt_until: i64,
        limit: u64,
    ) -> Result<Vec<Order>, StoreError> {
        let claimed = self
            .pool
            .run_tx("order_claim_interrupted", Class::Normal, |tx| async move {
                let interrupted = Entity::find()
                    // In words, not as a parameter: the index is for this state alone.
                    .filter(Expr::cust("state = 'pending'"))
                    .filter(Column::AttemptUntil.lt(now_ms))
                    .order_by_asc(Column::AttemptUntil)
                    .limit(limit);
                claim(&tx, interrupted, |_| Expr::value(attempt_until), now_ms).await
            })
            .await?;
        Ok(claimed.or_pass_over(TABLE, "id"))
    }

    /// Claims up to `limit` orders that stand still, pending ones apart: that aren't at rest, and haven't changed since
    /// `since`, at least [`STANDING_AFTER_MS`] ago. They are claimed until [`next_take_up`]; damaged ones are passed over, and looked
    /// at again in [`PASSED_OVER_MS`]. Two statements, one if there are none.
    ///
    /// # Errors
    /// [`StoreError`]; the caller looks again later.
    pub async fn order_claim_standing(&self, since: i64, now_ms: i64, limit: u64) -> Result<Vec<Order>, StoreError> {
        let claimed = self
            .pool
            .run_tx("order_claim_standing", Class::Sheddable, |tx| async move {
                let backend = tx.get_database_backend();
                let standing = Entity::find()
                    .filter(Expr::cust(OPEN))
                    .filter(Expr::cust("state <> 'pending'"))
                    .filter(Column::UpdatedAt.lt(since))
                    // The same as `attempt_until < now` where `since` is a quarter of an hour ago, and what the index is of.
                    .filter(is_to_be_taken_up(backend, now_ms))
                    .order_by_asc(Expr::cust(take_up_at(backend)))
                    .limit(limit);
                let until = |orders: &[Order]| {
                    let each = orders.iter().fold(CaseStatement::new(), |until, order| {
                        until.case(Column::Id.eq(order.what.id), next_take_up(order.updated_at, now_ms))
                    });
                    each.into()
                };
                claim(&tx, standing, until, now_ms).await
            })
            .await?;
        Ok(claimed.or_pass_over(TABLE, "id"))
    }

    /// Takes up an order that stands still: a dead letter that it waits for gets one attempt more, and if no message of it
    /// is left, it is given `messages`, unless it has changed since it was read. Returns what it waited for. One to three
    /// statements.
    ///
    /// # Errors
    /// [`StoreError`]: nothing has changed, and the caller may try again.
    pub async fn order_take_up(
        &self,
        order: &Order,
        messages: &[Outgoing],
        now_ms: i64,
    ) -> Result<Waiting, StoreError> {
        let id = order.what.id;
        self.pool
            .run_tx("order_take_up", Class::Sheddable, |tx| async move {
                let waiting = selvage_outbox::retry_once(&tx, id, now_ms).await?;
                if waiting != Waiting::Nothing || messages.is_empty() {
                    return Ok::<_, StoreError>(waiting);
                }
                // Its row is locked by this, so nobody else gives it messages meanwhile. It has not changed by being taken up.
                let unchanged = Entity::update_many()
                    .col_expr(Column::UpdatedAt, Expr::value(order.updated_at))
                    .filter(Column::Id.eq(id))
                    .filter(Column::State.eq(order.state.word()))
                    .filter(Column::UpdatedAt.eq(order.updated_at));
                if unchanged.exec(&tx).await?.rows_affected == 1 {
                    enqueue(&tx, now_ms, messages.iter().cloned()).await?;
                }
                Ok(waiting)
            })
            .await
    }

    /// Dead letters behind `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn dead_letters(&self, after: i64, limit: u64) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(selvage_outbox::dead_letters(&self.pool.named("dead_letter_list", Class::Normal), after, limit).await?)
    }

    /// Gives a dead letter to the relay again.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again is safe.
    pub async fn dead_letter_retry(&self, position: i64, now_ms: i64) -> Result<Option<DeadLetter>, StoreError> {
        self.pool
            .run_tx("dead_letter_retry", Class::Normal, |tx| async move {
                Ok::<_, StoreError>(selvage_outbox::retry(&tx, position, now_ms).await?)
            })
            .await
    }

    /// Removes a dead letter, and stores what it means for its order that it is never done, as `left_undone` says.
    ///
    /// # Errors
    /// [`StoreError`]: the letter is still there, unless the outcome is unknown; the caller looks, and tries again.
    pub(crate) async fn dead_letter_discard(
        &self,
        position: i64,
        left_undone: fn(&DeadLetter) -> Option<Settlement>,
        now_ms: i64,
    ) -> Result<Option<DeadLetter>, StoreError> {
        self.pool
            .run_tx("dead_letter_discard", Class::Normal, |tx| async move {
                let letter = selvage_outbox::discard(&tx, position).await?;
                if let Some(letter) = &letter
                    && let Some(settlement) = left_undone(letter)
                {
                    order_settle(&tx, letter.key, &settlement, now_ms).await?;
                }
                Ok::<_, StoreError>(letter)
            })
            .await
    }
}

/// The row's order.
fn order_of(row: &QueryResult) -> Result<Order, StoreError> {
    Order::try_from(Model::from_query_result(row, "")?)
}

/// When an order that isn't at rest is to be taken up: when nobody has claimed it any more, and it has stood still for
/// `STANDING_AFTER_MS`. In the words of the index `orders_to_take_up`, so that those that wait longer aren't looked at.
fn take_up_at(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "GREATEST(attempt_until, updated_at + 900000)",
        _ => "max(attempt_until, updated_at + 900000)",
    }
}

fn is_to_be_taken_up(backend: DbBackend, now_ms: i64) -> Expr {
    use sea_orm::ExprTrait as _;
    Expr::cust(take_up_at(backend)).lt(now_ms)
}

/// Finds the orders of `query`, and sets until when they are claimed, as `until` says. On PostgreSQL, those that another
/// instance is just claiming are passed over. Two statements, one if there are none, and one more if any is damaged.
///
/// # Errors
/// [`StoreError`]; the caller's transaction must then fail, and may be repeated as a whole.
async fn claim(
    tx: &Tx,
    mut query: Select<Entity>,
    until: impl FnOnce(&[Order]) -> SimpleExpr,
    now_ms: i64,
) -> Result<Each<Order>, StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let each = Each::of(tx.query_all(&query.into_query()).await?, order_of);
    let damaged = each.damaged.iter().filter_map(|(row, _)| row.try_get::<Uuid>("", "id").ok());
    let claims = [
        (each.read.iter().map(|order| order.what.id).collect::<Vec<_>>(), until(&each.read)),
        (damaged.collect(), Expr::value(now_ms + PASSED_OVER_MS)),
    ];
    for (ids, until) in claims {
        if !ids.is_empty() {
            Entity::update_many().col_expr(Column::AttemptUntil, until).filter(Column::Id.is_in(ids)).exec(tx).await?;
        }
    }
    Ok(each)
}

/// [`Store::order_advance`] within the caller's transaction.
///
/// # Errors
/// [`StoreError`]; the caller's transaction must then fail, and may be repeated as a whole.
async fn order_advance(
    tx: &Tx,
    id: Uuid,
    (from, to): (State, State),
    change: &Change,
    now_ms: i64,
) -> Result<bool, StoreError> {
    debug_assert!(from.may_become(to), "an order can't go from {from:?} to {to:?}");
    let mut update = Entity::update_many()
        .col_expr(Column::State, Expr::value(to.word()))
        .col_expr(Column::UpdatedAt, Expr::value(now_ms));
    if let Some(payment) = change.payment {
        update = update.col_expr(Column::Payment, Expr::value(payment.word()));
    }
    if let Some(refusal) = &change.refusal {
        update = update.col_expr(Column::Refusal, Expr::value(to_json("refusal", refusal)?));
    }
    let updated = update.filter(Column::Id.eq(id)).filter(Column::State.eq(from.word())).exec(tx).await?;
    if updated.rows_affected == 0 {
        return Ok(false);
    }
    enqueue(tx, now_ms, change.messages.clone()).await?;
    Ok(true)
}

/// Stores what a message's being done, or left undone, means for its order, within the caller's transaction.
///
/// # Errors
/// [`StoreError`]; the caller's transaction must then fail, and may be repeated as a whole.
pub(crate) async fn order_settle(tx: &Tx, id: Uuid, settlement: &Settlement, now_ms: i64) -> Result<(), StoreError> {
    if let Some(payment) = settlement.payment {
        payment_set(tx, id, payment, now_ms).await?;
    }
    if let Some((step, change)) = &settlement.step
        && order_advance(tx, id, *step, change, now_ms).await?
    {
        // Counted before it is committed: a transaction that is done again is counted again.
        meter::changed(step.1);
    }
    Ok(enqueue(tx, now_ms, settlement.messages.iter().cloned()).await?)
}

/// Stores a payment's new state within the caller's transaction.
///
/// # Errors
/// [`StoreError`]; the caller's transaction must then fail, and may be repeated as a whole.
async fn payment_set(tx: &Tx, id: Uuid, payment: PaymentState, now_ms: i64) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::Payment, Expr::value(payment.word()))
        .col_expr(Column::UpdatedAt, Expr::value(now_ms))
        .filter(Column::Id.eq(id))
        .exec(tx)
        .await?;
    Ok(())
}
