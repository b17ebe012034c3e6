use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{bail, ensure};
use selvage_context::lease;
use selvage_telemetry::span::Span;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// How long a drain may take before what is left is cut off: Kubernetes kills after 30 s, of which some are spent before.
const DRAIN_BOUND: Duration = Duration::from_secs(20);

/// The life of a process, or of the part of one that ends together. Clones are the same life.
#[derive(Clone, Debug, Default)]
pub struct Life {
    stop: CancellationToken,
    tasks: TaskTracker,
    /// The background task that panicked first.
    panicked: Arc<OnceLock<&'static str>>,
}

impl Life {
    /// A life that ends when [`Life::end`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts background work. It should end soon after [`Life::stopping`] does; [`Life::drain`] waits for it. If it
    /// panics, the end begins: a process without its background work looks well and is not, and is better started anew.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, panicked) = (self.stop.clone(), self.panicked.clone());
        let work = tokio::spawn(lease::tracked(work));
        self.tasks.spawn(async move {
            match work.await {
                Err(error) if error.is_panic() => {
                    tracing::error!(task = name, error = %error, "a background task panicked: stopping");
                    let _ = panicked.set(name);
                    stop.cancel();
                }
                _ => tracing::debug!(task = name, "background task ended"),
            }
        });
    }

    /// Starts work that goes on if nobody waits for it any more, in the span of whoever starts it; [`Life::drain`] waits
    /// for it. Its panic is its caller's to see.
    pub fn carry_out<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tasks.spawn(Span::around().run(lease::tracked(work)))
    }

    /// Resolves when the end has begun.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.stop.clone().cancelled_owned()
    }

    /// Whether the end has begun.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits for `pause`, or less if the end begins: `false` then.
    pub async fn sleep(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.stop.cancelled()).await.is_err()
    }

    /// Begins the end.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// Waits for Ctrl-C or SIGTERM, then begins the end. A second signal ends the process at once.
    ///
    /// # Errors
    /// If the process may not listen to signals.
    pub fn end_at_signal(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
            tracing::info!("stopping: requests in flight are finished first");
            stop.cancel();
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
            std::process::exit(130);
        });
        Ok(())
    }

    /// Begins the end and waits until all background work has ended, at most 20 s.
    ///
    /// # Errors
    /// If some was cut off, or if the end came from a background task that panicked.
    pub async fn drain(&self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(DRAIN_BOUND, self.tasks.wait()).await.is_ok();
        if let Some(name) = self.panicked.get() {
            bail!("the background task '{name}' panicked; the log says how");
        }
        ensure!(drained, "{} background tasks didn't end in time and were cut off", self.tasks.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_background_task_that_panics_begins_the_end() {
        let life = Life::new();
        life.spawn("quiet", async {});
        assert!(life.sleep(Duration::from_millis(20)).await, "it only came to its end");
        life.spawn("doomed", async { panic!("of itself") });
        let stopping = tokio::time::timeout(Duration::from_secs(10), life.stopping()).await;
        assert!(stopping.is_ok(), "nobody noticed");
        assert!(life.drain().await.unwrap_err().to_string().contains("'doomed'"));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_drained_and_its_panic_ends_nothing() {
        let life = Life::new();
        assert!(life.carry_out(async { panic!("of itself") }).await.is_err_and(|error| error.is_panic()));
        assert!(!life.is_stopping());
        let (begun, end) = tokio::sync::oneshot::channel::<()>();
        drop(life.carry_out(end));
        let drained = tokio::time::timeout(Duration::from_millis(50), life.drain()).await;
        assert!(drained.is_err(), "it isn't done yet");
        drop(begun);
        assert!(life.drain().await.is_ok());
    }
}
