//! What a page says of a pod's pools.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::dialects::{NAMES, Name, Names};
use super::text::{Unreadable, samples};
use crate::resources::Dialect;

/// A pod's pools, all together. Counters are those since its process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Connections at the most; one at least.
    pub limit: u32,
    /// Connections that are open.
    pub open: u32,
    /// Connections in use.
    pub in_use: u32,
    /// Callers who wait. Where only the time is told that they waited: so many on average since the reading before.
    pub waiting: u32,
    /// Callers who got none.
    pub refused: u64,
    /// Uses that ended, and the time that they took all together, where both are told.
    pub uses: Option<(u64, Duration)>,
    /// Seconds that callers have waited, all together, where nothing tells how many do.
    waited: Option<f64>,
}

/// Which pools of a page are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How they are called.
    pub dialect: Dialect,
    /// The pool's name; all of them if none is named.
    pub pool: Option<String>,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// A line.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// None of the metrics.
    #[error("the page has no {0}: is spec.source.scrape.dialect right, and poolName?")]
    Missing(&'static str),
    /// A value that can't be one.
    #[error("{0} isn't a number of connections")]
    NoNumber(&'static str),
    /// A pool that may open any number.
    #[error("a pool has no maximum ({0}): give it one, for nobody knows otherwise what to set aside for it")]
    Unlimited(&'static str),
}

/// When a reading was made, and how long callers had waited by then.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    at: Instant,
    waited: f64,
}

/// The values of one name, all pools together.
#[derive(Default)]
struct Sum {
    value: f64,
    /// One of them isn't a number, or is below 0.
    is_wrong: bool,
    /// One of them is 0, or infinite.
    is_unlimited: bool,
}

impl Wanted {
    /// What the page says of the pools.
    ///
    /// # Errors
    /// If it doesn't say how many connections are in use and how many there may be: what isn't known is never taken for 0.
    pub fn read(&self, page: &str) -> Result<Reading, Unknown> {
        let known: Vec<_> = NAMES.iter().filter(|names| names.dialect == self.dialect).collect();
        let all: Vec<_> = known.iter().flat_map(|names| names.all().map(|(_, name)| name.metric)).collect();
        let mut found = Vec::new();
        for sample in samples(page, |name| all.contains(&name)) {
            found.push(sample?);
        }
        let mut missing = None;
        for names in &known {
            let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
            for sample in &found {
                let pool = || names.pool.iter().find_map(|key| sample.label(key));
                if self.pool.as_deref().is_some_and(|wanted| pool() != Some(wanted)) {
                    continue;
                }
                for (what, name) in names.all().filter(|(_, name)| name.is(sample.name, |key| sample.label(key))) {
                    let sum = sums.entry(what).or_default();
                    sum.value += sample.value * name.scale;
                    sum.is_wrong |= sample.value.is_nan() || sample.value < 0.0;
                    sum.is_unlimited |= sample.value == 0.0 || sample.value.is_infinite();
                }
            }
            match (sums.contains_key("in use"), sums.contains_key("maximum")) {
                (true, true) => return reading(names, &sums),
                (true, false) => missing = missing.or(Some(names.limit.metric)),
                (false, _) => {}
            }
        }
        let in_use = known.first().map_or("", |names| names.in_use.metric);
        Err(Unknown::Missing(missing.unwrap_or(in_use)))
    }
}

impl Name {
    fn is<'a>(&self, metric: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let says = |(keys, value): (&[&str], &str)| keys.iter().find_map(|key| label(key)) == Some(value);
        self.metric == metric && self.label.is_none_or(says)
    }
}

fn reading(names: &Names, sums: &BTreeMap<&str, Sum>) -> Result<Reading, Unknown> {
    // What is told only once it has happened, as OpenTelemetry's counters are, hasn't happened yet.
    let value = |what: &str, name: Option<Name>| match (sums.get(what), name) {
        (Some(sum), Some(name)) if sum.is_wrong || sum.value.is_infinite() => Err(Unknown::NoNumber(name.metric)),
        (Some(sum), Some(_)) => Ok(Some(sum.value)),
        _ => Ok(None),
    };
    if sums.get("maximum").is_some_and(|limit| limit.is_unlimited) {
        return Err(Unknown::Unlimited(names.limit.metric));
    }
    let limit = value("maximum", Some(names.limit))?.map_or(0, count);
    let in_use = value("in use", Some(names.in_use))?.map_or(0, count);
    let idle = value("open, not in use", names.idle)?.map_or(0, count);
    let uses = value("uses", names.uses)?.zip(value("time of uses", names.used)?);
    Ok(Reading {
        limit,
        open: in_use.saturating_add(idle),
        in_use,
        waiting: value("who waits", names.waiting)?.map_or(0, count),
        refused: value("who got none", names.refused)?.map_or(0, whole),
        uses: uses
            .map(|(count, seconds)| (whole(count), Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))),
        waited: value("time waited", names.waited)?,
    })
}

/// A conversion from f64 saturates.
fn count(value: f64) -> u32 {
    value.round() as u32
}

fn whole(value: f64) -> u64 {
    value as u64
}

impl Reading {
    /// Says how many waited on average since the reading before, where only their time is told. By it a caller who waited for a
    /// moment is none; and one who waits still isn't told either: the pool is used up then, which says the same.
    pub fn since(mut self, before: &mut Option<Since>, at: Instant) -> Self {
        let Some(waited) = self.waited else { return self };
        let known = before.replace(Since { at, waited });
        // Time that went back is that of a new process.
        if let Some(Since { at: then, waited: earlier }) = known.filter(|known| known.waited <= waited && known.at < at)
        {
            self.waiting = count((waited - earlier) / at.duration_since(then).as_secs_f64());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What HikariCP 6.3.3 by Micrometer 1.16.8 says: of ten connections all are in use, seven callers wait, and one got none.
    const HIKARI: &str = include_str!("../../tests/scraped/hikaricp.txt");

    fn wanted(dialect: Dialect) -> Wanted {
        Wanted { dialect, pool: None }
    }

    fn read(dialect: Dialect, page: &str) -> Result<Reading, Unknown> {
        wanted(dialect).read(page)
    }

    #[test]
    fn hikaricp_is_read_as_micrometer_writes_it() {
        let wanted = Reading {
            limit: 10,
            open: 10,
            in_use: 10,
            waiting: 7,
            refused: 1,
            uses: Some((10, Duration::from_millis(2_206))),
            waited: None,
        };
        assert_eq!(read(Dialect::HikariCp, HIKARI), Ok(wanted.clone()));
        let open_metrics = include_str!("../../tests/scraped/hikaricp.openmetrics.txt");
        assert_eq!(read(Dialect::HikariCp, open_metrics), Ok(wanted));
    }

    /// Each metric of the table, told once with a value of its own, is found where it belongs.
    #[test]
    fn every_entry_of_the_table_is_read() {
        for names in NAMES {
            let mut page = String::new();
            for (index, (_, name)) in names.all().enumerate() {
                let label = name.label.map_or_else(String::new, |(keys, value)| format!(",{}=\"{value}\"", keys[0]));
                page.push_str(&format!("{}{{{}=\"main\"{label}}} {}\n", name.metric, names.pool[0], index + 2));
            }
            let found = wanted(names.dialect).read(&page).unwrap();
            // In use, idle, maximum.
            assert_eq!((found.in_use, found.open, found.limit), (2, 5, 4), "{names:?}");
            let mut next = 5..;
            let mut value = |name: Option<Name>| name.map(|name| f64::from(next.next().unwrap()) * name.scale);
            assert_eq!(f64::from(found.waiting), value(names.waiting).unwrap_or(0.0), "{names:?}");
            assert_eq!(found.waited, value(names.waited), "{names:?}");
            assert_eq!(found.refused as f64, value(names.refused).unwrap_or(0.0), "{names:?}");
            let uses = value(names.uses).zip(value(names.used));
            assert_eq!(found.uses.map(|(count, time)| (count as f64, time.as_secs_f64())), uses, "{names:?}");
            assert!(names.waiting.is_some() || names.waited.is_some(), "{names:?}: something tells of waiters");
        }
    }

    #[test]
    fn pools_of_a_pod_are_one_unless_one_is_named() {
        let page = "hikaricp_connections_active{pool=\"a\"} 3\nhikaricp_connections_active{pool=\"b\"} 1\n\
                    hikaricp_connections_max{pool=\"a\"} 10\nhikaricp_connections_max{pool=\"b\"} 5\n";
        let both = read(Dialect::HikariCp, page).unwrap();
        assert_eq!((both.in_use, both.limit), (4, 15));
        let b = Wanted { dialect: Dialect::HikariCp, pool: Some("b".into()) };
        let b = b.read(page).unwrap();
        assert_eq!((b.in_use, b.limit), (1, 5));
        let none = Wanted { dialect: Dialect::HikariCp, pool: Some("c".into()) };
        assert_eq!(none.read(page), Err(Unknown::Missing("hikaricp_connections_active")));
    }

    #[test]
    fn older_names_count_where_a_page_has_no_newer_ones() {
        let page = "db_client_connections_usage{pool_name=\"p\",state=\"used\"} 4\n\
                    db_client_connections_usage{pool_name=\"p\",state=\"idle\"} 6\ndb_client_connections_max{pool_name=\"p\"} 10\n";
        let found = read(Dialect::OpenTelemetry, page).unwrap();
        assert_eq!((found.in_use, found.open, found.limit, found.uses), (4, 10, 10, None));
    }

    #[test]
    fn what_is_not_known_is_not_nothing() {
        let page =
            |active: &str, max: &str| format!("hikaricp_connections_active {active}\nhikaricp_connections_max {max}\n");
        let said = |active, max| read(Dialect::HikariCp, &page(active, max)).unwrap_err().to_string();
        assert!(read(Dialect::HikariCp, &page("0", "10")).is_ok());
        assert_eq!(said("NaN", "10"), "hikaricp_connections_active isn't a number of connections");
        assert_eq!(said("-1", "10"), "hikaricp_connections_active isn't a number of connections");
        assert!(said("1", "0").starts_with("a pool has no maximum (hikaricp_connections_max)"));
        assert_eq!(said("1", "x"), "line 2 of the metrics can't be read");
        let missing = |page: &str| read(Dialect::HikariCp, page).unwrap_err();
        assert_eq!(missing("hikaricp_connections_active 1\n"), Unknown::Missing("hikaricp_connections_max"));
        assert_eq!(missing("<html>"), Unknown::Missing("hikaricp_connections_active"));
    }

    #[test]
    fn where_only_time_is_told_it_tells_how_many_wait() {
        let page = |waited: f64| {
            format!(
                "go_sql_in_use_connections{{db_name=\"a\"}} 5\ngo_sql_max_open_connections{{db_name=\"a\"}} 5\n\
                 go_sql_wait_duration_seconds_total{{db_name=\"a\"}} {waited}\n"
            )
        };
        let (mut before, start) = (None, Instant::now());
        let mut waiting = |waited, seconds| {
            let reading = read(Dialect::GoSql, &page(waited)).unwrap();
            reading.since(&mut before, start + Duration::from_secs(seconds)).waiting
        };
        assert_eq!(waiting(1000.0, 0), 0, "nobody knows since when");
        assert_eq!(waiting(1015.0, 5), 3, "15 s in 5 s");
        assert_eq!(waiting(1015.4, 10), 0, "somebody waited for a moment");
        assert_eq!(waiting(3.0, 15), 0, "another process");
        assert_eq!(waiting(13.0, 20), 2);
    }
}
