//! The proof that an order ends well: all that can happen to one, in every order, looked through to the end.
//!
//! Where a step of an order's life is decided, the model asks the shop's own code: which messages follow from which state
//! ([`super::messages`]), what an answer and an outcome mean ([`super::topics`]), what becomes of an interrupted order
//! ([`crate::domain::recovery`]) and of a request to cancel or refund ([`crate::domain::order`]). Whoever is asked behaves as
//! its contract says ([`callees`]); its own tests hold it to that. What can go wrong: a claim lapses while its relay goes on, what
//! was done isn't stored, a call is done and its answer lost or isn't done at all, whoever places the order dies or falls
//! asleep and goes on later, requests come late; and the buyer cancels, an admin refunds and the carrier drives when they
//! like.
//!
//! Of each world that can be reached it is asked that no message is answered otherwise than the first time, that none dies,
//! and that the order ends well if nothing goes wrong any more: confirmed, paid and sent; cancelled or refunded with the
//! money given back; or undone with nothing kept. To show that it could find a fault, it must find each of the known
//! [`Mistake`]s when it is put back.

mod callees;
mod world;

use std::collections::HashSet;

use proptest::prelude::*;

use callees::Mistake;
use world::{Broken, Mishaps, Setting, World};

/// Looks through all that can become of `first`; returns how many worlds there are.
fn explore(first: World, setting: Setting) -> Result<usize, Broken> {
    let first = first.in_one_form();
    let mut met = HashSet::from([first.clone()]);
    // Where each world came from, and how.
    let mut came: Vec<(usize, &'static str)> = vec![(0, "it begins")];
    let mut todo = vec![(0, first)];
    while let Some((index, world)) = todo.pop() {
        let broken = |broken: Broken| {
            let mut path = vec![came[index].1];
            let mut at = index;
            while at != 0 {
                at = came[at].0;
                path.push(came[at].1);
            }
            path.reverse();
            format!("{broken}\n  after: {}", path.join("; "))
        };
        world.calm(setting).map_err(broken)?;
        for (name, next) in world.steps(setting).map_err(broken)? {
            let next = next.in_one_form();
            let number = met.len();
            if met.insert(next.clone()) {
                came.push((index, name));
                todo.push((number, next));
            }
        }
    }
    Ok(met.len())
}

fn right(card: bool, goods: bool) -> Setting {
    Setting { card, goods, mistake: None }
}

/// From the confirmed order on, with every mishap twice or once.
#[test]
fn whatever_is_lost_late_or_done_twice_a_confirmed_order_ends_well() {
    for (lapses, losses, silences) in [(1, 1, 0), (2, 0, 0), (0, 2, 0), (0, 1, 1), (1, 0, 1)] {
        let mishaps = Mishaps { lapses, losses, silences };
        let worlds = explore(World::confirmed(mishaps), right(true, true)).unwrap_or_else(|broken| panic!("{broken}"));
        assert!(worlds > 1_000, "{mishaps:?}: {worlds} worlds are not all");
    }
}

/// From the first request on.
#[test]
fn an_order_is_placed_once_or_not_at_all_however_its_placing_ends() {
    for (card, goods) in [(true, true), (false, true), (true, false)] {
        let mishaps = Mishaps { lapses: 0, losses: 1, silences: 0 };
        let worlds = explore(World::new(mishaps), right(card, goods)).unwrap_or_else(|broken| panic!("{broken}"));
        assert!(worlds > 300, "card {card}, goods {goods}: {worlds} worlds are not all");
    }
}

/// A model that finds nothing proves nothing.
#[test]
fn each_known_mistake_is_found() {
    for mistake in Mistake::ALL {
        let setting = Setting { card: true, goods: true, mistake: Some(mistake) };
        let mishaps = Mishaps { lapses: 1, losses: 1, silences: 0 };
        let broken = explore(World::confirmed(mishaps), setting).and_then(|_| explore(World::new(mishaps), setting));
        assert!(broken.is_err(), "{mistake:?} is not found");
    }
}

/// The fault that kept money on cancelled orders, as it was.
#[test]
fn a_parcel_that_is_refused_since_it_was_cancelled_keeps_the_money() {
    let setting = Setting { card: true, goods: true, mistake: Some(Mistake::CancelledParcelIsRefused) };
    let mishaps = Mishaps { lapses: 0, losses: 1, silences: 0 };
    let broken = explore(World::confirmed(mishaps), setting).expect_err("the order stands still for ever");
    assert!(broken.contains("CreateShipment") && broken.contains("what came of messages is lost"), "{broken}");
}

proptest! {
    /// Longer lives, with more mishaps than can be gone through one by one.
    #[test]
    fn of_lives_with_many_mishaps_each_ends_well(choices in prop::collection::vec(any::<u16>(), 1..120), from_the_start: bool) {
        let (setting, mishaps) = (right(true, true), Mishaps { lapses: 6, losses: 6, silences: 6 });
        let mut world = if from_the_start { World::new(mishaps) } else { World::confirmed(mishaps) };
        let mut path = Vec::new();
        for choice in choices {
            let mut steps = world.steps(setting).map_err(|broken| TestCaseError::fail(format!("{broken}: {path:?}")))?;
            if steps.is_empty() {
                break;
            }
            let (name, next) = steps.swap_remove(usize::from(choice) % steps.len());
            path.push(name);
            next.calm(setting).map_err(|broken| TestCaseError::fail(format!("{broken}: {path:?}")))?;
            world = next;
        }
    }
}
