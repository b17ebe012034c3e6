//! The decision beside others, over the same loads and faults, in simulated time.
//!
//! `comparison.md` has the tables. `SELVAGE_OPERATOR=write cargo test -p selvage-operator` writes it.

#![allow(clippy::print_stdout, reason = "the tables are for a person")]

mod database;
mod measure;
mod plot;
mod policy;
mod random;
mod shape;
mod shop;
mod speed;
mod table;

use std::collections::BTreeMap;

use policy::Policy;
use policy::selvage::Selvage;
use selvage_operator::domain::decide::Class;
use shape::{CART, CATALOGUE, CHECKOUT, Shape};
use shop::Shop;
use table::Row;

/// The same calls for all.
const SEED: u64 = 0x19;
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/comparison.md");
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pictures/scaling.svg");

fn play(shape: Shape, policy: &mut dyn Policy) -> Row {
    let mut shop = Shop::new(shape, SEED, policy.initial());
    policy.step(&mut shop);
    while !shop.is_over() {
        shop.advance();
        policy.step(&mut shop);
    }
    Row::of(policy.name(), &shop)
}

fn runs() -> Vec<(Shape, Vec<Row>)> {
    std::thread::scope(|scope| {
        let play_all = |shape| policy::all().iter_mut().map(|policy| play(shape, policy.as_mut())).collect::<Vec<_>>();
        let running = Shape::ALL.map(|shape| (shape, scope.spawn(move || play_all(shape))));
        running.map(|(shape, rows)| (shape, rows.join().expect("it ends"))).into()
    })
}

#[test]
fn selvage_relieves_no_later_than_anybody_and_keeps_the_budget() {
    let runs = runs();
    let made = [(PAGE, table::page(&runs)), (PICTURE, plot::draw(&runs))];
    println!("{}", made[0].1);
    if std::env::var_os("SELVAGE_OPERATOR").is_some_and(|wish| wish == "write") {
        for (path, text) in &made {
            std::fs::write(path, text).expect("it is written");
        }
    }
    for (shape, rows) in &runs {
        let (ours, others) = rows.split_first().expect("ours is the first");
        assert_eq!((ours.policy, others.len()), ("Selvage", 8));
        // It is measured in whole seconds.
        let best = others.iter().map(|row| row.unrelieved).min().expect("others");
        assert!(ours.unrelieved <= best + 1, "{}: {} s, others {best} s", shape.name(), ours.unrelieved);
        assert_eq!((ours.over, ours.too_many_clients), (0, 0), "{}", shape.name());
        assert!(ours.scaled_out_behind.is_empty(), "{}: {:?}", shape.name(), ours.scaled_out_behind);
    }
    // What is asked of Selvage is not what everybody does anyhow.
    let others: Vec<_> = runs.iter().flat_map(|(_, rows)| &rows[1..]).collect();
    assert!(others.iter().any(|row| row.over > 0) && others.iter().any(|row| !row.scaled_out_behind.is_empty()));
    for (path, text) in &made {
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == *text, "{path} is another: SELVAGE_OPERATOR=write cargo test -p selvage-operator");
    }
}

#[test]
fn each_trouble_is_recognised() {
    for (shape, service, classes) in [
        (Shape::FlashSale, CATALOGUE, &[Class::ReplicaBound][..]),
        (Shape::SlowDatabase, CATALOGUE, &[Class::DatabaseBound]),
        // When the lock is gone, those who have waited for it come back late.
        (Shape::LockPileUp, CHECKOUT, &[Class::LockPileUp, Class::SlowQuery]),
        (Shape::Leak, CART, &[Class::Leak]),
        (Shape::Leak, CATALOGUE, &[Class::Calm, Class::Leak]),
        (Shape::MetricsMissing, CATALOGUE, &[Class::MetricsStale]),
        (Shape::MetricsZero, CATALOGUE, &[Class::MetricsStale]),
    ] {
        let mut selvage = Selvage::new(Some(database::ROOM as u32));
        play(shape, &mut selvage);
        let seen: BTreeMap<_, _> = shape::SERVICES.iter().map(|service| service.name).zip(&selvage.classes).collect();
        assert!(selvage.classes[service].contains(&classes[0]), "{}: {} isn't in {seen:?}", shape.name(), classes[0]);
        // No other trouble is seen where there is none.
        let mut troubles = selvage.classes.iter().flatten().filter(|class| **class < Class::BudgetBound);
        assert!(troubles.all(|class| classes.contains(class)), "{}: {seen:?}", shape.name());
    }
}
