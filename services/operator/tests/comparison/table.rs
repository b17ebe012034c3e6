//! The page with the tables.

use std::fmt::Write as _;

use super::database::{BUDGET, MAX_CONNECTIONS, ROOM};
use super::measure::RELIEVED;
use super::shape::{SERVICES, Shape};
use super::shop::Shop;

/// What a policy got of a shape.
pub(crate) struct Row {
    pub(crate) policy: &'static str,
    pub(crate) unrelieved: usize,
    pub(crate) goodput: f64,
    pub(crate) lost: [f64; 3],
    pub(crate) over: u32,
    pub(crate) too_many_clients: u64,
    pub(crate) replica_hours: f64,
    pub(crate) flaps: u32,
    pub(crate) scaled_out_behind: Vec<f64>,
    /// Useful answers of each second.
    pub(crate) answers: Vec<f64>,
}

impl Row {
    pub(crate) fn of(policy: &'static str, shop: &Shop) -> Self {
        let measured = &shop.measured;
        Self {
            policy,
            unrelieved: measured.unrelieved(),
            goodput: measured.goodput(),
            lost: measured.lost(),
            over: measured.over,
            too_many_clients: shop.database.refused,
            replica_hours: measured.replica_hours(),
            flaps: measured.flaps,
            scaled_out_behind: measured.scaled_out_behind.clone(),
            answers: measured.answers_by_second.clone(),
        }
    }
}

fn introduction() -> String {
    let services = SERVICES.map(|service| {
        format!(
            "{}: {:.0} calls a second, each with a connection for {:.0} ms and {:.1} ms of CPU, 2 to {} replicas",
            service.name,
            service.rate,
            service.use_time * 1000.0,
            service.cpu * 1000.0,
            service.max_replicas
        )
    });
    format!(
        "# The decision beside others, in simulation\n\n\
         The table is made by [tests/comparison](tests/comparison/main.rs) and compared with what is committed here;\n\
         `SELVAGE_OPERATOR=write cargo test -p selvage-operator` writes it. It is a model: what it says of a policy it says of the\n\
         policy's documented rules, in this shop. The same calls come for all, to the tenth of a second.\n\n\
         **The shop.**\n\n- {}.\n\n\
         A pod starts in 8 s, and keeps its connections for 10 s when it ends. The database can keep {ROOM:.0} backends busy; beyond that uses\n\
         take longer, and contention costs 5 % for each time that it is exceeded by itself. Of {MAX_CONNECTIONS} connections {BUDGET} are the budget. All\n\
         have our pool, which queues for a second (half a second if sheddable) and serves what is critical first: what differs is who sets\n\
         limits and replicas.\n\n\
         **The policies.**\n\n\
         - **Selvage**: the operator's own `decide` and `ledger`, with floors of 2 and ceilings of 20.\n\
         - **HPA on CPU**: each 15 s, half of the CPU that pods request, tolerance 0.1, up by ×2 or 4 pods in 15 s, down after 300 s.\n\
         - **HPA on waiters**: the same, on five waiting callers a pod, scraped each 30 s.\n\
         - **KPA**: Knative's autoscaler: each 2 s, calls in a pod at 70 % of its pool, as the mean of 60 s, or of 6 s in a panic.\n\
         - **10 or 20 a pod**: the size of their pools. Ten is sqlx's default, and with all replicas and their surge the budget holds them;\n  \
           twenty is Selvage's ceiling, and the budget doesn't.\n\
         - **static division**: the budget, divided by all replicas and their surge; HPA on CPU.\n\
         - **equal share**: the budget, divided each second by the pods that live, at most 20, without waiting for anybody; HPA on CPU.\n\n\
         **The columns.** *Relief*: seconds from the onset on in which, over three seconds, less than {:.0} % of the database's possible work for\n\
         useful answers (within 2 s) was done; what is possible is what was asked for, or what the database can do if that is less.\n\
         *Answers*: useful ones a second. *Lost*: shares of critical, normal and sheddable calls that were refused, failed or late.\n\
         *Over*: connections over the budget at the worst instant. *No slot*: attempts to connect that the server refused. *Hours*: of replicas.\n\
         *Flaps*: changes of direction. *Added behind*: how often replicas were added while the database, a lock or a leak was the cause.\n\n\
         ![Useful answers a second in a flash sale and with a slow database, by policy](../pictures/scaling.svg)\n",
        services.join(".\n- "),
        RELIEVED * 100.0
    )
}

pub(crate) fn page(runs: &[(Shape, Vec<Row>)]) -> String {
    let mut text = introduction();
    for (shape, rows) in runs {
        let told = shape.told();
        let (first, rest) = told.split_at(1);
        let _ = write!(
            text,
            "\n## {}{}\n\n{}{rest}.\n\n| | relief | answers | lost, % | over | no slot | hours | flaps | added behind |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
            shape.name()[..1].to_uppercase(),
            &shape.name()[1..],
            first.to_uppercase()
        );
        for row in rows {
            let lost = row.lost.map(|share| format!("{:.1}", share * 100.0)).join(", ");
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} | {lost} | {} | {} | {:.2} | {} | {} |",
                row.policy,
                row.unrelieved,
                row.goodput,
                row.over,
                row.too_many_clients,
                row.replica_hours,
                row.flaps,
                row.scaled_out_behind.len()
            );
        }
        let better = better(rows);
        if !better.is_empty() {
            let _ = writeln!(text, "\nBetter than Selvage: {}.", better.join("; "));
        }
    }
    text
}

/// What others do better, by more than a trifle.
fn better(rows: &[Row]) -> Vec<String> {
    let Some((ours, others)) = rows.split_first() else { return Vec::new() };
    let mut better = Vec::new();
    let mut note = |what: &str, is_better: &dyn Fn(&Row) -> bool| {
        let names: Vec<_> = others.iter().filter(|row| is_better(row)).map(|row| row.policy).collect();
        if !names.is_empty() {
            better.push(format!("{what}: {}", names.join(" / ")));
        }
    };
    note("a second sooner", &|row| row.unrelieved < ours.unrelieved);
    note("over 0.5 % more answers", &|row| row.goodput > ours.goodput * 1.005);
    note("over 5 % fewer replica-hours", &|row| row.replica_hours < ours.replica_hours * 0.95);
    note("fewer flaps", &|row| row.flaps < ours.flaps);
    better
}
