//! When a process looks at itself: once a second while somebody watches, and not at all while nobody does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use selvage_proto::operations::v1::ProcessStatus;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::sampler::Sampler;
use crate::Life;

/// How often a process looks at itself while somebody watches.
const EVERY: Duration = Duration::from_secs(1);
/// It goes on for so long when nobody watches any more: a page without scripts comes back after 15 s, and finds its minute.
const LINGER: Duration = Duration::from_secs(30);

/// What was seen last, and who is told of it. Clones are the same.
#[derive(Clone)]
pub(super) struct Looks(Arc<Inner>);

struct Inner {
    newest: watch::Sender<Arc<ProcessStatus>>,
    state: Mutex<State>,
    life: Life,
}

struct State {
    sampler: Sampler,
    /// A task looks each second.
    is_awake: bool,
    /// When somebody last began to watch, or was seen watching.
    watched: Instant,
}

impl Looks {
    /// With `sampler`, until the end of `life`; the first look is made when somebody first asks.
    pub(super) fn new(sampler: Sampler, life: Life) -> Self {
        let state = State { sampler, is_awake: false, watched: Instant::now() };
        Self(Arc::new(Inner { newest: watch::Sender::default(), state: Mutex::new(state), life }))
    }

    /// What is seen from now on; the first of it is there.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<ProcessStatus>> {
        let mut state = self.0.state();
        state.watched = Instant::now();
        if !state.is_awake {
            state.is_awake = true;
            // What was before has a hole between.
            state.sampler.begin_anew();
            self.0.newest.send_replace(Arc::new(state.sampler.look()));
            self.0.life.spawn("operations", self.clone().look_while_watched());
        }
        let mut status = self.0.newest.subscribe();
        status.mark_changed();
        status
    }

    async fn look_while_watched(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let looking = async {
            loop {
                ticks.tick().await;
                let mut state = self.0.state();
                if self.0.newest.receiver_count() > 0 {
                    state.watched = Instant::now();
                } else if state.watched.elapsed() >= LINGER {
                    state.is_awake = false;
                    return;
                }
                self.0.newest.send_replace(Arc::new(state.sampler.look()));
            }
        };
        tokio::select! { () = looking => {} () = self.0.life.stopping() => {} }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use selvage_context::clock::Clock;
    use selvage_faults::{Faults, Policy};

    use super::*;

    /// So many looks have been made.
    fn made(looks: &Looks) -> u64 {
        looks.0.state().sampler.looks()
    }

    /// Each task that is due has its turn.
    async fn turns() {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    async fn pass(seconds: u64) {
        turns().await;
        for _ in 0..seconds {
            tokio::time::advance(EVERY).await;
            turns().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_looks_while_nobody_watches() {
        let clock = Clock::standing_at(1_800_000_000_000);
        let sampler = Sampler::new(Vec::new(), Vec::new(), Faults::new(Policy::Off, clock.clone()), clock.clone());
        let looks = Looks::new(sampler, Life::new());
        pass(600).await;
        assert_eq!(made(&looks), 0);

        let mut watched = looks.watch();
        let first = watched.borrow_and_update().clone();
        assert_eq!((made(&looks), first.call_history.len()), (1, 1), "there is something at once");
        pass(10).await;
        assert_eq!(made(&looks), 11);
        assert!(watched.has_changed().unwrap());
        assert_eq!(watched.borrow_and_update().call_history.len(), 11);
        // Who comes while it looks has the newest, and the same minute.
        let second = looks.watch();
        assert_eq!((made(&looks), second.borrow().call_history.len()), (11, 11));
        drop((watched, second));
        pass(20).await;
        assert_eq!(looks.watch().borrow().call_history.len(), 31, "who comes back soon finds it still looking");
        pass(100).await;
        let asleep = made(&looks);
        assert!((60..=64).contains(&asleep), "{asleep}");
        pass(600).await;
        assert_eq!(made(&looks), asleep);

        clock.advance_ms(700_000);
        let again = looks.watch().borrow().clone();
        assert_eq!((made(&looks), again.call_history.len()), (asleep + 1, 1), "without a hole in the minute");
        assert_eq!(again.sampled_since.unwrap().seconds, 1_800_000_700);
    }
}
