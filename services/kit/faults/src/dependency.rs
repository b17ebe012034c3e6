use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Something outside that the process calls, and whose calls faults can touch. Clones are the same.
#[derive(Clone, Debug)]
pub struct Dependency {
    name: &'static str,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    failing: AtomicBool,
    delay_us: AtomicU64,
}

/// A fault made the call fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fault makes every call of '{0}' fail")]
pub struct Broken(&'static str);

impl Dependency {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, state: Arc::default() }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// To be passed before each call: delays it, or makes it fail, while there is such a fault.
    ///
    /// # Errors
    /// If a fault makes it fail.
    pub async fn pass(&self) -> Result<(), Broken> {
        let micros = self.state.delay_us.load(Ordering::Relaxed);
        if micros > 0 {
            tracing::warn!(fault = format!("{}_slow", self.name), delay_us = micros, "a call is delayed");
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        if self.state.failing.load(Ordering::Relaxed) {
            tracing::warn!(fault = format!("{}_failing", self.name), "a call is made to fail");
            return Err(Broken(self.name));
        }
        Ok(())
    }

    pub(crate) fn fail(&self) -> Failing {
        self.state.failing.store(true, Ordering::Relaxed);
        Failing(self.state.clone())
    }

    pub(crate) fn slow_down(&self, delay: Duration) -> Slow {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.state.delay_us.store(micros, Ordering::Relaxed);
        Slow(self.state.clone())
    }
}

/// Its calls fail until this is dropped.
pub(crate) struct Failing(Arc<State>);

impl Drop for Failing {
    fn drop(&mut self) {
        self.0.failing.store(false, Ordering::Relaxed);
    }
}

/// Its calls are delayed until this is dropped.
pub(crate) struct Slow(Arc<State>);

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.delay_us.store(0, Ordering::Relaxed);
    }
}
