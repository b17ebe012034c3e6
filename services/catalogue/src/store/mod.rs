//! The catalogue in the database.

mod categories;
mod change_log;
mod changes;
mod entity;
mod follow;
mod gathered;
mod product_rows;
mod product_select;
mod product_writes;
mod products;
mod stock;
mod stored;

use sea_orm::DbBackend;
use selvage_pool::{Class, Pool};

use follow::FollowedPool;
use gathered::Gathered;

pub use categories::CategoryCount;
pub use change_log::{Changed, News, NoPosition, Position};
pub use changes::{Changes, Mark, Subject};
pub use follow::Follower;
pub use product_writes::{Put, SkuTaken, Upserted};
pub(crate) use stock::RESERVATIONS;
pub use stock::{Adjusted, Held, Refused, Reservation};
pub use stored::{StoredProduct, StoredVariant, VariantOfProduct};

/// The table of products, in the log.
const PRODUCTS: &str = "products";

/// The catalogue behind a pool.
#[derive(Clone, Debug)]
pub struct Store {
    pool: FollowedPool,
    products: Gathered<StoredProduct>,
    /// ISO 4217: the shop's one currency.
    currency: String,
}

impl Store {
    /// The catalogue behind `pool`, priced in `currency`.
    pub fn new(pool: Pool, currency: impl Into<String>) -> Self {
        let products = Gathered::new(pool.config().patience(Class::Sheddable));
        Self { pool: FollowedPool::new(pool), products, currency: currency.into() }
    }

    /// Whether whoever writes keeps all others from writing: SQLite.
    pub(crate) fn has_one_writer(&self) -> bool {
        self.pool.backend() == DbBackend::Sqlite
    }

    /// The shop's currency.
    pub fn currency(&self) -> &str {
        &self.currency
    }
}
