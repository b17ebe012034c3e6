use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use sea_orm::DbBackend;

use crate::OpenError;
use crate::gate::{Class, Limits};

/// PostgreSQL keeps 63 bytes of a client's name.
const MAX_APPLICATION_NAME_BYTES: usize = 63;

/// What an answer may take from the server to us, beyond the time that the statement took: many round trips within a
/// data centre, and a lost packet sent again.
const ANSWER_TRAVELS: Duration = Duration::from_secs(1);

/// No time of a pool's is longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// No wait and no attempt to connect is longer: who has waited for a minute has gone.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Tells this run of the process from all others; what its connections are known by at the server.
pub fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| uuid::Uuid::new_v4().simple().to_string()[..8].to_owned())
}

/// How a pool is tuned.
#[derive(Clone)]
pub struct Config {
    /// The pool's name in metrics and messages: `db.client.connection.pool.name`.
    pub name: String,
    /// `postgres://user:password@host/database` or `sqlite://path`. Never shown. Of several hosts, with a comma between them, one
    /// is chosen: see [several servers](crate#several-servers).
    pub url: String,
    /// Connections that the limit is never set below, and that are kept when nobody needs them; 2 if it isn't said, or the
    /// limit where that is less.
    pub floor: Option<u32>,
    /// Connections at the most, to begin with; 1 to 1,000. [`Pool::set_limit`](crate::Pool::set_limit) changes it.
    pub limit: u32,
    /// Connections that the limit is never set above; the limit itself if it isn't said.
    pub ceiling: Option<u32>,
    /// How long a caller waits for a connection before it is refused, unless its deadline is nearer; other classes than
    /// [`Normal`](crate::Class::Normal) wait for less or longer, see [`patience`](Self::patience).
    pub max_wait: Duration,
    /// How long the database works on one statement (PostgreSQL). When its answer isn't there a second after that, the
    /// connection is closed.
    pub statement_timeout: Duration,
    /// How long making a connection may take; of several servers, with each.
    pub connect_timeout: Duration,
    /// By when a caller needs its answer, if this is known: waiting and a statement must fit.
    pub request_deadline: Option<Duration>,
    /// A connection that was idle for longer is asked whether it lives before it is handed out.
    pub idle_ping_after: Duration,
    /// A connection beyond the floor that was idle for longer is closed.
    pub idle_timeout: Duration,
    /// A connection is replaced when it is older, give or take a tenth (PostgreSQL): what a session gathers in the server's
    /// memory has an end, and a server that was added gets its share.
    pub lifetime: Duration,
    /// Who holds a connection for longer is named in the log.
    pub long_lease: Duration,
    /// Making a connection that takes longer is said in the log.
    pub slow_connect: Duration,
    /// A file with the password (PostgreSQL), which wins over the address. It may have a whole address, of which the password
    /// counts, and may change while the pool is open. At most 16 KiB.
    pub password_file: Option<PathBuf>,
    /// Nothing is opened before a broker's first [grant](crate::Pool::grant_limit), or before
    /// [`Pool::set_limit`](crate::Pool::set_limit); `limit` then says no more than the ceiling where that isn't said (PostgreSQL).
    pub awaits_grant: bool,
    /// What the server shows as the client's name: `<boot id>/<pod>`, at most 63 bytes.
    pub application_name: String,
    /// A number from 0 to 1 by chance. It spreads attempts to connect and to do a transaction again, and the ends
    /// of connections, over time.
    pub chance: fn() -> f64,
}

impl Config {
    /// Floor, limit and ceiling are within these, connections.
    pub const CONNECTIONS: RangeInclusive<u32> = 1..=1000;
    /// [`max_wait`](Self::max_wait) and [`connect_timeout`](Self::connect_timeout) are within these, and above zero.
    pub const WAITS: RangeInclusive<Duration> = Duration::from_nanos(1)..=LONGEST_WAIT;
    /// [`statement_timeout`](Self::statement_timeout) is within these.
    pub const STATEMENTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(300);
    /// All other times are within these, and above zero.
    pub const AGES: RangeInclusive<Duration> = Duration::from_nanos(1)..=LONGEST;

    /// The tuning to start from:
    ///
    /// - `limit` 8: by Little's law connections = rate × use time. 8 × 0.7 (a queue grows without bound beyond) ÷ 4 ms a
    ///   use = 1,400 statements or short transactions a second.
    /// - `max_wait` 1 s: who has waited that long has a user who is leaving.
    /// - `statement_timeout` 5 s: above any statement of a healthy shop, for pools whose work nobody waits for, as a
    ///   relay's. A service sets less: its callers have 5 s in all, for a full wait and a statement.
    /// - `connect_timeout` 1.5 s: a server takes 5 to 50 ms, one that drops packets for ever. With the longest pause between
    ///   two attempts, 0.4 s, a server that is back is found within 2 s, even if one of them hangs.
    /// - `idle_ping_after` 30 s: load balancers and firewalls forget idle connections after minutes.
    /// - `idle_timeout` 5 min, `lifetime` 30 min: long beside the 10 ms that making one takes, short beside a day.
    /// - `long_lease` 5 s: a transaction of ten statements takes 10 ms; what holds five hundred times that is stuck.
    /// - `floor` 2: one in use and one to spare. `ceiling`: as the limit, unless somebody is to raise it.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        let name = name.into();
        let boot_id = boot_id();
        let pod = std::env::var("HOSTNAME").ok().filter(|pod| !pod.is_empty()).unwrap_or_else(|| name.clone());
        let mut application_name = format!("{boot_id}/{pod}");
        application_name.truncate(application_name.floor_char_boundary(MAX_APPLICATION_NAME_BYTES));
        Self {
            name,
            url: url.into(),
            floor: None,
            limit: 8,
            ceiling: None,
            max_wait: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_millis(1500),
            request_deadline: None,
            idle_ping_after: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            lifetime: Duration::from_secs(1800),
            long_lease: Duration::from_secs(5),
            slow_connect: Duration::from_millis(500),
            password_file: None,
            awaits_grant: false,
            application_name,
            chance: rand::random::<f64>,
        }
    }

    /// How long a caller of `class` waits for a connection, unless its deadline is nearer: `max_wait`, half of it for what is
    /// sheddable, and for what is critical all that `request_deadline` leaves beside a statement. What can't be
    /// finished has to be undone, which costs whoever waits for it more than seconds.
    pub fn patience(&self, class: Class) -> Duration {
        match class {
            Class::Critical => {
                let left = self.request_deadline.map(|deadline| deadline.saturating_sub(self.statement_timeout));
                left.map_or(self.max_wait, |left| left.max(self.max_wait))
            }
            Class::Normal => self.max_wait,
            Class::Sheddable => self.max_wait / 2,
        }
    }

    /// Checks the tuning.
    ///
    /// # Errors
    /// A [`ConfigError`] for the first number that makes no sense, in words, with the arithmetic: it is to be changed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |why: String| Err(ConfigError { pool: self.name.clone(), why });
        if self.name.is_empty() {
            return wrong("its name is empty; metrics need one".into());
        }
        if self.backend().is_none() {
            return wrong("its database address must begin with postgres:// or sqlite://".into());
        }
        if !Self::CONNECTIONS.contains(&self.limit) {
            return wrong(format!("its limit must be 1 to 1,000 connections, is {}", self.limit));
        }
        let Limits { floor, limit, ceiling, .. } = self.limits();
        if floor == 0 || floor > limit || limit > ceiling || !Self::CONNECTIONS.contains(&ceiling) {
            return wrong(format!(
                "floor ≤ limit ≤ ceiling must hold, from 1 to 1,000 connections, and {floor} ≤ {limit} ≤ {ceiling} doesn't"
            ));
        }
        if !Self::WAITS.contains(&self.max_wait) {
            return wrong(format!("its longest wait must be above 0 and at most 60 s, is {:?}", self.max_wait));
        }
        if !Self::STATEMENTS.contains(&self.statement_timeout) {
            return wrong(format!(
                "a statement's time-out must be 10 ms to 300 s, is {:?}: below it nothing is answered, above it nobody \
                 is waiting any more",
                self.statement_timeout
            ));
        }
        if !Self::WAITS.contains(&self.connect_timeout) {
            return wrong(format!(
                "its time for making a connection must be above 0 and at most 60 s, is {:?}",
                self.connect_timeout
            ));
        }
        if let Some(deadline) = self.request_deadline
            && self.max_wait + self.statement_timeout >= deadline
        {
            return wrong(format!(
                "its callers need an answer within {deadline:?}, and waiting {:?} + a statement of {:?} = {:?} is not less: \
                 shorten one of them",
                self.max_wait,
                self.statement_timeout,
                self.max_wait + self.statement_timeout
            ));
        }
        if self.password_file.is_some() && self.backend() != Some(DbBackend::Postgres) {
            return wrong("a password file is for PostgreSQL; SQLite has no passwords".into());
        }
        if self.awaits_grant && self.backend() != Some(DbBackend::Postgres) {
            return wrong("a broker shares the connections of a PostgreSQL server out; SQLite has none".into());
        }
        for (name, value) in [
            ("the time after which an idle connection is asked", self.idle_ping_after),
            ("the time after which an idle connection is closed", self.idle_timeout),
            ("a connection's life", self.lifetime),
            ("what counts as held for long", self.long_lease),
            ("what counts as slow to connect", self.slow_connect),
        ] {
            if !Self::AGES.contains(&value) {
                return wrong(format!("{name} must be above 0 and at most a day, is {value:?}"));
            }
        }
        if self.application_name.len() > MAX_APPLICATION_NAME_BYTES {
            return wrong(format!(
                "its application name has {} bytes, and PostgreSQL keeps {MAX_APPLICATION_NAME_BYTES}",
                self.application_name.len()
            ));
        }
        Ok(())
    }

    pub(crate) fn wrong(&self, why: String) -> OpenError {
        ConfigError { pool: self.name.clone(), why }.into()
    }

    /// The limits, with those that weren't said.
    pub fn limits(&self) -> Limits {
        Limits {
            floor: self.floor.unwrap_or_else(|| self.limit.min(2)),
            limit: self.limit,
            ceiling: self.ceiling.unwrap_or(self.limit),
            ..Limits::default()
        }
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
            .field("floor", &self.floor)
            .field("limit", &self.limit)
            .field("ceiling", &self.ceiling)
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
            (Config { ceiling: Some(7), ..good.clone() }, "2 ≤ 8 ≤ 7 doesn't"),
            (Config { floor: Some(0), ..good.clone() }, "0 ≤ 8 ≤ 8 doesn't"),
            (Config { request_deadline: Some(Duration::from_secs(6)), ..good.clone() }, "1s + a statement of 5s = 6s"),
            (Config { password_file: Some("p".into()), ..good.clone() }, "no passwords"),
            (Config { awaits_grant: true, ..good.clone() }, "a PostgreSQL server"),
            (Config { lifetime: Duration::ZERO, ..good.clone() }, "a connection's life"),
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
    fn what_is_critical_waits_for_as_long_as_its_callers_have_and_what_is_sheddable_half_as_long_as_others() {
        let ms = Duration::from_millis;
        let config =
            Config { max_wait: ms(1_000), statement_timeout: ms(2_000), ..Config::new("stars", "postgres://h/d") };
        let patience = |config: &Config| Class::ALL.map(|class| config.patience(class));
        assert_eq!(patience(&config), [ms(1_000), ms(1_000), ms(500)]);
        let asked = Config { request_deadline: Some(ms(5_000)), ..config };
        assert_eq!(patience(&asked), [ms(3_000), ms(1_000), ms(500)]);
        let hasty = Config { request_deadline: Some(ms(1)), ..asked };
        assert_eq!(patience(&hasty), [ms(1_000), ms(1_000), ms(500)], "it is refused anyway");
    }

    #[test]
    fn the_password_is_never_shown() {
        let config = Config::new("shop", "postgres://shop:hunter2@localhost/shop");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
