//! What the operator decides on, what it decides, and what came of it.

use super::Dashboard;
use super::expression::{by_pool, of_pool, of_service, quantile, rate, sum};
use super::panel::{Kind, Panel};

const POOL: &str = "{{db_client_connection_pool_name}}";

/// The operator's own series are those of its leader; while the lead changes, two replicas may have some.
fn newest(labels: &str, series: &str) -> String {
    format!("max by ({labels}) ({series})")
}

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

fn decisions() -> Vec<Panel> {
    let limited = "selvage_operator_limited{constraint=~\"maxReplicas|floors|headroom\"}";
    let grants = "selvage_operator_grant_time_seconds_bucket";
    vec![
        Panel::new(Kind::Stat, "Replicas that lead", "none", "sum(selvage_operator_epoch > bool 0)", "")
            .saying("Of the operator: one. With none, pods keep what they have, and nobody scales anything.")
            .alerts(&["OperatorWithoutLeader", "OperatorWatchStale"]),
        Panel::new(Kind::Stat, "Processes with a stream", "none", "sum(selvage_operator_streams)", "")
            .saying("Those that the leader hears and grants connections. Others have their floors."),
        Panel::new(
            Kind::Stat,
            "Writes that failed",
            "none",
            "sum(increase(selvage_operator_writes_total{outcome=\"failed\"}[15m]))",
            "",
        )
        .saying("To the API server within a quarter of an hour: decisions that aren't done, or aren't said.")
        .bad_from(1.0)
        .alerts(&["DecisionsNotDone"]),
        Panel::new(
            Kind::Stat,
            "Workloads that may not grow",
            "none",
            &format!("count(count by (scaler) ({limited} == 1))"),
            "",
        )
        .saying("They need more than their most replicas, or than the budget has left for them.")
        .bad_from(1.0)
        .alerts(&["ScalerBlocked"]),
        Panel::new(
            Kind::Stack,
            "What is the matter",
            "none",
            &format!("count by (class) ({})", newest("scaler, class", "selvage_operator_class")),
            "{{class}}",
        )
        .saying("Workloads by the class of the last decision: what is the matter with each, and so what is done for it.")
        .alerts(&["DatabaseBottleneck"]),
        Panel::new(
            Kind::Series,
            "Decisions that change something",
            "ops",
            &sum("what", &rate("selvage_operator_changes_total")),
            "{{what}}",
        )
        .saying(
            "Each is a trace: search Jaeger for selvage-operator, decide. Replicas that go up and down in turns \
             are a scaler with too narrow bounds.",
        ),
        Panel::new(
            Kind::Series,
            "Replicas of each workload",
            "none",
            &newest("scaler, state", "selvage_operator_replicas"),
            "{{scaler}} {{state}}",
        )
        .saying("Desired by the operator, present by the workload's spec, and ready. The first two differ in mode Observe."),
        Panel::new(Kind::Series, "From waiting to a grant", "s", &quantile(0.5, "", grants), "half")
            .and(&quantile(0.95, "", grants), "95 %")
            .saying(
                "From a report that callers wait, or of a process with nothing yet, to a larger grant. Decisions are at \
                 most 0.2 s away; beyond that it waits for what others give back.",
            ),
    ]
}

fn ledger() -> Vec<Panel> {
    let of_budget = "selvage_operator_budget_connections{state!=\"excess\"}";
    vec![
        Panel::new(
            Kind::Stack,
            "The ledger",
            "none",
            &newest("budget, state", of_budget),
            "{{budget}} {{state}}",
        )
        .and(&newest("budget", "selvage_operator_budget"), "{{budget}} budget")
        .saying(
            "What pods are charged with, the floors of pods that may come, and what can still be granted. Together they are \
             the budget.",
        )
        .alerts(&["BudgetUnsatisfied"]),
        Panel::new(
            Kind::Series,
            "Connections of each workload",
            "none",
            &newest("scaler, state", "selvage_operator_connections"),
            "{{scaler}} {{state}}",
        )
        .and(&newest("scaler", "selvage_operator_connections_wanted"), "{{scaler}} wanted by each pod")
        .saying(
            "Granted, charged (grants that aren't confirmed yet count with what was before), and open as the server shows it. \
             Open beyond charged is somebody who doesn't keep to grants.",
        )
        .alerts(&["NoSlotLeft"]),
        Panel::new(
            Kind::Series,
            "Sessions at the server",
            "none",
            &newest("budget, of", "selvage_operator_sessions"),
            "{{budget}} {{of}}",
        )
        .and(&newest("budget", "selvage_operator_sessions_free"), "{{budget}} left")
        .saying("By whom they are of, as the probe last saw it: pods in the ledger, strays of pods that nobody knows, others.")
        .alerts(&["NoSlotLeft"]),
        Panel::new(
            Kind::Series,
            "Callers waiting, by the pods' reports",
            "none",
            &newest("scaler", "selvage_operator_waiting"),
            "{{scaler}}",
        )
        .saying("What the operator hears each second, and at once when somebody begins to wait.")
        .alerts(&["ScalerBlocked"]),
    ]
}

fn database() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Series,
            "The probe's statement against usual",
            "none",
            &newest("budget", "selvage_operator_probe_slowness"),
            "{{budget}}",
        )
        .saying(
            "From 1.5 on the database is slow: with callers waiting, it is the bottleneck, and nothing is scaled out.",
        )
        .bad_from(1.5)
        .alerts(&["DatabaseBottleneck"]),
        Panel::new(
            Kind::Series,
            "The probe's statement",
            "s",
            &newest("budget", "selvage_operator_probe_statement_seconds"),
            "{{budget}} statement",
        )
        .and(&newest("budget", "selvage_operator_probe_age_seconds"), "{{budget}} since the last answer")
        .saying("How long a fixed statement takes that computes and reads nothing, and how old its last answer is.")
        .alerts(&["NoSlotLeft"]),
        Panel::new(
            Kind::Stack,
            "Backends at work",
            "none",
            &newest("budget, doing", "selvage_operator_probe_backends"),
            "{{budget}} {{doing}}",
        )
        .saying("What they do: compute, or wait for the disk, for a lock, or for their turn inside the server.")
        .alerts(&["DatabaseBottleneck"]),
        Panel::new(
            Kind::Series,
            "Age of what is known",
            "s",
            &newest("selvage_operator_kind", "selvage_operator_watch_age_seconds"),
            "{{selvage_operator_kind}}",
        )
        .saying("Since each kind was last listed completely: up to 20 s, and the time that a list takes.")
        .bad_from(60.0)
        .alerts(&["OperatorWatchStale"]),
    ]
}

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "operator",
        title: "Selvage: operator",
        description: "What scaling is decided on, what was decided, and what came of it.".to_owned(),
        has_pools: true,
        rows: vec![
            ("What it decides", decisions()),
            ("The ledger", ledger()),
            ("The database", database()),
            ("The pools' budget", budget()),
            ("The pools' evidence", evidence()),
            ("What came of it", effect()),
        ],
    }
}
