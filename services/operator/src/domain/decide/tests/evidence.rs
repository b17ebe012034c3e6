//! What counts as evidence, and what doesn't.

use std::time::Duration;

use super::super::evidence::{Condition, Evidence};
use super::super::memory::DatabaseMemory;
use super::super::{Class, Database, Outcome, Probe, Spec};
use super::world::{FULL, Load, PRESSED, QUIET, STATEMENT, World};
use crate::domain::moment::Moment;

#[test]
fn replicas_wait_for_what_a_raised_limit_gains() {
    for (uses, is_gain) in [(1000, false), (1100, true)] {
        let mut world = World::experienced();
        world.loads[0] = Load { waiting: 40, ..PRESSED };
        world.run(3);
        world.loads[0] = Load { uses, ..FULL };
        world.second();
        let decision = world.second();
        assert_eq!(decision.replicas > 2, is_gain, "{uses}: {}", decision.why);
        let word = if is_gain { "every pod is at its ceiling of 20" } else { "has just been raised to 40 in all" };
        assert!(decision.why.contains(word), "{}", decision.why);
    }
}

#[test]
fn a_trial_proves_nothing_with_few_uses_or_without_cpu() {
    for (load, is_bound) in [
        (PRESSED, true),
        (Load { uses: 15, millis: 10, ..PRESSED }, false),
        (Load { cpu: Some(0.95), ..PRESSED }, false),
    ] {
        let mut world = World::experienced();
        world.loads[0] = Load { waiting: 40, ..load };
        let limit = world.run(4).connections;
        world.loads[0] = Load { limit, in_use: limit, waiting: 40, ..load };
        let decision = world.run(8);
        assert_eq!(decision.class == Class::DatabaseBound, is_bound, "{load:?}: {}", decision.why);
    }
}

#[test]
fn a_failed_trial_is_answered_once_and_forgotten_after_a_minute() {
    let mut world = World::experienced();
    world.loads[0] = Load { waiting: 40, ..PRESSED };
    let limit = world.run(3).connections;
    world.loads[0] = Load { limit, in_use: limit, waiting: 40, ..PRESSED };
    let cut = world.run(7).cut.expect("it has failed");
    let limit = cut / 2;
    world.loads[0] = Load { limit, in_use: limit, waiting: 40, ..PRESSED };
    let later = world.run(50);
    assert_eq!((later.class, later.cut), (Class::DatabaseBound, Some(cut)), "{}", later.why);
    assert!(later.why.contains("connections instead of"), "{}", later.why);
    let forgotten = world.run(20);
    assert!(!forgotten.why.contains("connections instead of"), "{}", forgotten.why);
    assert_ne!(forgotten.cut, Some(cut), "{}", forgotten.why);
}

#[test]
fn more_comes_only_after_a_probe_that_was_asked_since_people_wait() {
    let mut world = World::experienced();
    world.is_probed = false;
    world.loads[0] = FULL;
    world.run(2);
    let decision = world.second();
    assert_eq!((decision.class, decision.replicas), (Class::Hold, 2), "{}", decision.why);
    let answered = |statement| Outcome::Answered(Database { statement, on_cpu: 4, ..Database::default() });
    let mut slow = world.clone();
    slow.probe(answered(STATEMENT * 2));
    let decision = slow.decide();
    assert_eq!((decision.class, decision.replicas), (Class::Hold, 2));
    assert!(decision.why.contains("the last probe's statement takes 2.0 × its baseline"), "{}", decision.why);
    world.probe(answered(STATEMENT));
    let decision = world.decide();
    assert_eq!(decision.class, Class::ReplicaBound, "{}", decision.why);
}

/// A server that is short of processors answers at its old speed now and then; one that is busy, and no more, isn't as slow.
#[test]
fn no_replica_comes_while_a_very_slow_answer_is_a_moment_old() {
    let mut world = World::experienced();
    world.loads[0] = FULL;
    world.database.statement = STATEMENT * 2;
    world.run(2);
    world.database.statement = STATEMENT;
    assert_eq!(world.second().class, Class::ReplicaBound, "it was busy");

    let mut world = World::experienced();
    world.loads[0] = FULL;
    world.database.statement = STATEMENT * 3;
    world.run(2);
    world.database.statement = STATEMENT;
    for _ in 0..3 {
        let decision = world.second();
        assert_eq!((decision.class, decision.replicas), (Class::Hold, 2), "{}", decision.why);
        assert!(decision.why.contains("a moment ago the probe's statement took 3 × its baseline"), "{}", decision.why);
    }
    let decision = world.second();
    assert_eq!(decision.class, Class::ReplicaBound, "{}", decision.why);
    assert!(decision.replicas > 2, "{}", decision.why);

    // A limit is raised meanwhile: it is taken back as soon.
    let mut world = World::experienced();
    world.loads[0] = PRESSED;
    world.database.statement = STATEMENT * 3;
    world.run(2);
    world.database.statement = STATEMENT;
    assert_eq!(world.second().class, Class::PoolTooSmall);
}

#[test]
fn a_slow_database_is_no_bottleneck_while_nobody_waits() {
    let mut world = World::experienced();
    world.database.statement = STATEMENT * 5;
    let decision = world.run(20);
    assert_eq!((decision.class, decision.cut), (Class::Hold, None), "{}", decision.why);
}

#[test]
fn half_of_the_scalers_must_be_slow_where_more_backends_are_busy_than_there_is_room_for() {
    let now = Moment::after_start(Duration::from_secs(1));
    for (busy, slownesses, is_crowded) in [
        (11, &[1.6, 1.0, 1.0][..], false),
        (11, &[1.6, 1.6, 1.0], true),
        (11, &[1.6, 1.0], true),
        (10, &[1.6, 1.6], false),
        (11, &[1.4, 1.4], false),
    ] {
        let database = Database { on_cpu: busy - 3, on_io: 3, statement: STATEMENT, ..Database::default() };
        let probe = Probe { at: now, outcome: Outcome::Answered(database) };
        let spec = Spec { concurrency: Some(10), scalers: Vec::new() };
        let evidence = |slowness: &f64| Evidence { slowness: Some(*slowness), ..Evidence::default() };
        let scalers: Vec<_> = slownesses.iter().map(evidence).collect();
        let condition = Condition::of(&spec, Some(&probe), &scalers, &mut DatabaseMemory::default(), now);
        assert_eq!(condition.is_crowded, is_crowded, "{busy} {slownesses:?}");
    }
}

#[test]
fn all_counters_of_a_new_process_begin_anew() {
    let mut world = World::experienced();
    world.loads[0] = Load { refused: 10, ..PRESSED };
    world.run(5);
    for pod in &mut world.seen.scalers[0].pods {
        let report = pod.report.as_mut().expect("it has reported");
        (report.refused, report.uses[0].count, report.uses[0].time) = (0, 0, Duration::ZERO);
    }
    world.loads[0] = Load { refused: 0, waiting: 0, in_use: 1, ..QUIET };
    let decision = world.second();
    assert!(decision.why.starts_with("Nobody has waited"), "no rates from counters of two processes: {}", decision.why);
}

#[test]
fn nothing_is_learned_from_a_lack_or_a_cut() {
    let mut pressed = World::experienced();
    let before = pressed.memory.baselines();
    pressed.loads[0] = Load { millis: 14, ..PRESSED };
    pressed.run(20);
    assert_eq!(pressed.memory.baselines(), before);

    let mut cut = World::experienced();
    cut.loads = [Load { millis: 60, ..FULL }; 2];
    cut.database.statement = STATEMENT * 4;
    assert!(cut.run(8).cut.is_some());
    cut.database.statement = STATEMENT;
    cut.loads = [Load { millis: 14, ..QUIET }; 2];
    assert!(cut.run(2).cut.is_some(), "{}", cut.decisions[0].why);
    assert_eq!(cut.memory.baselines(), before);
}

#[test]
fn a_baseline_is_believed_after_fifty_uses() {
    let mut world = World::new();
    world.loads[0] = Load { uses: 4, ..QUIET };
    // The first report only says where counters begin. Two pods use eight a second.
    world.run(7);
    assert_eq!(world.memory.baselines().uses["stars"].get("read"), None);
    world.second();
    assert_eq!(world.memory.baselines().uses["stars"]["read"], Duration::from_millis(10));
}

#[test]
fn what_one_pool_has_to_spare_serves_nobody_who_waits_at_another() {
    // Two of two connections are in use, half of those who come are refused, and six of another pool are idle.
    let busy = Load { limit: 2, in_use: 2, waiting: 20, refused: 200, uses: 200, spare: 6, ..QUIET };
    let mut world = World::experienced();
    world.loads[0] = Load { limit: 2, spare: 6, ..QUIET };
    world.run(3);
    world.loads[0] = busy;
    let decision = world.run(2);
    assert_eq!(decision.class, Class::PoolTooSmall, "{}", decision.reason());
    assert!(decision.connections >= 12, "{}: four for those who come, at 0.7, beside the six", decision.reason());

    let mut world = World::experienced();
    world.spec.scalers[0].ceiling = 8;
    world.loads[0] = Load { limit: 2, spare: 6, ..QUIET };
    world.run(3);
    world.loads[0] = busy;
    let decision = world.run(2);
    assert_eq!(
        (decision.class, decision.replicas),
        (Class::ReplicaBound, 4),
        "17 at 0.7, of 8 each: {}",
        decision.reason()
    );
    // And nobody who waits at neither: what is idle is idle.
    world.loads[0] = Load { limit: 2, spare: 6, ..QUIET };
    let calm = world.run(400);
    assert_eq!((calm.class, calm.replicas), (Class::Calm, 2), "{}", calm.reason());
}

#[test]
fn a_short_use_that_takes_a_little_longer_is_not_slow_and_neither_is_one_of_which_nothing_is_known() {
    for (micros, class) in [(900, Class::PoolTooSmall), (1_300, Class::PoolTooSmall), (1_500, Class::SlowQuery)] {
        let mut world = World::new();
        world.loads[0] = Load { uses: 2000, millis: 0, micros: 400, ..QUIET };
        world.run(70);
        world.loads[0] = Load { uses: 2000, millis: 0, micros, ..PRESSED };
        let decision = world.run(15);
        assert_eq!(decision.class, class, "{micros} µs instead of 400: {}", decision.reason());
    }
}
