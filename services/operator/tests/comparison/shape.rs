//! What happens to the shop: loads and faults, by second.

/// What is sold, by three services on one database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) weight: u32,
    /// Calls a second when nothing happens.
    pub(crate) rate: f64,
    /// Seconds of a connection that a call uses, when the database has room.
    pub(crate) use_time: f64,
    /// Seconds of CPU that a call takes in its pod.
    pub(crate) cpu: f64,
    pub(crate) max_replicas: u32,
    /// Shares of critical, normal and sheddable calls.
    pub(crate) classes: [f64; 3],
}

pub(crate) const CATALOGUE: usize = 0;
pub(crate) const CART: usize = 1;
pub(crate) const CHECKOUT: usize = 2;

/// At rest 9, 2.4 and 3.6 connections are in use, in two pods each.
pub(crate) const SERVICES: [Service; 3] = [
    Service {
        name: "catalogue",
        weight: 1,
        rate: 900.0,
        use_time: 0.010,
        cpu: 0.0006,
        max_replicas: 14,
        classes: [0.0, 0.1, 0.9],
    },
    Service {
        name: "cart",
        weight: 2,
        rate: 300.0,
        use_time: 0.008,
        cpu: 0.0005,
        max_replicas: 5,
        classes: [0.0, 1.0, 0.0],
    },
    Service {
        name: "checkout",
        weight: 4,
        rate: 120.0,
        use_time: 0.030,
        cpu: 0.001,
        max_replicas: 6,
        classes: [0.5, 0.5, 0.0],
    },
];
pub(crate) const MIN_REPLICAS: u32 = 2;
pub(crate) const SURGE: u32 = 1;

/// Seconds from one until before the other.
type Span = (f64, f64);

/// What a policy reads of its own source of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metrics {
    Fine,
    Missing,
    Zero,
}

/// What happens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Surge,
    FlashSale,
    SlowDatabase,
    LockPileUp,
    Leak,
    BlackHole,
    RollOut,
    Oscillation,
    MetricsMissing,
    MetricsZero,
    Day,
}

impl Shape {
    pub(crate) const ALL: [Self; 11] = [
        Self::Surge,
        Self::FlashSale,
        Self::SlowDatabase,
        Self::LockPileUp,
        Self::Leak,
        Self::BlackHole,
        Self::RollOut,
        Self::Oscillation,
        Self::MetricsMissing,
        Self::MetricsZero,
        Self::Day,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Surge => "surge of 5×",
            Self::FlashSale => "flash sale of 20×",
            Self::SlowDatabase => "slow database",
            Self::LockPileUp => "lock pile-up",
            Self::Leak => "leak in one service",
            Self::BlackHole => "black-holed connections",
            Self::RollOut => "roll-out in a surge",
            Self::Oscillation => "oscillating load",
            Self::MetricsMissing => "missing metrics in a surge",
            Self::MetricsZero => "metrics come back as 0",
            Self::Day => "a day in an hour",
        }
    }

    /// What it is, for the page.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Surge => "all calls, five times as many for five minutes",
            Self::FlashSale => {
                "twenty times the catalogue's calls, ten times the cart's, six times checkout's for five minutes; the database can just do it"
            }
            Self::SlowDatabase => {
                "1.5 times the calls, and for five minutes the database has room for 16 instead of 256 at once, three quarters of what is asked for"
            }
            Self::LockPileUp => {
                "a migration holds a lock for two minutes; each statement of checkout waits for it, and fails after 5 s"
            }
            Self::Leak => {
                "for five minutes one in 1,000 uses of the cart never gives its connection back; then a roll-out mends it. What the others get is counted"
            }
            Self::BlackHole => {
                "twice the calls, for which everybody has two pods a service; four of five open connections die in silence, are noticed after 5 s, and stay with the server for 25 s more"
            }
            Self::RollOut => {
                "ten times the calls, and five seconds later each pod of the catalogue is replaced; a pod that ends keeps its connections for 10 s"
            }
            Self::Oscillation => "one to five times the calls, in waves of two minutes",
            Self::MetricsMissing => "for three minutes nobody hears anything; a minute after that began, the surge",
            Self::MetricsZero => {
                "eight times the calls; after two minutes everything that is heard is 0, for eight minutes"
            }
            Self::Day => "one to six times the calls and back, as a day has it, in an hour",
        }
    }

    pub(crate) fn seconds(self) -> usize {
        match self {
            Self::Day => 3600,
            Self::MetricsZero => 720,
            _ => 600,
        }
    }

    /// From here on it is counted.
    pub(crate) fn onset(self) -> f64 {
        match self {
            Self::MetricsMissing | Self::MetricsZero => 120.0,
            Self::Oscillation | Self::Day => 0.0,
            _ => 60.0,
        }
    }

    /// Calls, as a multiple of what comes when nothing happens.
    pub(crate) fn load(self, service: usize, second: f64) -> f64 {
        let during = |(from, until): Span, factor: f64, otherwise: f64| {
            if (from..until).contains(&second) { factor } else { otherwise }
        };
        let wave = |period: f64, most: f64| {
            let phase = (second / period * std::f64::consts::TAU).cos();
            1.0 + (most - 1.0) * (1.0 - phase) / 2.0
        };
        match self {
            Self::Surge => during((60.0, 360.0), 5.0, 1.0),
            Self::RollOut => during((60.0, 360.0), 10.0, 1.0),
            Self::FlashSale => during((60.0, 360.0), [20.0, 10.0, 6.0][service], 1.0),
            Self::SlowDatabase => 1.5,
            Self::LockPileUp | Self::Leak => 1.0,
            Self::BlackHole => 2.0,
            Self::Oscillation => wave(120.0, 5.0),
            Self::MetricsMissing => during((120.0, 420.0), 5.0, 1.0),
            Self::MetricsZero => 8.0,
            Self::Day => wave(3600.0, 6.0),
        }
    }

    /// Backends that the database can keep busy at once.
    pub(crate) fn room(self, second: f64) -> f64 {
        if self == Self::SlowDatabase && (60.0..360.0).contains(&second) { 16.0 } else { super::database::ROOM }
    }

    /// Whether each statement of a service waits for a lock.
    pub(crate) fn is_locked(self, service: usize, second: f64) -> bool {
        self == Self::LockPileUp && service == CHECKOUT && (60.0..180.0).contains(&second)
    }

    /// The share of uses that never give their connection back.
    pub(crate) fn leak(self, service: usize, second: f64) -> f64 {
        if self == Self::Leak && service == CART && (60.0..360.0).contains(&second) { 0.001 } else { 0.0 }
    }

    /// Whether open connections die now.
    pub(crate) fn kills(self, second: f64) -> bool {
        self == Self::BlackHole && (60.0..60.0 + super::shop::STEP / 2.0).contains(&second)
    }

    /// Whether a roll-out begins now.
    pub(crate) fn rolls_out(self, service: usize, second: f64) -> bool {
        let at = match self {
            Self::RollOut if service == CATALOGUE => 65.0,
            Self::Leak if service == CART => 360.0,
            _ => return false,
        };
        (at..at + super::shop::STEP / 2.0).contains(&second)
    }

    pub(crate) fn metrics(self, second: f64) -> Metrics {
        match self {
            Self::MetricsMissing if (60.0..240.0).contains(&second) => Metrics::Missing,
            Self::MetricsZero if (120.0..600.0).contains(&second) => Metrics::Zero,
            _ => Metrics::Fine,
        }
    }

    /// Whether a service's answers count: not those of one that can't give any.
    pub(crate) fn counts(self, service: usize, second: f64) -> bool {
        let is_leaking = self == Self::Leak && service == CART && second >= 60.0;
        !is_leaking && !self.is_locked(service, second)
    }

    /// Whether the database is what limits, so that nothing may scale out.
    pub(crate) fn is_behind(self, second: f64) -> bool {
        match self {
            Self::SlowDatabase => (60.0..360.0).contains(&second),
            Self::LockPileUp => (60.0..180.0).contains(&second),
            Self::Leak => (60.0..360.0).contains(&second),
            _ => false,
        }
    }
}
