//! What came of a surge, and the table of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::callers::{Call, Outcome};
use super::systems::{BUDGET, System};
use crate::cluster::load::Visit;
use crate::cluster::trouble::table::short;

/// Who has an answer later than this has mostly left.
const USEFUL: Duration = Duration::from_secs(3);
/// It is relieved when of those who came in each of so many seconds in a row nearly all had a useful answer.
const IN_A_ROW: usize = 5;
const NEARLY_ALL: f64 = 0.95;

/// How many pods there are, at one look.
pub(super) struct Look {
    pub(super) when: Instant,
    pub(super) cart: i64,
    /// Of all services with a database.
    pub(super) all: i64,
}

/// One surge on one installation.
pub(super) struct Measured {
    pub(super) system: System,
    pub(super) began: Instant,
    pub(super) lasted: Duration,
    pub(super) calls: Vec<Call>,
    pub(super) visits: Vec<Visit>,
    pub(super) looks: Vec<Look>,
    /// The most connections of the shop's.
    pub(super) most: i64,
    /// How often the server refused a connection meanwhile, for want of a slot.
    pub(super) no_slot: usize,
}

impl Measured {
    /// Those who came in the surge.
    fn came(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.came >= self.began && call.came < self.began + self.lasted)
    }

    /// For each second of the surge the share of those who came in it and had a useful answer.
    fn served(&self) -> Vec<f64> {
        let mut seconds = BTreeMap::<u64, (f64, f64)>::new();
        for call in self.came() {
            let (useful, all) = seconds.entry((call.came - self.began).as_secs()).or_default();
            *all += 1.0;
            *useful += f64::from(u8::from(is_useful(call)));
        }
        seconds.into_values().map(|(useful, all)| useful / all).collect()
    }

    /// How long it took from the surge's begin until it was relieved.
    fn relief(&self) -> Option<usize> {
        self.served().windows(IN_A_ROW).position(|seconds| seconds.iter().all(|share| *share >= NEARLY_ALL))
    }

    fn line(&self) -> String {
        let count = |is: fn(&Call) -> bool| self.came().filter(|call| is(call)).count();
        let (came, useful) = (count(|_| true), count(is_useful));
        let refused = count(|call| matches!(call.outcome, Outcome::Refused));
        let failed = count(|call| matches!(call.outcome, Outcome::Failed(_)));
        let short = self.served().iter().filter(|share| **share < NEARLY_ALL).count();
        let mut took: Vec<_> = self.came().filter(|call| is_useful(call)).map(|call| call.took).collect();
        took.sort();
        let p95 = took.get(took.len() * 95 / 100).copied().unwrap_or_default();
        let ended = self.began + self.lasted;
        let buyers = self.visits.iter().filter(|visit| visit.began >= self.began && visit.began < ended);
        let (mut bought, mut in_vain) = (0, 0);
        for visit in buyers {
            match visit.left {
                Some((_, Ok(_))) => bought += 1,
                _ => in_vain += 1,
            }
        }
        let within = self.looks.iter().filter(|look| look.when >= self.began && look.when <= ended);
        let (mut replica_seconds, mut before) = (0.0, self.began);
        let mut most_pods = 0;
        for look in within {
            replica_seconds += f64::from(i32::try_from(look.all).expect("few")) * (look.when - before).as_secs_f64();
            before = look.when;
            most_pods = most_pods.max(look.cart);
        }
        let relief = self.relief().map_or_else(|| "–".to_owned(), |second| second.to_string());
        let a_second = |count: usize| {
            let count = f64::from(u32::try_from(count).expect("few"));
            format!("{:.1}", count / self.lasted.as_secs_f64())
        };
        format!(
            "| {} | {relief} | {short} | {} of {} | {refused} | {} | {failed} | {} | {bought}, {in_vain} | {} of {BUDGET} | {} | \
             {most_pods} | {replica_seconds:.0} |",
            self.system.name(),
            a_second(useful),
            a_second(came),
            came - useful - refused - failed,
            p95.as_millis(),
            self.most,
            self.no_slot,
        )
    }

    /// What those met whose call failed, each once, with how many met it.
    pub(super) fn failures(&self) -> BTreeMap<String, usize> {
        let mut met = BTreeMap::new();
        for call in self.came() {
            if let Outcome::Failed(why) = &call.outcome {
                *met.entry(short(why)).or_default() += 1;
            }
        }
        met
    }
}

fn is_useful(call: &Call) -> bool {
    matches!(call.outcome, Outcome::Added) && call.took <= USEFUL
}

/// As `services/operator/keda.md` has it.
pub(super) fn print(rows: &[Measured]) {
    println!(
        "| | relief, s | short, s | served a second | refused | late | failed | p95, ms | bought, in vain | most connections | \
         no slot | most pods of the cart | replica-seconds |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for row in rows {
        println!("{}", row.line());
    }
}
