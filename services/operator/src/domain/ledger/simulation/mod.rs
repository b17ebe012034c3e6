//! The ledger in simulated time: two operators with a Lease, an API server whose watch is late and loses events,
//! workloads that are rolled and scaled, pods that are born, killed and cut off, a network that loses, delays, repeats
//! and reorders, and a server that lists sessions. After each step the sessions are counted. A seed tells a run.
//!
//! What is modelled honestly, and so allowed, is the boundary that [`super`] names: floors of pods beyond the plan that
//! no leader could keep waiting, and what a process has whose pod's object is gone and of which the server showed no
//! session. Only the runs `beyond` make such things happen; the others must do without.

mod calm;
mod cluster;
mod operator;
mod process;
mod random;
mod trouble;
mod world;

use super::Mutant;
use trouble::Trouble;
use world::{Millis, Seen, Violation, World};

/// For how long things go wrong.
const TROUBLED: Millis = 200_000;
/// By when, after that, nothing may be left of it: a process outlives its object for 40 s at the most, and what it had
/// is released 30 s after the server shows none of it.
const RECOVERED: Millis = 120_000;

fn run(seed: u64, mutant: Option<Mutant>, beyond: bool) -> (World, Result<(), Violation>) {
    let mut world = World::new(seed, mutant, beyond);
    let end = world.now + TROUBLED;
    let outcome = world.run_until(end);
    (world, outcome)
}

fn is_full() -> bool {
    std::env::var("SELVAGE_TESTS").is_ok_and(|form| form == "full")
}

#[test]
fn at_no_instant_more_is_open_than_the_budget_and_afterwards_all_of_it_can_be_used() {
    let seeds = if is_full() { 8_000 } else { 90 };
    let mut all = Seen::default();
    for seed in 0..seeds {
        let beyond = seed % 3 == 2;
        let (mut world, outcome) = run(seed, None, beyond);
        assert_eq!(outcome, Ok(()), "seed {seed}");
        assert!(beyond || world.seen.beyond_boundary == 0, "seed {seed}: within the plan nothing is excused");
        world.calms_down();
        let end = world.now + RECOVERED;
        assert_eq!(world.run_until(end), Ok(()), "seed {seed}, calm");
        assert_eq!(world.all_is_used(), Ok(()), "seed {seed}");
        world.one_wants_all(seed);
        let end = world.now + 30_000;
        assert_eq!(world.run_until(end), Ok(()), "seed {seed}, all for one");
        assert_eq!(world.one_has_all(), Ok(()), "seed {seed}");
        all.add(&world.seen);
    }
    assert!(all.steps > 1_000_000 && all.grants_taken > 10_000 && all.leaders * 2 > 3 * seeds, "{all:?}");
    assert!(all.full * 2 > all.led && all.nearly_all_open * 20 > all.steps, "the budget is scarce: {all:?}");
}

/// How many runs with such trouble are tried until the mutant is found.
const TRIED: u64 = 150;

fn is_found(mutant: Mutant, trouble: Trouble) {
    let found = trouble.seeds(TRIED).find_map(|seed| run(seed, Some(mutant), false).1.err());
    assert!(
        found.is_some_and(|violation| violation.open > violation.allowed),
        "{mutant:?} isn't found in {TRIED} runs"
    );
}

#[test]
fn growing_before_a_smaller_grant_is_acknowledged_is_found() {
    is_found(Mutant::GrowsBeforeAcknowledged, Trouble::OthersCome);
}

#[test]
fn charging_the_newest_grant_alone_is_found() {
    is_found(Mutant::ForgetsInFlight, Trouble::ProcessHearsLate);
}

#[test]
fn forgetting_pods_that_terminate_is_found() {
    is_found(Mutant::ForgetsTerminating, Trouble::Rolled);
}

#[test]
fn forgetting_pods_that_are_cut_off_at_a_fail_over_is_found() {
    is_found(Mutant::ForgetsPartitioned, Trouble::ZoneLost);
}

#[test]
fn forgetting_the_surge_is_found() {
    is_found(Mutant::ForgetsSurge, Trouble::AllCutOff);
}

#[test]
fn forgetting_what_a_container_left_that_was_restarted_is_found() {
    is_found(Mutant::ForgetsFormerRuns, Trouble::ContainerCrashes);
}

#[test]
fn refunding_what_a_deleted_pod_had_is_found() {
    is_found(Mutant::RefundsOnDelete, Trouble::DeletedByForce);
}

#[test]
fn a_pod_that_takes_a_former_leaders_grant_is_found() {
    is_found(Mutant::TakesOldLeaders, Trouble::OperatorPauses);
}

#[test]
fn trusting_pods_whose_pools_are_their_own_is_found() {
    // In which half of the runs they are, the seed says.
    is_found(Mutant::TrustsOwnPools, Trouble::Deleted);
}

/// The boundary is where it is said to be: without it, what some runs did would have been too much.
#[test]
fn beyond_the_plan_floors_that_pods_open_alone_can_exceed_the_budget() {
    let mut runs = Trouble::AllCutOff.seeds(TRIED).map(|seed| run(seed, None, true));
    let excused = runs.find(|(world, _)| world.seen.beyond_boundary > 0);
    let (_, outcome) = excused.expect("such a run is found");
    assert_eq!(outcome, Ok(()));
}
