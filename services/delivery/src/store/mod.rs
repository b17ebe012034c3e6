//! Shipments in the database.

mod entity;
mod rows;

use sea_orm::sea_query::{LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Set,
};
use selvage_pool::{Class, Pool, Rollback, StoreError, Tx};
use uuid::Uuid;

use crate::domain::shipment::{Consignment, Event, OnItsWay, OtherContent, Shipment, State, WAREHOUSE};
use crate::domain::tracking_number::tracking_number;
use entity::{event, shipment};
use rows::label_created;

/// Shipments that the carrier moves in one transaction: about 10 ms of work, and five statements whatever their number.
pub const CARRIER_BATCH: u64 = 100;

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
        let known = shipments(&pool, &[goods.order_id]).await?.pop();
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
        Ok(shipments(&pool, &[order_id]).await?.pop())
    }

    /// The shipments of those of `order_ids` (at most 1,000) that have one. Two statements.
    ///
    /// # Errors
    /// [`StoreError::Database`]; [`StoreError::Damaged`] if a row or an event of one of them is.
    pub async fn shipment_list(&self, order_ids: &[Uuid]) -> Result<Vec<Shipment>, StoreError> {
        shipments(&self.pool.named("shipment_list", Class::Normal), order_ids).await
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
    /// were moved. One transaction of at most five statements.
    ///
    /// # Errors
    /// [`StoreError::Database`]: none was moved, or if its kind is "outcome unknown", all or none; what is still due is moved
    /// by the next call. [`StoreError::Damaged`] if the address of one is.
    pub async fn shipment_move_due(&self, now_ms: i64, next_at: i64) -> Result<u64, StoreError> {
        self.pool
            .run_tx("shipment_move_due", Class::Normal, |tx: Tx| async move {
                let due = shipment::Entity::find()
                    .filter(shipment::Column::NextMoveAt.lte(now_ms))
                    .order_by_asc(shipment::Column::NextMoveAt)
                    .limit(CARRIER_BATCH)
                    .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                    .all(&tx)
                    .await?;
                let (mut events, mut moved) = (Vec::new(), 0);
                for from in State::ALL {
                    let Some(next) = from.next() else { continue };
                    let there: Vec<_> = due.iter().filter(|row| row.state == from.word()).collect();
                    if there.is_empty() {
                        continue;
                    }
                    let ids: Vec<_> = there.iter().map(|row| row.order_id).collect();
                    moved += move_to(&tx, next, &ids, next.next().map(|_| next_at)).await?;
                    for row in there {
                        let place = row.address()?.map_or_else(|| WAREHOUSE.to_owned(), |address| next.place(&address));
                        events.push(event::ActiveModel::new(row.order_id, &happened(next, now_ms, place)));
                    }
                }
                if !events.is_empty() {
                    event::Entity::insert_many(events).exec_without_returning(&tx).await?;
                }
                Ok(moved)
            })
            .await
    }
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

async fn shipments(db: &impl ConnectionTrait, order_ids: &[Uuid]) -> Result<Vec<Shipment>, StoreError> {
    let wanted = shipment::Column::OrderId.is_in(padded(order_ids));
    let rows = shipment::Entity::find().filter(wanted).all(db).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let events = events(db, order_ids).await?;
    rows.into_iter().map(|row| row.into_shipment(&events)).collect()
}

/// The events of orders, in no order.
async fn events(db: &impl ConnectionTrait, order_ids: &[Uuid]) -> Result<Vec<event::Model>, DbErr> {
    event::Entity::find().filter(event::Column::OrderId.is_in(padded(order_ids))).all(db).await
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
