//! Carts in the database.
//!
//! A change locks its cart's row by an upsert (SQLite has one writer anyway), so changes of one cart follow each other
//! and none is lost, whether or not the row was there before.

mod entity;

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _, Set,
};
use selvage_pool::{Class, Each, Pool, Rollback, StoreError, Tx, each_first};
use uuid::Uuid;

use crate::domain::cart::{Cart, CartError, Line, Sku};
use entity::{cart, line, removal};

/// Carts that are purged in one transaction: at most 200 × 50 lines, some 20 ms.
pub const PURGE_BATCH: u64 = 200;

/// The table of lines, in the log.
const LINES: &str = "cart_lines";

/// The store of carts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
}

/// A cart as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptCart {
    /// Its lines.
    pub cart: Cart,
    /// When it is forgotten, in milliseconds since the Unix epoch; `None` if there is nothing to forget.
    pub expire_at: Option<i64>,
}

/// Why a cart isn't changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It isn't the one whose etag was given.
    EtagMismatch,
    /// A cart can't be so.
    Cart(CartError),
}

/// What became of changing a cart.
pub type Changed = Result<KeptCart, Refused>;

/// The moment of a change.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// In milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// When the changed cart is forgotten.
    pub expire_at: i64,
}

impl Store {
    /// A store in the database of `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// The cart of `owner`, empty if there is none or it has expired. A line that is damaged is left out. One statement.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn cart_get(&self, owner: &str, now_ms: i64) -> Result<KeptCart, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            sku: String,
            quantity: i32,
            position: i32,
            expire_at: i64,
        }
        let pool = self.pool.named("cart_get", Class::Normal);
        let mut query = Query::select();
        query
            .columns(
                [line::Column::Sku, line::Column::Quantity, line::Column::Position]
                    .map(|column| (line::Entity, column)),
            )
            .column((cart::Entity, cart::Column::ExpireAt))
            .from(line::Entity)
            .join(
                JoinType::InnerJoin,
                cart::Entity,
                Expr::col((cart::Entity, cart::Column::Owner)).equals((line::Entity, line::Column::Owner)),
            )
            .and_where(Expr::col((line::Entity, line::Column::Owner)).eq(owner))
            .and_where(Expr::col((cart::Entity, cart::Column::ExpireAt)).gt(now_ms));
        let lines = Each::of(pool.query_all(&query).await?, |row| {
            let row = Row::from_query_result(row, "")?;
            Ok::<_, StoreError>((restored(&row.sku, row.quantity, row.position)?, row.expire_at))
        });
        let lines = lines.or_pass_over(LINES, "sku");
        let expire_at = lines.first().map(|(_, expire_at)| *expire_at);
        Ok(KeptCart { cart: Cart::of(lines.into_iter().map(|(line, _)| line).collect()), expire_at })
    }

    /// Changes the cart of `owner`, if it is still the one that `etag` (where given) was of. One transaction of two
    /// statements, and one or two more to write what differs.
    ///
    /// A cart that is already as it would become is as it should be, whatever the etag: nobody's change is lost, and a
    /// request that is repeated because its answer was lost finds what it did itself.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again with the same etag is safe.
    pub async fn cart_change<F>(
        &self,
        owner: &str,
        at: Moment,
        etag: Option<&str>,
        change: F,
    ) -> Result<Changed, StoreError>
    where
        F: Fn(&Cart) -> Result<Cart, CartError> + Send + Sync,
    {
        let change = &change;
        let changed = self
            .pool
            .run_tx("cart_change", Class::Normal, |tx: Tx| async move {
                let locked = lock(&tx, owner, at).await?;
                let changed = change(&locked.cart);
                let is_there = changed.as_ref().is_ok_and(|changed| *changed == locked.cart);
                if !is_there && etag.is_some_and(|etag| etag != locked.cart.etag()) {
                    return Err(Rollback::Refused(Refused::EtagMismatch));
                }
                let changed = changed.map_err(|error| Rollback::Refused(Refused::Cart(error)))?;
                write(&tx, owner, &locked.stored, &changed).await?;
                Ok(kept(changed, at))
            })
            .await;
        Rollback::outcome(changed)
    }

    /// Moves the cart of `guest` into that of `owner`. Repeated, it finds nothing more to move. One transaction of
    /// four statements, and up to two more to write what differs.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again is safe.
    pub async fn cart_merge(&self, guest: &str, owner: &str, at: Moment) -> Result<KeptCart, StoreError> {
        self.pool
            .run_tx("cart_merge", Class::Normal, |tx: Tx| async move {
                // Two carts are always locked in one order, so that two merges can't wait for each other.
                let (theirs, mine) = if guest < owner {
                    let theirs = lock(&tx, guest, at).await?;
                    (theirs, lock(&tx, owner, at).await?)
                } else {
                    let mine = lock(&tx, owner, at).await?;
                    (lock(&tx, guest, at).await?, mine)
                };
                if guest == owner {
                    return Ok(kept(mine.cart, at));
                }
                let merged = mine.cart.merge(&theirs.cart);
                write(&tx, owner, &mine.stored, &merged).await?;
                write(&tx, guest, &theirs.stored, &Cart::default()).await?;
                Ok(kept(merged, at))
            })
            .await
    }

    /// Takes what was ordered out of the cart of `owner`, once for each order: a line of which no more is in it goes, of
    /// another the rest stays. Returns whether this was the first time. One transaction of three statements, and one more
    /// for each line if more was put in since; a repetition is one.
    ///
    /// # Errors
    /// [`StoreError::Database`]; doing it again for the same order is safe.
    pub async fn cart_remove_ordered(
        &self,
        order_id: Uuid,
        owner: &str,
        ordered: &[(Sku, i32)],
        at: Moment,
    ) -> Result<bool, StoreError> {
        // Each SKU once, in one order.
        let mut sums: BTreeMap<&Sku, i32> = BTreeMap::new();
        for (sku, quantity) in ordered {
            let sum = sums.entry(sku).or_default();
            *sum = sum.saturating_add(*quantity);
        }
        let ordered = &sums;
        self.pool
            .run_tx("cart_remove_ordered", Class::Normal, |tx: Tx| async move {
                let mut once = Query::insert();
                once.into_table(removal::Entity)
                    .columns([removal::Column::OrderId, removal::Column::RemovedAt])
                    .values_panic([order_id.into(), at.now_ms.into()])
                    .on_conflict(OnConflict::column(removal::Column::OrderId).do_nothing().to_owned());
                if tx.execute(&once).await?.rows_affected() == 0 {
                    return Ok(false);
                }
                let has_expired = lock_row(&tx, owner, at).await? <= at.now_ms;
                let of_sku = |sku: &Sku| Condition::all().add(line::Column::Sku.eq(sku.as_str()));
                let bought = ordered.iter().fold(Condition::any(), |any, (sku, quantity)| {
                    any.add(of_sku(sku).add(line::Column::Quantity.lte(*quantity)))
                });
                let gone = if has_expired { Condition::all() } else { bought };
                let lines = line::Entity::delete_many().filter(line::Column::Owner.eq(owner));
                let removed = lines.filter(gone).exec(&tx).await?.rows_affected;
                if has_expired || removed >= ordered.len() as u64 {
                    return Ok(true);
                }
                for (sku, quantity) in ordered {
                    line::Entity::update_many()
                        .col_expr(line::Column::Quantity, Expr::col(line::Column::Quantity).sub(*quantity))
                        .filter(line::Column::Owner.eq(owner))
                        .filter(of_sku(sku).add(line::Column::Quantity.gt(*quantity)))
                        .exec(&tx)
                        .await?;
                }
                Ok(true)
            })
            .await
    }

    /// Forgets up to [`PURGE_BATCH`] carts that have expired and, as many, removals from before `removed_before`.
    /// Returns how many rows of these went. One transaction of two to five statements.
    ///
    /// # Errors
    /// [`StoreError::Database`]; the next purge takes what is left.
    pub async fn cart_purge(&self, now_ms: i64, removed_before: i64) -> Result<u64, StoreError> {
        self.pool
            .run_tx("cart_purge", Class::Sheddable, move |tx: Tx| async move {
                let owners = cart::Entity::find()
                    .select_only()
                    .column(cart::Column::Owner)
                    .filter(cart::Column::ExpireAt.lte(now_ms))
                    .order_by_asc(cart::Column::ExpireAt)
                    .limit(PURGE_BATCH)
                    .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                    .into_query();
                let owners: Vec<String> = each_first("carts", tx.query_all(&owners).await?);
                let orders = removal::Entity::find()
                    .select_only()
                    .column(removal::Column::OrderId)
                    .filter(removal::Column::RemovedAt.lt(removed_before))
                    .order_by_asc(removal::Column::RemovedAt)
                    .limit(PURGE_BATCH)
                    .into_query();
                let orders: Vec<Uuid> = each_first("cart_removals", tx.query_all(&orders).await?);
                let mut purged = 0;
                if !owners.is_empty() {
                    let of_these = line::Column::Owner.is_in(owners.clone());
                    line::Entity::delete_many().filter(of_these).exec(&tx).await?;
                    let these = cart::Column::Owner.is_in(owners);
                    purged += cart::Entity::delete_many().filter(these).exec(&tx).await?.rows_affected;
                }
                if !orders.is_empty() {
                    let these = removal::Column::OrderId.is_in(orders);
                    purged += removal::Entity::delete_many().filter(these).exec(&tx).await?.rows_affected;
                }
                Ok(purged)
            })
            .await
    }
}

/// A cart whose row is locked until the transaction ends.
struct Locked {
    /// The cart: empty if it had expired.
    cart: Cart,
    /// What is stored, expired or not.
    stored: Cart,
}

/// Locks the row of `owner`, made if need be, and puts its expiry off; returns when it would have been forgotten.
async fn lock_row(tx: &Tx, owner: &str, at: Moment) -> Result<i64, StoreError> {
    let mut upsert = Query::insert();
    upsert
        .into_table(cart::Entity)
        .columns([cart::Column::Owner, cart::Column::ExpireAt, cart::Column::PreviousExpireAt, cart::Column::UpdatedAt])
        .values_panic([owner.into(), at.expire_at.into(), at.expire_at.into(), at.now_ms.into()])
        .on_conflict(
            OnConflict::column(cart::Column::Owner)
                .value(cart::Column::PreviousExpireAt, Expr::col((cart::Entity, cart::Column::ExpireAt)))
                .update_columns([cart::Column::ExpireAt, cart::Column::UpdatedAt])
                .to_owned(),
        )
        .returning_col(cart::Column::PreviousExpireAt);
    let row = tx.query_one(&upsert).await?;
    let row = row.ok_or_else(|| StoreError::damaged("a cart's row", "it was upserted and not returned"))?;
    Ok(row.try_get("", "previous_expire_at")?)
}

/// Locks the row of `owner` and reads its lines, but those that are damaged.
async fn lock(tx: &Tx, owner: &str, at: Moment) -> Result<Locked, StoreError> {
    let previous_expire_at = lock_row(tx, owner, at).await?;
    let lines = line::Entity::find().filter(line::Column::Owner.eq(owner)).into_query();
    let lines = Each::of(tx.query_all(&lines).await?, |row| {
        let row = line::Model::from_query_result(row, "")?;
        restored(&row.sku, row.quantity, row.position)
    });
    let stored = Cart::of(lines.or_pass_over(LINES, "sku"));
    let cart = if previous_expire_at <= at.now_ms { Cart::default() } else { stored.clone() };
    Ok(Locked { cart, stored })
}

/// Writes what differs: nothing, one statement or two.
async fn write(tx: &Tx, owner: &str, stored: &Cart, cart: &Cart) -> Result<(), DbErr> {
    let (written, gone) = cart.difference(stored);
    if !gone.is_empty() {
        line::Entity::delete_many()
            .filter(line::Column::Owner.eq(owner))
            .filter(line::Column::Sku.is_in(gone.iter().map(Sku::as_str)))
            .exec(tx)
            .await?;
    }
    if !written.is_empty() {
        let rows = written.into_iter().map(|line| line::ActiveModel {
            owner: Set(owner.to_owned()),
            sku: Set(line.sku.as_str().to_owned()),
            quantity: Set(line.quantity),
            position: Set(line.position),
        });
        let there = OnConflict::columns([line::Column::Owner, line::Column::Sku])
            .update_columns([line::Column::Quantity, line::Column::Position])
            .to_owned();
        line::Entity::insert_many(rows).on_conflict(there).exec_without_returning(tx).await?;
    }
    Ok(())
}

fn restored(sku: &str, quantity: i32, position: i32) -> Result<Line, StoreError> {
    let sku = Sku::parse(sku).ok_or_else(|| StoreError::damaged("a cart's line", format!("'{sku}' is no SKU")))?;
    Ok(Line { sku, quantity, position })
}

fn kept(cart: Cart, at: Moment) -> KeptCart {
    let expire_at = (!cart.lines().is_empty()).then_some(at.expire_at);
    KeptCart { cart, expire_at }
}
