//! How pools are tuned from outside: by a file, and above it by flags and environment.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{RangedI64ValueParser, RangedU64ValueParser};
use clap::{Args, value_parser};
use selvage_pool::Config;
use selvage_pool::gate::Limits;
use serde::Deserialize;

use crate::Schema;
use crate::schema::{self, Kind, Setting};

/// A pool of a service, with the tuning that it has unless told otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Tuned {
    /// The pool's name.
    pub name: &'static str,
    /// Sets its tuning.
    pub tune: fn(&mut Config),
}

impl Tuned {
    /// The pool's tuning for a database, with what the file says of it.
    pub fn config(&self, url: &str, file: Option<&TuningFile>) -> Config {
        let mut config = Config::new(self.name, url);
        (self.tune)(&mut config);
        if let Some(file) = file {
            file.apply(&mut config);
        }
        config
    }
}

/// What a file says of one pool.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Overrides {
    floor: Option<u32>,
    limit: Option<u32>,
    ceiling: Option<u32>,
    max_wait_ms: Option<u64>,
    statement_timeout_ms: Option<u64>,
    connect_timeout_ms: Option<u64>,
    idle_ping_after_s: Option<u64>,
    idle_timeout_s: Option<u64>,
    lifetime_s: Option<u64>,
}

/// A file of tunings: TOML, a table for each pool, by its name.
///
/// ```toml
/// [catalogue]
/// limit = 12
/// max_wait_ms = 500
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct TuningFile(BTreeMap<String, Overrides>);

impl TuningFile {
    /// Reads it.
    ///
    /// # Errors
    /// If it can't be read, or says something that isn't known: what, and where.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("the pools' tuning file {} can't be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("the pools' tuning file {} is wrong", path.display()))
    }

    /// The pools of which it speaks.
    pub fn pools(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn apply(&self, config: &mut Config) {
        let Some(said) = self.0.get(&config.name) else { return };
        config.floor = said.floor.or(config.floor);
        config.limit = said.limit.unwrap_or(config.limit);
        config.ceiling = said.ceiling.or(config.ceiling);
        let times = [
            (&mut config.max_wait, said.max_wait_ms.map(Duration::from_millis)),
            (&mut config.statement_timeout, said.statement_timeout_ms.map(Duration::from_millis)),
            (&mut config.connect_timeout, said.connect_timeout_ms.map(Duration::from_millis)),
            (&mut config.idle_ping_after, said.idle_ping_after_s.map(Duration::from_secs)),
            (&mut config.idle_timeout, said.idle_timeout_s.map(Duration::from_secs)),
            (&mut config.lifetime, said.lifetime_s.map(Duration::from_secs)),
        ];
        for (time, said) in times {
            *time = said.unwrap_or(*time);
        }
    }
}

/// What can be set of a pool: the keys of [`Overrides`], in their order.
const KEYS: [Key; 9] = [
    Key::connections("floor", "Connections that are kept, and that the limit is never set below", |limits| {
        limits.floor
    }),
    Key::connections("limit", "Connections at the most, to begin with", |limits| limits.limit),
    Key::connections("ceiling", "Connections that the limit is never set above", |limits| limits.ceiling),
    Key::ms("max_wait_ms", Config::WAITS, "How long a caller waits for a connection", |config| config.max_wait),
    Key::ms("statement_timeout_ms", Config::STATEMENTS, "How long the database works on one statement", |config| {
        config.statement_timeout
    }),
    Key::ms("connect_timeout_ms", Config::WAITS, "How long making a connection may take", |config| {
        config.connect_timeout
    }),
    Key::s(
        "idle_ping_after_s",
        "After how long a connection that was idle is asked whether it lives before it is used",
        |config| config.idle_ping_after,
    ),
    Key::s("idle_timeout_s", "After how long an idle connection beyond the floor is closed", |config| {
        config.idle_timeout
    }),
    Key::s("lifetime_s", "After how long a connection is replaced", |config| config.lifetime),
];

struct Key {
    name: &'static str,
    unit: &'static str,
    bounds: (u64, u64),
    help: &'static str,
    of: Of,
}

/// How a key's value is found in a tuning.
enum Of {
    Connections(fn(Limits) -> u32),
    Ms(fn(&Config) -> Duration),
    S(fn(&Config) -> Duration),
}

impl Key {
    const fn connections(name: &'static str, help: &'static str, of: fn(Limits) -> u32) -> Self {
        let bounds = (*Config::CONNECTIONS.start() as u64, *Config::CONNECTIONS.end() as u64);
        Self { name, unit: "connections", bounds, help, of: Of::Connections(of) }
    }

    const fn ms(
        name: &'static str,
        bounds: RangeInclusive<Duration>,
        help: &'static str,
        of: fn(&Config) -> Duration,
    ) -> Self {
        // What is above zero is a whole millisecond at least.
        let least = if bounds.start().as_millis() == 0 { 1 } else { bounds.start().as_millis() as u64 };
        Self { name, unit: "milliseconds", bounds: (least, bounds.end().as_millis() as u64), help, of: Of::Ms(of) }
    }

    const fn s(name: &'static str, help: &'static str, of: fn(&Config) -> Duration) -> Self {
        Self { name, unit: "seconds", bounds: (1, Config::AGES.end().as_secs()), help, of: Of::S(of) }
    }

    fn value(&self, config: &Config) -> u64 {
        match self.of {
            Of::Connections(of) => of(config.limits()).into(),
            Of::Ms(of) => u64::try_from(of(config).as_millis()).unwrap_or(u64::MAX),
            Of::S(of) => of(config).as_secs(),
        }
    }

    fn setting(&self, config: &Config) -> Setting {
        Setting {
            name: self.name.to_owned(),
            variable: None,
            kind: Kind::Integer,
            unit: Some(self.unit),
            default: self.value(config).into(),
            minimum: Some(self.bounds.0.into()),
            maximum: Some(self.bounds.1.into()),
            values: Vec::new(),
            required: false,
            secret: false,
            help: self.help.to_owned(),
        }
    }
}

/// Adds a service's pools, the main one first, to its schema, and gives the main one's options their defaults.
pub(crate) fn describe(pools: &[Tuned], schema: &mut Schema) {
    // Its address doesn't matter for a tuning.
    let configs = pools.iter().map(|pool| (pool.name, pool.config("postgres://localhost/any", None)));
    schema.pools = configs
        .map(|(name, config)| schema::Pool { name, settings: KEYS.iter().map(|key| key.setting(&config)).collect() })
        .collect();
    let Some(main) = schema.pools.first() else { return };
    for (option, key) in MAIN {
        let option = schema.options.iter_mut().find(|found| found.name == option);
        if let (Some(option), Some(key)) = (option, main.settings.iter().find(|setting| setting.name == key)) {
            option.default = key.default.clone();
        }
    }
}

/// The options that are about the main pool, and their keys in a file.
const MAIN: [(&str, &str); 5] = [
    ("pool-floor", "floor"),
    ("pool-limit", "limit"),
    ("pool-ceiling", "ceiling"),
    ("pool-max-wait-ms", "max_wait_ms"),
    ("statement-timeout-ms", "statement_timeout_ms"),
];

/// An option's bounds are the pool's.
fn connections() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(i64::from(*Config::CONNECTIONS.start())..=i64::from(*Config::CONNECTIONS.end()))
}

fn millis(bounds: RangeInclusive<Duration>) -> RangedU64ValueParser<u64> {
    let key = Key::ms("", bounds, "", |_| Duration::ZERO);
    RangedU64ValueParser::new().range(key.bounds.0..=key.bounds.1)
}

/// What the command line and the environment say of a service's pools.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PoolFlags {
    /// A file of tunings: TOML, a table for each pool by its name, with floor, limit, ceiling, max_wait_ms,
    /// statement_timeout_ms, connect_timeout_ms, idle_ping_after_s, idle_timeout_s, lifetime_s. Flags win over it
    #[arg(long, env = "SELVAGE_POOL_FILE", value_name = "FILE")]
    pool_file: Option<PathBuf>,
    /// Connections that the service's main pool keeps, and that its limit is never set below
    #[arg(long, env = "SELVAGE_POOL_FLOOR", value_name = "CONNECTIONS", value_parser = connections())]
    pool_floor: Option<u32>,
    /// Connections that the service's main pool opens at the most, to begin with
    #[arg(long, env = "SELVAGE_POOL_LIMIT", value_name = "CONNECTIONS", value_parser = connections())]
    pool_limit: Option<u32>,
    /// Connections that its limit is never set above
    #[arg(long, env = "SELVAGE_POOL_CEILING", value_name = "CONNECTIONS", value_parser = connections())]
    pool_ceiling: Option<u32>,
    /// How long a request waits for a connection before it is refused, in milliseconds
    #[arg(long, env = "SELVAGE_POOL_MAX_WAIT_MS", value_name = "MS", value_parser = millis(Config::WAITS))]
    pool_max_wait_ms: Option<u64>,
    /// How long the database works on one statement, in milliseconds
    #[arg(long, env = "SELVAGE_STATEMENT_TIMEOUT_MS", value_name = "MS", value_parser = millis(Config::STATEMENTS))]
    statement_timeout_ms: Option<u64>,
}

impl PoolFlags {
    /// The main pool at `limit`, unless the user said otherwise.
    pub(crate) fn limit_unless_said(&mut self, limit: u32) {
        self.pool_limit.get_or_insert(limit);
    }

    /// Applies the file, and what was said of all pools of the service.
    pub(crate) fn apply(&self, config: &mut Config) -> anyhow::Result<()> {
        if let Some(path) = &self.pool_file {
            TuningFile::read(path)?.apply(config);
        }
        if let Some(wait) = self.pool_max_wait_ms {
            config.max_wait = Duration::from_millis(wait);
        }
        if let Some(timeout) = self.statement_timeout_ms {
            config.statement_timeout = Duration::from_millis(timeout);
        }
        Ok(())
    }

    /// Applies what was said of the main pool alone.
    pub(crate) fn apply_to_main(&self, config: &mut Config) {
        config.floor = self.pool_floor.or(config.floor);
        config.limit = self.pool_limit.unwrap_or(config.limit);
        config.ceiling = self.pool_ceiling.or(config.ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNED: Tuned = Tuned { name: "stars", tune: |config| config.limit = 4 };

    #[test]
    fn a_file_speaks_of_each_pool_by_its_name() {
        let file: TuningFile = toml::from_str("[stars]\nceiling = 9\nmax_wait_ms = 250\n[moons]\nlimit = 1").unwrap();
        let config = TUNED.config("postgres://localhost/sky", Some(&file));
        assert_eq!((config.limit, config.ceiling, config.max_wait), (4, Some(9), Duration::from_millis(250)));
        assert_eq!(file.pools().collect::<Vec<_>>(), ["moons", "stars"]);
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pools.toml");
        std::fs::write(&path, "[stars]\nlimits = 9\n").unwrap();
        let error = format!("{:#}", TuningFile::read(&path).unwrap_err());
        assert!(error.contains("pools.toml") && error.contains("limits") && error.contains("line 2"), "{error}");
        std::fs::write(&path, "[stars]\nlimit = -1\n").unwrap();
        assert!(TuningFile::read(&path).is_err());
        assert!(TuningFile::read(&folder.path().join("none.toml")).is_err());
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pools.toml");
        std::fs::write(&path, "[stars]\nlimit = 7\nmax_wait_ms = 250\nlifetime_s = 60\nidle_ping_after_s = 3\n")
            .unwrap();
        let flags = PoolFlags { pool_file: Some(path), pool_limit: Some(6), ..PoolFlags::default() };
        let mut config = TUNED.config("postgres://localhost/sky", None);
        flags.apply(&mut config).unwrap();
        assert_eq!((config.limit, config.max_wait), (7, Duration::from_millis(250)));
        flags.apply_to_main(&mut config);
        assert_eq!((config.limit, config.lifetime), (6, Duration::from_secs(60)));
        assert_eq!(config.idle_ping_after, Duration::from_secs(3));
    }

    /// The file takes exactly the keys that the schema names, and what it says of them by default changes nothing.
    #[test]
    fn the_schema_names_what_a_file_may_say() {
        let unknown = toml::from_str::<TuningFile>("[stars]\nhats = 1\n").unwrap_err().to_string();
        let (_, expected) = unknown.split_once("expected one of ").unwrap();
        let expected: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
        assert_eq!(expected, KEYS.each_ref().map(|key| key.name));
        let config = TUNED.config("postgres://localhost/sky", None);
        let said: String = KEYS.iter().map(|key| format!("{} = {}\n", key.name, key.value(&config))).collect();
        let file: TuningFile = toml::from_str(&format!("[stars]\n{said}")).unwrap();
        let same = TUNED.config("postgres://localhost/sky", Some(&file));
        assert_eq!(KEYS.each_ref().map(|key| key.value(&same)), KEYS.each_ref().map(|key| key.value(&config)));
        // What is just within its bounds is taken, and what is just beyond isn't.
        for key in KEYS.iter().filter(|key| key.unit != "connections") {
            for (value, right) in [(key.bounds.0, true), (key.bounds.1, true), (key.bounds.1 + 1, false), (0, false)] {
                let file: TuningFile = toml::from_str(&format!("[stars]\n{} = {value}\n", key.name)).unwrap();
                let config = TUNED.config("postgres://localhost/sky", Some(&file));
                assert_eq!(config.validate().is_ok(), right, "{} = {value}", key.name);
            }
        }
    }
}
