use std::time::Duration;

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Slow statements on a pool's connections.
    SlowQuery,
    /// Callers who take a pool's connections for long.
    HeldConnection,
    /// Connections that nobody gives back.
    LeakedConnection,
    /// A transaction that locks what others write to.
    LockHold,
    /// Each statement takes longer.
    DatabaseLatency,
    /// Calls of a dependency fail.
    DependencyFailing,
    /// Calls of a dependency take longer.
    DependencySlow,
    /// A pool has another limit.
    PoolLimit,
    /// Threads that compute.
    CpuBurn,
}

/// What a fault is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touches {
    Pool,
    Dependency,
    Process,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::SlowQuery,
        Self::HeldConnection,
        Self::LeakedConnection,
        Self::LockHold,
        Self::DatabaseLatency,
        Self::DependencyFailing,
        Self::DependencySlow,
        Self::PoolLimit,
        Self::CpuBurn,
    ];

    pub(crate) fn touches(self) -> Touches {
        match self {
            Self::DependencyFailing | Self::DependencySlow => Touches::Dependency,
            Self::CpuBurn => Touches::Process,
            _ => Touches::Pool,
        }
    }

    /// The name of such a fault in metrics and in the log; that of a dependency's begins with the dependency's.
    pub fn name(self, target: &str) -> String {
        match self {
            Self::SlowQuery => "slow_query".to_owned(),
            Self::HeldConnection => "held_connection".to_owned(),
            Self::LeakedConnection => "leaked_connection".to_owned(),
            Self::LockHold => "lock_hold".to_owned(),
            Self::DatabaseLatency => "database_latency".to_owned(),
            Self::DependencyFailing => format!("{target}_failing"),
            Self::DependencySlow => format!("{target}_slow"),
            Self::PoolLimit => "pool_limit".to_owned(),
            Self::CpuBurn => "cpu_burn".to_owned(),
        }
    }

    /// The delay that it has if none is asked for, and the longest; `None` if it has none.
    pub(crate) fn delay(self) -> Option<(Duration, Duration)> {
        match self {
            // A statement that takes longer than any bound of ours tells nothing more.
            Self::SlowQuery => Some((Duration::from_secs(1), Duration::from_secs(10))),
            Self::DatabaseLatency => Some((Duration::from_millis(200), Duration::from_secs(30))),
            Self::DependencySlow => Some((Duration::from_secs(2), Duration::from_secs(30))),
            _ => None,
        }
    }

    /// Whether there can be several of what it does.
    pub(crate) fn is_counted(self) -> bool {
        matches!(
            self,
            Self::SlowQuery | Self::HeldConnection | Self::LeakedConnection | Self::PoolLimit | Self::CpuBurn
        )
    }
}
