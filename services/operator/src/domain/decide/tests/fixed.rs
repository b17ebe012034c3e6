//! Pods whose pools are their own: replicas alone are decided on.

use std::time::Duration;

use super::super::{Class, Constraint, ScalerSpec};
use super::world::{FULL, Load, PRESSED, QUIET, World};

/// Pools of ten, that are asked each five seconds.
fn world() -> World {
    let mut world = World::new();
    let fixed = ScalerSpec {
        is_fixed: true,
        report_every: Duration::from_secs(5),
        ..ScalerSpec::new("stars", (2, 20), (10, 10))
    };
    world.spec.scalers[0] = fixed;
    world.run(70);
    world
}

#[test]
fn who_waits_gets_replicas_and_never_another_limit() {
    let mut world = world();
    world.loads[0] = PRESSED;
    let decisions: Vec<_> = (0..12).map(|_| world.second()).collect();
    let first = decisions.iter().find(|decision| decision.replicas > 2).expect("it grows");
    assert_eq!((first.class, first.connections, first.raw_connections), (Class::ReplicaBound, 10, 10));
    assert!(first.why.contains("the pods' pools are their own"), "{}", first.why);
    assert!(decisions.iter().all(|decision| decision.class != Class::PoolTooSmall && decision.connections == 10));
}

/// Pods that have less than was said are full at that.
#[test]
fn a_pool_that_is_smaller_than_was_said_is_full_when_it_is() {
    let mut world = world();
    world.loads[0] = Load { limit: 5, in_use: 5, ..PRESSED };
    let decision = world.run(12);
    assert_eq!(decision.class, Class::ReplicaBound);
    assert!(decision.why.contains("pods of 5 are needed"), "{}", decision.why);
}

/// It needs none of what the ledger has left: each place is worth its ceiling already.
#[test]
fn a_budget_that_is_given_out_is_no_lack_of_a_pool_of_its_own() {
    let mut world = world();
    world.ledger.charged = world.ledger.budget - world.ledger.set_aside;
    world.loads[0] = PRESSED;
    let decision = world.run(12);
    assert_eq!(decision.class, Class::ReplicaBound);
    assert!(decision.replicas > 2, "{decision:?}");
}

#[test]
fn replicas_grow_no_further_than_the_budget_has_room_for_their_whole_pools() {
    let mut world = world();
    // The other's two pods, their surge and those that end: 10 of 100. 90 are nine pools: four, once more, and one that surges.
    world.ledger.budget = 100;
    world.loads[0] = Load { uses: 4000, ..PRESSED };
    let decision = world.run(12);
    assert_eq!((decision.class, decision.replicas), (Class::ReplicaBound, 4));
    assert!(decision.constraints.contains(&Constraint::Floors(4)), "{:?}", decision.constraints);
}

#[test]
fn pools_that_are_larger_than_was_said_are_named_with_the_remedy() {
    let mut world = world();
    world.loads[0] = FULL;
    let decision = world.run(12);
    assert_eq!((decision.class, decision.replicas), (Class::ReplicaBound, 2));
    let exceeds = decision.constraints.iter().find(|limit| limit.name() == "poolsExceed").expect("it is said");
    assert!(exceeds.is_lack() && exceeds.to_string().contains("set floor and ceiling to 20"), "{exceeds}");
}

/// A process that began anew has counted nothing and uses nothing: that is no calm, and no rate goes below nothing.
#[test]
fn counters_that_begin_again_say_nothing() {
    let mut world = world();
    world.pods(0, 4);
    world.loads[0] = PRESSED;
    world.run(12);
    world.seen.scalers[0].pods[0].report = None;
    world.loads[0] = QUIET;
    for _ in 0..200 {
        let decision = world.second();
        assert!(decision.replicas >= world.seen.scalers[0].replicas, "{decision:?}");
    }
}

/// What is told each minute is late after three.
#[test]
fn a_pod_is_silent_by_how_often_it_is_asked() {
    let mut world = world();
    for pod in &mut world.seen.scalers[0].pods {
        pod.ready_since = world.now;
    }
    let reports: Vec<_> = world.seen.scalers[0].pods.iter().map(|pod| pod.report.clone()).collect();
    let mut silent = 0;
    for second in 1..=20 {
        world.second();
        let kept = world.seen.scalers[0].pods.iter_mut().zip(&reports);
        kept.for_each(|(pod, report)| pod.report = report.clone());
        let decision = world.decide();
        if decision.class == Class::MetricsStale {
            silent = second;
            assert!(decision.why.contains("3 periods of 5 s"), "{}", decision.why);
            assert_eq!(decision.replicas, 2);
            break;
        }
    }
    assert_eq!(silent, 16);
}
