//! The time by which messages are due.

use sea_orm::sea_query::Expr;
use sea_orm::{DbBackend, Value};
use selvage_context::clock::Clock;

/// PostgreSQL's clock in milliseconds since the Unix epoch: one moment for all of a statement, so that an index can be used.
const SERVERS: &str = "(date_part('epoch', statement_timestamp()) * 1000)::bigint";

/// Now. On a server it is the server's now, which all relays have in common: one whose machine's clock is wrong would take
/// others' claims for lapsed, or put its own off for hours. SQLite has one process, and so that one's clock. A clock that a test has set
/// holds on both.
#[derive(Clone, Copy)]
pub(crate) struct Moment(Option<i64>);

impl Moment {
    pub(crate) fn of(clock: &Clock, backend: DbBackend) -> Self {
        Self(if backend == DbBackend::Postgres { clock.set_at() } else { Some(clock.now_ms()) })
    }

    /// What is bound to `$1` for [`sql`](Self::sql).
    pub(super) fn value(self) -> Value {
        self.0.into()
    }

    /// A moment that is bound to `$1`, in a statement.
    pub(super) fn sql(backend: DbBackend) -> String {
        if backend == DbBackend::Postgres { format!("COALESCE($1, {SERVERS})") } else { "$1".to_owned() }
    }

    /// It as part of a statement that is built.
    pub(super) fn expr(self) -> Expr {
        self.0.map_or_else(|| Expr::cust(SERVERS), Expr::value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_tells_the_time_by_itself_unless_a_test_does() {
        let value = |clock: &Clock, backend| Moment::of(clock, backend).value();
        assert_eq!(value(&Clock::system(), DbBackend::Postgres), Value::BigInt(None));
        assert_eq!(value(&Clock::standing_at(7), DbBackend::Postgres), Value::BigInt(Some(7)));
        assert_eq!(value(&Clock::standing_at(7), DbBackend::Sqlite), Value::BigInt(Some(7)));
        assert!(matches!(value(&Clock::system(), DbBackend::Sqlite), Value::BigInt(Some(1_500_000_000_000..))));
    }
}
