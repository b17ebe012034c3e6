//! How long a decision takes for a database with 1,000 pods of 100 scalers: `cargo bench -p selvage-operator`.
//!
//! Every pod reports each second, under eight names of operations; a third of the scalers is quiet, a third lacks connections,
//! and a third is at its ceilings. Up to 5 ms of each second are wanted.

#![allow(clippy::print_stdout, reason = "a benchmark prints figures")]

use std::time::{Duration, Instant};

use selvage_operator::domain::decide::{
    Database, LedgerView, Memory, Observations, Outcome, PodSeen, Probe, Report, ScalerSeen, ScalerSpec, Spec, Uses,
    decide,
};
use selvage_operator::domain::moment::Moment;

const SCALERS: u32 = 100;
const PODS: u32 = 10;
const OPERATIONS: usize = 8;
/// Baselines are known after a minute of them.
const SECONDS: u64 = 180;

fn name(scaler: u32) -> String {
    format!("shop/scaler-{scaler}")
}

/// What a pod says, at a second.
fn report(scaler: u32, pod: u32, second: u64) -> Report {
    let is_quiet = scaler.is_multiple_of(3) || second < 100;
    let limit = if scaler % 3 == 2 { 20 } else { 10 };
    let uses = |operation| Uses {
        operation: format!("operation {operation}"),
        count: second * 100 + u64::from(pod),
        time: Duration::from_millis(second * 1000),
    };
    Report {
        at: Moment::after_start(Duration::from_secs(second)),
        limit,
        open: limit,
        in_use: if is_quiet { 3 } else { limit },
        waiting: if is_quiet { 0 } else { 7 },
        refused: 0,
        uses: (0..OPERATIONS).map(uses).collect(),
        pools: Vec::new(),
        longest_lease: None,
        cpu: Some(0.4),
    }
}

fn main() {
    let scaler = |scaler| ScalerSpec::new(&name(scaler), (2, 40), (2, 20));
    let spec = Spec { concurrency: Some(8_000), scalers: (0..SCALERS).map(scaler).collect() };
    let ledger = LedgerView { budget: 60_000, charged: 12_000, set_aside: 20_000, ..LedgerView::default() };
    let mut memory = Memory::default();
    let mut took = Vec::new();
    let mut decided = 0;
    for second in 1..=SECONDS {
        let now = Moment::after_start(Duration::from_secs(second));
        let seen = |scaler| ScalerSeen {
            name: name(scaler),
            replicas: PODS,
            pods: (0..PODS)
                .map(|pod| PodSeen {
                    holder: format!("{scaler}-{pod}"),
                    ready_since: Moment::default(),
                    report: Some(report(scaler, pod, second)),
                })
                .collect(),
        };
        let database = Database { statement: Duration::from_millis(2), on_cpu: 400, ..Database::default() };
        let probe = Some(Probe { at: now, outcome: Outcome::Answered(database) });
        let observations = Observations { scalers: (0..SCALERS).map(seen).collect(), probe };
        let began = Instant::now();
        let (decisions, next) = decide(&spec, &observations, &ledger, memory, now);
        took.push(began.elapsed());
        decided += decisions.len();
        memory = next;
    }
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{decided} decisions, {SCALERS} scalers with {PODS} pods each at a time: median {:?}, p99 {:?}, longest {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
