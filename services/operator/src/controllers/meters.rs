//! What is measured of watches and of the lead.

use opentelemetry::KeyValue;
use tokio::sync::watch;
use tokio::time::Instant;

use super::lease::Standing;
use super::watched::Seen;

/// Seconds since a kind was last listed, which may grow to [`super::watched::RELIST`] and a list's time. Attribute
/// `selvage.operator.kind`.
pub const WATCH_AGE: &str = "selvage.operator.watch.age";

/// The epoch of the lead, on the replica that leads; 0 on the others.
pub const EPOCH: &str = "selvage.operator.epoch";

/// Measures them from now on, as long as the process lives.
pub fn observe(watches: Vec<(&'static str, watch::Receiver<Seen>)>, standing: watch::Receiver<Standing>) {
    let (meter, started) = (opentelemetry::global::meter("selvage.operator"), Instant::now());
    // The instrument lives on in the meter's provider.
    meter
        .f64_observable_gauge(WATCH_AGE)
        .with_unit("s")
        .with_description("How long ago a kind was last listed completely.")
        .with_callback(move |observer| {
            for (kind, seen) in &watches {
                let listed = seen.borrow().listed.unwrap_or(started);
                observer.observe(listed.elapsed().as_secs_f64(), &[KeyValue::new("selvage.operator.kind", *kind)]);
            }
        })
        .build();
    meter
        .u64_observable_gauge(EPOCH)
        .with_description("The epoch of the lead, on the replica that leads, and 0 on the others.")
        .with_callback(move |observer| {
            observer.observe(standing.borrow().leads(Instant::now()).unwrap_or_default(), &[]);
        })
        .build();
}
