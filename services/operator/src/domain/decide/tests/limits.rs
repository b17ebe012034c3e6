//! How far and how fast a decision may go.

use std::time::Duration;

use super::super::{Class, Constraint, Exceeding, LedgerView, Memory, Mode, Outcome};
use super::world::{FULL, Load, PRESSED, QUIET, STATEMENT, World};
use crate::domain::ledger;
use crate::domain::moment::Moment;

/// More is asked for than any number of replicas could serve.
const FLOOD: Load = Load { refused: 50_000, ..FULL };

#[test]
fn replicas_double_or_grow_by_eight_within_fifteen_seconds() {
    for (pods, most) in [(1, 9), (2, 10), (8, 16), (9, 18), (10, 20), (12, 20)] {
        let mut world = World::experienced();
        world.spec.scalers[0].min_replicas = 1;
        world.pods(0, pods);
        world.run(20);
        world.loads[0] = FLOOD;
        let mut seen = pods as u32;
        for second in 0..14 {
            let decision = world.second();
            seen = seen.max(decision.replicas);
            assert!(decision.replicas <= most, "{pods} after {second} s: {decision:?}");
            // The workload is asked, and its pods start.
            world.seen.scalers[0].replicas = decision.replicas;
        }
        assert_eq!(seen, most);
        if most < 20 {
            assert!(world.run(5).replicas > most, "the next period: {}", world.decisions[0].why);
        }
    }
}

#[test]
fn replicas_shrink_by_a_tenth_or_one_a_minute() {
    for (pods, least) in [(20, 18), (19, 18), (10, 9), (5, 4), (2, 2)] {
        let mut world = World::experienced();
        world.pods(0, pods);
        // What was needed before is forgotten after five minutes, and not a second sooner.
        world.run(300);
        let mut replicas = pods as u32;
        for _ in 0..60 {
            let decision = world.second();
            assert!(decision.replicas >= least && decision.replicas <= replicas, "{pods}: {decision:?}");
            replicas = decision.replicas;
            world.pods(0, replicas as usize);
        }
        assert_eq!(replicas, least, "{pods}: {}", world.decisions[0].why);
    }
}

#[test]
fn replicas_stay_within_what_the_budget_has_floors_for() {
    let mut world = World::experienced();
    world.loads[0] = FLOOD;
    // `moons` is set aside (2 × 2 + 1) × 2 = 10. For 4 replicas of `stars` (2 × 4 + 1) × 2 = 18 are.
    for (budget, most) in [(28, 4), (27, 3), (24, 3), (23, 2), (0, 2)] {
        world.ledger = LedgerView { budget, ..Default::default() };
        let mut world = world.clone();
        let decision = (0..6).map(|_| world.second()).map(|decision| decision.replicas).max();
        assert_eq!(decision, Some(if budget < 2 { 2 } else { most }), "{budget}");
        if budget > 2 && most < 4 {
            let constraints = &world.decisions[0].constraints;
            assert!(constraints.contains(&Constraint::Floors(most)), "{budget}: {constraints:?}");
        }
    }
}

#[test]
fn scalers_that_grow_at_once_share_what_the_budget_has_floors_for() {
    let mut world = World::experienced();
    world.loads = [FLOOD; 2];
    world.ledger = LedgerView { budget: 28, ..Default::default() };
    for _ in 0..20 {
        world.second();
        let floors: u32 = world.decisions.iter().map(|decision| (2 * decision.replicas + 1) * 2).sum();
        assert!(floors <= 28, "{:?}", world.decisions);
    }
    assert_eq!(world.decisions[0].replicas + world.decisions[1].replicas, 6, "what is there is used");
}

#[test]
fn what_was_needed_within_five_minutes_is_kept() {
    let mut world = World::experienced();
    world.pods(0, 4);
    // Nine of ten in use are no lack, and need 36 / 0.7 / 20, three pods.
    world.loads[0] = Load { in_use: 9, uses: 900, ..QUIET };
    world.run(310);
    world.pods(0, 3);
    world.loads[0] = QUIET;
    let decision = world.run(200);
    assert_eq!((decision.class, decision.replicas), (Class::Calm, 3), "{}", decision.why);
    assert_eq!(world.run(180).replicas, 2, "{}", world.decisions[0].why);
}

#[test]
fn quiet_pods_ask_for_no_more_than_they_need_or_nobody_lacks() {
    let mut world = World::experienced();
    world.loads[1] = Load { limit: 5, in_use: 1, uses: 100, ..QUIET };
    for (headroom, wanted) in [(100, 10), (4, 7), (0, 5)] {
        world.ledger.charged = world.ledger.budget - world.ledger.set_aside - headroom;
        world.second();
        assert_eq!(world.decisions[1].connections, wanted, "{headroom}: {}", world.decisions[1].why);
    }
}

#[test]
fn replicas_stay_within_the_floors_that_the_ledger_has_set_aside() {
    let mut world = World::experienced();
    world.loads[0] = FLOOD;
    // Two for each replica, and the surge.
    for (provided, most) in [(9, 4), (8, 3), (7, 3), (0, 2)] {
        let mut world = world.clone();
        world.ledger.provided.insert("stars".into(), provided);
        let replicas = (0..6).map(|_| world.second().replicas).max();
        assert_eq!(replicas, Some(most), "{provided}");
    }
}

#[test]
fn the_ledgers_view_is_taken_over() {
    let max_connections = 100;
    let budget = ledger::Budget { max_connections, superuser_reserved: 3, reserved: 2, reserve: 5, others: 10 };
    let bounds = ledger::Bounds { floor: 2, ceiling: 20 };
    let spec = ledger::ScalerSpec { bounds, max_replicas: 3, surge: 1, is_fixed: false };
    let mut ledger = ledger::Ledger::new(budget, [("shop/stars".into(), spec)].into());
    let stray = ledger::Sessions { boot: "4a9c01ff".into(), pod: "stars-7".into(), count: 9 };
    let now = Moment::after_start(Duration::from_secs(9));
    ledger.lead(1, now + Duration::from_secs(9), now);
    ledger.backends(&ledger::Look { started_at: now, sessions: vec![stray], unnamed: Vec::new(), others: 0 }, now);
    let view = LedgerView::of(&ledger.view(now));
    // Seven pods have floors; a stray may be any pod, and is charged as the largest.
    assert_eq!((view.budget, view.set_aside, view.charged, view.headroom()), (80, 14, 20, 46));
    assert_eq!(view.provided, [("shop/stars".to_owned(), 7)].into());
    assert_eq!(view.exceeding, [Exceeding { application: "4a9c01ff/stars-7".into(), open: 9 }]);
}

#[test]
fn replicas_that_somebody_set_beyond_the_bounds_come_back() {
    let mut world = World::experienced();
    world.seen.scalers[0].replicas = 1;
    assert_eq!(world.second().replicas, 2);
    world.seen.scalers[0].replicas = 25;
    let decision = world.second();
    assert_eq!(decision.replicas, 20);
    assert!(decision.constraints.contains(&Constraint::MaxReplicas(20)));
}

#[test]
fn what_is_paused_observed_or_switched_off_is_said_and_not_done() {
    let mut world = World::experienced();
    world.loads[0] = FLOOD;
    let mut paused = world.clone();
    paused.spec.scalers[0].is_paused = true;
    let decision = paused.run(4);
    assert_eq!((decision.class, decision.replicas, decision.connections), (Class::ReplicaBound, 2, 10));
    assert!(!decision.is_enforced && decision.constraints.contains(&Constraint::Paused));

    let mut observed = world.clone();
    observed.spec.scalers[0].mode = Mode::Observe;
    let decision = observed.run(4);
    assert!(decision.replicas > 2 && !decision.is_enforced && decision.constraints.contains(&Constraint::Observed));

    world.pods(0, 0);
    let decision = world.run(4);
    assert_eq!((decision.class, decision.replicas), (Class::Hold, 0));
    assert!(decision.constraints.contains(&Constraint::SwitchedOff), "{decision:?}");

    world.seen.scalers.remove(0);
    world.second();
    assert!(world.decisions.iter().all(|decision| decision.scaler == "moons"), "nobody saw the other");
}

#[test]
fn a_workload_whose_pods_all_start_keeps_its_replicas() {
    let mut world = World::experienced();
    world.pods(0, 0);
    world.seen.scalers[0].replicas = 7;
    let decision = world.run(400);
    assert_eq!((decision.class, decision.replicas), (Class::Hold, 7), "{}", decision.why);
}

#[test]
fn a_cut_is_halved_each_five_seconds_down_to_the_floors_and_taken_back_when_the_database_is_well() {
    let mut world = World::experienced();
    world.loads = [Load { millis: 60, ..FULL }; 2];
    world.database.statement = STATEMENT * 4;
    let cuts: Vec<_> = (0..40).map(|_| world.second().cut).collect();
    assert_eq!((cuts[4], cuts[5], cuts[9], cuts[10]), (None, Some(10), Some(10), Some(5)), "{cuts:?}");
    assert_eq!((cuts[15], cuts[39]), (Some(4), Some(4)), "two floors: {cuts:?}");
    assert_eq!(world.decisions[0].connections, 2);
    assert_eq!(world.decisions[0].replicas, 2);

    // It is well again: half as much more each five seconds, up to what was wanted before.
    world.database.statement = STATEMENT;
    world.loads = [Load { limit: 2, in_use: 2, waiting: 9, uses: 200, ..QUIET }; 2];
    let cuts: Vec<_> = (0..40).map(|_| world.second()).map(|decision| (decision.class, decision.cut)).collect();
    let steps: Vec<_> = cuts.iter().filter_map(|(_, cut)| *cut).collect();
    assert!(steps.contains(&6) && steps.contains(&9) && steps.contains(&14), "{steps:?}");
    assert!(cuts.iter().all(|(class, cut)| (*class == Class::DatabaseBound) == cut.is_some() || cut.is_none()));
    assert!(cuts.iter().any(|(_, cut)| cut.is_none()), "{cuts:?}");
}

#[test]
fn a_cut_comes_back_slowly_while_nobody_knows_how_the_database_is() {
    let mut world = World::experienced();
    world.loads = [Load { millis: 60, ..FULL }; 2];
    world.database.statement = STATEMENT * 2;
    world.run(12);
    assert_eq!(world.decisions[0].cut, Some(13), "20, of which 0.8 is 16, of which 0.8 is 13");
    world.is_probed = false;
    world.seen.probe = None;
    world.loads = [Load { limit: 6, in_use: 6, waiting: 9, uses: 600, ..QUIET }; 2];
    let cuts: Vec<_> = (0..130).map(|_| world.second().cut).collect();
    assert_eq!((cuts[50], cuts[70], cuts[125]), (Some(13), Some(15), Some(17)), "{cuts:?}");
}

#[test]
fn baselines_are_not_learned_in_an_overload_and_outlive_the_process() {
    let mut world = World::experienced();
    let before = world.memory.baselines();
    assert_eq!(before.uses["stars"]["read"], Duration::from_millis(10));
    assert_eq!(before.statement, Some(STATEMENT));
    world.loads = [Load { millis: 80, ..PRESSED }, Load { millis: 80, ..QUIET }];
    world.database.statement = STATEMENT * 5;
    world.run(2000);
    assert_eq!(world.memory.baselines(), before);

    world.memory = Memory::of(&before);
    let decision = world.run(7);
    assert_eq!(decision.class, Class::DatabaseBound, "the successor knows what is normal: {}", decision.why);
    world.memory = Memory::default();
    let decision = world.run(7);
    assert_ne!(decision.class, Class::DatabaseBound, "nobody told this one: {}", decision.why);
}

#[test]
fn a_database_that_is_asked_too_seldom_is_not_believed() {
    let mut world = World::experienced();
    world.is_probed = false;
    world.probe(Outcome::NoSlot);
    assert_eq!(world.run(5).class, Class::NoSlotLeft);
    assert_eq!(world.second().class, Class::Hold);
}
