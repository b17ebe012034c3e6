//! When and where a process tries to reach the leader, and since when it hasn't. A plain state machine.

use std::time::Duration;

use tokio::time::Instant;

/// Pauses between attempts double from the first to the longest, and are shortened by chance by up to a half. A thousand
/// processes that lost the same broker make some 700 attempts a second at the longest pause.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a stream ended, or why there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It had lasted for long enough.
    Over,
    /// Whatever else went wrong.
    Failed,
    /// The broker isn't the leader; that one is there, if it is known.
    Elsewhere(Option<String>),
}

/// What is known of the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contact {
    /// Where it is, by the word of another broker; where the process was told to look, if that isn't known.
    leader: Option<String>,
    /// Attempts in a row that led to no leader.
    failures: u32,
    /// Since when none was heard; `None` while one is.
    silent_since: Option<Instant>,
}

impl Contact {
    pub(crate) fn new(now: Instant) -> Self {
        Self { leader: None, failures: 0, silent_since: Some(now) }
    }

    /// Where the leader is by the word of another broker.
    pub(crate) fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// Attempts in a row that led to no leader.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Since when no leader was heard.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        self.silent_since
    }

    /// A leader has said something.
    pub(crate) fn heard(&mut self) {
        (self.failures, self.silent_since) = (0, None);
    }

    /// There is no stream any more; returns when to try again. `chance` is from 0 to 1.
    pub(crate) fn ended(&mut self, end: End, now: Instant, chance: f64) -> Instant {
        self.silent_since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let is_first = self.failures == 1;
        match end {
            // The first word of where the leader is is followed at once; two that name each other are not.
            End::Elsewhere(Some(leader)) => {
                self.leader = Some(leader);
                if is_first {
                    return now;
                }
            }
            // It is asked again where it was heard last.
            End::Over => {}
            End::Failed | End::Elsewhere(None) => self.leader = None,
        }
        let whole = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(8)).min(LONGEST_PAUSE);
        now + whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_grow_and_differ_by_chance() {
        let now = Instant::now();
        let mut contact = Contact::new(now);
        let pauses: Vec<_> = (0..7).map(|_| (contact.ended(End::Failed, now, 0.0) - now).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(contact.ended(End::Failed, now, 1.0) - now, 1000 * MS);
        contact.heard();
        assert_eq!(contact.ended(End::Over, now, 0.0) - now, 100 * MS);
    }

    #[test]
    fn the_leader_is_followed_at_once_and_two_that_name_each_other_with_pauses() {
        let now = Instant::now();
        let mut contact = Contact::new(now);
        let elsewhere = |address: &str| End::Elsewhere(Some(address.to_owned()));
        assert_eq!(contact.ended(elsewhere("b:1"), now, 0.0), now);
        assert_eq!(contact.leader(), Some("b:1"));
        assert_eq!(contact.ended(elsewhere("a:1"), now, 0.0) - now, 200 * MS);
        assert_eq!(contact.leader(), Some("a:1"));
        contact.ended(End::Failed, now, 0.0);
        assert_eq!(contact.leader(), None, "where it is, is asked anew");
        contact.ended(elsewhere("b:1"), now, 0.0);
        contact.ended(End::Elsewhere(None), now, 0.0);
        assert_eq!(contact.leader(), None, "there is none");
    }

    #[test]
    fn silence_lasts_from_the_last_word_of_a_leader_whoever_else_speaks() {
        let now = Instant::now();
        let mut contact = Contact::new(now);
        contact.ended(End::Elsewhere(Some("b:1".into())), now + 10 * MS, 0.0);
        assert_eq!(contact.silent_since(), Some(now), "a follower is no leader");
        contact.heard();
        assert_eq!(contact.silent_since(), None);
        contact.ended(End::Over, now + 20 * MS, 0.0);
        contact.ended(End::Failed, now + 30 * MS, 0.0);
        assert_eq!(contact.silent_since(), Some(now + 20 * MS));
    }
}
