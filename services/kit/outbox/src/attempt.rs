//! A failed attempt, and when the next one is.

use crate::handler::Failure;
use crate::message::Message;
use crate::{MAX_ATTEMPTS, MAX_PAUSE_MS};

/// The longest error text that is stored.
const MAX_ERROR_BYTES: usize = 500;

/// A failed attempt, and what becomes of its message.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) message: Message,
    /// In how many milliseconds it is tried again; `None`: it is given up.
    pub(crate) pause_ms: Option<i64>,
    pub(crate) error: String,
}

impl Failed {
    pub(crate) fn of(message: Message, failure: &Failure) -> Self {
        let pause_ms = match failure {
            Failure::Later(_) => pause_ms(&message),
            Failure::Never(_) => None,
        };
        let mut error = failure.to_string();
        error.truncate(error.floor_char_boundary(MAX_ERROR_BYTES));
        Self { message, pause_ms, error }
    }

    /// The word that metrics have for it.
    pub(crate) fn outcome(&self) -> &'static str {
        if self.pause_ms.is_some() { "later" } else { "dead" }
    }

    pub(crate) fn log(&self) {
        let (topic, key, attempts) = (&self.message.topic, self.message.key, self.message.attempts);
        if self.pause_ms.is_some() {
            tracing::warn!(topic, %key, attempts, error = self.error, "a message failed and will be tried again");
        } else {
            tracing::error!(topic, %key, attempts, error = self.error, "a message is a dead letter now");
        }
    }
}

/// The pause before the next attempt: 1 s, doubling to 60 s, and up to a quarter longer, so that messages which failed
/// together aren't tried again together. `None` once there were [`MAX_ATTEMPTS`].
fn pause_ms(message: &Message) -> Option<i64> {
    let pause = std::cmp::min(1000 << (message.attempts.clamp(1, 7) - 1), MAX_PAUSE_MS);
    (message.attempts < MAX_ATTEMPTS).then(|| pause + pause * spread(message) / (4 * WHOLE))
}

/// Chances are counted in parts of this.
const WHOLE: i64 = 1 << 10;

/// The message's own share of chance for its next pause, 0 to [`WHOLE`] - 1. Chance isn't made here but comes with the
/// message, whose key is random, mixed with the attempt by a multiplication (Fibonacci hashing).
fn spread(message: &Message) -> i64 {
    let (high, low) = message.key.as_u64_pair();
    let mixed =
        (high ^ low.rotate_left(32) ^ u64::from(message.attempts.unsigned_abs())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    i64::try_from(mixed >> 54).expect("ten bits fit")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    fn message(key: u128, attempts: i32) -> Message {
        Message {
            position: 1,
            number: Some(1),
            key: Uuid::from_u128(key),
            topic: "do".into(),
            payload: Vec::new(),
            traceparent: None,
            created_at: 0,
            next_at: 0,
            attempts,
            dead: false,
            behind: false,
            last_error: None,
        }
    }

    #[test]
    fn pauses_double_to_a_minute_and_end() {
        for key in 0..500 {
            let pauses: Vec<_> = (1..=MAX_ATTEMPTS).map(|attempts| pause_ms(&message(key << 40, attempts))).collect();
            for (index, least) in [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000].into_iter().enumerate() {
                let pause = pauses[index].unwrap();
                assert!((least..least * 5 / 4).contains(&pause), "{index}: {pause}");
            }
            assert!(pauses.iter().flatten().all(|pause| *pause < MAX_PAUSE_MS * 5 / 4));
            assert_eq!(pauses.last(), Some(&None));
            let total: i64 = pauses.iter().flatten().sum();
            assert!((600_000..790_000).contains(&total), "MAX_ATTEMPTS promises 10 to 13 minutes: {total} ms");
        }
    }

    #[test]
    fn messages_that_failed_together_are_not_tried_again_together() {
        let pauses: BTreeSet<_> = (0..200_u128).map(|key| pause_ms(&message(key << 3 | 7 << 76, 1)).unwrap()).collect();
        assert!(pauses.len() > 100, "{} pauses of 200 messages", pauses.len());
        let (least, most) = (pauses.first().unwrap(), pauses.last().unwrap());
        assert!(most - least > 200, "{least} to {most} ms");
        // Nor are the pauses of one message all the same part longer, whichever bits its key has.
        for key in [1, 7 << 64] {
            let parts: BTreeSet<_> = (1..7).map(|attempts| spread(&message(key, attempts))).collect();
            assert!(parts.len() > 3, "{key}: {parts:?}");
        }
    }

    #[test]
    fn what_failed_is_tried_again_after_its_pause_or_given_up() {
        let later = Failed::of(message(1, 1), &Failure::Later("away".into()));
        assert!((1_000..1_250).contains(&later.pause_ms.unwrap()));
        assert_eq!((later.outcome(), later.error.as_str()), ("later", "away"));
        let spent = Failed::of(message(1, MAX_ATTEMPTS), &Failure::Later("away".into()));
        assert_eq!((spent.pause_ms, spent.outcome()), (None, "dead"));
        let never = Failed::of(message(1, 1), &Failure::Never("no".into()));
        assert_eq!((never.pause_ms, never.outcome()), (None, "dead"));
    }

    #[test]
    fn an_error_is_stored_as_far_as_there_is_room_and_ends_with_a_whole_letter() {
        let long = Failed::of(message(1, 1), &Failure::Later("ü".repeat(400))).error;
        assert_eq!(long, "ü".repeat(250));
        let odd = Failed::of(message(1, 1), &Failure::Later(format!("x{}", "ü".repeat(400)))).error;
        assert_eq!(odd.len(), 499);
    }
}
