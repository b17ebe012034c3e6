//! The log of changes: what was committed since a moment, whoever changed it.
//!
//! Triggers write the log; their migration, `m20261128_000005_change_log`, describes it. On PostgreSQL a moment is a snapshot: what it
//! didn't see and a later one sees has been committed in between, however long it was under way. A number that is given out when
//! a row is written wouldn't do, because a transaction may commit later than another that began after it, and
//! whoever has read further by then would miss it. On SQLite, which has one writer, such a number is enough.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult, Statement};
use selvage_pool::{Class, StoreError};

use super::Store;

/// Rows of the log that are read at once, 20 ms of PostgreSQL's work. An order has some three rows, so that they are what 1,000
/// orders a second write in six seconds. Who has missed more reads everything anew.
const ROWS: i64 = 20_000;
/// Products in one answer: 300 KiB of it. To drop everything costs less than to go on with more of them, one by one.
const PRODUCTS: usize = 5_000;
/// In the place of a product: everything.
const EVERYTHING: &str = "*";

/// A moment in the log of one database: what is noted after it is news. As text it is short, and can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(Moment);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Moment {
    /// What was committed as a snapshot of PostgreSQL's saw it, at this server.
    Seen { server: String, snapshot: String },
    /// The last row of SQLite's log.
    Row(i64),
}

/// The text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no position in the log of changes")]
pub struct NoPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Moment::Seen { server, snapshot } => write!(f, "{server}/{snapshot}"),
            Moment::Row(id) => write!(f, "{id}"),
        }
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let moment = match text.split_once('/') {
            Some((server, snapshot)) if is_snapshot(snapshot) => {
                Moment::Seen { server: server.to_owned(), snapshot: snapshot.to_owned() }
            }
            Some(_) => return Err(NoPosition),
            None => Moment::Row(text.parse().map_err(|_| NoPosition)?),
        };
        Ok(Self(moment))
    }
}

/// Whether PostgreSQL takes it for a snapshot: the first transaction that was under way, the first that hadn't begun, and all that
/// were under way between the two, `xmin:xmax:xid,xid`.
fn is_snapshot(text: &str) -> bool {
    let mut parts = text.split(':');
    let (Some(first), Some(end), Some(running), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let running = running.split(',').filter(|_| !running.is_empty());
    let Ok(running) = running.map(str::parse).collect::<Result<Vec<u64>, _>>() else { return false };
    let (Ok(first), Ok(end)) = (first.parse::<u64>(), end.parse::<u64>()) else { return false };
    0 < first && first <= end && running.is_sorted() && running.iter().all(|xid| (first..end).contains(xid))
}

/// A product that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its slug.
    pub product: String,
    /// Whether listings show the change; of stock they show only whether there is any.
    pub listed: bool,
}

/// What has changed since a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The products, each once; none if it is everything.
    pub changed: Vec<Changed>,
    /// Anything may have changed.
    pub everything: bool,
    /// The moment of this answer, from which the next one goes on.
    pub position: Position,
}

impl News {
    /// Anything may have changed until `position`.
    pub(crate) fn everything(position: Position) -> Self {
        Self { changed: Vec::new(), everything: true, position }
    }
}

/// What a moment of a log has in common with others of the same: the cluster, its timeline, the database, the table, and the last time
/// that its numbers were lost. A standby that took over may lack what was committed before, and gives the same numbers out
/// again; so does, of numbers that nothing on the disk bears, a server after a crash, which forgets its statistics then.
/// A database that was restored has another table. Fails on a standby, whose snapshots aren't whole.
const SERVER: &str = "concat_ws('.', (SELECT system_identifier FROM pg_control_system()), \
    left(pg_walfile_name(pg_current_wal_lsn()), 8), (SELECT oid FROM pg_database WHERE datname = current_database()), \
    'catalogue_changes'::regclass::oid, extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()))";

/// One statement, and so one snapshot: of the log, and of the position that the next look goes on from.
///
/// What a snapshot doesn't see is what hadn't begun then, from its `xmax` on, and what was under way: two looks into the index, which cost
/// the same however long the log is and however long a transaction runs. From `xmax` of now on nothing is visible but what a dump
/// brought from elsewhere. What is under way in the reader's snapshot, and was purged, is too old.
fn postgres() -> String {
    format!(
        "WITH here AS MATERIALIZED (SELECT {SERVER} AS server, pg_current_snapshot() AS seen) \
         SELECT server || '/' || seen::text AS position, \
             server <> $1 OR pg_snapshot_xmax($2::text::pg_snapshot) < pg_snapshot_xmax(purged) OR EXISTS ( \
                 SELECT FROM pg_snapshot_xip($2::text::pg_snapshot) AS running (xid) \
                 WHERE pg_visible_in_snapshot(running.xid, purged) \
             ) AS too_old, \
             NULL AS product, NULL::boolean AS listed, NULL::bigint AS lines \
         FROM here LEFT JOIN catalogue_purge ON TRUE \
         UNION ALL \
         SELECT NULL, NULL, product, bool_or(listed), count(*) FROM ( \
             (SELECT product, listed FROM catalogue_changes \
              WHERE xid >= pg_snapshot_xmax($2::text::pg_snapshot) \
                  AND xid < pg_snapshot_xmax(pg_current_snapshot()) AND (SELECT server FROM here) = $1 \
              ORDER BY xid LIMIT {most}) \
             UNION ALL \
             (SELECT product, listed FROM catalogue_changes \
              WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($2::text::pg_snapshot))) \
                  AND (SELECT server FROM here) = $1 \
              LIMIT {most}) \
         ) AS since GROUP BY product",
        most = ROWS + 1
    )
}

/// A position beyond the end is another file's.
fn sqlite() -> String {
    format!(
        "SELECT CAST(last AS TEXT) AS position, $1 > last AS too_old, NULL AS product, NULL AS listed, NULL AS lines \
         FROM (SELECT coalesce(max(id), 0) AS last FROM catalogue_changes) \
         UNION ALL \
         SELECT NULL, NULL, product, max(listed), count(*) FROM ( \
             SELECT product, listed FROM catalogue_changes WHERE id > $1 ORDER BY id LIMIT {most} \
         ) GROUP BY product",
        most = ROWS + 1
    )
}

/// The position of now, alone.
fn position(backend: DbBackend) -> String {
    match backend {
        DbBackend::Postgres => format!("SELECT {SERVER} || '/' || pg_current_snapshot()::text AS position"),
        _ => "SELECT CAST(coalesce(max(id), 0) AS TEXT) AS position FROM catalogue_changes".to_owned(),
    }
}

/// A row of the answer: the first has the position and whether the one before is too old, the others have a product each.
#[derive(Debug, Default, FromQueryResult)]
struct Line {
    position: Option<String>,
    too_old: Option<bool>,
    product: Option<String>,
    listed: Option<bool>,
    lines: Option<i64>,
}

fn news(lines: Vec<Line>) -> Result<News, StoreError> {
    let (mut position, mut everything, mut read) = (None, false, 0);
    let mut changed = BTreeMap::new();
    for line in lines {
        if let Some(text) = line.position {
            position = Some(read_position(&text)?);
            everything |= line.too_old.unwrap_or(true);
        }
        if let Some(product) = line.product {
            read += line.lines.unwrap_or(1);
            everything |= product == EVERYTHING;
            *changed.entry(product).or_default() |= line.listed.unwrap_or(true);
        }
    }
    let position = position.ok_or_else(|| StoreError::damaged("the log of changes", "it has no position"))?;
    if everything || read > ROWS || changed.len() > PRODUCTS {
        return Ok(News::everything(position));
    }
    let changed = changed.into_iter().map(|(product, listed)| Changed { product, listed }).collect();
    Ok(News { changed, everything: false, position })
}

fn read_position(text: &str) -> Result<Position, StoreError> {
    text.parse().map_err(|why| StoreError::damaged(format!("the position '{text}'"), why))
}

impl Store {
    /// What was committed after `since`, each change once; what is committed later is the next answer's. If that can't be said, because
    /// it is too much or the position is too old or of another database, it is everything. One statement, which costs the same
    /// whatever the log has in it.
    ///
    /// # Errors
    /// [`StoreError::Database`]; asking again from the same position misses nothing.
    pub async fn change_list(&self, since: &Position) -> Result<News, StoreError> {
        static WRITTEN: LazyLock<[String; 2]> = LazyLock::new(|| [postgres(), sqlite()]);
        let [postgres, sqlite] = &*WRITTEN;
        let backend = self.pool.backend();
        let asked = match (&since.0, backend) {
            (Moment::Seen { server, snapshot }, DbBackend::Postgres) => {
                Statement::from_sql_and_values(backend, postgres, [server.into(), snapshot.into()])
            }
            (Moment::Row(id), DbBackend::Sqlite) => Statement::from_sql_and_values(backend, sqlite, [(*id).into()]),
            _ => return Ok(News::everything(self.change_position().await?)),
        };
        // Critical: what isn't heard of isn't answered from memory, and a crowded pool would be more crowded. 7 looks of some 0.3 ms
        // a second are 0.2 % of one connection.
        let rows = self.pool.named("change_list", Class::Critical).query_all_raw(asked).await?;
        let lines = rows.iter().map(|row| Line::from_query_result(row, "")).collect::<Result<Vec<_>, _>>()?;
        news(lines)
    }

    /// The moment of now, to read something at and then follow what changes: one statement.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn change_position(&self) -> Result<Position, StoreError> {
        static WRITTEN: LazyLock<[String; 2]> =
            LazyLock::new(|| [DbBackend::Postgres, DbBackend::Sqlite].map(position));
        let backend = self.pool.backend();
        let asked = Statement::from_string(backend, &WRITTEN[usize::from(backend != DbBackend::Postgres)]);
        let row = self.pool.named("change_position", Class::Critical).query_one_raw(asked).await?;
        let row = row.ok_or_else(|| StoreError::damaged("the log of changes", "it has no position"))?;
        read_position(&row.try_get::<String>("", "position")?)
    }

    /// Takes up to `limit` rows out of the log that were committed for longer than `kept`; returns how many. Until they go it
    /// may take as long again, since it is noted each `kept` what is committed by then. SQLite's log has a bound by itself. Two to four
    /// statements.
    ///
    /// # Errors
    /// [`StoreError::Database`]; the next purge takes what is left.
    pub async fn change_purge(&self, kept: Duration, limit: u64) -> Result<u64, StoreError> {
        let backend = self.pool.backend();
        if backend != DbBackend::Postgres {
            return Ok(0);
        }
        self.pool
            .run_tx("change_purge", Class::Sheddable, |tx| async move {
                if tx.query_one_raw(Statement::from_string(backend, PURGE_ALONE)).await?.is_none() {
                    return Ok(0);
                }
                tx.execute_raw(Statement::from_sql_and_values(backend, PURGE_NOTE, [kept.as_secs_f64().into()]))
                    .await?;
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let purged = Statement::from_sql_and_values(backend, PURGE, [limit.into()]);
                Ok(tx.execute_raw(purged).await?.rows_affected())
            })
            .await
    }
}

/// One purges at a time.
const PURGE_ALONE: &str = "SELECT id FROM catalogue_purge FOR UPDATE SKIP LOCKED";
/// The time at which something was committed is known to nobody; that it was committed when a snapshot was made is. What a dump brought
/// from another server has nothing to do with this one's numbers.
const PURGE_NOTE: &str = "UPDATE catalogue_purge SET \
    purged = CASE WHEN pg_snapshot_xmax(noted) > pg_snapshot_xmax(pg_current_snapshot()) THEN pg_current_snapshot() \
        ELSE noted END, \
    noted = pg_current_snapshot(), noted_at = now() \
    WHERE now() NOT BETWEEN noted_at AND noted_at + make_interval(secs => $1) \
        OR pg_snapshot_xmax(noted) > pg_snapshot_xmax(pg_current_snapshot())";
const PURGE: &str = "DELETE FROM catalogue_changes WHERE ctid = ANY (ARRAY( \
    SELECT ctid FROM catalogue_changes \
    WHERE xid < (SELECT pg_snapshot_xmax(purged) FROM catalogue_purge) \
        AND pg_visible_in_snapshot(xid, (SELECT purged FROM catalogue_purge)) \
    ORDER BY xid LIMIT $1))";

#[cfg(test)]
mod tests {
    use super::*;

    fn head(too_old: bool) -> Line {
        Line { position: Some("s.1/5:9:6,8".into()), too_old: Some(too_old), ..Line::default() }
    }

    fn line(product: &str, listed: bool, lines: i64) -> Line {
        Line { product: Some(product.into()), listed: Some(listed), lines: Some(lines), ..Line::default() }
    }

    #[test]
    fn a_position_is_its_text() {
        for text in ["7.1.16384/5:9:6,8", "7/5:5:", "7/18446744073709551614:18446744073709551615:", "0", "42"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        // What PostgreSQL would refuse is none.
        for text in [
            "",
            "x",
            "7/",
            "7/5",
            "7/5:9",
            "7/5:9:6:8",
            "7/0:9:",
            "7/9:5:",
            "7/5:9:4",
            "7/5:9:9",
            "7/5:9:8,6",
            "7/5:9:,",
            "7/a:9:",
            "7/5:9:6,",
            "7/-5:9:",
            "1.5",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NoPosition), "{text}");
        }
    }

    #[test]
    fn lines_become_news() {
        let told = news(vec![line("shirt", false, 2), head(false), line("coat", true, 1)]).unwrap();
        let changed = |product: &str, listed| Changed { product: product.into(), listed };
        assert_eq!(told.changed, [changed("coat", true), changed("shirt", false)]);
        assert_eq!((told.everything, told.position.to_string().as_str()), (false, "s.1/5:9:6,8"));
        let told = news(vec![head(false)]).unwrap();
        assert_eq!((told.changed, told.everything), (vec![], false));
        news(vec![line("shirt", false, 2)]).expect_err("there is no position");
    }

    #[test]
    fn what_is_too_old_or_too_much_is_everything() {
        let everything = |lines: Vec<Line>| {
            let told = news(lines).unwrap();
            assert!(!told.everything || told.changed.is_empty());
            told.everything
        };
        assert!(everything(vec![head(true), line("shirt", false, 1)]));
        assert!(everything(vec![head(false), line("shirt", false, 1), line(EVERYTHING, true, 1)]));
        assert!(everything(vec![Line { too_old: None, ..head(false) }]));
        assert!(!everything(vec![head(false), line("shirt", false, ROWS)]));
        assert!(everything(vec![head(false), line("shirt", false, ROWS), line("coat", false, 1)]));
        let many = |count: usize| (0..count).map(|n| line(&n.to_string(), false, 1)).chain([head(false)]).collect();
        assert!(!everything(many(PRODUCTS)));
        assert!(everything(many(PRODUCTS + 1)));
    }
}
