//! Moments as messages have them, and as Selvage's services count them: in milliseconds since the Unix epoch.

use prost_types::Timestamp;

/// The moment `ms` milliseconds after the Unix epoch, or before it if negative.
pub fn timestamp(ms: i64) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1000) * 1_000_000).expect("999 million fit");
    Timestamp { seconds: ms.div_euclid(1000), nanos }
}

/// Whole milliseconds since the Unix epoch, rounded down; what an `i64` can't hold is its highest or lowest.
pub fn millis(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos).div_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_before_and_after_the_epoch() {
        for ms in [0, 1, -1, 999, 1_795_529_109_250, -1_000, -1_001] {
            let time = timestamp(ms);
            assert!((0..1_000_000_000).contains(&time.nanos), "{ms}");
            assert_eq!(millis(&time), ms);
        }
        assert_eq!(timestamp(-1), Timestamp { seconds: -1, nanos: 999_000_000 });
    }

    #[test]
    fn moments_out_of_reach_stay_at_the_end() {
        assert_eq!(millis(&Timestamp { seconds: i64::MAX, nanos: 0 }), i64::MAX);
        assert_eq!(millis(&Timestamp { seconds: i64::MIN, nanos: 0 }), i64::MIN);
    }
}
