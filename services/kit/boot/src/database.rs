//! A service's database on its command line, and the pools that are opened on it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use sea_orm_migration::MigratorTrait;
use selvage_broker::Broker;
use selvage_pool::{Config, OpenError, Pool, in_words, migrate};

use crate::Life;
use crate::tuning::{PoolFlags, Tuned};

/// What a caller has that names no time of its own: see the channels' default deadline.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// How often a database is looked at that isn't as it must be.
const AGAIN: Duration = Duration::from_secs(1);

/// What a database must have before it is used, and the life of the process that waits for it.
#[derive(Clone)]
struct Wanted {
    migrations: Arc<[String]>,
    process: &'static str,
    life: Life,
    /// Who says how many connections the pools may open; `None` if their own tunings do.
    broker: Option<Broker>,
}

impl Wanted {
    /// Opens a pool once the database answers, and returns it once its schema is at least ours.
    async fn open(&self, config: Config) -> anyhow::Result<Pool> {
        let pool = match &self.broker {
            None => self.answered(|| Pool::open(config.clone())).await?,
            Some(broker) => {
                let pool = Pool::unopened(Config { awaits_grant: true, ..config })?;
                broker.join(&pool)?;
                self.granted(&pool, broker).await?;
                self.answered(|| pool.reach()).await?;
                pool
            }
        };
        self.migrated(&pool).await?;
        Ok(pool)
    }

    /// Waits until the pool may open connections, and says what it waits for.
    async fn granted(&self, pool: &Pool, broker: &Broker) -> anyhow::Result<()> {
        let (mut allowed, mut waits_for) = (std::pin::pin!(pool.allowed()), broker.waits_for());
        // A grant takes some milliseconds as a rule, which need not be told.
        if tokio::time::timeout(AGAIN, &mut allowed).await.is_ok() {
            return Ok(());
        }
        loop {
            self.life.waits_for(waits_for.borrow_and_update().clone());
            tokio::select! {
                () = &mut allowed => return Ok(()),
                changed = waits_for.changed() => changed.context("the broker's client has ended")?,
                () = self.life.stopping() => bail!("the process was told to end before it was granted connections"),
            }
        }
    }

    /// What `open` gives, once the database answers.
    async fn answered<T, F>(&self, open: impl Fn() -> F) -> anyhow::Result<T>
    where
        F: Future<Output = Result<T, OpenError>>,
    {
        loop {
            match open().await {
                Ok(opened) => return Ok(opened),
                // The pool has said in the log what is wrong, with the address, which a probe isn't told.
                Err(OpenError::Connect { .. }) => self.wait("its database can't be reached; its log says why").await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the schema is at least ours.
    async fn migrated(&self, pool: &Pool) -> anyhow::Result<()> {
        loop {
            match migrate::missing(pool, &self.migrations).await {
                Ok(missing) => match missing.as_slice() {
                    [] => return Ok(()),
                    [first, rest @ ..] => self.wait(lacks(first, rest.len(), self.process)).await?,
                },
                Err(error) => {
                    tracing::warn!(error = in_words(&error), "the schema can't be looked at");
                    self.wait("its database's schema can't be looked at; its log says why").await?;
                }
            }
        }
    }

    async fn wait(&self, reason: impl Into<String>) -> anyhow::Result<()> {
        self.life.waits_for(reason);
        ensure!(self.life.sleep(AGAIN).await, "the process was told to end before its database was there");
        Ok(())
    }
}

fn lacks(first: &str, more: usize, process: &str) -> String {
    let others = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("its database's schema lacks the migration {first}{others}: run '{process} migrate'")
}

/// Where a database is, and how one gets in.
#[derive(Args, Clone)]
pub struct Address {
    /// The database, for example postgres://cart@localhost/cart, postgres://cart@h1,h2/cart?target_session_attrs=read-write
    /// or sqlite://cart.db. With a password, set it by the environment rather than as an argument, which other users can see
    #[arg(long, env = "SELVAGE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: String,
    /// A file with the database's password, which wins over the address, or with a whole address, of which only the password
    /// is taken. It may change while the service runs: new connections are made with the new one, and old ones renewed
    #[arg(long, env = "SELVAGE_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    database_password_file: Option<PathBuf>,
}

impl Address {
    fn place(&self) -> migrate::Place<'_> {
        migrate::Place { url: &self.database_url, password_file: self.database_password_file.as_deref() }
    }

    /// Applies the migrations that are missing, and gives `role` what it may have; returns how many were applied.
    ///
    /// # Errors
    /// As [`migrate::up_for`].
    pub(crate) async fn migrate<M: MigratorTrait>(&self, role: Option<&migrate::Role<'_>>) -> anyhow::Result<usize> {
        let migrated = match role {
            Some(role) => migrate::up_for::<M>(self.place(), role).await,
            None => migrate::up::<M>(self.place()).await,
        };
        migrated.context("the database can't be migrated")
    }
}

/// A service's database: an address from which pools are opened.
#[derive(Args, Clone)]
pub struct Database {
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    flags: PoolFlags,
    /// What it must have before it is used; `None` if nobody waits for it.
    #[arg(skip)]
    wanted: Option<Wanted>,
    /// The pools that were opened; clones share them.
    #[arg(skip)]
    opened: Arc<Mutex<Vec<Pool>>>,
}

impl Database {
    /// The database at `url`, with the services' own tunings.
    pub fn at(url: impl Into<String>) -> Self {
        Self::of(Address { database_url: url.into(), database_password_file: None })
    }

    /// The same for an address that was said on a command line.
    pub fn of(address: Address) -> Self {
        Self { address, flags: PoolFlags::default(), wanted: None, opened: Arc::default() }
    }

    /// The same for a process that waits, not ready and saying so on `life`, until the database answers and its schema is at
    /// least that of `M`; a newer one is fine. `process` is the program that migrates it.
    #[must_use]
    pub fn waited_for<M: MigratorTrait>(self, process: &'static str, life: &Life) -> Self {
        let migrations = M::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        Self { wanted: Some(Wanted { migrations, process, life: life.clone(), broker: None }), ..self }
    }

    /// The same, if it is waited for, with pools that open nothing before `broker` has granted it.
    #[must_use]
    pub(crate) fn granted_by(self, broker: Broker) -> Self {
        Self { wanted: self.wanted.map(|wanted| Wanted { broker: Some(broker), ..wanted }), ..self }
    }

    /// Whether it is a server, whose connections processes share.
    pub(crate) fn is_server(&self) -> bool {
        !self.address.database_url.starts_with("sqlite:")
    }

    /// Opens a service's main pool, for requests that somebody waits for. What the user said on the command line wins over
    /// what the file of tunings says, and that over the service's own tuning.
    ///
    /// # Errors
    /// If the tuning makes no sense, said with its arithmetic, or, unless it is waited for, if the database doesn't answer.
    pub async fn open(&self, pool: &Tuned) -> anyhow::Result<Pool> {
        let mut config = self.tuned(pool)?;
        self.flags.apply_to_main(&mut config);
        config.request_deadline = Some(REQUEST_DEADLINE);
        self.open_tuned(config).await
    }

    /// Opens a pool beside the service's main one; `--pool-limit` and its like are not about it, but `limit` is.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_apart(&self, pool: &Tuned, limit: Option<u32>) -> anyhow::Result<Pool> {
        let mut config = self.tuned(pool)?;
        config.limit = limit.unwrap_or(config.limit);
        self.open_tuned(config).await
    }

    fn tuned(&self, pool: &Tuned) -> anyhow::Result<Config> {
        let mut config = pool.config(&self.address.database_url, None);
        self.flags.apply(&mut config)?;
        config.password_file.clone_from(&self.address.database_password_file);
        Ok(config)
    }

    async fn open_tuned(&self, config: Config) -> anyhow::Result<Pool> {
        let name = config.name.clone();
        let opened = match &self.wanted {
            Some(wanted) => wanted.open(config).await,
            None => Pool::open(config).await.map_err(Into::into),
        };
        let pool = opened.with_context(|| format!("the pool '{name}' can't be opened"))?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(pool.clone());
        Ok(pool)
    }

    /// The pools that were opened, the main one first.
    pub(crate) fn pools(&self) -> Vec<Pool> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the pools that were opened: PostgreSQL hears a good-bye, SQLite puts its log back into the file. To be called
    /// when nothing uses them any more.
    pub async fn close(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        futures::future::join_all(opened.iter().map(Pool::close)).await;
    }

    /// The same with the main pool at `limit` connections, unless the user said otherwise.
    #[must_use]
    pub fn with_pool_limit(mut self, limit: u32) -> Self {
        self.flags.limit_unless_said(limit);
        self
    }

    /// Applies the migrations that are missing; returns how many.
    ///
    /// # Errors
    /// The first one that fails.
    pub async fn migrate<M: MigratorTrait>(&self) -> anyhow::Result<usize> {
        self.address.migrate::<M>(None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_schema_lacks_is_said_with_the_remedy() {
        assert_eq!(
            lacks("m1_stars", 0, "selvage-sky"),
            "its database's schema lacks the migration m1_stars: run 'selvage-sky migrate'"
        );
        assert!(lacks("m1_stars", 2, "selvage-sky").contains("m1_stars and 2 more"));
    }
}
