//! Every number of the decision, in one table: its name, value and unit, and why it is what it is.
//!
//! The table is also the operator's `rules.md`: a test compares them.

use std::fmt;
use std::time::Duration;

/// A number, as the table shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A share, a factor or a mean.
    Number(f64),
    /// Things that are counted.
    Count(u32),
    /// A time.
    Time(Duration),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) => write!(f, "{}", time.as_secs_f64()),
        }
    }
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The constant's name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// What is counted or measured.
    pub unit: &'static str,
    /// Why it is that much.
    pub why: &'static str,
}

/// Makes a constant and a line of [`TABLE`] of each entry, so that they can't differ.
macro_rules! rules {
    ($($name:ident: $kind:ident($value:expr), $unit:literal, $why:literal;)+) => {
        $(#[doc = $why] #[doc = concat!("\n\nUnit: ", $unit, ".")] pub const $name: rules!(@type $kind) = rules!(@value $kind $value);)+
        /// Every number, in the order in which they are used.
        pub const TABLE: &[Rule] = &[$(Rule { name: stringify!($name), value: Value::$kind($name), unit: $unit, why: $why }),+];
    };
    (@type Number) => { f64 };
    (@type Count) => { u32 };
    (@type Time) => { Duration };
    (@value Time $seconds:expr) => { Duration::from_secs($seconds) };
    (@value $kind:ident $value:expr) => { $value };
}

rules! {
    REPORT_EVERY: Time(1), "s", "A pod reports this often, and at each edge of saturation besides.";
    MISSING_REPORTS: Count(3), "reports", "A pod is silent when its last report is older than this many periods: one may be late, three aren't.";
    STALE_SHARE: Number(0.5), "share of ready pods", "From so many silent pods on the rest doesn't stand for all of them: MetricsStale. One silent pod alone already forbids to shrink.";
    PROBE_STALE: Time(5), "s", "An older answer of the probe says nothing about now: it is asked each second, and its deadline is 2 s.";
    RECENT: Time(5), "s", "Rates and use times are means in which what is this old counts 1/e: long enough for a mean, short enough for a decision in seconds.";
    MAX_OPERATIONS: Count(64), "names per scaler", "Names of operations come from programs and are few; further ones aren't distinguished, so that memory is bounded.";
    MAX_POOLS: Count(16), "pools of a pod", "As many as a process may have on one budget; further ones are taken for none.";
    USED: Number(0.95), "share of the limit", "Connections in use from which a pool counts as saturated even if nobody waits at this instant.";
    PRESSED_REPORTS: Count(2), "reports in a row", "One report with waiters is chance, two in a row are a lack. The report at the edge is the first of them; reports closer together than half a period count as one.";
    TARGET: Number(0.7), "share of connections in use", "Knative's target: below it hardly anybody waits, and a third more load finds a connection.";
    LIMIT_FACTOR: Number(2.0), "× the limit", "A limit is raised to what is needed, by no more than this at once: the next report tells whether it helped.";
    QUIET_SHARE: Number(0.5), "share of the ceiling", "Pods without pressure share K, each up to its ceiling, as long as nobody lacks connections: a surge finds at once what the database can keep busy. Where nobody said K, each is wanted at this much.";
    PANIC_WINDOW: Time(6), "s", "Demand for growth is the mean of this (Knative's panic window, a tenth of the stable one) if that is more than the stable mean; or what two reports in a row ask for while people wait.";
    STABLE_WINDOW: Time(60), "s", "Demand otherwise is the mean of this (Knative's stable window).";
    TOLERANCE: Number(0.1), "share", "Replicas stay if what is needed differs by less (the HPA's tolerance); also how near to its baseline a time is normal.";
    UP_FACTOR: Number(2.0), "× replicas", "Replicas grow to at most this within one period, or by UP_PODS if that is more (the HPA's rule).";
    UP_PODS: Count(8), "pods", "See UP_FACTOR. The HPA adds four, because it divides what it sees; here what is needed is known from what was asked for, and the budget bounds it. With four a flash sale of 20× from two replicas took one period more.";
    UP_EVERY: Time(15), "s", "The period of both: a new pod needs about as long until it helps.";
    CALM_FOR: Time(300), "s", "Nothing shrinks before there was no pressure for this long (the HPA's stabilisation): a second wave mostly comes sooner.";
    DOWN_SHARE: Number(0.1), "share of replicas", "Replicas shrink by no more than this within one period, but by one at least.";
    DOWN_EVERY: Time(60), "s", "The period of it: what it leads to is seen before the next step.";
    CPU_BOUND: Number(0.9), "share of the pod's CPU", "From here on a pod is short of CPU, and further connections don't help it.";
    SLOW: Number(1.5), "× baseline", "A use time, or the probe's statement, from here on is slow: load alone moves them less.";
    SLOW_BY: Number(0.001), "s", "A time that is longer by less isn't slow, however short its baseline: a busy machine's scheduling does that, and 0.9 ms instead of 0.4 ms are nobody's lack.";
    BOUND_FOR: Time(5), "s", "So long people wait, and one kind of evidence against the database lasts, before it is called the bottleneck; also how long a raised limit is given to show what it gains.";
    BREAK: Time(3), "s", "Evidence that isn't there for no longer counts as if it had stayed: a server that is short of processors answers now and then at its old speed, two probes in a row, and a pool whose waiters were just served waits again. A single slow answer still lasts no time. No replica comes either before that long after an answer of HARD_SLOW.";
    RAISED: Number(0.1), "share of the limit", "A raise of this much is a trial of whether connections are what is lacking.";
    GAINED: Number(0.05), "share of throughput", "A trial that gains less has failed: the lack is behind the connections.";
    TRIAL_USES: Count(400), "uses", "Fewer uses in a trial's window prove nothing: at 400 the chance error of a rate is 5 %, as much as GAINED.";
    LOCK_SHARE: Number(0.5), "share of active backends", "From here on waiting for locks dominates: LockPileUp.";
    LOCK_WAITERS: Count(3), "backends", "Fewer than this that wait for locks are daily business, however few others are active.";
    LONG_LEASE: Time(10), "s", "A lease held for longer is a leak: twice the pool's long_lease, and beyond each statement_timeout.";
    CUT: Number(0.8), "× connections", "How DatabaseBound cuts (GitLab's soft throttle).";
    HARD_SLOW: Number(3.0), "× baseline", "The probe's statement from here on is cut hard.";
    CUT_HARD: Number(0.5), "× connections", "How it is cut hard (GitLab's hard throttle).";
    CUT_EVERY: Time(5), "s", "Time between two cuts: the first has to show its effect, and the probe has been asked five times by then.";
    RECOVER: Number(0.1), "share of the cut", "How a cut is taken back while nobody knows whether the database is well: by this much, and by one connection at least.";
    RECOVER_EVERY: Time(60), "s", "Time between two such steps.";
    RECOVER_WELL: Number(0.5), "share of the cut", "How a cut is taken back while the probe's statement is within TOLERANCE of its baseline and no trial has failed for RECOVER_EVERY: the database says that it has room.";
    RECOVER_WELL_EVERY: Time(5), "s", "Time between two such steps: the probe is asked five times meanwhile.";
    BASELINE_OVER: Time(600), "s", "Baselines are means over about this long, and learned only while nobody on the database lacks anything.";
    BASELINE_USES: Count(50), "uses", "A baseline from fewer uses isn't believed; that of the probe's statement from fewer answers neither.";
    RECENT_USES: Number(5.0), "uses", "A use time from fewer recent uses isn't compared with its baseline.";
}

/// The table in Markdown, as `rules.md` has it.
pub fn markdown() -> String {
    let mut text = String::from("| name | value | unit | why |\n|---|---|---|---|\n");
    for Rule { name, value, unit, why } in TABLE {
        text.push_str(&format!("| `{name}` | {value} | {unit} | {why} |\n"));
    }
    text
}
