//! How long a process may take to end, part by part: the one place where it is added up.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Kubernetes kills a pod this long after it has asked it to end, unless it is told otherwise.
pub const GRACE: Duration = Duration::from_secs(30);

/// First a process is not ready and serves on, until those who send it work have noticed: a name server's answers are
/// kept for 5 s, clients ask it each second, and Kubernetes takes a second to change them. `--lame-duck-ms` sets it
/// within these bounds, in milliseconds.
pub const LAME_DUCK_MS: RangeInclusive<u64> = 0..=8_000;
/// Outside a cluster nobody has to notice more than that the port is closed.
pub const LAME_DUCK_MS_DEFAULT: u64 = 200;
/// Then nothing new is taken, and calls in flight have this long: longer than the 10 s that a call has by default. A
/// stream that somebody watches has no end of its own, and is cut off.
pub const CALLS: Duration = Duration::from_secs(11);
/// Calls and background work together: a second more, for work that a call left behind.
pub const DRAIN: Duration = Duration::from_secs(12);
/// Then pools say good-bye to their databases, which takes milliseconds, or for ever where a database is gone in silence.
pub const CLOSE: Duration = Duration::from_secs(4);
/// Then what is left of traces and metrics is sent, half of the time for each.
pub const FLUSH: Duration = Duration::from_secs(4);
/// At last the log is written, and an error if there was one: milliseconds each, or for ever where nobody reads it. Both are
/// within [`SPARE`].
pub const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is to be granted beyond [`longest`], for a machine that is busy.
pub const SPARE: Duration = Duration::from_secs(2);

/// How long a process takes at the most from the signal to its end, with a lame-duck pause of `lame_duck`.
pub const fn longest(lame_duck: Duration) -> Duration {
    lame_duck.saturating_add(DRAIN).saturating_add(CLOSE).saturating_add(FLUSH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_end_is_over_before_kubernetes_kills() {
        // 8 + 12 + 4 + 4 = 28 s: 2 s are left for a machine that is busy.
        let longest = longest(Duration::from_millis(*LAME_DUCK_MS.end()));
        assert!(longest + SPARE <= GRACE, "{longest:?}");
        assert!(LAST_WORDS * 2 < SPARE);
        assert!(CALLS < DRAIN, "background work goes on for as long as calls may need it");
        assert!(LAME_DUCK_MS.contains(&LAME_DUCK_MS_DEFAULT));
    }
}
