use std::time::Duration;

use crate::kind::Kind;
use crate::ledger::MAX_ACTIVE;

/// The shortest and the longest that a fault lasts: long enough to be seen, too short to be forgotten.
const DURATIONS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// The shortest delay: timers have steps of a millisecond.
const SHORTEST_DELAY: Duration = Duration::from_millis(1);
/// The most of anything: eight times the limit of an ordinary pool.
const MAX_COUNT: u32 = 64;
/// A thread's share of a processor: what is left lets the process's own threads, and whoever ends the fault, come to their
/// turn.
const SHARES: (u32, u32) = (1, 90);
const DEFAULT_SHARE: u32 = 50;

/// A fault that somebody asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What it does.
    pub kind: Kind,
    /// The pool or the dependency that it is done to; empty where it is the process.
    pub target: String,
    /// After which it ends by itself: 1 s to 10 min.
    pub duration: Duration,
    /// How many, 1 to 64; 0 takes the kind's own.
    pub count: u32,
    /// How long each takes, from 1 ms; `None` takes the kind's own.
    pub delay: Option<Duration>,
    /// A thread's share of a processor, 1 to 90 %; 0 takes 50.
    pub share_percent: u32,
    /// Who asks.
    pub by: String,
}

impl Ask {
    /// A fault of this kind, with what the kind has by itself.
    pub fn new(kind: Kind, target: impl Into<String>, duration: Duration) -> Self {
        Self { kind, target: target.into(), duration, count: 0, delay: None, share_percent: 0, by: String::new() }
    }

    /// Checks its numbers, and fills in what wasn't said.
    pub(crate) fn checked(mut self) -> Result<Self, Refused> {
        let (shortest, longest) = DURATIONS;
        if !(shortest..=longest).contains(&self.duration) {
            return Err(wrong("duration", format!("must be 1 s to 10 min, is {:?}", self.duration)));
        }
        if self.count > MAX_COUNT {
            return Err(wrong("count", format!("must be at most {MAX_COUNT}, is {}", self.count)));
        }
        if self.count > 0 && !self.kind.is_counted() {
            return Err(wrong("count", "this kind has none".to_owned()));
        }
        match (self.kind.delay(), self.delay) {
            (None, Some(_)) => return Err(wrong("delay", "this kind has none".to_owned())),
            (None, None) => {}
            (Some((_, longest)), Some(asked)) if !(SHORTEST_DELAY..=longest).contains(&asked) => {
                return Err(wrong("delay", format!("must be {SHORTEST_DELAY:?} to {longest:?}, is {asked:?}")));
            }
            (Some((usual, _)), asked) => self.delay = Some(asked.unwrap_or(usual)),
        }
        if self.kind != Kind::CpuBurn {
            if self.share_percent > 0 {
                return Err(wrong("share_percent", "this kind has none".to_owned()));
            }
        } else if self.share_percent == 0 {
            self.share_percent = DEFAULT_SHARE;
        } else if !(SHARES.0..=SHARES.1).contains(&self.share_percent) {
            return Err(wrong(
                "share_percent",
                format!("must be {} to {}, is {}", SHARES.0, SHARES.1, self.share_percent),
            ));
        }
        Ok(self)
    }
}

/// Why a fault wasn't started or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The process doesn't allow faults.
    #[error("faults are refused here: the process runs without --faults allow")]
    NotAllowed,
    /// A field of what was asked for is wrong.
    #[error("{field}: {description}")]
    Wrong {
        /// Its name, as in [`Ask`].
        field: &'static str,
        /// What is wrong, and what would be right.
        description: String,
    },
    /// Too many are active.
    #[error("{MAX_ACTIVE} faults are active already: end one first")]
    Full,
    /// None of that id is active.
    #[error("no such fault is active")]
    Unknown,
    /// The process ends.
    #[error("the process is stopping")]
    Stopping,
}

pub(crate) fn wrong(field: &'static str, description: String) -> Refused {
    Refused::Wrong { field, description }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_isnt_said_is_the_kinds_own() {
        let ask = |kind| Ask::new(kind, "x", SECOND).checked().unwrap();
        assert_eq!(ask(Kind::SlowQuery).delay, Some(SECOND));
        assert_eq!(ask(Kind::CpuBurn).share_percent, 50);
        assert_eq!((ask(Kind::LockHold).delay, ask(Kind::LockHold).share_percent), (None, 0));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let right = |kind| Ask::new(kind, "x", SECOND);
        let wrong = [
            ("duration", Ask { duration: Duration::ZERO, ..right(Kind::LockHold) }),
            ("duration", Ask { duration: Duration::MAX, ..right(Kind::LockHold) }),
            ("count", Ask { count: 65, ..right(Kind::SlowQuery) }),
            ("count", Ask { count: 1, ..right(Kind::LockHold) }),
            ("delay", Ask { delay: Some(Duration::from_secs(11)), ..right(Kind::SlowQuery) }),
            ("delay", Ask { delay: Some(Duration::ZERO), ..right(Kind::DatabaseLatency) }),
            ("delay", Ask { delay: Some(SECOND), ..right(Kind::HeldConnection) }),
            ("share_percent", Ask { share_percent: 91, ..right(Kind::CpuBurn) }),
            ("share_percent", Ask { share_percent: 10, ..right(Kind::SlowQuery) }),
        ];
        for (expected, ask) in wrong {
            match ask.clone().checked() {
                Err(Refused::Wrong { field, .. }) => assert_eq!(field, expected, "{ask:?}"),
                other => panic!("{ask:?}: {other:?}"),
            }
        }
    }
}
