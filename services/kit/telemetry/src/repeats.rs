//! What repeats in the log: a line is written some times a second, and beyond that counted. Once a second a line says how
//! many of what were held back. An outage then costs some lines a second, and not thousands.
//!
//! What repeats is told by the place in the source that logs it. Levels below INFO are left alone: who asks for details gets
//! all of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Map;
use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::fields::Fields;

/// In this time a place writes [`MOST`] lines.
pub(crate) const WINDOW: Duration = Duration::from_secs(1);
/// Enough to see what goes on, and what differs between the lines: some 6 KB a second of one kind.
const MOST: u32 = 20;
/// Letters of a line that its sum repeats.
const MAX_LETTERS: usize = 200;
/// The target of the lines that tell, which are never held back: each place has one a second at the most.
const TARGET: &str = "selvage_telemetry::repeats";

/// What was held back, by the place that logs it. There are as many as the program has lines that log.
pub(crate) struct Repeats {
    places: Mutex<Places>,
    is_any_held: AtomicBool,
    all_held: AtomicU64,
    /// Called when a line is held back while none was.
    wake: Box<dyn Fn() + Send + Sync>,
}

struct Places {
    of: HashMap<Identifier, Place>,
    told: Instant,
}

struct Place {
    begun: Instant,
    written: u32,
    held: u64,
    /// The first line that was held back.
    like: String,
    from: &'static str,
}

impl Repeats {
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            places: Mutex::new(Places { of: HashMap::new(), told: Instant::now() }),
            is_any_held: AtomicBool::new(false),
            all_held: AtomicU64::new(0),
            wake: Box::new(wake),
        }
    }

    /// Whether some line was held back that hasn't been told of yet.
    pub(crate) fn is_any_held(&self) -> bool {
        self.is_any_held.load(Ordering::Relaxed)
    }

    /// How many lines were held back so far.
    pub(crate) fn all_held(&self) -> u64 {
        self.all_held.load(Ordering::Relaxed)
    }

    /// Whether `event` is to be written.
    fn admits(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == TARGET {
            return true;
        }
        let held = self.count(metadata);
        if held == 0 {
            return true;
        }
        if held == 1 {
            // Without the lock: what a field says of itself may be logged in its turn.
            let like = in_a_line(event);
            if let Some(place) = self.places().of.get_mut(&metadata.callsite()) {
                place.like = like;
            }
        }
        if !self.is_any_held.swap(true, Ordering::Relaxed) {
            (self.wake)();
        }
        false
    }

    /// Counts a line at its place: how many are held back with it, or 0 if it is to be written.
    fn count(&self, metadata: &Metadata<'static>) -> u64 {
        let (now, mut places) = (Instant::now(), self.places());
        let new = || Place { begun: now, written: 0, held: 0, like: String::new(), from: metadata.target() };
        let place = places.of.entry(metadata.callsite()).or_insert_with(new);
        if now.duration_since(place.begun) >= WINDOW {
            (place.begun, place.written) = (now, 0);
        }
        if place.written < MOST {
            place.written += 1;
            return 0;
        }
        place.held += 1;
        self.all_held.fetch_add(1, Ordering::Relaxed);
        place.held
    }

    /// Tells of what was held back, if it is time.
    pub(crate) fn tell_in_time(&self) {
        if self.is_any_held() && self.places().told.elapsed() >= WINDOW {
            self.tell();
        }
    }

    /// Tells of what was held back.
    pub(crate) fn tell(&self) {
        // The lock is given back before anything is logged, which takes it again.
        for (lines, like, from) in self.take() {
            tracing::warn!(target: TARGET, lines, like, from, "lines that repeat were held back");
        }
    }

    fn take(&self) -> Vec<(u64, String, &'static str)> {
        let mut places = self.places();
        self.is_any_held.store(false, Ordering::Relaxed);
        places.told = Instant::now();
        let held = places.of.values_mut().filter(|place| place.held > 0);
        held.map(|place| (std::mem::take(&mut place.held), std::mem::take(&mut place.like), place.from)).collect()
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message of `event`, and what else it says.
fn in_a_line(event: &Event<'_>) -> String {
    let mut fields = Map::new();
    event.record(&mut Fields(&mut fields));
    let message = fields.remove("message").unwrap_or_default();
    let mut line = message.as_str().unwrap_or_default().to_owned();
    for (name, value) in fields {
        line.push_str(&format!(" {name}={value}"));
    }
    line.chars().take(MAX_LETTERS).collect()
}

/// Writes an event as `F` does, if it isn't held back, and nothing else.
///
/// This is no filter of tracing's: one that decides by event leaves a mark on the thread when nobody else wants the event, by
/// which the next one is lost.
pub(crate) struct Few<F>(pub(crate) F, pub(crate) Arc<Repeats>);

impl<S, N, F> FormatEvent<S, N> for Few<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.1.admits(event) { self.0.format_event(context, to, event) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tracing::dispatcher::{self, Dispatch};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{EnvFilter, Layer as _};

    use super::*;

    fn busy(number: u32) {
        tracing::warn!(number, "no connection for {}", "somebody");
    }

    #[tokio::test(start_paused = true)]
    async fn what_repeats_is_held_back_and_summed_up_each_second() {
        let woken = Arc::new(AtomicUsize::new(0));
        let (wake, text) = (woken.clone(), Arc::new(Mutex::new(Vec::new())));
        let repeats = Arc::new(Repeats::new(move || {
            wake.fetch_add(1, Ordering::Relaxed);
        }));
        let out = text.clone();
        let format = tracing_subscriber::fmt::format().without_time().with_ansi(false);
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .event_format(Few(format, repeats.clone()))
            .with_writer(move || Copy(out.clone()))
            .with_filter(EnvFilter::new("trace"));
        let log = Dispatch::new(tracing_subscriber::registry().with(lines));
        let count = |wanted: &str| {
            let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
            text.lines().filter(|line| line.contains(wanted)).count()
        };
        dispatcher::with_default(&log, || {
            (0..10_000).for_each(busy);
            tracing::warn!("something else");
            (0..50).for_each(|number| tracing::debug!(number, "a detail"));
            repeats.tell_in_time();
        });
        assert_eq!((count("no connection"), count("something else"), count("a detail")), (20, 1, 50));
        assert_eq!((repeats.all_held(), woken.load(Ordering::Relaxed)), (9_980, 1));
        tokio::time::advance(WINDOW).await;
        dispatcher::with_default(&log, || {
            repeats.tell_in_time();
            repeats.tell_in_time();
        });
        assert_eq!((count("held back"), count("lines=9980"), count("no connection for somebody")), (1, 1, 21));
        dispatcher::with_default(&log, || busy(1));
        assert_eq!(count("no connection"), 22, "a new second");
        assert!(!repeats.is_any_held());
    }

    struct Copy(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Copy {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
