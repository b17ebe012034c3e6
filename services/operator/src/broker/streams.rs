//! Which streams there are: one of each holder, and not too many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::Holder;

/// Runs of one pod that may be attached at the same time: its present one, and those whose end wasn't noticed yet.
const MAX_OF_POD: usize = 4;

#[derive(Default)]
struct Known {
    attached: HashMap<Holder, (u64, CancellationToken)>,
    /// Streams so far.
    count: u64,
}

/// The streams that there are.
#[derive(Clone)]
pub(super) struct Streams {
    known: Arc<Mutex<Known>>,
    most: usize,
}

impl Streams {
    pub(super) fn new(most: usize) -> Self {
        Self { known: Arc::default(), most }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, which replaces the one before of the same holder; `None` if there are too many.
    pub(super) fn attach(&self, holder: &Holder) -> Option<Attached> {
        let mut known = self.known();
        let is_new = !known.attached.contains_key(holder);
        let of_pod = known.attached.keys().filter(|other| other.pod_uid == holder.pod_uid).count();
        if is_new && (known.attached.len() >= self.most || of_pod >= MAX_OF_POD) {
            return None;
        }
        known.count += 1;
        let (number, replaced) = (known.count, CancellationToken::new());
        if let Some((_, before)) = known.attached.insert(holder.clone(), (number, replaced.clone())) {
            before.cancel();
        }
        Some(Attached { streams: self.clone(), holder: holder.clone(), number, replaced })
    }
}

/// A stream that is attached, until this is dropped.
pub(super) struct Attached {
    streams: Streams,
    pub(super) holder: Holder,
    /// A later stream has a higher one.
    pub(super) number: u64,
    /// A newer stream of the holder has come.
    pub(super) replaced: CancellationToken,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut known = self.streams.known();
        if known.attached.get(&self.holder).is_some_and(|(number, _)| *number == self.number) {
            known.attached.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(pod: &str, boot: u32) -> Holder {
        Holder { pod_uid: pod.into(), boot_id: format!("{boot:08x}") }
    }

    #[test]
    fn a_newer_stream_of_a_holder_replaces_the_one_before() {
        let streams = Streams::new(1);
        let first = streams.attach(&holder("a", 1)).unwrap();
        let second = streams.attach(&holder("a", 1)).unwrap();
        assert!(first.replaced.is_cancelled() && !second.replaced.is_cancelled());
        assert!(second.number > first.number);
        drop(first);
        assert!(streams.attach(&holder("b", 1)).is_none(), "the second one is still there");
        drop(second);
        assert!(streams.attach(&holder("b", 1)).is_some());
    }

    #[test]
    fn streams_are_bounded_in_all_and_for_each_pod() {
        let streams = Streams::new(6);
        let of_a: Vec<_> = (0..5).map(|boot| streams.attach(&holder("a", boot))).collect();
        assert_eq!(of_a.iter().flatten().count(), MAX_OF_POD);
        let of_others: Vec<_> = ["b", "c", "d"].map(|pod| streams.attach(&holder(pod, 0))).into();
        assert_eq!(of_others.iter().flatten().count(), 2);
        assert!(streams.attach(&holder("a", 0)).is_some(), "one that replaces another needs no room");
    }
}
