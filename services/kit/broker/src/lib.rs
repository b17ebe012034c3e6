//! A process's side of the pool broker: its pools hold what they are granted, and nothing before.
//!
//! A broker shares the connections of a database server out among all the processes that use it. A process keeps one stream to
//! it (`selvage.pool.v1.PoolBroker/Attach`): it reports its pools and its CPU each second, and at once when somebody begins to wait
//! for a connection, and is sent grants. A grant is for all pools of the process together; here it is split among them.
//!
//! - **Nothing is opened before the first grant.** The pools are made with [`awaits_grant`](selvage_pool::Config::awaits_grant).
//! - **Never more than the grant, at any instant.** Of a smaller grant the pools that shrink do so first; another one grows only
//!   when their connections are closed. A grant is acknowledged when no more than it allows can be open.
//! - **Older grants are refused,** by the leader's epoch first and then by their sequence, whoever brings them.
//! - **Without a leader** the process keeps its last grant. If there was none, it opens its floors after
//!   [`Settings::silence`]; brokers set floors aside for every process that exists.
//! - A broker that doesn't lead names the leader, which is then asked. Pauses between attempts grow, and differ by chance.
//!
//! # The modules
//!
//! `shares` splits, `holding` says what a process may hold and `contact` where and when the leader is looked for: these are plain
//! state machines. `observed` looks at pools, `cpu` at the CPU and its limit, `wire` puts both into messages; `link` is one stream,
//! `client` the task that does it all.
//!
//! ```no_run
//! use selvage_broker::{Broker, Pod, Settings};
//! use selvage_pool::{Config, Pool};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let pod = Pod { namespace: "shop".into(), name: "stars-1".into(), uid: "5f6c".into() };
//! let settings = Settings::new("operator:50060".parse()?, "/var/run/secrets/broker/token".into(), "main", pod);
//! let (broker, client) = Broker::new(settings);
//! tokio::spawn(client);
//! let pool = Pool::unopened(Config { awaits_grant: true, ..Config::new("stars", "postgres://stars@localhost/stars") })?;
//! broker.join(&pool)?;
//! pool.reach().await?;
//! # Ok(())
//! # }
//! ```

mod client;
mod contact;
mod cpu;
mod holding;
mod link;
mod observed;
mod settings;
mod shares;
mod wire;

pub use client::{Broker, TooManyPools};
pub use settings::{Pod, Settings};
