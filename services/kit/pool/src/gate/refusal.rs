use std::time::Duration;

/// Why a caller got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// By the forecast it would wait for longer than it can: it was refused at once.
    WouldWait,
    /// Too many callers wait already: it was refused at once.
    QueueFull,
    /// It has waited for as long as it can.
    Waited,
    /// There is no item to hand out, and making one fails.
    Unreachable,
    /// The gate is closed.
    Closed,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 5] = [Self::WouldWait, Self::QueueFull, Self::Waited, Self::Unreachable, Self::Closed];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::WouldWait => "would_wait",
            Self::QueueFull => "queue_full",
            Self::Waited => "waited",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
        }
    }

    /// Whether a higher limit would have helped.
    pub fn is_want(self) -> bool {
        matches!(self, Self::WouldWait | Self::QueueFull | Self::Waited)
    }
}

/// A caller got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} (a newcomer would wait for about {forecast:?})", match reason {
    Reason::WouldWait => "refused at once, for the wait would be longer than the caller can wait",
    Reason::QueueFull => "refused at once, for too many wait already",
    Reason::Waited => "refused after the longest wait",
    Reason::Unreachable => "there is no connection, and none can be made",
    Reason::Closed => "closed",
})]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// How long the next caller would wait: when it makes sense to come again.
    pub forecast: Duration,
}
