//! Shipments in the database.

mod rows;

use sea_orm::sea_query::{LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Set,
};
use selvage_pool::{Class, Pool, Tx};
use selvage_status::{Error, ErrorCode};
use uuid::Uuid;

use crate::domain::events::Cursor;
use crate::domain::shipment::{Consignment, Event, OnItsWay, Shipment, State, WAREHOUSE};
use crate::domain::tracking_number::tracking_number;
use rows::{event, label_created, shipment};

/// Shipments that the carrier moves in one transaction: about 10 ms of work, and five statements whatever their number.
pub const CARRIER_BATCH: u64 = 100;
/// Events that are read at a time.
pub const EVENTS_BATCH: u64 = 1_000;

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
    /// returns it as it stands. One statement, which is the whole transaction by itself; for a repetition two more.
    ///
    /// # Errors
    /// ALREADY_EXISTS for other content, FAILED_PRECONDITION (`SHIPMENT_CANCELLED`) if it was cancelled.
    pub async fn shipment_create(&self, goods: &Consignment, now_ms: i64, pick_up_at: i64) -> Result<Shipment, Error> {
        let pool = self.pool.named("create_shipment", Class::Critical);
        if insert_new(&pool, shipment::ActiveModel::of(goods, now_ms, pick_up_at)?).await? {
            return Ok(Shipment {
                order_id: goods.order_id,
                tracking_number: tracking_number(goods.order_id),
                state: State::LabelCreated,
                consignment: Some(goods.clone()),
                events: vec![label_created(now_ms)],
            });
        }
        let found = read(&pool, &[goods.order_id]).await?.pop();
        let found = found.ok_or_else(|| Error::internal("a shipment that was there is gone"))?;
        if found.state == State::Cancelled {
            return Err(Error::precondition("SHIPMENT_CANCELLED", "the shipment was cancelled"));
        }
        if found.consignment.as_ref() != Some(goods) {
            let message = "there is a shipment of other content for this order";
            return Err(Error::new(ErrorCode::AlreadyExists, message));
        }
        Ok(found)
    }

    /// Stops a shipment, or leaves a cancelled one behind where there is none. One transaction of two statements for an
    /// order without shipment, else of three to four.
    ///
    /// # Errors
    /// FAILED_PRECONDITION (`SHIPMENT_ON_ITS_WAY`) once the carrier has it.
    pub async fn shipment_cancel(&self, order_id: Uuid, now_ms: i64) -> Result<Shipment, Error> {
        self.pool
            .run_tx("cancel_shipment", Class::Critical, |tx: Tx| async move {
                let cancelled = happened(State::Cancelled, now_ms, WAREHOUSE.to_owned());
                if insert_new(&tx, shipment::ActiveModel::never(order_id, now_ms)).await? {
                    insert_event(&tx, order_id, &cancelled).await?;
                    return Ok(Shipment {
                        order_id,
                        consignment: None,
                        tracking_number: String::new(),
                        state: State::Cancelled,
                        events: vec![cancelled],
                    });
                }
                let mut shipment = found(&tx, order_id).await?;
                let next = shipment
                    .state
                    .cancel()
                    .map_err(|error @ OnItsWay| Error::precondition("SHIPMENT_ON_ITS_WAY", error.to_string()))?;
                if next != shipment.state {
                    move_to(&tx, next, &[order_id], None).await?;
                    insert_event(&tx, order_id, &cancelled).await?;
                    shipment.state = next;
                    shipment.events.push(cancelled);
                }
                Ok(shipment)
            })
            .await
    }

    /// The shipment of an order, if there is one. Two statements.
    ///
    /// # Errors
    /// The database's.
    pub async fn shipment_get(&self, order_id: Uuid) -> Result<Option<Shipment>, Error> {
        let pool = self.pool.named("get_shipment", Class::Normal);
        Ok(read(&pool, &[order_id]).await?.pop())
    }

    /// The shipments of those of `order_ids` (at most 1,000) that have one. Two statements.
    ///
    /// # Errors
    /// The database's.
    pub async fn shipment_list(&self, order_ids: &[Uuid]) -> Result<Vec<Shipment>, Error> {
        read(&self.pool.named("list_shipments", Class::Normal), order_ids).await
    }

    /// When the next shipment is due, in milliseconds since the Unix epoch. One statement.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_move_at(&self) -> Result<Option<i64>, Error> {
        let pool = self.pool.named("next_move", Class::Normal);
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
    /// The database's.
    pub async fn shipment_move_due(&self, now_ms: i64, next_at: i64) -> Result<u64, Error> {
        self.pool
            .run_tx("move_shipments", Class::Normal, |tx: Tx| async move {
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
                        events.push(event::ActiveModel::of(row.order_id, &happened(next, now_ms, place)));
                    }
                }
                if !events.is_empty() {
                    event::Entity::insert_many(events).exec_without_returning(&tx).await?;
                }
                Ok::<_, Error>(moved)
            })
            .await
    }

    /// A cursor at the end of the events that can be seen now. One statement.
    ///
    /// # Errors
    /// The database's.
    pub async fn event_end(&self) -> Result<Cursor, Error> {
        let pool = self.pool.named("last_event", Class::Normal);
        let highest = event::Entity::find()
            .select_only()
            .column(event::Column::Id)
            .order_by_desc(event::Column::Id)
            .limit(1)
            .into_tuple::<i64>()
            .one(&pool)
            .await?;
        Ok(Cursor::at(highest.unwrap_or(0)))
    }

    /// Up to [`EVENTS_BATCH`] events that the cursor has not seen: each one's id and its order. One statement.
    ///
    /// # Errors
    /// The database's.
    pub async fn event_list(&self, cursor: &Cursor) -> Result<Vec<(i64, Uuid)>, Error> {
        let pool = self.pool.named("list_events", Class::Normal);
        let gaps: Vec<_> = cursor.gaps().collect();
        let mut unseen = Condition::any().add(event::Column::Id.gt(cursor.highest()));
        if !gaps.is_empty() {
            unseen = unseen.add(event::Column::Id.is_in(gaps));
        }
        let events = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::OrderId])
            .filter(unseen)
            .order_by_asc(event::Column::Id)
            .limit(EVENTS_BATCH)
            .into_tuple()
            .all(&pool)
            .await?;
        Ok(events)
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
    event::Entity::insert(event::ActiveModel::of(order_id, happened)).exec_without_returning(tx).await.map(drop)
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
async fn found(tx: &Tx, order_id: Uuid) -> Result<Shipment, Error> {
    let row = shipment::Entity::find_by_id(order_id).lock_exclusive().one(tx).await?;
    let row = row.ok_or_else(|| Error::internal("a shipment vanished within a transaction"))?;
    row.with(&events(tx, &[order_id]).await?)
}

async fn read(db: &impl ConnectionTrait, order_ids: &[Uuid]) -> Result<Vec<Shipment>, Error> {
    let wanted = order_ids.iter().copied();
    let rows = shipment::Entity::find().filter(shipment::Column::OrderId.is_in(wanted)).all(db).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let events = events(db, order_ids).await?;
    rows.into_iter().map(|row| row.with(&events)).collect()
}

/// The events of orders, oldest first. Within one order ids follow each other, since its row is locked for each.
async fn events(db: &impl ConnectionTrait, order_ids: &[Uuid]) -> Result<Vec<event::Model>, DbErr> {
    event::Entity::find()
        .filter(event::Column::OrderId.is_in(order_ids.iter().copied()))
        .order_by_asc(event::Column::Id)
        .all(db)
        .await
}
