//! The pools: whether anybody waits, for which, since when, and why.

use super::Dashboard;
use super::expression::{by_pool, of_pool, quantile, rate, sum};
use super::panel::{Kind, Panel};

const POOL: &str = "{{db_client_connection_pool_name}}";
const POOL_LIMIT: &str = "{{db_client_connection_pool_name}} limit";

/// Of a pool's waits, uses or new connections.
fn share(share: f64, histogram: &str) -> String {
    let buckets = of_pool(&format!("{histogram}_bucket"), "");
    quantile(share, "service_name, db_client_connection_pool_name", &buckets)
}

/// So many a second of what is counted for each transaction's name.
fn by_operation(counter: &str, more: &str) -> String {
    sum("service_name, operation", &rate(&of_pool(counter, more)))
}

fn wrong() -> Vec<Panel> {
    let stat = |title, unit, expression: &str| Panel::new(Kind::Stat, title, unit, expression, "");
    vec![
        stat("Saturated pools", "none", &sum("", &of_pool("selvage_pool_saturated", "")))
            .saying(
                "Instances of pools in which somebody was refused, or somebody always waited, during the last \
                 second.",
            )
            .bad_from(1.0)
            .alerts(&["PoolSaturated"]),
        stat("Pools without database", "none", &sum("", &of_pool("selvage_pool_unreachable", "")))
            .saying("Instances of pools whose last attempt to connect failed.")
            .bad_from(1.0)
            .alerts(&["PoolUnreachable"]),
        stat("Waiting callers", "none", &sum("", &of_pool("db_client_connection_pending_requests", "")))
            .saying(
                "Callers who wait for a connection at this moment, over all chosen pools. A few, now and \
                 then, are healthy.",
            )
            .limits(5.0, 20.0)
            .alerts(&["PoolWaiting"]),
        stat(
            "Longest wait, 95th percentile",
            "s",
            &format!("max({})", of_pool("pool:db_client_connection_wait_time_seconds:p95_2m", "")),
        )
        .saying(
            "Over two minutes, of the pool where it is worst. Callers are refused at 1 s; from 0.25 s on \
                 it is an alert.",
        )
        .limits(0.05, 0.25)
        .alerts(&["PoolWaiting"]),
        stat("Refused a second", "reqps", &sum("", &rate(&of_pool("selvage_pool_refused_total", ""))))
            .saying("Callers who got no connection, whatever the reason.")
            .limits(0.01, 1.0)
            .alerts(&["PoolShedding", "PoolTimingOut"]),
        stat("Held for long", "none", &sum("", &of_pool("selvage_pool_long_held", "")))
            .saying("Connections that have been in use for more than 5 s. The log says by what.")
            .bad_from(1.0)
            .alerts(&["PoolLeaking"]),
    ]
}

fn waits() -> Vec<Panel> {
    let wait = "db_client_connection_wait_time_seconds";
    vec![
        Panel::new(
            Kind::Series,
            "In use, as a share of the limit",
            "percentunit",
            &format!(
                "{} / {}",
                by_pool("sum", &of_pool("db_client_connection_count", ",db_client_connection_state=\"used\"")),
                by_pool("sum", &of_pool("selvage_pool_limit", ""))
            ),
            POOL,
        )
        .saying("Pools are sized for 0.7. Above, queues grow; at 1 the next caller waits.")
        .limits(0.7, 0.95)
        .up_to(1.0)
        .alerts(&["PoolSaturated"]),
        Panel::new(
            Kind::Series,
            "Callers that wait",
            "none",
            &by_pool("sum", &of_pool("db_client_connection_pending_requests", "")),
            POOL,
        )
        .saying(
            "Peaks that fall back to 0 are bursts. A line that never touches 0 is a pool that is too \
                 small, or slow.",
        )
        .alerts(&["PoolWaiting", "PoolSaturated"]),
        Panel::new(
            Kind::Series,
            "Wait for a connection",
            "s",
            &share(0.95, wait),
            "{{db_client_connection_pool_name}} 95 %",
        )
        .and(&share(0.5, wait), "{{db_client_connection_pool_name}} 50 %")
        .saying(
            "What callers wait before their statement can begin. It is apart from the use time below: \
                 together they are what the database costs a request.",
        )
        .limits(0.05, 0.25)
        .alerts(&["PoolWaiting"]),
        Panel::new(
            Kind::Heat,
            "Waits of all chosen pools",
            "s",
            &sum("le", &rate(&of_pool("db_client_connection_wait_time_seconds_bucket", ""))),
            "{{le}}",
        )
        .saying(
            "Each cell is how many callers a second waited that long. Two bands mean two kinds of \
                 callers, such as a pool at ease and one that isn't.",
        ),
    ]
}

fn causes() -> Vec<Panel> {
    let usage = "db_client_connection_use_time_seconds";
    vec![
        Panel::new(
            Kind::Series,
            "Use time, as against the usual",
            "none",
            &of_pool("pool:db_client_connection_use_time_seconds:ratio", ""),
            POOL,
        )
        .saying(
            "Mean use time over two minutes, divided by the lower quartile of the two hours before. One \
                 pool above 1.5 has a slow statement or a lock; half of them have a slow database.",
        )
        .bad_from(1.5)
        .alerts(&["DatabaseBottleneck"]),
        Panel::new(
            Kind::Series,
            "Use time of a connection",
            "s",
            &share(0.95, usage),
            "{{db_client_connection_pool_name}} 95 %",
        )
        .and(&share(0.5, usage), "{{db_client_connection_pool_name}} 50 %")
        .saying(
            "From taking a connection to giving it back: statements, and what the code does between them. \
                 Connections needed = callers a second × use time ÷ 0.7.",
        )
        .alerts(&["DatabaseBottleneck", "PoolLeaking"]),
        Panel::new(
            Kind::Series,
            "Use time of transactions, by name",
            "s",
            &quantile(0.95, "service_name, operation", &of_pool("selvage_transaction_use_time_seconds_bucket", "")),
            "{{service_name}} {{operation}} 95 %",
        )
        .saying(
            "All attempts of a transaction together. One name that takes longer has a lock, or a statement without its \
                 index; all names are the database.",
        )
        .alerts(&["DatabaseBottleneck", "PoolLeaking"]),
        Panel::new(
            Kind::Series,
            "Callers a second",
            "reqps",
            &by_pool("sum", &rate(&of_pool("db_client_connection_wait_time_seconds_count", ""))),
            POOL,
        )
        .saying("Connections handed out. If this grows and the use time doesn't, the trouble is traffic.")
        .alerts(&["PoolWaiting"]),
        Panel::new(
            Kind::Stack,
            "Refused, by class and reason",
            "reqps",
            &format!(
                "sum by (db_client_connection_pool_name, class, reason) ({}) > 0",
                rate(&of_pool("selvage_pool_refused_total", ""))
            ),
            "{{db_client_connection_pool_name}} {{class}} {{reason}}",
        )
        .saying(
            "would_wait: refused by the forecast. queue_full: by the bound of the queue. waited: a \
                 time-out. unreachable: no database. Critical callers are those who confirm orders.",
        )
        .alerts(&["PoolShedding", "PoolTimingOut", "PoolUnreachable"]),
        Panel::new(
            Kind::Series,
            "Connections that aren't given back",
            "none",
            &by_pool("sum", &of_pool("selvage_pool_long_held", "")),
            "{{db_client_connection_pool_name}} held for long",
        )
        .and(&by_pool("sum", &of_pool("selvage_pool_stranded", "")), "{{db_client_connection_pool_name}} stranded")
        .saying(
            "Held for long: somebody has had it for more than 5 s. Stranded: we closed it, the server \
                 still shows it, and its place stays taken.",
        )
        .bad_from(1.0)
        .alerts(&["PoolLeaking", "PoolStranded"]),
        Panel::new(
            Kind::Series,
            "Calls to services with a connection in hand",
            "none",
            "sum by (service_name) (increase(selvage_pool_held_across_calls_total{service_name=~\"$service\"}[15m]))",
            "{{service_name}}",
        )
        .saying(
            "In the last quarter of an hour. It must be 0: the other service's slowness becomes this \
                 pool's.",
        )
        .bad_from(1.0)
        .alerts(&["HeldAcrossCalls"]),
    ]
}

fn connections() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Stack,
            "Connections by state",
            "none",
            &sum(
                "db_client_connection_pool_name, db_client_connection_state",
                &of_pool("db_client_connection_count", ""),
            ),
            "{{db_client_connection_pool_name}} {{db_client_connection_state}}",
        )
        .and(&by_pool("sum", &of_pool("selvage_pool_limit", "")), POOL_LIMIT)
        .saying(
            "Idle and used connections below the limit. A limit that moves was moved by somebody: by the \
                 operator, by a fault, or by hand.",
        ),
        Panel::new(
            Kind::Series,
            "Limits and ceilings",
            "none",
            &by_pool("sum", &of_pool("selvage_pool_limit", "")),
            POOL_LIMIT,
        )
        .and(&by_pool("sum", &of_pool("selvage_pool_ceiling", "")), "{{db_client_connection_pool_name}} ceiling")
        .and(&by_pool("sum", &of_pool("db_client_connection_idle_min", "")), "{{db_client_connection_pool_name}} floor")
        .saying("What may be open now, and the bounds between which that may be moved, over all instances.")
        .alerts(&["BudgetSpent", "BudgetExceeded"]),
        Panel::new(
            Kind::Series,
            "Making connections",
            "s",
            &share(0.95, "db_client_connection_create_time_seconds"),
            "{{db_client_connection_pool_name}} 95 %",
        )
        .saying(
            "The time to connect and log in. It grows when the server is short of processor, or of \
                 connections.",
        )
        .alerts(&["PoolUnreachable"]),
        Panel::new(
            Kind::Series,
            "Opening, in debt",
            "none",
            &by_pool("sum", &of_pool("selvage_pool_opening", "")),
            "{{db_client_connection_pool_name}} opening",
        )
        .and(&by_pool("sum", &of_pool("selvage_pool_debt", "")), "{{db_client_connection_pool_name}} debt")
        .saying("Opening: being made. Debt: open beyond a limit that was lowered, until they come back."),
        Panel::new(
            Kind::Series,
            "Statements and transactions",
            "ops",
            &by_pool("sum", &rate(&of_pool("selvage_pool_statements_total", ""))),
            "{{db_client_connection_pool_name}} statements",
        )
        .and(
            &by_pool("sum", &rate(&of_pool("selvage_pool_transactions_total", ""))),
            "{{db_client_connection_pool_name}} transactions",
        )
        .saying(
            "What the connections are used for, a second. Statements per caller that grow mean a loop \
                 around a query.",
        ),
        Panel::new(
            Kind::Series,
            "Transactions done again, by name",
            "ops",
            &by_operation("selvage_transaction_repeated_total", ""),
            "{{service_name}} {{operation}}",
        )
        .saying("The database asked for it: two wanted the same rows. Each is a whole use time for nothing."),
        Panel::new(
            Kind::Series,
            "Transactions that weren't committed, by name",
            "ops",
            &by_operation("selvage_transaction_ended_total", ",outcome!=\"committed\""),
            "{{service_name}} {{operation}}",
        )
        .saying(
            "Failed: refused by the service or by the database. Not begun: there was no connection. Unknown: the \
                 connection went while it committed. Cancelled: its caller went away.",
        ),
    ]
}

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "pools",
        title: "Selvage: pools",
        description: "Who waits for a connection, for which pool, and why. Read it from the top: is anything \
                 wrong, where, since when, what is the cause."
            .to_owned(),
        has_pools: true,
        rows: vec![
            ("Is anything wrong?", wrong()),
            ("Who waits", waits()),
            ("Why", causes()),
            ("Connections", connections()),
        ],
    }
}
