//! The shop: whether people can buy, and what stands in their way.

use super::Dashboard;
use super::expression::{of_service, quantile, rate, sum};
use super::panel::{Kind, Panel};

/// What the caller can't help.
const FAILED: &str = ",rpc_response_status_code=~\"UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|UNIMPLEMENTED|\
                      INTERNAL|UNAVAILABLE|DATA_LOSS\"";

fn buying() -> Vec<Panel> {
    let stat = |title, unit, expression: &str| Panel::new(Kind::Stat, title, unit, expression, "");
    vec![
        stat(
            "Requests a second",
            "reqps",
            &sum("", &rate(&of_service("http_server_request_duration_seconds_count", ""))),
        )
        .saying("What browsers ask for, pages and pictures alike."),
        stat(
            "Requests that fail",
            "percentunit",
            &format!(
                "{} / {}",
                sum(
                    "",
                    &rate(&of_service(
                        "http_server_request_duration_seconds_count",
                        ",http_response_status_code=~\"5..\""
                    ))
                ),
                sum("", &rate(&of_service("http_server_request_duration_seconds_count", "")))
            ),
        )
        .saying("Answered with a status of 500 or more. One in a thousand is what we allow ourselves.")
        .limits(0.001, 0.0144)
        .alerts(&["ErrorBudgetBurn"]),
        stat(
            "Page, 95th percentile",
            "s",
            &quantile(0.95, "", &of_service("http_server_request_duration_seconds_bucket", "")),
        )
        .saying("19 of 20 answers come sooner than this, pages and pictures alike.")
        .limits(0.5, 2.0),
        stat(
            "Orders in 10 minutes, by what became of them",
            "none",
            "sum by (state) (increase(selvage_orders_changed_total{service_name=~\"$service\"}[10m]))",
        )
        .saying(
            "How many orders reached each state. No confirmed ones in an hour with visitors is an outage, \
                 whatever else is green.",
        )
        .wide(8),
        stat("Faults switched on", "none", "sum(selvage_fault_active{service_name=~\"$service\"})")
            .saying("Somebody is exercising the shop. What you see below may be that.")
            .bad_from(1.0)
            .alerts(&["FaultActive"]),
        Panel::new(
            Kind::Series,
            "Error budget, how fast it burns",
            "none",
            "service_kind:selvage_requests_failed:ratio_5m{service_name=~\"$service\"} / 0.001",
            "{{service_name}} {{kind}} 5 min",
        )
        .and(
            "service_kind:selvage_requests_failed:ratio_1h{service_name=~\"$service\"} / 0.001",
            "{{service_name}} {{kind}} 1 h",
        )
        .saying(
            "1 uses up the month's budget in a month, 14.4 in two days. Both lines above 14.4 wake \
                 somebody.",
        )
        .limits(1.0, 14.4)
        .alerts(&["ErrorBudgetBurn"]),
        Panel::new(
            Kind::Series,
            "Orders that aren't finished",
            "none",
            &sum("state", &of_service("selvage_orders", "")),
            "{{state}}",
        )
        .saying(
            "By state. A pending one is being placed, or is what a crash left for the sweeper; a line \
                 that only grows is work that nobody does.",
        )
        .alerts(&["OutboxStuck"]),
    ]
}

fn pages() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Stack,
            "Requests, by route",
            "reqps",
            &sum("http_route", &rate(&of_service("http_server_request_duration_seconds_count", ""))),
            "{{http_route}}",
        )
        .saying("What people do: looking, packing, paying."),
        Panel::new(
            Kind::Stack,
            "Answers, by status",
            "reqps",
            &sum("http_response_status_code", &rate(&of_service("http_server_request_duration_seconds_count", ""))),
            "{{http_response_status_code}}",
        )
        .saying("303 follows a form. 429 and 503 are refusals: too many at once. Other 5xx are failures.")
        .alerts(&["ErrorBudgetBurn"]),
        Panel::new(
            Kind::Series,
            "Duration, by route, 95th percentile",
            "s",
            &quantile(0.95, "http_route", &of_service("http_server_request_duration_seconds_bucket", "")),
            "{{http_route}}",
        )
        .saying(
            "Until the answer begins. A page that is watched, such as an order's events, goes on for \
                 longer.",
        ),
        Panel::new(
            Kind::Heat,
            "Durations of all pages",
            "s",
            &sum("le", &rate(&of_service("http_server_request_duration_seconds_bucket", ""))),
            "{{le}}",
        )
        .saying("A second band above the first is what some people meet and others don't."),
    ]
}

fn calls() -> Vec<Panel> {
    let by = "service_name, rpc_method, rpc_response_status_code";
    let failed = sum(by, &rate(&of_service("rpc_server_call_duration_seconds_count", FAILED))) + " > 0";
    vec![
        Panel::new(
            Kind::Stack,
            "Calls, by method",
            "reqps",
            &sum(
                "rpc_method",
                &rate(&of_service("rpc_server_call_duration_seconds_count", ",rpc_method=~\"selvage[.].+\"")),
            ),
            "{{rpc_method}}",
        )
        .saying("As the services count them; health checks left out."),
        Panel::new(Kind::Series, "Calls that fail", "reqps", &failed, "{{rpc_method}} {{rpc_response_status_code}}")
            .saying(
                "What the caller can't help. RESOURCE_EXHAUSTED is a pool or a limit of calls that refuses; \
                 UNAVAILABLE a service or database that is gone; DEADLINE_EXCEEDED one that is slow.",
            )
            .alerts(&["ErrorBudgetBurn", "PoolShedding"]),
        Panel::new(
            Kind::Series,
            "Duration, by method, 95th percentile",
            "s",
            &quantile(
                0.95,
                "rpc_method",
                &of_service("rpc_server_call_duration_seconds_bucket", ",rpc_method=~\"selvage[.].+\""),
            ),
            "{{rpc_method}}",
        )
        .saying("In the service itself, waiting for its pool included."),
        Panel::new(
            Kind::Series,
            "Duration as callers see it, 95th percentile",
            "s",
            &quantile(0.95, "service_name", &of_service("rpc_client_call_duration_seconds_bucket", "")),
            "called by {{service_name}}",
        )
        .saying(
            "With the network and each attempt. Much more than the services' own durations means queues \
                 before them.",
        ),
    ]
}

fn work() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Series,
            "Outbox, how late",
            "s",
            &format!("max by (service_name, outbox) ({})", of_service("selvage_outbox_lag_seconds", "")),
            "{{outbox}}",
        )
        .and(
            &format!("max by (service_name, outbox) ({})", of_service("selvage_outbox_age_seconds", "")),
            "{{outbox}}, due or not",
        )
        .saying(
            "The age of the oldest message that is due: normally under a second. What isn't due has failed and is tried \
                 again for a quarter of an hour at the most.",
        )
        .limits(5.0, 60.0)
        .alerts(&["OutboxStuck"]),
        Panel::new(
            Kind::Series,
            "Outbox, messages",
            "none",
            &format!("max by (service_name, outbox) ({})", of_service("selvage_outbox_waiting", "")),
            "{{outbox}} waiting",
        )
        .and(
            &format!("max by (service_name, outbox) ({})", of_service("selvage_outbox_dead", "")),
            "{{outbox}} given up",
        )
        .saying("Waiting ones are work to come. Those that were given up wait for a person.")
        .alerts(&["OutboxDeadLetters", "OutboxStuck"]),
        Panel::new(
            Kind::Stack,
            "Messages, by topic and outcome",
            "ops",
            &sum("topic, outcome", &rate(&of_service("selvage_outbox_done_total", ""))),
            "{{topic}} {{outcome}}",
        )
        .saying(
            "later: failed, and tried again after a while. One topic with nothing else names the service that refuses.",
        )
        .alerts(&["OutboxStuck", "OutboxDeadLetters"]),
        Panel::new(
            Kind::Stack,
            "Payments",
            "ops",
            &sum("operation, outcome", &rate(&of_service("selvage_payments_total", ""))),
            "{{operation}} {{outcome}}",
        )
        .saying(
            "What the provider answered. A declined card is a customer's affair, many at once are the \
                 provider's.",
        ),
        Panel::new(
            Kind::Series,
            "Reservations refused for want of stock",
            "ops",
            &sum("service_name", &rate(&of_service("selvage_stock_refused_total", ""))),
            "{{service_name}}",
        )
        .saying("Somebody wanted to buy what is sold out. A wave of it follows a sale, or a wrong import."),
        Panel::new(
            Kind::Series,
            "Reads answered from memory",
            "percentunit",
            &format!(
                "{} / {}",
                sum("cache", &rate(&of_service("selvage_cache_lookups_total", ",outcome=\"hit\""))),
                sum("cache", &rate(&of_service("selvage_cache_lookups_total", "")))
            ),
            "{{cache}}",
        )
        .saying(
            "What isn't, the catalogue's pool must do. It falls to 0 while changes of the database aren't heard of.",
        )
        .up_to(1.0)
        .alerts(&["PoolWaiting"]),
        Panel::new(
            Kind::Series,
            "Reads from memory are behind by",
            "s",
            &format!("max by (service_name, instance) ({})", of_service("selvage_changes_behind_seconds", "")),
            "{{service_name}} {{instance}}",
        )
        .saying(
            "How long ago the catalogue asked its database for changes and was answered: each 150 ms. After a second of silence it \
                 reads products from the database.",
        ),
        Panel::new(
            Kind::Series,
            "Listings and searches are behind by",
            "s",
            &format!("max by (service_name, instance) ({})", of_service("selvage_index_behind_seconds", "")),
            "{{service_name}} {{instance}}",
        )
        .saying(
            "For how long the index may lack what was changed: some tenths of a second while the database answers. The pages go on \
                 without it, and say from 5 s on that prices and stock may be old.",
        ),
        Panel::new(
            Kind::Series,
            "Products in the index",
            "short",
            &format!("max by (service_name, instance) ({})", of_service("selvage_index_products", "")),
            "{{service_name}} {{instance}}",
        )
        .saying("What listings and searches know. Instances that differ for longer than a second don't follow the same database."),
    ]
}

fn processes() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Series,
            "Processor",
            "percentunit",
            &sum("service_name, instance", &rate(&of_service("process_cpu_time_seconds_total", ""))),
            "{{service_name}} {{instance}}",
        )
        .saying(
            "Cores in use. At the limit of a pod, everything becomes slow at once and no pool is to \
                 blame.",
        ),
        Panel::new(
            Kind::Series,
            "Memory",
            "bytes",
            &of_service("process_memory_usage_bytes", ""),
            "{{service_name}} {{instance}}",
        )
        .saying("What the process holds. It should rise for some minutes after a start, and then stay."),
        Panel::new(
            Kind::Series,
            "Tasks, and those that wait to run",
            "none",
            &of_service("selvage_runtime_tasks", ""),
            "{{service_name}} {{instance}} tasks",
        )
        .and(&of_service("selvage_runtime_queue", ""), "{{service_name}} {{instance}} waiting to run")
        .saying("Tasks that wait to run while the processor isn't busy mean that something blocks a thread."),
        Panel::new(
            Kind::Series,
            "Open files",
            "none",
            &of_service("process_unix_file_descriptor_count", ""),
            "{{service_name}} {{instance}}",
        )
        .saying("Files and sockets. One that only grows is a leak of connections of some kind."),
        Panel::new(
            Kind::Stack,
            "Spans",
            "ops",
            &sum("service_name, outcome", &rate(&of_service("selvage_telemetry_spans_total", ""))),
            "{{service_name}} {{outcome}}",
        )
        .saying(
            "Dropped: the queue was full. Failed: the collector didn't take them. Nothing at all: no \
                 exporter is configured.",
        )
        .alerts(&["SpansDropped"]),
        Panel::new(
            Kind::Series,
            "Lines of the log that were lost",
            "ops",
            &sum("service_name, outcome", &rate(&of_service("selvage_telemetry_lines_total", ",outcome!=\"written\""))),
            "{{service_name}} {{outcome}}",
        )
        .saying(
            "Nobody reads the log fast enough, or the same is said over and over. The shop doesn't wait for either.",
        ),
        Panel::new(Kind::Bars, "What can be scraped", "none", "up{job=~\"selvage.*\"}", "{{job}} {{instance}}")
            .saying("1 for each process whose metrics Prometheus gets. What isn't here can't alert.")
            .up_to(1.0)
            .alerts(&["TargetDown", "PoolMetricsMissing"]),
    ]
}

fn listeners() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Series,
            "Connections, as a part of those that there may be",
            "percentunit",
            &format!(
                "{} / {}",
                of_service("selvage_listener_connections", ""),
                of_service("selvage_listener_limit", "")
            ),
            "{{service_name}} {{instance}} {{listener}}",
        )
        .saying("At 1 who comes new waits until somebody leaves.")
        .up_to(1.0)
        .alerts(&["ListenerFull"]),
        Panel::new(
            Kind::Series,
            "Connections that made trouble",
            "ops",
            &sum("service_name, listener, trouble", &rate(&of_service("selvage_listener_troubles_total", ""))),
            "{{service_name}} {{listener}} {{trouble}}",
        )
        .saying(
            "full: waited for a place. refused: its address had its share. failed: no open file was left. unopened, stalled: \
                 said or read nothing, and was closed.",
        )
        .alerts(&["ListenerFull"]),
        Panel::new(
            Kind::Series,
            "Clocks of callers, how far ahead",
            "s",
            &format!("max by (service_name) ({})", of_service("selvage_identity_ahead_seconds", "")),
            "seen by {{service_name}}",
        )
        .saying("At 60 s tokens are refused, and with them every page.")
        .limits(5.0, 60.0)
        .alerts(&["ClocksDiffer"]),
        Panel::new(
            Kind::Series,
            "Rows that were passed over",
            "ops",
            &sum("service_name, table", &rate(&of_service("selvage_rows_passed_over_total", ""))),
            "{{service_name}} {{table}}",
        )
        .saying("They can't be read. Work goes on without them, and meets them again.")
        .alerts(&["RowsPassedOver"]),
    ]
}

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "shop",
        title: "Selvage: shop",
        description:
            "Whether people can look, pack and pay; then the services, what follows an order, and the processes."
                .to_owned(),
        has_pools: false,
        rows: vec![
            ("Can people buy?", buying()),
            ("Pages", pages()),
            ("Services", calls()),
            ("After the order", work()),
            ("Processes", processes()),
            ("Connections, clocks, damage", listeners()),
        ],
    }
}
