use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{bail, ensure};
use selvage_context::lease;
use selvage_telemetry::span::Span;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use crate::ending;

/// What comes within this is nothing to speak of.
const MOMENT: Duration = Duration::from_secs(1);
/// How long is waited for what a process can do without. A cluster's name server that moves to another node is back within this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a process should be sent work. A process that is ready stays so, however busy it is, until it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet, for this reason.
    Starting(String),
    /// Yes.
    Ready,
    /// Not any more: it is about to end, or ends.
    Leaving,
}

/// The life of a process, or of the part of one that ends together. Clones are the same life.
#[derive(Clone, Debug)]
pub struct Life {
    phase: watch::Sender<Phase>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Why it ends, if it doesn't end because it was asked to.
    failure: Arc<OnceLock<String>>,
}

impl Default for Life {
    fn default() -> Self {
        Self::in_phase(Phase::Ready)
    }
}

impl Life {
    /// A life that is ready, and ends when [`Life::end`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// A life that isn't ready before [`Life::ready`] is called.
    pub fn starting() -> Self {
        Self::in_phase(Phase::Starting("it starts".to_owned()))
    }

    fn in_phase(phase: Phase) -> Self {
        Self {
            phase: watch::Sender::new(phase),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            failure: Arc::default(),
        }
    }

    /// The life of what others in the process still call while they end: as ready as this one, and ended by itself.
    #[must_use]
    pub fn behind(&self) -> Self {
        Self { phase: self.phase.clone(), ..Self::in_phase(Phase::Ready) }
    }

    /// Says what the process waits for before it is ready; in the log too, where it is something else than before.
    pub fn waits_for(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let changed = self.phase.send_if_modified(|phase| match phase {
            Phase::Starting(before) if *before != reason => {
                before.clone_from(&reason);
                true
            }
            _ => false,
        });
        if changed {
            tracing::warn!(reason, "not ready");
        }
    }

    /// Waits for something that is better there before the process is sent work, at most [`PATIENCE`]: without it the process
    /// is of more use than not at all. What takes longer than a moment is said.
    pub async fn awaits(&self, what: &str, there: impl Future<Output = ()>) {
        let mut there = pin!(there);
        if tokio::time::timeout(MOMENT, &mut there).await.is_err() {
            self.waits_for(what);
            if tokio::time::timeout(PATIENCE - MOMENT, there).await.is_err() {
                tracing::warn!(what, "it isn't waited for any longer");
            }
        }
    }

    /// What the process waited for is there.
    pub fn ready(&self) {
        self.phase.send_if_modified(|phase| {
            let starts = matches!(phase, Phase::Starting(_));
            if starts {
                *phase = Phase::Ready;
            }
            starts
        });
    }

    /// Whether the process should be sent work, now and as it changes.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Starts background work. It should end soon after [`Life::stopping`] does; [`Life::drain`] waits for it. If it
    /// panics, the end begins: a process without its background work looks well and is not, and is better started anew.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.run(name, async move {
            work.await;
            Ok(())
        });
    }

    /// As [`Life::spawn`], for work that can fail, as a server can: the end begins then too.
    pub fn run<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let life = self.clone();
        let work = tokio::spawn(lease::tracked(work));
        self.tasks.spawn(async move {
            match work.await {
                Err(error) if error.is_panic() => {
                    tracing::error!(task = name, error = %error, "a background task panicked: stopping");
                    life.fail(format!("the background task '{name}' panicked; the log says how"));
                }
                Ok(Err(error)) => {
                    tracing::error!(task = name, error = format!("{error:#}"), "a background task failed: stopping");
                    life.fail(format!("{name}: {error:#}"));
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

    /// Begins the end, without a pause before it.
    pub fn end(&self) {
        self.leave();
        self.stop.cancel();
    }

    fn leave(&self) {
        self.phase.send_if_modified(|phase| std::mem::replace(phase, Phase::Leaving) != Phase::Leaving);
    }

    fn fail(&self, why: String) {
        // The first failure is the cause of those that follow.
        let _ = self.failure.set(why);
        self.end();
    }

    /// Waits for Ctrl-C, SIGTERM or the end of its terminal, then says that the process leaves, and begins the end after
    /// `lame_duck`: until then it serves on. A second signal ends the process at once.
    ///
    /// # Errors
    /// If the process may not listen to signals.
    pub fn end_at_signal(&self, lame_duck: Duration) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let life = self.clone();
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!(lame_duck_ms = lame_duck.as_millis(), "leaving: not ready any more, and still serving");
            life.leave();
            let second = async {
                signals.next().await;
                selvage_telemetry::flush_log(ending::LAST_WORDS);
                std::process::exit(130);
            };
            let end = async {
                if life.sleep(lame_duck).await {
                    tracing::info!("stopping: requests in flight are finished first");
                    life.end();
                }
                std::future::pending::<()>().await;
            };
            tokio::join!(second, end);
        });
        Ok(())
    }

    /// Begins the end and waits until all background work has ended, at most [`ending::DRAIN`].
    ///
    /// # Errors
    /// If some was cut off, or if the end came from background work that failed.
    pub async fn drain(&self) -> anyhow::Result<()> {
        self.end();
        self.tasks.close();
        let drained = tokio::time::timeout(ending::DRAIN, self.tasks.wait()).await.is_ok();
        if let Some(why) = self.failure.get() {
            bail!("{why}");
        }
        ensure!(drained, "{} background tasks didn't end in time and were cut off", self.tasks.len());
        Ok(())
    }
}

/// The signals that ask a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` for a process that was started to outlive its terminal, as by nohup.
    hang_up: Option<Signal>,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let hang_up = if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    async fn next(&mut self) {
        let Self { interrupt, terminate, hang_up } = self;
        let hang_up = async {
            match hang_up {
                Some(hang_up) => drop(hang_up.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} () = hang_up => {} }
    }
}

/// Whether whoever started the process has it ignore SIGHUP.
fn ignores_hang_up() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_first_ignored(&status))
}

/// The ignored signals stand as a hexadecimal number, whose lowest bit is SIGHUP's: proc_pid_status(5).
fn is_first_ignored(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_the_end_of_a_terminal_is_ignored_is_read() {
        assert!(is_first_ignored("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!is_first_ignored("SigIgn:\t0000000000001000\n") && !is_first_ignored("Name:\tx\n"));
    }

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
    async fn a_server_that_fails_begins_the_end_and_its_reason_is_the_first_one() {
        let life = Life::new();
        life.run("server", async { anyhow::bail!("its listener is gone") });
        tokio::time::timeout(Duration::from_secs(10), life.stopping()).await.expect("somebody notices");
        life.run("other", async { anyhow::bail!("for want of the first") });
        assert_eq!(life.drain().await.unwrap_err().to_string(), "server: its listener is gone");
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

    #[tokio::test(start_paused = true)]
    async fn what_a_process_can_do_without_is_waited_for_for_some_seconds() {
        let life = Life::starting();
        life.awaits("the moon", async {}).await;
        assert_eq!(*life.phase().borrow(), Phase::Starting("it starts".into()));
        life.awaits("the tide", tokio::time::sleep(MOMENT * 2)).await;
        assert_eq!(*life.phase().borrow(), Phase::Starting("the tide".into()));
        let began = tokio::time::Instant::now();
        life.awaits("a flood", std::future::pending()).await;
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn a_life_becomes_ready_once_and_leaves_once() {
        let life = Life::starting();
        let (phase, behind) = (life.phase(), life.behind());
        life.waits_for("the tide");
        assert_eq!(*phase.borrow(), Phase::Starting("the tide".into()));
        life.ready();
        life.waits_for("the moon");
        assert_eq!(*phase.borrow(), Phase::Ready, "it was ready before");
        life.end();
        life.ready();
        assert_eq!((&*phase.borrow(), &*behind.phase().borrow()), (&Phase::Leaving, &Phase::Leaving));
        assert!(life.is_stopping() && !behind.is_stopping(), "what is behind ends by itself");
    }
}
