//! Reservations and stock.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, ExprTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, TryInsertResult,
};
use selvage_pool::{Class, Rollback, StoreError, Tx, each_first, from_json, to_json};
use uuid::Uuid;

use super::Store;
use super::entity::{adjustment, reservation, variant};
use super::product_select::VariantRow;
use super::stored::StoredVariant;
use crate::domain::stock::{Line, State, summed};

/// The table of reservations, in the log.
pub(crate) const RESERVATIONS: &str = "reservations";

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The order's id.
    pub id: Uuid,
    /// Where it stands.
    pub state: State,
    /// Each SKU once.
    pub lines: Vec<Line>,
    /// From when on it may lapse; milliseconds since the Unix epoch.
    pub expires_at: i64,
    /// Whether its stock was ever taken off the shelf, given back since or not.
    pub was_committed: bool,
}

/// Why stock can't be set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// These SKUs have too little; with what is available, `None` if it isn't sold (any more).
    Short(Vec<(String, Option<i32>)>),
    /// The id is of a reservation with other lines.
    OtherLines,
}

/// What became of setting stock aside: it is, or it was before and this is how that one stands.
pub type Held = Result<Reservation, Refused>;

/// What became of adjusting stock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "stock that was not adjusted is no error of the database's"]
pub enum Adjusted {
    /// The variant as it is now.
    Done(StoredVariant),
    /// The request's id was used for another adjustment.
    OtherRequest,
    /// Stock would fall below what is set aside, or rise above a million.
    OutOfBounds,
    /// There is no such SKU.
    Missing,
}

impl Store {
    /// Sets stock aside: all lines or none. The id is taken first, so that of two calls with it one waits for the other.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again under the same id is safe.
    pub async fn stock_reserve(&self, id: Uuid, lines: &[Line], expires_at: i64) -> Result<Held, StoreError> {
        let lines = &summed(lines);
        let row = &reservation::ActiveModel {
            id: Set(id),
            state: Set(State::Held.word().to_owned()),
            lines: Set(to_json("lines", lines)?),
            expires_at: Set(expires_at),
            returned: Set(false),
        };
        let reserved = self
            .pool
            .run_tx("stock_reserve", Class::Critical, |tx| async move {
                if !insert_unless_there(&tx, row.clone()).await? {
                    let stored = reservation_get(&tx, id).await?.ok_or(DbErr::RecordNotInserted)?;
                    // A tombstone has no lines: whatever comes after it is refused by its state.
                    let same = stored.lines == *lines || stored.lines.is_empty();
                    return if same { Ok(stored) } else { Err(Rollback::Refused(Refused::OtherLines)) };
                }
                let mut short = Vec::new();
                for line in lines {
                    let free = Expr::col(variant::Column::Stock).sub(Expr::col(variant::Column::Reserved));
                    let taken = variant::Entity::update_many()
                        .col_expr(variant::Column::Reserved, Expr::col(variant::Column::Reserved).add(line.quantity))
                        .filter(variant::Column::Sku.eq(line.sku.as_str()))
                        .filter(variant::Column::Withdrawn.eq(false))
                        .filter(free.gte(line.quantity))
                        .exec(&tx)
                        .await?;
                    if taken.rows_affected == 0 {
                        let row = variant::Entity::find_by_id(line.sku.as_str()).one(&tx).await?;
                        let sold = row.filter(|row| !row.withdrawn);
                        short.push((line.sku.clone(), sold.map(|row| row.stock - row.reserved)));
                    }
                }
                if short.is_empty() {
                    Ok(Reservation { id, state: State::Held, lines: lines.clone(), expires_at, was_committed: false })
                } else {
                    Err(Rollback::Refused(Refused::Short(short)))
                }
            })
            .await;
        Rollback::outcome(reserved)
    }

    /// Takes a reservation's stock off the shelf; returns how it stands then, `None` if there is none. A second time
    /// nothing changes, whatever has happened since: one whose stock was taken and then given back is released, and says
    /// that it [was committed](Reservation::was_committed). One that was released before its stock was taken says that it
    /// wasn't: its order can't have the goods.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again under the same id is safe. [`StoreError::Damaged`] if the reservation's row
    /// is.
    pub async fn stock_commit(&self, id: Uuid) -> Result<Option<Reservation>, StoreError> {
        self.pool
            .run_tx("stock_commit", Class::Critical, |tx| async move {
                let Some(committed) = advance(&tx, id, State::Held, State::Committed).await? else {
                    return reservation_get(&tx, id).await;
                };
                for line in &committed.lines {
                    change(&tx, line, -1, -1).await?;
                }
                Ok(Some(committed))
            })
            .await
    }

    /// Gives a reservation's stock back, from the shelf or to it. An unknown id is remembered as released, until
    /// `expires_at` at least.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again under the same id is safe. [`StoreError::Damaged`] if the reservation's row
    /// is.
    pub async fn stock_release(&self, id: Uuid, expires_at: i64) -> Result<Reservation, StoreError> {
        let tombstone = &reservation::ActiveModel {
            id: Set(id),
            state: Set(State::Released.word().to_owned()),
            lines: Set(to_json("lines", &Vec::<Line>::new())?),
            expires_at: Set(expires_at),
            returned: Set(false),
        };
        self.pool
            .run_tx("stock_release", Class::Critical, |tx| async move {
                let mut known = reservation_get(&tx, id).await?;
                if known.is_none() && !insert_unless_there(&tx, tombstone.clone()).await? {
                    // It came just now: the insertion waited for it.
                    known = reservation_get(&tx, id).await?;
                }
                let Some(mut reservation) = known else {
                    let lines = Vec::new();
                    let state = State::Released;
                    return Ok::<_, StoreError>(Reservation { id, state, lines, expires_at, was_committed: false });
                };
                let (stock, reserved) = match reservation.state {
                    State::Held => (0, -1),
                    State::Committed => (1, 0),
                    State::Released => return Ok(reservation),
                };
                advance(&tx, id, reservation.state, State::Released).await?;
                for line in &reservation.lines {
                    change(&tx, line, stock, reserved).await?;
                }
                reservation.state = State::Released;
                Ok(reservation)
            })
            .await
    }

    /// Up to `limit` reservations that are past their time.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn reservation_list_overdue(&self, now_ms: i64, limit: u64) -> Result<Vec<Uuid>, StoreError> {
        let overdue = reservation::Entity::find()
            .select_only()
            .column(reservation::Column::Id)
            // In the words of its index.
            .filter(Expr::cust("state = 'held'"))
            .filter(reservation::Column::ExpiresAt.lt(now_ms))
            .order_by_asc(reservation::Column::ExpiresAt)
            .limit(limit)
            .into_query();
        let rows = self.pool.named("reservation_list_overdue", Class::Normal).query_all(&overdue).await?;
        Ok(each_first(RESERVATIONS, rows))
    }

    /// Gives reservations more time.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again is safe.
    pub async fn reservation_extend(&self, ids: &[Uuid], expires_at: i64) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.pool
            .run_tx("reservation_extend", Class::Normal, |tx| async move {
                reservation::Entity::update_many()
                    .col_expr(reservation::Column::ExpiresAt, Expr::value(expires_at))
                    .filter(reservation::Column::Id.is_in(ids.iter().copied()))
                    .filter(reservation::Column::State.eq(State::Held.word()))
                    .exec(&tx)
                    .await?;
                Ok(())
            })
            .await
    }

    /// Forgets up to `limit` reservations that have ended and whose time was over before `before`, and as many adjustments
    /// from before then; returns how many of both. Two to four statements.
    ///
    /// # Errors
    /// [`StoreError::Database`]; the next purge takes what is left.
    pub async fn stock_purge(&self, before: i64, limit: u64) -> Result<u64, StoreError> {
        self.pool
            .run_tx("stock_purge", Class::Sheddable, |tx| async move {
                let ended = reservation::Entity::find()
                    .select_only()
                    .column(reservation::Column::Id)
                    // In the words of its index.
                    .filter(Expr::cust("state <> 'held'"))
                    .filter(reservation::Column::ExpiresAt.lt(before))
                    .order_by_asc(reservation::Column::ExpiresAt)
                    .limit(limit)
                    .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                    .into_query();
                let ended: Vec<Uuid> = each_first(RESERVATIONS, tx.query_all(&ended).await?);
                let adjusted = adjustment::Entity::find()
                    .select_only()
                    .column(adjustment::Column::RequestId)
                    .filter(adjustment::Column::AdjustedAt.lt(before))
                    .order_by_asc(adjustment::Column::AdjustedAt)
                    .limit(limit)
                    .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                    .into_query();
                let adjusted: Vec<Uuid> = each_first("stock_adjustments", tx.query_all(&adjusted).await?);
                let mut purged = 0;
                if !ended.is_empty() {
                    let these = reservation::Column::Id.is_in(ended);
                    purged += reservation::Entity::delete_many().filter(these).exec(&tx).await?.rows_affected;
                }
                if !adjusted.is_empty() {
                    let these = adjustment::Column::RequestId.is_in(adjusted);
                    purged += adjustment::Entity::delete_many().filter(these).exec(&tx).await?.rows_affected;
                }
                Ok(purged)
            })
            .await
    }

    /// Adds to a SKU's stock on hand, once for each request. The request's id is taken first, so that of two calls with it
    /// one waits for the other.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again under the same id is safe.
    pub async fn stock_adjust(
        &self,
        request_id: Uuid,
        sku: &str,
        delta: i32,
        now_ms: i64,
    ) -> Result<Adjusted, StoreError> {
        let row = &adjustment::ActiveModel {
            request_id: Set(request_id),
            sku: Set(sku.to_owned()),
            delta: Set(delta),
            adjusted_at: Set(now_ms),
        };
        let adjusted = self
            .pool
            .run_tx("stock_adjust", Class::Normal, |tx| async move {
                let taken = OnConflict::column(adjustment::Column::RequestId).do_nothing().to_owned();
                let inserted = adjustment::Entity::insert(row.clone()).on_conflict(taken).try_insert();
                if matches!(inserted.exec_without_returning(&tx).await?, TryInsertResult::Inserted(1..)) {
                    let stock = || Expr::col(variant::Column::Stock).add(delta);
                    let changed = variant::Entity::update_many()
                        .col_expr(variant::Column::Stock, stock())
                        .filter(variant::Column::Sku.eq(sku))
                        .filter(stock().gte(Expr::col(variant::Column::Reserved)))
                        .filter(stock().lte(1_000_000))
                        .exec(&tx)
                        .await?;
                    if changed.rows_affected == 0 {
                        let there = variant::Entity::find_by_id(sku).count(&tx).await? > 0;
                        return Err(Rollback::Refused(if there { Adjusted::OutOfBounds } else { Adjusted::Missing }));
                    }
                } else {
                    let known = adjustment::Entity::find_by_id(request_id).one(&tx).await?;
                    if known.is_none_or(|known| known.sku != sku || known.delta != delta) {
                        return Ok(Adjusted::OtherRequest);
                    }
                }
                let after = variant::Entity::find_by_id(sku).into_model::<VariantRow>().one(&tx).await?;
                Ok(after.map_or(Adjusted::Missing, |row| Adjusted::Done(row.into())))
            })
            .await;
        Rollback::outcome(adjusted).map(|(Ok(adjusted) | Err(adjusted))| adjusted)
    }
}

/// Inserts a reservation; `false` if its id is taken.
async fn insert_unless_there(tx: &Tx, row: reservation::ActiveModel) -> Result<bool, DbErr> {
    let taken = OnConflict::column(reservation::Column::Id).do_nothing().to_owned();
    let inserted = reservation::Entity::insert(row).on_conflict(taken).try_insert().exec_without_returning(tx).await?;
    Ok(matches!(inserted, TryInsertResult::Inserted(1..)))
}

/// The reservation, its row locked until the transaction ends: whoever decides by a reservation's state must be alone with
/// it.
async fn reservation_get(tx: &Tx, id: Uuid) -> Result<Option<Reservation>, StoreError> {
    let row = reservation::Entity::find_by_id(id).lock_exclusive().one(tx).await?;
    row.map(reservation_of).transpose()
}

fn reservation_of(row: reservation::Model) -> Result<Reservation, StoreError> {
    let id = row.id;
    let state = State::from_word(&row.state)
        .ok_or_else(|| StoreError::damaged(format!("reservation {id}: its state"), &row.state))?;
    let lines = from_json(format!("reservation {id}: its lines"), row.lines)?;
    let was_committed = row.returned || state == State::Committed;
    Ok(Reservation { id, state, lines, expires_at: row.expires_at, was_committed })
}

/// Takes a reservation from one state to another: as it is then, `None` if it wasn't in that state.
async fn advance(tx: &Tx, id: Uuid, from: State, to: State) -> Result<Option<Reservation>, StoreError> {
    let advanced = reservation::Entity::update_many()
        .col_expr(reservation::Column::State, Expr::value(to.word()))
        .col_expr(reservation::Column::Returned, Expr::value((from, to) == (State::Committed, State::Released)))
        .filter(reservation::Column::Id.eq(id))
        .filter(reservation::Column::State.eq(from.word()))
        .exec_with_returning(tx)
        .await?;
    advanced.into_iter().next().map(reservation_of).transpose()
}

/// Changes a SKU's stock and reserved pieces by the line's, times -1, 0 or 1.
async fn change(tx: &Tx, line: &Line, stock: i32, reserved: i32) -> Result<(), DbErr> {
    variant::Entity::update_many()
        .col_expr(variant::Column::Stock, Expr::col(variant::Column::Stock).add(stock * line.quantity))
        .col_expr(variant::Column::Reserved, Expr::col(variant::Column::Reserved).add(reserved * line.quantity))
        .filter(variant::Column::Sku.eq(line.sku.as_str()))
        .exec(tx)
        .await
        .map(drop)
}
