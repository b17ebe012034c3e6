//! How soon something is done.

use super::SEED;
use super::policy::Policy;
use super::policy::selvage::Selvage;
use super::shape::{CATALOGUE, Shape};
use super::shop::{Pod, STEP, Shop};

/// Seconds from the first waiter of a shape until the pods' limits and the replicas grow.
fn reactions(shape: Shape) -> (Option<f64>, Option<f64>) {
    // Nobody said what the database can do, so that quiet pods have half of their ceiling.
    let mut selvage = Selvage::new(None);
    let mut shop = Shop::new(shape, SEED, selvage.initial());
    let limit = |shop: &Shop| shop.services[CATALOGUE].pods.iter().map(|pod| pod.limit).max();
    let (mut waits, mut before) = (None, (None, 0));
    let (mut limits, mut replicas) = (None, None);
    while !shop.is_over() {
        selvage.step(&mut shop);
        if waits.is_none() {
            before = (limit(&shop), shop.services[CATALOGUE].replicas);
        } else {
            let is_raised = limit(&shop) > before.0;
            limits = limits.or(is_raised.then_some(shop.step));
            let is_grown = shop.services[CATALOGUE].replicas > before.1;
            replicas = replicas.or(is_grown.then_some(shop.step));
        }
        shop.advance();
        let has_waiters = shop.services[CATALOGUE].pods.iter().map(Pod::waiting).sum::<u32>() > 0;
        // The shop's first seconds are its start.
        if shop.second() >= shape.onset() && has_waiters {
            waits = waits.or(Some(shop.step));
        }
    }
    let since = |step: Option<usize>| Some((step? - waits?) as f64 * STEP);
    (since(limits), since(replicas))
}

#[test]
fn limits_grow_within_three_seconds_of_the_first_waiter_and_replicas_within_ten() {
    for shape in [Shape::Surge, Shape::FlashSale, Shape::RollOut] {
        let (limits, replicas) = reactions(shape);
        println!("{}: limits grow after {limits:?} s, replicas after {replicas:?} s", shape.name());
        assert!(limits.is_some_and(|seconds| seconds <= 3.0), "{}: {limits:?}", shape.name());
        assert!(replicas.is_some_and(|seconds| seconds <= 10.0), "{}: {replicas:?}", shape.name());
    }
}
