//! A database connection pool under SeaORM, made so that it can be measured and governed.
//!
//! A pool is a set of slots. Each owns one raw sqlx connection outright, and a gate hands the slots out, first come, first
//! served, for a bounded time of waiting and to a bounded queue. sqlx's own pool is not used: its capacity is fixed when
//! it is built, its wait can't be seen from SeaORM, and it pings each connection when it comes back.
//!
//! - [`Pool`] implements SeaORM's `ConnectionTrait`, `TransactionTrait` and `StreamTrait`: entities are used as always.
//!   [`Pool::named`] gives statements outside transactions a name and a [`Class`].
//! - [`Pool::run_tx`] is how transactions are made: named, repeated when the database asks for it, measured. While its
//!   closure runs, a network call through a client that asks [`selvage_context::lease`] is refused.
//! - A future that is dropped in mid-statement leaves its connection in an unknown state: that connection is closed in the
//!   background, and its slot is free again when it is.
//!
//! ```
//! use sea_orm::{ConnectionTrait, DbErr};
//! use selvage_pool::{Class, Config, Pool};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite://{}", folder.path().join("notes.db").display());
//! let pool = Pool::open(Config { limit: 4, ..Config::new("notes", url) }).await?;
//! let kept = pool
//!     .run_tx("note_keep", Class::Normal, |tx| async move {
//!         tx.execute_unprepared("CREATE TABLE IF NOT EXISTS note (text TEXT NOT NULL)").await?;
//!         tx.execute_unprepared("INSERT INTO note VALUES ('measure the pool')").await
//!     })
//!     .await?;
//! assert_eq!(kept.rows_affected(), 1);
//! assert_eq!(pool.snapshot().in_use, 0);
//! # pool.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }
//! ```

pub mod budget;
mod config;
mod connection;
mod failure;
pub mod gate;
mod keeper;
mod lease;
mod listen;
pub mod metrics;
pub mod migrate;
mod password;
mod pool;
mod shared;
mod slot;
mod strand;
mod stream;
mod transaction;
mod watch;
mod writer;

pub use config::{Config, ConfigError, boot_id};
pub use failure::{Kind, OpenError, describe, in_words, is_outcome_unknown, is_unique_violation, kind, refusal};
pub use gate::{Class, Reason, Refusal};
pub use listen::{Event, Listener};
pub use pool::Pool;
pub use sea_orm;
pub use shared::Snapshot;
pub use transaction::Tx;
pub use watch::{LongHeld, Operation};
