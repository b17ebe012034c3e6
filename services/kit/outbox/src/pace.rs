//! How much a relay takes on, and for how long: pure, so that its arithmetic is tested without waiting.

use std::time::Duration;

/// Keys whose messages are done at once. Most of a key's time is waiting for others: of the 60 ms that five messages
/// take it holds a connection for some 15, so that a relay needs far fewer connections than this.
pub(crate) const KEYS_AT_ONCE: usize = 32;
/// With more at hand than this nothing is claimed: a claim of many costs no more than a claim of one.
const ENOUGH_KEYS: usize = KEYS_AT_ONCE / 2;

/// How many keys to claim when `at_hand` are being worked at; `None`: enough are.
pub(crate) fn room(at_hand: usize) -> Option<usize> {
    (at_hand <= ENOUGH_KEYS).then(|| KEYS_AT_ONCE - at_hand)
}

/// Whether there may be more keys than a claim found, with `room` for so many.
pub(crate) fn may_be_more(found: usize, room: usize) -> bool {
    found >= room
}

/// How long a claim is a relay's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease(pub(crate) Duration);

impl Lease {
    /// Its length in milliseconds.
    pub(crate) fn ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }

    /// The time that one message has: a third.
    pub(crate) fn of_message(self) -> Duration {
        self.0 / 3
    }

    /// Whether another message may begin when this much of the lease is spent. It ends within two thirds; the last third is
    /// for storing what came of it, and for clocks that differ.
    pub(crate) fn has_time(self, spent: Duration) -> bool {
        spent + self.of_message() <= self.0 * 2 / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_fills_up_when_half_of_its_room_is_free() {
        assert_eq!((room(0), room(1), room(16), room(17), room(32)), (Some(32), Some(31), Some(16), None, None));
        // As many as there was room for: there may be more. Fewer: those were all.
        assert!(may_be_more(32, 32) && may_be_more(16, 16));
        assert!(!may_be_more(0, 32) && !may_be_more(31, 32));
    }

    #[test]
    fn a_third_of_a_lease_is_a_messages_and_two_thirds_are_a_keys() {
        let lease = Lease(Duration::from_secs(15));
        assert_eq!((lease.ms(), Lease(Duration::MAX).ms()), (15_000, i64::MAX));
        assert_eq!(lease.of_message(), Duration::from_secs(5));
        let ms = Duration::from_millis;
        assert!(lease.has_time(ms(0)) && lease.has_time(ms(5_000)));
        assert!(!lease.has_time(ms(5_001)) && !lease.has_time(ms(10_000)));
    }
}
