use std::fmt;
use std::time::Duration;

use sea_orm::DbBackend;

/// PostgreSQL keeps 63 bytes of a client's name.
const MAX_APPLICATION_NAME_BYTES: usize = 63;

/// What an answer may take from the server to us, beyond the time that the statement took: many round trips within a
/// data centre, and a lost packet sent again.
const ANSWER_TRAVELS: Duration = Duration::from_secs(1);

/// How a pool is tuned.
#[derive(Clone)]
pub struct Config {
    /// The pool's name in metrics and messages: `db.client.connection.pool.name`.
    pub name: String,
    /// `postgres://user:password@host/database` or `sqlite://path`. Never shown.
    pub url: String,
    /// Connections at the most, 1 to 1,000.
    pub limit: u32,
    /// How long a caller waits for a connection before it is refused; less if its deadline is nearer.
    pub max_wait: Duration,
    /// How long the database works on one statement (PostgreSQL). When its answer isn't there a second after that, the
    /// connection is closed.
    pub statement_timeout: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// A connection that was idle for longer is asked whether it lives before it is handed out.
    pub idle_ping_after: Duration,
    /// What the server shows as the client's name: `<boot id>/<pod>`, at most 63 bytes.
    pub application_name: String,
}

impl Config {
    /// The tuning to start from:
    ///
    /// - `limit` 8: by Little's law connections = rate × use time. 8 × 0.7 (a queue grows without bound beyond) ÷ 4 ms a
    ///   use = 1,400 statements or short transactions a second.
    /// - `max_wait` 1 s: who has waited that long has a user who is leaving.
    /// - `statement_timeout` 5 s: above any statement of a healthy shop, for pools whose work nobody waits for, as a
    ///   relay's. A service sets less: its callers have 5 s in all, for a full wait and a statement.
    /// - `connect_timeout` 3 s: a local server takes 5 ms, one that drops packets for ever.
    /// - `idle_ping_after` 30 s: load balancers and firewalls forget idle connections after minutes.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        let name = name.into();
        let boot_id = &uuid::Uuid::new_v4().simple().to_string()[..8];
        let pod = std::env::var("HOSTNAME").ok().filter(|pod| !pod.is_empty()).unwrap_or_else(|| name.clone());
        let mut application_name = format!("{boot_id}/{pod}");
        application_name.truncate(application_name.floor_char_boundary(MAX_APPLICATION_NAME_BYTES));
        Self {
            name,
            url: url.into(),
            limit: 8,
            max_wait: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            idle_ping_after: Duration::from_secs(30),
            application_name,
        }
    }

    /// Checks the tuning.
    ///
    /// # Errors
    /// The first thing that makes no sense, in words.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |why: String| Err(ConfigError { pool: self.name.clone(), why });
        if self.name.is_empty() {
            return wrong("its name is empty; metrics need one".into());
        }
        if self.backend().is_none() {
            return wrong("its database address must begin with postgres:// or sqlite://".into());
        }
        if !(1..=1000).contains(&self.limit) {
            return wrong(format!("its limit must be 1 to 1,000 connections, is {}", self.limit));
        }
        if self.max_wait.is_zero() || self.max_wait > Duration::from_secs(60) {
            return wrong(format!("its longest wait must be above 0 and at most 60 s, is {:?}", self.max_wait));
        }
        if self.statement_timeout < Duration::from_millis(10) || self.statement_timeout > Duration::from_secs(300) {
            return wrong(format!(
                "a statement's time-out must be 10 ms to 300 s, is {:?}: below it nothing is answered, above it nobody \
                 is waiting any more",
                self.statement_timeout
            ));
        }
        if self.connect_timeout.is_zero() || self.connect_timeout > Duration::from_secs(60) {
            return wrong(format!(
                "its time for making a connection must be above 0 and at most 60 s, is {:?}",
                self.connect_timeout
            ));
        }
        if self.application_name.len() > MAX_APPLICATION_NAME_BYTES {
            return wrong(format!(
                "its application name has {} bytes, and PostgreSQL keeps {MAX_APPLICATION_NAME_BYTES}",
                self.application_name.len()
            ));
        }
        Ok(())
    }

    /// How many may wait: `limit` × 64. At the 4 ms a use that the default limit was reckoned with, the last of them
    /// waits 64 × 4 ms = 256 ms; a queue that is longer serves nobody within a second once uses take 16 ms.
    pub(crate) fn max_waiting(&self) -> u32 {
        self.limit.saturating_mul(64)
    }

    /// How long we wait for a statement's answer: a server that is there ends the statement itself within
    /// `statement_timeout`, and one that is gone in silence would be waited for for ever. SQLite has no bound: its
    /// statements run in this process, where nothing goes away in silence, and giving one up wouldn't end it.
    pub(crate) fn answer_bound(&self) -> Option<Duration> {
        (self.backend() == Some(DbBackend::Postgres)).then(|| self.statement_timeout + ANSWER_TRAVELS)
    }

    /// The kind of database, if the address is of one that is known.
    pub(crate) fn backend(&self) -> Option<DbBackend> {
        let (scheme, _) = self.url.split_once(':')?;
        match scheme {
            "postgres" | "postgresql" => Some(DbBackend::Postgres),
            "sqlite" => Some(DbBackend::Sqlite),
            _ => None,
        }
    }
}

/// Shows everything but the address, which may bear a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .field("max_wait", &self.max_wait)
            .field("statement_timeout", &self.statement_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_ping_after", &self.idle_ping_after)
            .field("application_name", &self.application_name)
            .finish_non_exhaustive()
    }
}

/// A tuning that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pool '{pool}': {why}")]
pub struct ConfigError {
    pool: String,
    why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tuning_to_start_from_makes_sense() {
        assert_eq!(Config::new("shop", "sqlite://shop.db").validate(), Ok(()));
        assert_eq!(Config::new("shop", "postgres://shop@localhost/shop").validate(), Ok(()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let good = Config::new("shop", "sqlite://shop.db");
        for (config, word) in [
            (Config { limit: 0, ..good.clone() }, "1 to 1,000"),
            (Config { limit: 1001, ..good.clone() }, "1 to 1,000"),
            (Config { max_wait: Duration::ZERO, ..good.clone() }, "wait"),
            (Config { statement_timeout: Duration::from_millis(1), ..good.clone() }, "10 ms"),
            (Config { connect_timeout: Duration::ZERO, ..good.clone() }, "making a connection"),
            (Config { url: "mysql://x".into(), ..good.clone() }, "postgres://"),
            (Config { application_name: "x".repeat(64), ..good.clone() }, "64 bytes"),
        ] {
            let why = config.validate().unwrap_err().to_string();
            assert!(why.contains(word) && why.contains("'shop'"), "{why}");
        }
    }

    #[test]
    fn the_password_is_never_shown() {
        let config = Config::new("shop", "postgres://shop:hunter2@localhost/shop");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
