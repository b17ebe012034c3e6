//! Threads that compute nothing, for a share of their time.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// In each such time a thread computes for its share and sleeps for the rest, so that whoever waits for the processor comes
/// to their turn within it.
const ROUND: Duration = Duration::from_millis(20);
/// Steps of computing between two looks at the clock: some 10 µs.
const STEPS: u64 = 10_000;

/// Threads that compute until this is dropped, and never for longer than they were told to.
pub(crate) struct Burn(Arc<AtomicBool>);

impl Burn {
    /// `threads` of them, though no more than there are processors, each for `share_percent` of its time, for `duration` at
    /// the most: a runtime that is kept from its timers by them still gets rid of them.
    pub(crate) fn start(threads: u32, share_percent: u32, duration: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (busy, until) = (ROUND * share_percent / 100, Instant::now() + duration);
        for _ in 0..(threads as usize).min(processors) {
            let stop = stop.clone();
            let burning = std::thread::Builder::new().name("fault-cpu".to_owned()).spawn(move || {
                while !stop.load(Ordering::Relaxed) && Instant::now() < until {
                    let began = Instant::now();
                    while began.elapsed() < busy {
                        black_box((0..STEPS).fold(0_u64, |sum, step| sum.rotate_left(5) ^ black_box(step)));
                    }
                    std::thread::sleep(ROUND.saturating_sub(began.elapsed()).max(ROUND - busy));
                }
            });
            if let Err(error) = burning {
                tracing::warn!(%error, "a thread that computes can't be started");
            }
        }
        Self(stop)
    }
}

impl Drop for Burn {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
