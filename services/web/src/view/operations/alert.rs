//! What is wrong now, by the conditions of the fast alerts and of that on orders that stand still.

use selvage_proto::operations::v1::PoolStatus;

use super::fault::titles_on;
use super::{Away, away, here, pool_of};
use crate::operations::Process;

/// Where it stands what to do.
const RUNBOOKS: &str = "https://github.com/selvage-shop/selvage/blob/main/k8s/runbooks/";
/// A condition of one second is shown for so many, so that somebody sees it.
const SATURATED_FOR: usize = 3;
const REFUSING_FOR: usize = 5;

/// Something that somebody should look at. It has no figures that change all the time: it is read aloud when it changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Alert {
    /// Before the others.
    pub(crate) is_urgent: bool,
    /// As Prometheus names it; empty for a process that is away.
    pub(crate) name: &'static str,
    /// The pool, or the process.
    pub(crate) subject: String,
    pub(crate) sentence: String,
    /// Where it stands what to do; empty if nowhere.
    pub(crate) runbook: String,
    /// By which it is told from others on the page; empty for a process that is away.
    pub(crate) id: String,
}

impl Alert {
    fn of(name: &'static str, is_urgent: bool, (process, pool): (&Process, &PoolStatus), sentence: String) -> Self {
        let (subject, runbook) = (pool_of(process, &pool.pool), format!("{RUNBOOKS}{name}.md"));
        let id = format!("alert-{name}-{}", process.id(&pool.pool));
        Self { is_urgent, name, subject, sentence, runbook, id }
    }
}

/// All of them, the urgent first.
pub(crate) fn alerts(processes: &[Process]) -> Vec<Alert> {
    let away = away(processes).into_iter().map(|Away { label, .. }| Alert {
        is_urgent: true,
        name: "",
        sentence: format!("The process of {label} doesn't answer. What is shown of the others is complete without it."),
        subject: label,
        runbook: String::new(),
        id: String::new(),
    });
    let pools = here(processes).flat_map(|(process, status)| {
        status.pools.iter().flat_map(move |pool| of_pool((process, pool), titles_on(status, &pool.pool).next()))
    });
    let mut alerts: Vec<_> = away.chain(pools).chain(of_orders(processes)).collect();
    alerts.sort_by_key(|alert| !alert.is_urgent);
    alerts
}

/// The tally of orders that stand still, by its name.
const STANDING: &str = "selvage_orders_standing";

/// Orders that stand still. Each instance counts all orders of its database, so they aren't added up.
fn of_orders(processes: &[Process]) -> Option<Alert> {
    let tallies = here(processes).flat_map(|(_, status)| &status.tallies).filter(|tally| tally.name == STANDING);
    let standing = tallies.flat_map(|tally| &tally.counts).map(|counted| counted.now).max();
    let standing = standing.filter(|standing| *standing > 0)?;
    let orders = if standing == 1 { "One order stands".to_owned() } else { format!("{standing} orders stand") };
    Some(Alert {
        is_urgent: false,
        name: "OrdersStuck",
        subject: "orders".to_owned(),
        sentence: format!("{orders} still: nothing has happened for a quarter of an hour, and money or goods wait."),
        runbook: format!("{RUNBOOKS}OrdersStuck.md"),
        id: "alert-OrdersStuck-orders".to_owned(),
    })
}

/// Whether the pool was saturated just now.
pub(super) fn is_saturated(pool: &PoolStatus) -> bool {
    pool.saturated || pool.history.iter().rev().take(SATURATED_FOR).any(|sample| sample.saturated)
}

/// Those who were refused during the last seconds.
pub(super) fn refused_lately(pool: &PoolStatus) -> u64 {
    let newest = pool.history.last().map_or(0, |sample| sample.refused);
    let before = pool.history.iter().rev().nth(REFUSING_FOR).or(pool.history.first());
    newest.saturating_sub(before.map_or(newest, |sample| sample.refused))
}

fn of_pool(which: (&Process, &PoolStatus), fault: Option<&str>) -> Vec<Alert> {
    let (_, pool) = which;
    let (name, service) = (&pool.pool, &pool.service);
    let mut alerts = Vec::new();
    if pool.unreachable {
        let sentence = format!("{service} can't reach its database: no connection of the pool {name} can be made.");
        alerts.push(Alert::of("PoolUnreachable", true, which, sentence));
    }
    if is_saturated(pool) {
        let cause = match (fault, holder(pool)) {
            (Some(fault), _) => format!("Cause: a fault that was started here, {}.", fault.to_lowercase()),
            (None, Some(operation)) => format!("Likely cause: {operation} holds connections for too long."),
            (None, None) => "Likely cause: slow statements, or a limit that is too low.".to_owned(),
        };
        let sentence = format!("{service} has no connection left in the pool {name}, and callers wait. {cause}");
        alerts.push(Alert::of("PoolSaturated", true, which, sentence));
    }
    if pool.stranded > 0 {
        let sentence =
            format!("Connections of the pool {name} died in silence; {service}'s database may still have them.");
        alerts.push(Alert::of("PoolStranded", false, which, sentence));
    }
    if let Some(operation) = holder(pool) {
        let sentence =
            format!("{service} doesn't give back connections of the pool {name}: {operation} holds on to them.");
        alerts.push(Alert::of("PoolLeaking", false, which, sentence));
    }
    if refused_lately(pool) > 0 {
        let sentence = format!("{service} refuses callers of the pool {name} rather than let them wait in vain.");
        alerts.push(Alert::of("PoolShedding", false, which, sentence));
    }
    alerts
}

/// The operation that has held a connection for the longest, if for too long.
fn holder(pool: &PoolStatus) -> Option<&str> {
    let named = pool.long_held.first().map(|held| held.operation.as_str());
    named.or((pool.long_held_count > 0).then_some("an operation"))
}

#[cfg(test)]
mod tests {
    use selvage_proto::operations::v1::{LongHeld, PoolSample, ProcessStatus, Tally, TallyCount};

    use super::*;
    use crate::operations::Seen;
    use crate::view::operations::tests::{alone, process};

    fn pool() -> PoolStatus {
        let history = vec![PoolSample { limit: 4, refused: 7, ..PoolSample::default() }; 10];
        PoolStatus { pool: "cart".to_owned(), service: "cart".to_owned(), limit: 4, history, ..PoolStatus::default() }
    }

    /// The alerts' names, each of which has a page in the runbook.
    fn names(pool: PoolStatus) -> Vec<&'static str> {
        let names: Vec<_> = alerts(&[process("cart", vec![pool])]).into_iter().map(|alert| alert.name).collect();
        for name in &names {
            let page = format!("{}/../../k8s/runbooks/{name}.md", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&page).is_file(), "no page for {name}");
        }
        names
    }

    #[test]
    fn what_is_well_alerts_nobody() {
        assert!(names(pool()).is_empty());
        assert!(names(PoolStatus { in_use: 4, waiting: 2, history: Vec::new(), ..pool() }).is_empty());
    }

    #[test]
    fn each_condition_has_its_alert_and_its_runbook() {
        assert_eq!(names(PoolStatus { unreachable: true, ..pool() }), ["PoolUnreachable"]);
        assert_eq!(names(PoolStatus { stranded: 1, ..pool() }), ["PoolStranded"]);
        assert_eq!(names(PoolStatus { saturated: true, ..pool() }), ["PoolSaturated"]);
        let mut shedding = pool();
        shedding.history[9].refused = 8;
        assert_eq!(names(shedding), ["PoolShedding"]);
        let held = LongHeld { operation: "count_stars".to_owned(), ..LongHeld::default() };
        let leaking = PoolStatus { long_held_count: 1, long_held: vec![held], saturated: true, ..pool() };
        let alerts = alerts(&[process("cart", vec![leaking])]);
        assert_eq!((alerts[0].name, alerts[1].name), ("PoolSaturated", "PoolLeaking"));
        assert!(alerts.iter().all(|alert| alert.sentence.contains("count_stars") && alert.sentence.contains("cart")));
        assert!(alerts[1].runbook.ends_with("/k8s/runbooks/PoolLeaking.md"), "{}", alerts[1].runbook);
    }

    #[test]
    fn orders_that_stand_still_are_told_once_however_many_instances_count_them() {
        let counting = |standing| {
            let counts = vec![TallyCount { now: standing, ..TallyCount::default() }];
            let tally = Tally { name: STANDING.to_owned(), counts, ..Tally::default() };
            let status = ProcessStatus { tallies: vec![tally], ..ProcessStatus::default() };
            alone("checkout", Seen::Here(Box::new(status)))
        };
        assert!(alerts(&[counting(0), counting(0)]).is_empty());
        let one = alerts(&[counting(0), counting(1)]);
        assert!(one.len() == 1 && one[0].sentence.starts_with("One order stands still:"), "{one:?}");
        let more = alerts(&[counting(13), counting(12)]);
        assert_eq!((more.len(), more[0].name, more[0].is_urgent), (1, "OrdersStuck", false));
        assert!(more[0].sentence.starts_with("13 orders stand still:"), "{more:?}");
        assert!(more[0].runbook.ends_with("/k8s/runbooks/OrdersStuck.md"), "{more:?}");
    }

    #[test]
    fn a_second_is_shown_for_three() {
        for (second, shown) in [(9, true), (7, true), (6, false)] {
            let mut pool = pool();
            pool.history[second].saturated = true;
            assert_eq!(!names(pool).is_empty(), shown, "{second}");
        }
        let mut refused = pool();
        refused.history.iter_mut().take(4).for_each(|sample| sample.refused = 0);
        assert!(names(refused).is_empty(), "that was before the last five seconds");
    }

    #[test]
    fn who_is_away_is_named_before_the_rest() {
        let away = alone("delivery", Seen::Away);
        let alerts = alerts(&[process("cart", vec![PoolStatus { stranded: 2, ..pool() }]), away]);
        assert_eq!((alerts[0].subject.as_str(), alerts[1].name), ("delivery", "PoolStranded"));
        assert!(alerts[0].runbook.is_empty());
    }
}
