//! Each class, with what is just below and just above each of its numbers.

use std::time::Duration;

use super::super::{Blocker, Class, Constraint, Exceeding, Outcome};
use super::world::{FULL, Load, PRESSED, QUIET, STATEMENT, World};

#[test]
fn a_database_without_a_slot_and_one_that_is_gone_are_told_apart_and_change_nothing() {
    for (outcome, class) in
        [(Outcome::NoSlot, Class::NoSlotLeft), (Outcome::Failed("connection refused".into()), Class::DatabaseGone)]
    {
        let mut world = World::experienced();
        world.is_probed = false;
        world.loads = [FULL; 2];
        world.ledger.exceeding = vec![Exceeding { application: "4a9c01ff/stars-7".into(), open: 9 }];
        world.probe(outcome);
        let decision = world.run(4);
        assert_eq!((decision.class, decision.replicas, decision.connections), (class, 2, 10));
        let named = if class == Class::NoSlotLeft {
            "nobody knows the pods of 4a9c01ff/stars-7 with 9 sessions"
        } else {
            "connection refused"
        };
        assert!(decision.why.contains(named), "{}", decision.why);
        // A probe that is old says nothing about now.
        assert_ne!(world.run(2).class, class);
    }
}

#[test]
fn metrics_are_stale_when_half_of_the_pods_are_silent_for_over_three_reports() {
    let mut world = World::experienced();
    world.pods(0, 4);
    world.run(400);
    assert_eq!(world.decisions[0].class, Class::Calm);
    let silence = |world: &mut World, silent: usize, seconds: u64| {
        let kept: Vec<_> = world.seen.scalers[0].pods[..silent].iter().map(|pod| pod.report.clone()).collect();
        for _ in 0..seconds {
            world.second();
            for (pod, report) in world.seen.scalers[0].pods.iter_mut().zip(&kept) {
                pod.report = report.clone();
            }
        }
        world.decide()
    };
    let decided = silence(&mut world.clone(), 2, 3);
    assert_eq!(decided.class, Class::Calm, "three reports are not over three");
    let decided = silence(&mut world.clone(), 2, 4);
    assert_eq!((decided.class, decided.replicas), (Class::MetricsStale, 4));
    assert!(decided.constraints.contains(&Constraint::Silent(2)), "{decided:?}");
    let decided = silence(&mut world, 1, 4);
    assert_eq!(
        (decided.class, decided.replicas),
        (Class::Hold, 4),
        "one of four: the others count, and nothing shrinks"
    );
}

#[test]
fn pods_that_are_scraped_seldom_may_be_silent_for_longer() {
    let mut world = World::experienced();
    world.spec.scalers[0].report_every = Duration::from_secs(15);
    let reports: Vec<_> = world.seen.scalers[0].pods.iter().map(|pod| pod.report.clone()).collect();
    let mut stale = Vec::new();
    for _ in 0..47 {
        world.second();
        for (pod, report) in world.seen.scalers[0].pods.iter_mut().zip(&reports) {
            pod.report = report.clone();
        }
        stale.push(world.decide().class == Class::MetricsStale);
    }
    assert_eq!(stale.iter().position(|is_stale| *is_stale), Some(45), "the 46th second is over three times 15");
}

#[test]
fn reports_that_come_back_as_zero_are_none() {
    let mut world = World::experienced();
    world.pods(0, 6);
    world.loads[0] = Load { in_use: 8, uses: 800, ..QUIET };
    let connections = world.run(30).connections;
    world.loads[0] = Load {
        limit: 0,
        in_use: 0,
        waiting: 0,
        refused: 0,
        uses: 0,
        millis: 0,
        micros: 0,
        held: None,
        cpu: None,
        spare: 0,
    };
    for _ in 0..1000 {
        let decision = world.second();
        assert_eq!((decision.replicas, decision.connections), (6, connections), "{}", decision.why);
        assert_eq!(decision.class, Class::MetricsStale);
    }
}

#[test]
fn a_counter_that_goes_back_is_a_new_process() {
    let mut world = World::experienced();
    for pod in &mut world.seen.scalers[0].pods {
        let report = pod.report.as_mut().expect("it has reported");
        report.uses[0].count = 3;
        report.uses[0].time = Duration::from_millis(3);
    }
    let decision = world.second();
    assert_eq!((decision.class, decision.replicas), (Class::Hold, 2));
    assert!(
        world.memory.baselines().uses["stars"]["read"] > Duration::from_millis(9),
        "{:?}",
        world.memory.baselines()
    );
}

#[test]
fn locks_dominate_from_half_of_the_active_backends_and_three_on() {
    for (on_locks, on_cpu, is_locked) in
        [(2, 0, false), (3, 0, true), (3, 3, true), (3, 4, false), (40, 40, true), (40, 41, false)]
    {
        let mut world = World::experienced();
        world.loads = [FULL; 2];
        (world.database.on_locks, world.database.on_cpu) = (on_locks, on_cpu);
        world.database.blockers = vec![Blocker { application: "psql".into(), query: "ALTER TABLE".into(), blocks: 3 }];
        let decision = world.run(3);
        assert_eq!(decision.class == Class::LockPileUp, is_locked, "{on_locks} {on_cpu}: {}", decision.why);
        if is_locked {
            assert_eq!((decision.replicas, decision.connections), (2, 10));
            assert!(decision.why.contains("3 of them for psql with “ALTER TABLE”"), "{}", decision.why);
        }
    }
}

#[test]
fn one_scaler_that_is_slow_is_held_and_its_operation_named() {
    for (millis, others, statement, class) in [
        (16, 10, STATEMENT, Class::SlowQuery),
        (14, 10, STATEMENT, Class::PoolTooSmall),
        (16, 16, STATEMENT, Class::Hold),
        (16, 10, STATEMENT * 2, Class::Hold),
    ] {
        let mut world = World::experienced();
        world.loads = [Load { millis, ..PRESSED }, Load { millis: others, ..QUIET }];
        world.database.statement = statement;
        // The mean of the last seconds takes some to arrive; the database is called the bottleneck after five.
        world.ledger.charged = 240;
        world.run(4);
        world.memory.scalers.get_mut("stars").expect("it is known").recent.clear();
        world.memory.scalers.get_mut("moons").expect("it is known").recent.clear();
        world.ledger.charged = 40;
        let decision = world.second();
        assert_eq!(decision.class, class, "{millis} {others}: {}", decision.why);
        if class == Class::SlowQuery {
            assert!(decision.why.contains("the slowest is read, with 16.0 ms instead of 10.0 ms"), "{}", decision.why);
            assert_eq!(decision.replicas, 2);
        }
    }
}

#[test]
fn a_lease_of_ten_seconds_is_a_leak_unless_everybody_has_one() {
    for (held, others, is_leak) in [(9, None, false), (10, None, true), (60, Some(9), true), (60, Some(60), false)] {
        let mut world = World::experienced();
        world.loads = [Load { held: Some(held), ..FULL }, Load { held: others, ..FULL }];
        let decision = world.run(2);
        assert_eq!(decision.class == Class::Leak, is_leak, "{held} {others:?}: {}", decision.why);
        if is_leak {
            assert!(
                decision.why.starts_with(&format!("report has held a connection for {held} s")),
                "{}",
                decision.why
            );
            assert_eq!((decision.replicas, decision.connections), (2, 10));
        }
    }
    let mut world = World::experienced();
    world.loads[0] = Load { held: Some(60), ..QUIET };
    assert_eq!(world.run(3).class, Class::Hold, "nobody lacks a connection");
}

#[test]
fn a_slow_probe_makes_the_database_the_bottleneck_after_five_seconds_of_waiting() {
    for (statement, is_bound) in [(STATEMENT * 149 / 100, false), (STATEMENT * 151 / 100, true)] {
        let mut world = World::experienced();
        world.loads = [Load { millis: 20, ..FULL }; 2];
        world.database.statement = statement;
        world.ledger.charged = 40;
        for second in 0..8 {
            let decision = world.second();
            let expected = is_bound && second >= 5;
            assert_eq!(decision.class == Class::DatabaseBound, expected, "{second}: {}", decision.why);
            assert_eq!(decision.replicas, 2);
        }
        if is_bound {
            assert_eq!(world.decisions[0].cut, Some(16), "× 0.8 of 20, which it wanted");
            assert!(world.decisions[0].why.contains("its fixed statement takes 1.5 × its baseline of 2.0 ms"));
        }
    }
}

#[test]
fn a_database_that_answers_now_and_then_at_its_old_speed_is_the_bottleneck_as_well() {
    // Seconds from one slow answer to the next one, and whether people wait between them too.
    for (apart, is_bound) in [(1, true), (3, true), (4, false), (5, false)] {
        let mut world = World::experienced();
        world.ledger.charged = 40;
        let mut classes = Vec::new();
        for second in 0..20 {
            let is_slow = second % apart == 0;
            world.loads = [if is_slow { Load { millis: 20, ..FULL } } else { QUIET }; 2];
            world.database.statement = if is_slow { STATEMENT * 10 } else { STATEMENT };
            classes.push(world.second().class);
        }
        assert_eq!(classes.contains(&Class::DatabaseBound), is_bound, "{apart}: {classes:?}");
        let first = classes.iter().position(|class| *class == Class::DatabaseBound);
        assert!(first.is_none_or(|second| (5..=6).contains(&second)), "{apart}: {classes:?}");
    }
}

#[test]
fn more_busy_backends_than_there_is_room_for_count_only_where_half_of_the_scalers_are_slow() {
    for (busy, slow, is_bound) in [(40, 20, false), (41, 20, true), (41, 14, false)] {
        let mut world = World::experienced();
        world.loads = [Load { millis: slow, ..FULL }, Load { in_use: 8, millis: slow, ..QUIET }];
        (world.database.on_cpu, world.database.on_io) = (busy - 9, 9);
        world.ledger.charged = 240;
        let decision = world.run(12);
        assert_eq!(decision.class == Class::DatabaseBound, is_bound, "{busy} {slow}: {}", decision.why);
    }
}

#[test]
fn a_raised_limit_that_gets_no_more_done_ends_the_raising() {
    for (uses, is_bound) in [(1000, true), (1040, true), (1060, false)] {
        let mut world = World::experienced();
        world.loads[0] = Load { waiting: 40, ..PRESSED };
        let limit = world.run(3).connections;
        // The pods were granted what was asked for; no use takes longer than before.
        world.loads[0] = Load { limit, in_use: limit, waiting: 40, uses, ..PRESSED };
        let mut classes: Vec<_> = (0..7).map(|_| world.second()).collect();
        let last = classes.pop().expect("seven");
        assert_eq!(last.class == Class::DatabaseBound, is_bound, "{uses}: {}", last.why);
        let grown = world.decisions[0].replicas > 2;
        assert_eq!(grown, !is_bound, "{uses}: {}", last.why);
        if is_bound {
            assert!(last.why.contains("connections instead of 20 got"), "{}", last.why);
            assert_eq!(last.cut, Some((limit * 2 * 4).div_ceil(5)));
        }
    }
}

#[test]
fn a_spent_budget_takes_back_what_nobody_needs_and_adds_no_replicas() {
    for (headroom, class) in [(2, Class::ReplicaBound), (1, Class::BudgetBound), (0, Class::BudgetBound)] {
        let mut world = World::experienced();
        world.loads[0] = FULL;
        world.ledger.charged = world.ledger.budget - world.ledger.set_aside - headroom;
        // Floors for a roll-out of the two that there are, and for no third.
        world.ledger.provided.insert("stars".into(), 5);
        let decision = world.run(4);
        assert_eq!(decision.class, class, "{}", decision.why);
        assert_eq!(decision.replicas, 2, "{}", decision.why);
        if class == Class::BudgetBound {
            assert_eq!(decision.connections, 20);
            assert_eq!(world.decisions[1].connections, 3, "two in use at 0.7: {}", world.decisions[1].why);
        } else {
            assert_eq!(world.decisions[1].connections, 10);
        }
    }
}

#[test]
fn where_all_that_is_left_is_set_aside_for_further_pods_they_come() {
    for (provided, class) in [(5, Class::BudgetBound), (7, Class::ReplicaBound), (41, Class::ReplicaBound)] {
        let mut world = World::experienced();
        // Far below the ceiling of 20, and the ledger has no more to give.
        world.loads[0] = PRESSED;
        world.ledger.charged = world.ledger.budget - world.ledger.set_aside;
        world.ledger.provided.insert("stars".into(), provided);
        let decision = world.run(2);
        assert_eq!(decision.class, class, "{}", decision.reason());
        if class == Class::ReplicaBound {
            // 20 in use at 0.7, ten of them in a pod.
            assert_eq!(decision.replicas, 3, "{}", decision.reason());
            assert!(
                decision.reason().contains("set aside for the floors of pods that may come"),
                "{}",
                decision.reason()
            );
            assert!(decision.reason().contains("pods of 10 are needed"), "{}", decision.reason());
            assert_eq!(world.decisions[1].connections, 3, "what nobody needs is taken back besides");
        }
        let mut slow = World::experienced();
        slow.loads[0] = Load { millis: 40, ..PRESSED };
        (slow.ledger.charged, slow.ledger.provided) = (world.ledger.charged, world.ledger.provided.clone());
        assert_eq!(slow.run(2).replicas, 2, "more of what is slow doesn't help");
    }
}

#[test]
fn pods_at_their_ceiling_get_replicas_on_the_second_report() {
    let mut world = World::experienced();
    world.loads[0] = FULL;
    let first = world.second();
    assert_eq!((first.class, first.replicas), (Class::Hold, 2), "{}", first.why);
    let second = world.second();
    assert_eq!(second.class, Class::ReplicaBound);
    assert!((3..=10).contains(&second.replicas), "{second:?}");
    assert!(second.reason().contains("every pod is at its ceiling of 20"), "{}", second.reason());
}

#[test]
fn pods_below_their_ceiling_get_connections_on_the_second_report() {
    for (in_use, waiting, class) in [(9, 0, Class::Hold), (10, 0, Class::PoolTooSmall), (9, 1, Class::PoolTooSmall)] {
        let mut world = World::experienced();
        world.loads[0] = Load { in_use, waiting, ..PRESSED };
        assert_eq!(world.second().class, Class::Hold, "once is chance");
        let decision = world.second();
        assert_eq!((decision.class, decision.replicas), (class, 2), "{}", decision.why);
        // Nine of ten in use are more than the target, though not yet a lack.
        assert_eq!(decision.connections, 15, "{}", decision.why);
    }
}

#[test]
fn pods_without_cpu_get_replicas_below_their_ceiling() {
    for (cpu, class) in [(0.89, Class::PoolTooSmall), (0.91, Class::ReplicaBound)] {
        let mut world = World::experienced();
        world.loads[0] = Load { cpu: Some(cpu), ..PRESSED };
        let decision = world.run(2);
        assert_eq!(decision.class, class, "{}", decision.why);
        assert_eq!(decision.replicas > 2, class == Class::ReplicaBound);
    }
}

#[test]
fn five_minutes_without_a_waiter_are_calm() {
    let mut world = World::experienced();
    world.pods(0, 10);
    world.loads[0] = PRESSED;
    world.run(2);
    world.loads[0] = QUIET;
    let before = world.run(300);
    assert_eq!((before.class, before.replicas), (Class::Hold, 10), "{}", before.why);
    let after = world.second();
    assert_eq!(after.class, Class::Calm, "{}", after.why);
    // What was needed at the last waiter is still within the window.
    let later = world.run(70);
    assert_eq!(later.replicas, 9, "{}", later.reason());
}
