//! Callers who come by a schedule, whether those before them were answered or not.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use selvage_context::deadline;
use selvage_pool::{Class, Kind, Reason, kind, refusal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Connections of each pool.
pub(crate) const LIMIT: u32 = 2;
/// Holds a connection without any work for the machine.
const STATEMENT: &str = "SELECT pg_sleep(0.05)";
/// Statements a second: 2 connections ÷ 50 ms.
pub(crate) const CAPACITY: u32 = LIMIT * 20;
/// A caller is gone after this, as from a call without an answer within its deadline.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// One caller in ten is critical, four are normal, five are sheddable: in a surge of 5 × capacity the critical ones alone
/// are half of it, and the normal ones alone twice.
const MIX: [Class; 10] = {
    use Class::{Critical, Normal, Sheddable};
    [Critical, Sheddable, Normal, Sheddable, Normal, Sheddable, Normal, Sheddable, Normal, Sheddable]
};

/// When callers come: half of capacity, five times capacity, half again.
pub(crate) struct Shape {
    /// How long each phase lasts, and how many come in a second of it.
    phases: [(Duration, u32); 3],
}

impl Shape {
    pub(crate) fn new(surge: Duration) -> Self {
        let calm = CAPACITY / 2;
        Self { phases: [(Duration::from_secs(5), calm), (surge, CAPACITY * 5), (Duration::from_secs(15), calm)] }
    }

    /// The surge's begin and end, since the first caller.
    pub(crate) fn surge(&self) -> (Duration, Duration) {
        (self.phases[0].0, self.phases[0].0 + self.phases[1].0)
    }

    pub(crate) fn end(&self) -> Duration {
        self.phases.iter().map(|(lasts, _)| lasts).sum()
    }

    fn arrivals(&self) -> impl Iterator<Item = (Duration, Class)> {
        let mut begin = Duration::ZERO;
        let moments = self.phases.into_iter().flat_map(move |(lasts, rate)| {
            let began = begin;
            begin += lasts;
            let callers = u32::try_from(lasts.as_secs()).expect("some seconds") * rate;
            (0..callers).map(move |caller| began + Duration::from_secs(1) * caller / rate)
        });
        moments.zip(MIX.into_iter().cycle())
    }
}

/// What became of a caller; moments are since the first was due.
pub(crate) struct Call {
    pub(crate) class: Class,
    /// When it was to come. Answers are timed from here: a caller that the machine was late to send has waited too.
    pub(crate) due: Duration,
    /// When it came. Refusals are timed from here: what is asked is how long the pool takes to say no.
    pub(crate) came: Duration,
    pub(crate) ended: Duration,
    pub(crate) end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    /// At once, or at the end of the wait that the pool allows.
    Refused {
        at_once: bool,
    },
    GaveUp,
}

impl Call {
    /// How long its answer took, if it got one.
    pub(crate) fn answered_in(&self) -> Option<Duration> {
        (self.end == End::Answered).then(|| self.ended - self.due)
    }

    /// How long its refusal took, if it was refused.
    pub(crate) fn refused_in(&self) -> Option<Duration> {
        matches!(self.end, End::Refused { .. }).then(|| self.ended - self.came)
    }
}

/// Sends the callers, and says what became of each, in the order in which they came.
pub(crate) async fn drive<C>(shape: &Shape, begin: Instant, connection: impl Fn(Class) -> C) -> Vec<Call>
where
    C: ConnectionTrait + Send + Sync + 'static,
{
    let mut callers = JoinSet::new();
    for (due, class) in shape.arrivals() {
        sleep_until(begin + due).await;
        callers.spawn(call(connection(class), class, due, begin));
    }
    let mut calls = callers.join_all().await;
    calls.sort_by_key(|call| call.due);
    calls
}

async fn call<C: ConnectionTrait>(connection: C, class: Class, due: Duration, begin: Instant) -> Call {
    let came = begin.elapsed();
    // As in a service: the deadline is known to who looks for it, and the work is dropped when it is past.
    let until = begin + due + PATIENCE;
    let end = match timeout_at(until, deadline::scope(until, connection.execute_unprepared(STATEMENT))).await {
        Ok(Ok(_)) => End::Answered,
        // The plain pool knows no other refusal than the end of its wait.
        Ok(Err(error)) if kind(&error) == Kind::Busy => {
            End::Refused { at_once: refusal(&error).is_some_and(|refusal| refusal.reason != Reason::Waited) }
        }
        Ok(Err(error)) => panic!("neither an answer nor a refusal: {error}"),
        Err(_) => End::GaveUp,
    };
    Call { class, due, came, ended: begin.elapsed(), end }
}
