//! A database connection pool under SeaORM, made so that it can be measured and governed.
//!
//! A pool is a set of slots. Each owns one raw sqlx connection outright, and a [gate] hands the slots out: first
//! come, first served within a [`Class`], for a bounded time of waiting and to a bounded queue. Who would wait in vain is told
//! so in microseconds. sqlx's own pool is not used: its capacity is fixed when it is built, its wait can't be seen from
//! SeaORM, and it pings each connection when it comes back.
//!
//! - [`Pool`] implements SeaORM's `ConnectionTrait`, `TransactionTrait` and `StreamTrait`: entities are used as always.
//!   [`Pool::named`] gives statements outside transactions a name and a class.
//! - [`Pool::run_tx`] is how transactions are made: named, repeated when the database asks for it, measured. While its
//!   closure runs, a network call through a client that asks [`selvage_context::lease`] is refused.
//! - Three sources set the limit while the pool is used: a fault that is started on purpose [overrides](Pool::override_limit) a
//!   broker's [grant](Pool::grant_limit) downwards, which comes before [`Pool::set_limit`]. [`Pool::settled`] says when what was
//!   too much is closed. A pool that [awaits its first grant](Config::awaits_grant) opens nothing before.
//! - A future that is dropped in mid-statement leaves its connection in an unknown state: that connection is cleaned in the
//!   background or closed, and its slot isn't handed out before.
//! - Who holds a connection for long is named in the log, with its span and its line of code. A connection whose socket
//!   died in silence is replaced alone, and stays charged until the server no longer shows its session. A database that went
//!   away is tried with pauses that grow and differ, and found within two seconds of its return.
//! - A password may be in a file that changes ([`Config::password_file`]).
//! - [`metrics`] has OpenTelemetry's names for all of it; [`budget`] the sums for many pools on one server.
//!
//! # The modules
//!
//! From below: `gate` hands out a bounded number of anything and knows no database (its `core` is a plain state machine, `limit` says
//! whose limit counts); `address` reads where the servers are, `wanted` which of them is wanted, and `servers` chooses one;
//! `connection` is a raw connection of either kind, `options` what it is made with, `pooled` what the pool knows of it besides, and
//! `useless` after which failures it is of no use any more. `state` is what all handles of a pool share, of parts that know nothing of each other (`meters`, `spans`,
//! `watch`, `uses`, `waits`, `writer`, `stranded`, `reachability`, `generation`); `snapshot` and `metrics` show it. On it stand `connect`, which makes and
//! ends connections; `lease`, which runs statements over one; `acquire`, how a caller gets one; `keeper`, which works ahead of
//! callers; `terminate`, which ends at the server what we lost; and `server` and `pooler`, which look at what a pool has come to. At the top are `pool` and `transaction`, each with SeaORM's
//! traits in a file `orm` of its own, `limit` and `hold`. `migrate` and `budget` stand alone. Nothing knows what is
//! above it.
//!
//! # How to name an operation
//!
//! `pool.named("product_get", Class::Sheddable)` for a statement by itself, `pool.run_tx("stock_reserve", Class::Critical, …)` for a
//! transaction. The name is `noun_verb`, a constant, and says what is done for whom, not which statement it is: it is what
//! traces, the log and `/ops` call it. Transactions are also counted by name, up to 64 names in each pool. The class is
//! [`Critical`](Class::Critical) if somebody's money or promise hangs on it, [`Sheddable`](Class::Sheddable) if its page is worth
//! showing without it. Nothing has to be registered: `selvage_transaction_ended_total{operation="stock_reserve"}` is there after
//! the first one.
//!
//! # How to add a metric
//!
//! 1. Its name goes into `selvage_conventions::db`, with its unit, beside those that are there.
//! 2. What is recorded as it happens, a time or an event, is an instrument in `meters.rs`; attributes are constants, and what may be
//!    one of many has a bound. Recording it takes no lock and allocates nothing while a lease is given or taken back.
//! 3. What can be read off a pool at any moment is a field of [`Snapshot`], filled in `snapshot.rs`, and a line in one of the tables
//!    of `metrics.rs`: all lines of one scrape are of one snapshot.
//! 4. `tests/it/measured.rs` looks at it. `tests/whole/alerts/metrics.txt` names it as Prometheus does, and is compared with the
//!    running shop. A panel for it is written in `tests/whole/dashboards`.
//!
//! # Which servers
//!
//! | | |
//! |---|---|
//! | PostgreSQL 15.18, 16.15, 17.11, 18.6 | everything; tried with this crate's tests and those of cart, catalogue, checkout, delivery and outbox (15 of Debian, the others embedded binaries of Maven Central) |
//! | PgBouncer 1.18 (Debian's), `pool_mode = session` | tried by `tests/it/pooler.rs`: statements, transactions and migrations work, with `ignore_startup_parameters = extra_float_digits,options`; without these it refuses us, which is named with the remedy. It then drops what we set for a session, which is said in the log: `statement_timeout`, `idle_in_transaction_session_timeout` and keepalives are to be set on the role (`ALTER ROLE … SET`), or a statement that is too slow is given up by us a second later, with its connection. The server shows the pooler's sessions, which outlive ours, so it may show more than the pool's limit, up to the pooler's own |
//! | PgBouncer 1.18, `pool_mode = transaction` or `statement` | refused when a pool is opened, with the remedy: its first transaction finds itself in the session of another connection. Statements are prepared by name in one session and asked for in another (26000, 42P05). A pool of one connection can't find out. From 1.21 on PgBouncer can follow prepared statements (`max_prepared_statements`), and what is set for a session is still lost |
//! | CockroachDB | not tried; by its documentation and issues: no triggers, so nothing may need them; no `pg_terminate_backend` and no `pg_stat_get_activity`, so what ends in silence isn't looked after; advisory locks of a transaction from 26.3 on, before that a stub that locks nothing or none at all, so one migration at a time; sequence numbers are neither dense nor in order of commit; 40001 is everyday, 40003 means that it doesn't know. Migrations with triggers, `tsvector` columns and several changes of a table in one transaction would have to be written anew |
//! | YugabyteDB | not tried; by its documentation and issues: advisory locks from 2025.1 on, an error (0A000) before; each node shows its own sessions, so that behind a balancer a session may be taken for gone that another node has; sequences are cached by node, so their numbers are not in order; `client_connection_check_interval` is unknown before its PostgreSQL 15 (2.25), and the server then refuses the connection |
//!
//! # Several servers
//!
//! An address may name several hosts, each with its port, and say by `target_session_attrs` which of them is wanted, as libpq has it:
//! `postgres://shop@h1:5432,h2:5433/shop?target_session_attrs=read-write`. They are tried in this order. A session whose server
//! isn't as wanted any more is replaced: one that isn't used for reading alone finds out by its next write (25006), and every one
//! within 5 s. Without `target_session_attrs` a name may lead to another server from some moment on: the first write that is refused
//! by the old one then renews all sessions.
//!
//! A session is also of no use when the server has ended it (57P01 and its like), when what was prepared in it is gone (26000), or gives
//! other columns than before (0A000, after an `ALTER TABLE`). The others are then tested before they are used, or made anew.
//! What was provably not done is done once more in another session: a statement by itself that the server refused or never
//! read, and a transaction before its COMMIT; not a stream of rows, nor a text that may be several statements. Everybody else gets
//! [`Kind::Unreachable`].
//!
//! # What a server lacks
//!
//! What a server lacks is found where it is first asked for, named once in the log, and done without: the view of sessions,
//! advisory locks (for migrations alone). A conflict (40001, 40P01) is done again, with pauses that differ by chance,
//! where nothing can have happened: a transaction before its COMMIT was answered, a single statement that is one transaction by
//! itself. What may have happened is [`Kind::OutcomeUnknown`]: a COMMIT or a single write whose answer didn't come, or of which
//! somebody in between only says that the server is gone (08xxx), and what the server itself doesn't know (40003, 08007). Every other failure means that nothing was done.
//!
//! # From Little's law to a number
//!
//! How many connections does a service need? By Little's law (J. D. C. Little, 1961), the mean number of those in use is
//! the rate of uses times the mean time of one:
//!
//! > connections in use = uses a second × seconds a use
//!
//! 1. **The rate.** Uses a second of one instance at the peak that you plan for, not the mean of a day. A request with two
//!    statements outside a transaction makes two uses, a transaction of ten statements makes one. Say 400.
//! 2. **The time of a use.** From taking the connection to giving it back: `db.client.connection.use_time`, or
//!    [`Snapshot::use_time`]. A read over a local network takes 0.5 to 1 ms; a transaction a round trip for each
//!    statement, for BEGIN and for COMMIT, and the disk. Say 5 ms. So 400 × 0.005 s = 2 are in use on average.
//! 3. **Room for chance.** Callers come at random; a queue grows as ρ ÷ (1 − ρ) with the utilisation ρ: 2.3 at 0.7,
//!    4 at 0.8, 9 at 0.9. So plan for 0.7: 2 ÷ 0.7 = 2.9.
//! 4. **Room for a bad hour.** Use times rise when caches are cold, a vacuum runs or a replica is rebuilt. With twice the time
//!    5.7: a limit of 6. More is not safer: a server can work on about [twice as many
//!    statements as it has cores](https://wiki.postgresql.org/wiki/Number_Of_Database_Connections) at a time; with more
//!    of them each takes longer, and no more are done.
//! 5. **How long to wait.** At the limit a queue of q callers takes q × use time ÷ limit. `max_wait` is what somebody can bear
//!    beside the statement itself: [`Config::request_deadline`] must be more than `max_wait` + `statement_timeout`, which the
//!    pool checks. What is critical may wait for all that this deadline leaves beside a statement. Who would wait longer is
//!    refused at once, and its [`Refusal`] says when to come again.
//! 6. **All instances together.** (replicas + those that a roll-out adds) × limit, over all services on the server, must be
//!    less than its `max_connections` less what is reserved and what others use: [`budget`] does the sum.
//!
//! Then look at it under load: `selvage.pool.saturated` should be 0, the wait's p95 far below `max_wait`, and in use ÷ limit below
//! 0.7. If waits grow while uses take as long as ever, the limit is too low; if uses take longer, the database is the
//! bottleneck, and a higher limit makes it worse.
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

mod acquire;
mod address;
mod backoff;
pub mod budget;
mod config;
mod connect;
mod connection;
mod described;
mod each;
mod failure;
pub mod gate;
mod generation;
mod hold;
mod holding;
mod keeper;
mod latency;
mod lease;
mod limit;
mod meters;
pub mod metrics;
pub mod migrate;
mod options;
mod password;
mod pool;
mod pooled;
mod pooler;
mod reachability;
mod repeat;
mod server;
mod servers;
mod snapshot;
mod spans;
mod sql;
mod state;
mod store;
mod stranded;
mod stream;
mod terminate;
mod transaction;
mod useless;
mod uses;
mod waits;
mod wanted;
mod watch;
mod writer;

pub use config::{Config, ConfigError, boot_id};
pub use each::{Each, each_first, passed_over};
pub use failure::{Kind, OpenError, in_words, is_outcome_unknown, is_unique_violation, kind, refusal};
pub use gate::{Class, Grant, GrantId, LimitError, LimitOwner, Reason, Refusal};
pub use hold::Hold;
pub use limit::{GrantStatus, LimitOverride};
pub use pool::Pool;
pub use sea_orm;
pub use snapshot::Snapshot;
pub use store::{Rollback, StoreError, from_json, to_json};
pub use transaction::Tx;
pub use uses::Use;
pub use waits::Waits;
pub use watch::{LongHeld, Operation};
