//! Shipments in the database.

mod entity;
mod rows;

use sea_orm::sea_query::{LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult as _, QueryFilter as _,
    QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait as _, Select, Set,
};
use selvage_pool::{Class, Each, Pool, Rollback, StoreError, Tx, each_first, passed_over};
use uuid::Uuid;

use crate::domain::shipment::{Consignment, Event, OnItsWay, OtherContent, Shipment, State, WAREHOUSE};
use crate::domain::tracking_number::tracking_number;
use entity::{event, shipment};
use rows::label_created;

/// Shipments that the carrier moves in one transaction: about 10 ms of work, and five statements whatever their number.
pub const CARRIER_BATCH: u64 = 100;
/// After how many milliseconds a parcel is looked at again whose row is damaged: whoever mends it needs to do nothing else.
pub const PASSED_OVER_MS: i64 = 3_600_000;

/// What a damaged row is named by.
const TABLE: &str = "shipments";
const ORDER_ID: &str = "order_id";

/// The store of shipments. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// A store in the database of `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Writes a shipment down, to be picked up at `pick_up_at`. If there is one for the order with the same content,
    /// returns it as it stands: on its way, delivered, or cancelled since, for whoever asks a second time is answered as
    /// the first time. The mark of an order that was cancelled before it had a shipment stands for any content: there is
    /// nothing to ship. One statement, which is the whole transaction by itself; for a repetition two more.
    ///
    /// Refused is [`OtherContent`]: the caller has taken another's id, and no repetition helps.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again is safe. [`StoreError::Damaged`] if the shipment that is there is.
    pub async fn shipment_create(
        &self,
        goods: &Consignment,
        now_ms: i64,
        pick_up_at: i64,
    ) -> Result<Result<Shipment, OtherContent>, StoreError> {
        let pool = self.pool.named("shipment_create", Class::Critical);
        if insert_new(&pool, shipment::ActiveModel::new(goods, now_ms, pick_up_at)?).await? {
            return Ok(Ok(Shipment {
                order_id: goods.order_id,
                tracking_number: tracking_number(goods.order_id),
                state: State::LabelCreated,
                consignment: Some(goods.clone()),
                events: vec![label_created(now_ms)],
            }));
        }
        let known = only(shipments(&pool, &[goods.order_id]).await?)?;
        let known = known.ok_or_else(|| StoreError::damaged(format!("shipment {}", goods.order_id), "it vanished"))?;
        let is_another = known.consignment.as_ref().is_some_and(|shipped| shipped != goods);
        Ok(if is_another { Err(OtherContent) } else { Ok(known) })
    }

    /// Stops a shipment, or leaves a cancelled one behind where there is none. One transaction of two statements for an
    /// order without shipment, else of three to four. Refused is what is [`OnItsWay`]: the carrier has it, for ever.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again is safe. [`StoreError::Damaged`] if the shipment that is there is.
    pub async fn shipment_cancel(&self, order_id: Uuid, now_ms: i64) -> Result<Result<Shipment, OnItsWay>, StoreError> {
        let cancelled = self
            .pool
            .run_tx("shipment_cancel", Class::Critical, |tx: Tx| async move {
                let cancelled = happened(State::Cancelled, now_ms, WAREHOUSE.to_owned());
                if insert_new(&tx, shipment::ActiveModel::tombstone(order_id, now_ms)).await? {
                    insert_event(&tx, order_id, &cancelled).await?;
                    return Ok(Shipment {
                        order_id,
                        consignment: None,
                        tracking_number: String::new(),
                        state: State::Cancelled,
                        events: vec![cancelled],
                    });
                }
                let mut shipment = lock_shipment(&tx, order_id).await?;
                let next = shipment.state.cancel().map_err(Rollback::Refused)?;
                if next != shipment.state {
                    move_to(&tx, next, &[order_id], None).await?;
                    insert_event(&tx, order_id, &cancelled).await?;
                    shipment.state = next;
                    shipment.events.push(cancelled);
                }
                Ok(shipment)
            })
            .await;
        Rollback::outcome(cancelled)
    }

    /// The shipment of an order, if there is one. Two statements.
    ///
    /// # Errors
    /// [`StoreError::Database`]; [`StoreError::Damaged`] if its row or one of its events is.
    pub async fn shipment_get(&self, order_id: Uuid) -> Result<Option<Shipment>, StoreError> {
        let pool = self.pool.named("shipment_get", Class::Normal);
        only(shipments(&pool, &[order_id]).await?)
    }

    /// The shipments of those of `order_ids` (at most 1,000) that have one. One that is damaged is left out. Two statements.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn shipment_list(&self, order_ids: &[Uuid]) -> Result<Vec<Shipment>, StoreError> {
        let each = shipments(&self.pool.named("shipment_list", Class::Normal), order_ids).await?;
        Ok(each.or_pass_over(TABLE, ORDER_ID))
    }

    /// Where the shipments of those of `order_ids` (at most 1,000) stand that have one, in words: one that differs from the
    /// state's of before says that something has happened to it. One statement, which looks at each row by its key: it needs
    /// no order among ids or commits, and so is right on a database with several nodes too.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn shipment_list_states(&self, order_ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, StoreError> {
        let pool = self.pool.named("shipment_list_states", Class::Normal);
        let states = shipment::Entity::find()
            .select_only()
            .columns([shipment::Column::OrderId, shipment::Column::State])
            .filter(shipment::Column::OrderId.is_in(padded(order_ids)))
            .into_tuple()
            .all(&pool)
            .await?;
        Ok(states)
    }

    /// When the next shipment is due, in milliseconds since the Unix epoch. One statement.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn shipment_next_due(&self) -> Result<Option<i64>, StoreError> {
        let pool = self.pool.named("shipment_next_due", Class::Normal);
        let next = shipment::Entity::find()
            .select_only()
            .column(shipment::Column::NextMoveAt)
            .filter(shipment::Column::NextMoveAt.is_not_null())
            .order_by_asc(shipment::Column::NextMoveAt)
            .limit(1)
            .into_tuple::<i64>()
            .one(&pool)
            .await?;
        Ok(next)
    }

    /// Moves up to [`CARRIER_BATCH`] shipments that are due to their next state, and those that have a further one are
    /// due again at `next_at`. Several carriers share the work: each passes over what another holds. Returns how many
    /// are due no more. One transaction of at most six statements.
    ///
    /// One whose row is damaged is named in the log, and due again in [`PASSED_OVER_MS`]. If a rule of the tables refuses what
    /// becomes of one, each is moved by a transaction of its own.
    ///
    /// # Errors
    /// [`StoreError::Database`]: none was moved, or if its kind is "outcome unknown", all or none; what is still due is moved
    /// by the next call.
    pub async fn shipment_move_due(&self, now_ms: i64, next_at: i64) -> Result<u64, StoreError> {
        match self.move_due(now_ms, next_at, None).await {
            Err(error) if error.is_of_one_row() => self.move_each(now_ms, next_at).await,
            moved => moved,
        }
    }

    /// [`Store::shipment_move_due`] by one transaction: of all that are due, or of one.
    async fn move_due(&self, now_ms: i64, next_at: i64, one: Option<Uuid>) -> Result<u64, StoreError> {
        self.pool
            .run_tx("shipment_move_due", Class::Normal, |tx: Tx| async move {
                let mut due = due(now_ms).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
                if let Some(one) = one {
                    due = due.filter(shipment::Column::OrderId.eq(one));
                }
                let due = Each::of(tx.query_all(&due.into_query()).await?, |row| Move::of(row, now_ms));
                let mut settled = 0;
                for next in State::ALL {
                    let ids = due.read.iter().filter(|due| due.next == next).map(|due| due.order_id);
                    let ids: Vec<_> = ids.collect();
                    if !ids.is_empty() {
                        settled += move_to(&tx, next, &ids, next.next().map(|_| next_at)).await?;
                    }
                }
                if !due.read.is_empty() {
                    event::Entity::insert_many(due.read.into_iter().map(|due| due.event))
                        .exec_without_returning(&tx)
                        .await?;
                }
                let damaged: Vec<Uuid> =
                    due.damaged.iter().filter_map(|(row, _)| row.try_get("", ORDER_ID).ok()).collect();
                if !damaged.is_empty() {
                    settled += put_off(&tx, &damaged, now_ms).await?;
                }
                Ok((settled, due.damaged))
            })
            .await
            .map(|(settled, damaged)| {
                // Said once it is so: a transaction may be repeated.
                Each::<()> { read: Vec::new(), damaged }.or_pass_over(TABLE, ORDER_ID);
                settled
            })
    }

    async fn move_each(&self, now_ms: i64, next_at: i64) -> Result<u64, StoreError> {
        let pool = self.pool.named("shipment_move_due", Class::Normal);
        let ids = due(now_ms).select_only().column(shipment::Column::OrderId).into_query();
        let mut settled = 0;
        for id in each_first::<Uuid>(TABLE, pool.query_all(&ids).await?) {
            settled += match self.move_due(now_ms, next_at, Some(id)).await {
                Err(why) if why.is_of_one_row() => {
                    passed_over(TABLE, id, &why);
                    put_off(&pool, &[id], now_ms).await?
                }
                moved => moved?,
            };
        }
        Ok(settled)
    }
}

/// A shipment's next move.
struct Move {
    order_id: Uuid,
    next: State,
    event: event::ActiveModel,
}

impl Move {
    fn of(row: &QueryResult, now_ms: i64) -> Result<Self, StoreError> {
        let row = shipment::Model::from_query_result(row, "")?;
        let next = State::from_word(&row.state).and_then(State::next);
        let next = next.ok_or_else(|| StoreError::damaged("its state", format!("none follows '{}'", row.state)))?;
        let place = row.address()?.map_or_else(|| WAREHOUSE.to_owned(), |address| next.place(&address));
        let event = event::ActiveModel::new(row.order_id, &happened(next, now_ms, place));
        Ok(Self { order_id: row.order_id, next, event })
    }
}

/// Up to [`CARRIER_BATCH`] shipments that are due, those that have been so for longest first.
fn due(now_ms: i64) -> Select<shipment::Entity> {
    shipment::Entity::find()
        .filter(shipment::Column::NextMoveAt.lte(now_ms))
        .order_by_asc(shipment::Column::NextMoveAt)
        .limit(CARRIER_BATCH)
}

/// Looks at shipments again in [`PASSED_OVER_MS`]; returns how many there were.
async fn put_off(db: &impl ConnectionTrait, order_ids: &[Uuid], now_ms: i64) -> Result<u64, DbErr> {
    let put_off = shipment::Entity::update_many()
        .set(shipment::ActiveModel { next_move_at: Set(Some(now_ms + PASSED_OVER_MS)), ..Default::default() })
        .filter(shipment::Column::OrderId.is_in(order_ids.iter().copied()));
    Ok(put_off.exec(db).await?.rows_affected)
}

fn happened(state: State, at_ms: i64, place: String) -> Event {
    Event { state, at_ms, place }
}

/// Inserts a shipment unless its order has one: whether it did. Of two at once the second waits for the first.
async fn insert_new(db: &impl ConnectionTrait, row: shipment::ActiveModel) -> Result<bool, DbErr> {
    let unless_there = OnConflict::column(shipment::Column::OrderId).do_nothing().to_owned();
    let insert = shipment::Entity::insert(row).on_conflict(unless_there).into_query();
    Ok(db.execute(&insert).await?.rows_affected() > 0)
}

async fn insert_event(tx: &Tx, order_id: Uuid, happened: &Event) -> Result<(), DbErr> {
    event::Entity::insert(event::ActiveModel::new(order_id, happened)).exec_without_returning(tx).await.map(drop)
}

/// Sets the state of shipments whose rows are locked; returns how many there were.
async fn move_to(tx: &Tx, next: State, order_ids: &[Uuid], next_move_at: Option<i64>) -> Result<u64, DbErr> {
    let changed = shipment::Entity::update_many()
        .set(shipment::ActiveModel {
            state: Set(next.word().to_owned()),
            next_move_at: Set(next_move_at),
            ..Default::default()
        })
        .filter(shipment::Column::OrderId.is_in(order_ids.iter().copied()))
        .exec(tx)
        .await?;
    Ok(changed.rows_affected)
}

/// A shipment that must be there, locked until the transaction ends.
async fn lock_shipment(tx: &Tx, order_id: Uuid) -> Result<Shipment, StoreError> {
    let row = shipment::Entity::find_by_id(order_id).lock_exclusive().one(tx).await?;
    let row =
        row.ok_or_else(|| StoreError::damaged(format!("shipment {order_id}"), "it vanished within a transaction"))?;
    row.into_shipment(&events(tx, &[order_id]).await?)
}

async fn shipments(db: &impl ConnectionTrait, order_ids: &[Uuid]) -> Result<Each<Shipment>, StoreError> {
    let wanted = shipment::Column::OrderId.is_in(padded(order_ids));
    let rows = db.query_all(&shipment::Entity::find().filter(wanted).into_query()).await?;
    let events = if rows.is_empty() { Vec::new() } else { db.query_all(&events_of(order_ids).into_query()).await? };
    let events = Each::of(events, |row| event::Model::from_query_result(row, ""));
    Ok(Each::of(rows, |row| {
        let row = shipment::Model::from_query_result(row, "")?;
        let is_its = |event: &QueryResult| event.try_get::<Uuid>("", ORDER_ID).is_ok_and(|id| id == row.order_id);
        match events.damaged.iter().find(|(event, _)| is_its(event)) {
            Some((_, why)) => Err(StoreError::damaged(format!("shipment {}: one of its events", row.order_id), why)),
            None => row.into_shipment(&events.read),
        }
    }))
}

/// The only shipment that was read, if there is one.
fn only(each: Each<Shipment>) -> Result<Option<Shipment>, StoreError> {
    match each.damaged.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(each.read.into_iter().next()),
    }
}

/// The events of orders, in no order.
async fn events(db: &impl ConnectionTrait, order_ids: &[Uuid]) -> Result<Vec<event::Model>, DbErr> {
    events_of(order_ids).all(db).await
}

fn events_of(order_ids: &[Uuid]) -> Select<event::Entity> {
    event::Entity::find().filter(event::Column::OrderId.is_in(padded(order_ids)))
}

/// The ids, the last one repeated until their number is a power of two: each number of parameters is a statement of its own
/// to prepare and to keep, and of up to 1,000 ids there are so 11 of them.
fn padded(order_ids: &[Uuid]) -> Vec<Uuid> {
    let repeated = order_ids.last().into_iter().cycle();
    order_ids.iter().chain(repeated).copied().take(order_ids.len().next_power_of_two()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_padded_to_a_power_of_two() {
        for (count, padded_to) in [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (1_000, 1_024)] {
            let ids: Vec<_> = (0..count).map(Uuid::from_u128).collect();
            let padded = padded(&ids);
            assert_eq!(padded.len(), padded_to);
            assert_eq!(padded[..ids.len()], ids);
            assert!(padded.iter().all(|id| ids.contains(id)));
        }
    }
}
