//! What the operator decides on. Its own metrics come with it.

use super::Dashboard;
use super::expression::{by_pool, of_pool, of_service, rate, sum};
use super::panel::{Kind, Panel};

/// What has no panel yet, because nothing exports it: whoever adds the metric takes it from here and adds the
/// panel.
const TO_COME: [&str; 5] = [
    "decisions by class and by what constrained them",
    "the ledger: grants and charges for each pod",
    "the database's probe as against its baseline, and its backends by what they wait for",
    "the age of each pod's last report",
    "who leads, and since when",
];

const POOL: &str = "{{db_client_connection_pool_name}}";
fn budget() -> Vec<Panel> {
    let (spent, budget) = ("database:selvage_budget_connections_spent", "database:selvage_budget_connections");
    vec![
        Panel::new(Kind::Stat, "Budget spent", "percentunit", &format!("{spent} / {budget}"), "")
            .saying(
                "The sum of all limits, of what the database has for pods. At 100 % a new pod has nothing to \
                 open.",
            )
            .limits(0.9, 1.0)
            .alerts(&["BudgetSpent", "BudgetExceeded"]),
        Panel::new(
            Kind::Stat,
            "Pools that could grow",
            "none",
            &format!(
                "count({} < {})",
                by_pool("sum", &of_pool("selvage_pool_limit", "")),
                by_pool("sum", &of_pool("selvage_pool_ceiling", ""))
            ),
            "",
        )
        .saying(
            "Pools below their ceilings. With none, only more replicas help, if the budget has \
                 connections for them.",
        ),
        Panel::new(
            Kind::Stat,
            "Pools slower than usual",
            "none",
            "count(pool:db_client_connection_use_time_seconds:ratio{service_name=~\"$service\"} >= 1.5)",
            "",
        )
        .saying(
            "By half or more. One: its own trouble. Half of them, with callers waiting: the database, and \
                 nothing must be scaled out.",
        )
        .limits(1.0, 2.0)
        .alerts(&["DatabaseBottleneck"]),
        Panel::new(
            Kind::Stack,
            "Where the budget is",
            "none",
            &by_pool("sum", &of_pool("selvage_pool_limit", "")),
            POOL,
        )
        .and(budget, "budget")
        .saying(
            "Limits, one on the other, below what the database has for pods. What the operator moves is \
                 the border between them.",
        )
        .wide(12)
        .alerts(&["BudgetSpent", "BudgetExceeded"]),
    ]
}

fn evidence() -> Vec<Panel> {
    let used = by_pool("sum", &of_pool("db_client_connection_count", ",db_client_connection_state=\"used\""));
    let limit = by_pool("sum", &of_pool("selvage_pool_limit", ""));
    let cores = sum("service_name, instance", &rate(&of_service("process_cpu_time_seconds_total", "")));
    let computing = format!("avg by (service_name) ({cores})");
    vec![
        Panel::new(Kind::Bars, "Utilisation now", "percentunit", &format!("{used} / {limit}"), POOL)
            .saying("In use, as a share of the limit. 0.7 is the target; from 0.95 on it counts as full.")
            .limits(0.7, 0.95)
            .up_to(1.0)
            .alerts(&["PoolSaturated"]),
        Panel::new(
            Kind::Series,
            "Saturated instances",
            "none",
            &by_pool("sum", &of_pool("selvage_pool_saturated", "")),
            POOL,
        )
        .saying(
            "Instances of a pool with somebody refused, or always waiting, during the last second. All of \
                 them: the pool is too small. One: that pod is.",
        )
        .alerts(&["PoolSaturated"]),
        Panel::new(
            Kind::Series,
            "Callers waiting, an instance",
            "none",
            &by_pool("avg", &of_pool("db_client_connection_pending_requests", "")),
            POOL,
        )
        .saying("On the average of a pool's instances, so that more replicas show as less.")
        .alerts(&["PoolWaiting"]),
        Panel::new(
            Kind::Series,
            "Use time against usual",
            "none",
            &of_pool("pool:db_client_connection_use_time_seconds:ratio", ""),
            POOL,
        )
        .saying(
            "The database's share of the evidence: more connections help while this stays at 1, and harm \
                 when it rises with them.",
        )
        .bad_from(1.5)
        .alerts(&["DatabaseBottleneck"]),
        Panel::new(
            Kind::Series,
            "Callers served a second",
            "reqps",
            &by_pool("sum", &rate(&of_pool("db_client_connection_use_time_seconds_count", ""))),
            POOL,
        )
        .saying(
            "Look at it beside the limits: a limit that was raised, with callers waiting before and \
                 after, and no more of them served, says that the database is the bound.",
        )
        .alerts(&["DatabaseBottleneck"]),
        Panel::new(Kind::Series, "Computing, an instance", "percentunit", &computing, "{{service_name}}").saying(
            "Cores in use on the average of a service's instances. One that computes all the time wants \
                 replicas, whatever its pool says.",
        ),
    ]
}

fn effect() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Series, "Replicas", "none", &by_pool("count", &of_pool("selvage_pool_limit", "")), POOL)
            .saying("Instances that report a limit for this pool, starting and ending ones too."),
        Panel::new(
            Kind::Series,
            "Limit of an instance",
            "none",
            &by_pool("max", &of_pool("selvage_pool_limit", "")),
            "{{db_client_connection_pool_name}} largest limit",
        )
        .and(&by_pool("min", &of_pool("selvage_pool_limit", "")), "{{db_client_connection_pool_name}} smallest limit")
        .and(&by_pool("max", &of_pool("selvage_pool_ceiling", "")), "{{db_client_connection_pool_name}} ceiling")
        .saying(
            "What each instance was granted: the largest and the smallest. They differ for as long as \
                 grants are being moved.",
        ),
        Panel::new(
            Kind::Series,
            "Open, as against granted",
            "none",
            &by_pool("sum", &of_pool("selvage_pool_open", "")),
            "{{db_client_connection_pool_name}} open",
        )
        .and(&by_pool("sum", &of_pool("selvage_pool_limit", "")), "{{db_client_connection_pool_name}} limit")
        .saying("A lowered limit is reached when connections come back. Others may grow only after that.")
        .alerts(&["BudgetExceeded"]),
        Panel::new(Kind::Series, "Debt", "none", &by_pool("sum", &of_pool("selvage_pool_debt", "")), POOL)
            .saying(
                "Connections open beyond a limit that was lowered. For longer than a use time it means that \
                 somebody doesn't give back.",
            )
            .alerts(&["PoolLeaking"]),
    ]
}

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "operator",
        title: "Selvage: operator",
        description: format!(
            "What scaling is decided on, and what came of it. To come with the operator's own metrics: {}.",
            TO_COME.join("; ")
        ),
        has_pools: true,
        rows: vec![("The budget", budget()), ("The evidence", evidence()), ("What came of it", effect())],
    }
}
