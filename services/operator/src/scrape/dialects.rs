//! What which library calls what: a table.
//!
//! `dialects.md` is made of it.

use crate::resources::Dialect;

/// A metric, and which of its samples counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Name {
    /// As a page has it.
    pub metric: &'static str,
    /// A label that tells the samples of one metric apart, by any of these names, and what it must say.
    pub label: Option<(&'static [&'static str], &'static str)>,
    /// What one is, in seconds, of metrics of time.
    pub scale: f64,
}

/// What the metrics of one library are called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Names {
    /// As a PoolScaler names it. Of several entries of one dialect the first counts whose `in_use` and `limit` a page has.
    pub dialect: Dialect,
    /// Whose names they are.
    pub whose: &'static str,
    /// The labels that may say the pool's name.
    pub pool: &'static [&'static str],
    /// Connections in use. Without it, and without `limit`, nothing is known of a pod.
    pub in_use: Name,
    /// Connections that are open, and not in use.
    pub idle: Option<Name>,
    /// Connections at the most.
    pub limit: Name,
    /// Callers who wait.
    pub waiting: Option<Name>,
    /// The time that callers have waited, all together, where their number isn't told: it grows by as many seconds each second
    /// as callers wait.
    pub waited: Option<Name>,
    /// Callers who got none.
    pub refused: Option<Name>,
    /// Uses that ended.
    pub uses: Option<Name>,
    /// The time that they took, all together.
    pub used: Option<Name>,
}

const fn name(metric: &'static str) -> Name {
    Name { metric, label: None, scale: 1.0 }
}

const fn in_state(metric: &'static str, keys: &'static [&'static str], state: &'static str) -> Name {
    Name { metric, label: Some((keys, state)), scale: 1.0 }
}

const fn scaled(metric: &'static str, scale: f64) -> Name {
    Name { metric, label: None, scale }
}

/// The label of OpenTelemetry's conventions, as it was called by and by.
const STATE: &[&str] = &["db_client_connection_state", "state"];

/// OpenTelemetry's conventions as they are now.
const CONVENTIONS: Names = Names {
    dialect: Dialect::OpenTelemetry,
    whose: "the semantic conventions, and the Java agent from 3.0 on",
    pool: &["db_client_connection_pool_name", "db_client_connections_pool_name", "pool_name"],
    in_use: in_state("db_client_connection_count", STATE, "used"),
    idle: Some(in_state("db_client_connection_count", STATE, "idle")),
    limit: name("db_client_connection_limit"),
    waiting: Some(name("db_client_connection_pending_requests")),
    waited: None,
    refused: Some(name("db_client_connection_timeouts_total")),
    uses: Some(name("db_client_connection_use_time_seconds_count")),
    used: Some(name("db_client_connection_use_time_seconds_sum")),
};

/// All of them.
pub const NAMES: &[Names] = &[
    CONVENTIONS,
    Names { whose: "the semantic conventions before `limit`", limit: name("db_client_connection_max"), ..CONVENTIONS },
    Names {
        dialect: Dialect::OpenTelemetry,
        whose: "the semantic conventions to 1.24, and the Java agent before 3.0 unless it is told otherwise",
        pool: &["pool_name"],
        in_use: in_state("db_client_connections_usage", &["state"], "used"),
        idle: Some(in_state("db_client_connections_usage", &["state"], "idle")),
        limit: name("db_client_connections_max"),
        waiting: Some(name("db_client_connections_pending_requests")),
        waited: None,
        refused: Some(name("db_client_connections_timeouts_total")),
        uses: Some(name("db_client_connections_use_time_milliseconds_count")),
        used: Some(scaled("db_client_connections_use_time_milliseconds_sum", 1e-3)),
    },
    Names {
        dialect: Dialect::HikariCp,
        whose: "Micrometer, as in Spring Boot",
        pool: &["pool"],
        in_use: name("hikaricp_connections_active"),
        idle: Some(name("hikaricp_connections_idle")),
        limit: name("hikaricp_connections_max"),
        waiting: Some(name("hikaricp_connections_pending")),
        waited: None,
        refused: Some(name("hikaricp_connections_timeout_total")),
        uses: Some(name("hikaricp_connections_usage_seconds_count")),
        used: Some(name("hikaricp_connections_usage_seconds_sum")),
    },
    Names {
        dialect: Dialect::HikariCp,
        whose: "HikariCP's own PrometheusMetricsTrackerFactory",
        pool: &["pool"],
        in_use: name("hikaricp_active_connections"),
        idle: Some(name("hikaricp_idle_connections")),
        limit: name("hikaricp_max_connections"),
        waiting: Some(name("hikaricp_pending_threads")),
        waited: None,
        refused: Some(name("hikaricp_connection_timeout_total")),
        uses: Some(name("hikaricp_connection_usage_millis_count")),
        used: Some(scaled("hikaricp_connection_usage_millis_sum", 1e-3)),
    },
    Names {
        dialect: Dialect::GoSql,
        whose: "client_golang's DBStatsCollector",
        pool: &["db_name"],
        in_use: name("go_sql_in_use_connections"),
        idle: Some(name("go_sql_idle_connections")),
        limit: name("go_sql_max_open_connections"),
        waiting: None,
        waited: Some(name("go_sql_wait_duration_seconds_total")),
        refused: None,
        uses: None,
        used: None,
    },
    Names {
        dialect: Dialect::Pgxpool,
        whose: "IBM's pgxpoolprometheus",
        pool: &["db", "pool"],
        in_use: name("pgxpool_acquired_conns"),
        idle: Some(name("pgxpool_idle_conns")),
        limit: name("pgxpool_max_conns"),
        waiting: None,
        waited: Some(scaled("pgxpool_acquire_duration_ns", 1e-9)),
        refused: Some(name("pgxpool_canceled_acquire_count")),
        uses: None,
        used: None,
    },
    Names {
        dialect: Dialect::Pgxpool,
        whose: "otelpgx, by OpenTelemetry's exporter for Prometheus",
        pool: &["db_client_connection_pool_name"],
        in_use: name("pgxpool_acquired_connections"),
        idle: Some(name("pgxpool_idle_connections")),
        limit: name("pgxpool_max_connections"),
        waiting: None,
        waited: Some(scaled("pgxpool_acquire_duration_nanoseconds_total", 1e-9)),
        refused: Some(name("pgxpool_canceled_acquires_total")),
        uses: None,
        used: None,
    },
];

impl Names {
    /// Every name, with what it says, in the page's words.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Name)> {
        let always = [("in use", Some(self.in_use)), ("open, not in use", self.idle), ("maximum", Some(self.limit))];
        let others = [
            ("who waits", self.waiting),
            ("time waited", self.waited),
            ("who got none", self.refused),
            ("uses", self.uses),
            ("time of uses", self.used),
        ];
        always.into_iter().chain(others).filter_map(|(what, name)| Some((what, name?)))
    }
}

/// The table in Markdown, as `dialects.md` has it.
pub fn markdown() -> String {
    let mut text = String::from("| dialect | whose | what | metric |\n|---|---|---|---|\n");
    for names in NAMES {
        let dialect = serde_json::to_value(names.dialect).unwrap_or_default();
        let (mut dialect, mut whose) = (format!("`{}`", dialect.as_str().unwrap_or_default()), names.whose);
        for (what, name) in names.all() {
            let label = name.label.map_or_else(String::new, |(keys, value)| format!("{{{}=\"{value}\"}}", keys[0]));
            text.push_str(&format!("| {dialect} | {whose} | {what} | `{}{label}` |\n", name.metric));
            (dialect, whose) = (String::new(), "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dialects.md");
    const BEGINNING: &str = "# The metrics that are read of pools that aren't ours\n\n\
        By `spec.source.scrape.dialect` of a PoolScaler. Of a dialect's libraries the first counts of which a page has the\n\
        connections in use and the maximum; without both nothing is known of a pod. The others may be missing. Where only the time is told that\n\
        callers have waited, it tells how many did on average. The table is that of [dialects.rs](src/scrape/dialects.rs), and is\n\
        written by a test: `SELVAGE_OPERATOR=write cargo test -p selvage-operator`.\n\n";

    #[test]
    fn the_page_says_the_names_that_are_read() {
        let wanted = format!("{BEGINNING}{}", markdown());
        if std::env::var_os("SELVAGE_OPERATOR").is_some_and(|wish| wish == "write") {
            std::fs::write(PAGE, &wanted).expect("it is written");
        }
        let found = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(
            found == wanted,
            "dialects.md says something else: SELVAGE_OPERATOR=write cargo test -p selvage-operator"
        );
    }

    /// A page is read by the names of all entries of a dialect at once: none may mean two things.
    #[test]
    fn no_name_means_two_things() {
        for names in NAMES {
            let all: Vec<_> = names.all().collect();
            for (index, (what, name)) in all.iter().enumerate() {
                let same = |(other, known): &&(&str, Name)| {
                    known.metric == name.metric && known.label == name.label && other != what
                };
                assert!(!all[..index].iter().any(|known| same(&known)), "{} is {what} and more", name.metric);
            }
        }
    }
}
