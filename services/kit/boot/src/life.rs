use std::time::Duration;

use selvage_context::lease;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// How long a drain may take before what is left is cut off: Kubernetes kills after 30 s, of which some are spent before.
const DRAIN_BOUND: Duration = Duration::from_secs(20);

/// The life of a process, or of the part of one that ends together. Clones are the same life.
#[derive(Clone, Debug, Default)]
pub struct Life {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Life {
    /// A life that ends when [`Life::end`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts background work. It should end soon after [`Life::stopping`] does; [`Life::drain`] waits for it.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(async move {
            lease::tracked(work).await;
            tracing::debug!(task = name, "background task ended");
        });
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

    /// Waits until all background work has ended, at most 20 s: `false` if some was cut off.
    pub async fn drain(&self) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(DRAIN_BOUND, self.tasks.wait()).await.is_ok();
        if !drained {
            tracing::warn!(left = self.tasks.len(), "background tasks didn't end in time");
        }
        drained
    }
}
