//! Whole sets of objects, kept by watches that list anew again and again.
//!
//! A watch loses deletions while it is away, and one whose connection died in silence goes on looking well. So each [`Watched`]
//! lists everything anew every [`RELIST`], and says when it last did: [`verdict`] tells from that whether the process is of
//! any use. What is decided is decided from whole sets, never from one event.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::Api;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Lookup, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

/// How often everything is listed anew. A list of 1,000 pods is some megabytes; that is bearable three times a minute.
pub const RELIST: Duration = Duration::from_secs(20);

/// How long a list may take before another one is begun.
const LISTING: Duration = Duration::from_secs(30);

/// How long a watch may go without a list before it counts as dead: three of them missed.
pub const WEDGED: Duration = Duration::from_secs(60);

/// How many objects are asked for at once.
const PAGE: u32 = 500;

/// All objects of a kind, as they were last seen.
pub struct Watched<K: Lookup + 'static>
where
    K::DynamicType: Hash + Eq,
{
    kind: &'static str,
    objects: Store<K>,
    seen: watch::Receiver<Seen>,
    again: Arc<Notify>,
}

/// What is known of the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When the last list that is complete was begun; nothing before the first.
    pub listed: Option<Instant>,
    /// Another number whenever something changed that matters.
    pub revision: u64,
}

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Watches them, and lists them anew at this pace: [`RELIST`]. The future does it, until it is dropped.
    ///
    /// `matters` makes of an object what counts as a change of it: its generation, for one whose status we write ourselves.
    pub fn start<M: Hash + 'static>(
        kind: &'static str,
        api: Api<K>,
        pace: Duration,
        matters: impl Fn(&K) -> M + Send + Sync + 'static,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        Self::start_trimmed(kind, api, pace, |_| {}, matters)
    }

    /// The same, and `trim` takes from each object what nobody looks at, before it is kept.
    pub fn start_trimmed<M: Hash + 'static>(
        kind: &'static str,
        api: Api<K>,
        pace: Duration,
        trim: impl Fn(&mut K) + Send + Sync + 'static,
        matters: impl Fn(&K) -> M + Send + Sync + 'static,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (objects, writer) = reflector::store();
        let (sender, seen) = watch::channel(Seen::default());
        let again = Arc::new(Notify::new());
        let work = keep(kind, api, pace, trim, matters, writer, sender, again.clone());
        (Self { kind, objects, seen, again }, work)
    }

    /// The kind, as it is said in metrics.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// All of them; nothing before the first list is complete, which isn't the same as none.
    pub fn all(&self) -> Option<Vec<Arc<K>>> {
        self.seen.borrow().listed.map(|_| self.objects.state())
    }

    /// Lists them anew now, and not only when it is due.
    pub fn list_anew(&self) {
        self.again.notify_one();
    }

    /// What is known of the set, now and as it changes.
    pub fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }
}

/// Watches as long as the pace says, and begins again.
#[expect(clippy::too_many_arguments, reason = "the parts of one watch, given over to it")]
async fn keep<K, M: Hash>(
    kind: &'static str,
    api: Api<K>,
    pace: Duration,
    trim: impl Fn(&mut K),
    matters: impl Fn(&K) -> M,
    mut writer: Writer<K>,
    seen: watch::Sender<Seen>,
    again: Arc<Notify>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let objects = writer.as_reader();
    let mut before = fingerprint(&[], &matters);
    loop {
        let begun = Instant::now();
        let config = watcher::Config::default().page_size(PAGE);
        // A new stream begins with a list, and replaces the set only when that is complete.
        let mut events = watcher(api.clone(), config).default_backoff().boxed();
        let mut is_listed = false;
        let until = |is_listed: bool| begun + if is_listed { pace } else { LISTING };
        loop {
            let next = tokio::select! {
                next = timeout_at(until(is_listed), events.next()) => next,
                () = again.notified() => break,
            };
            let Ok(Some(event)) = next else { break };
            let event = match event {
                Ok(event) => event.modify(|object| {
                    object.managed_fields_mut().clear();
                    trim(object);
                }),
                Err(error) => {
                    tracing::warn!(
                        kind,
                        error = format!("{:#}", anyhow::Error::from(error)),
                        "a watch was interrupted"
                    );
                    continue;
                }
            };
            let is_list = matches!(event, Event::InitDone);
            is_listed |= is_list;
            // Half a list isn't looked at.
            let is_whole = is_list || is_listed && matches!(event, Event::Apply(_) | Event::Delete(_));
            // Whoever reads sees the set and its revision together.
            seen.send_if_modified(|seen| {
                writer.apply_watcher_event(&event);
                if !is_whole {
                    return false;
                }
                let now = fingerprint(&objects.state(), &matters);
                let changed = seen.listed.is_none() || now != before;
                if is_list {
                    seen.listed = Some(begun);
                }
                seen.revision += u64::from(changed);
                before = now;
                changed
            });
        }
    }
}

/// A number that is another if one of them came, went, or changed in what matters.
fn fingerprint<K: Resource, M: Hash>(objects: &[Arc<K>], matters: &impl Fn(&K) -> M) -> u64 {
    // The order in a store is none.
    objects.iter().fold(0, |sum, object| {
        let mut hasher = DefaultHasher::new();
        object.meta().uid.hash(&mut hasher);
        object.meta().deletion_timestamp.is_some().hash(&mut hasher);
        matters(object).hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    })
}

/// Whether the process is of any use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was listed a short time ago, or is about to be.
    Sound,
    /// The API server doesn't answer at all. To begin anew wouldn't help: the Lease runs out by itself, and pods keep what
    /// they have.
    CutOff,
    /// The API server answers, and these kinds haven't been listed for [`WEDGED`]: nothing that is decided is worth anything.
    Wedged(Vec<&'static str>),
}

/// Judges watches by when they last listed, and the API server by when it last answered about the Lease.
pub fn verdict(
    started: Instant,
    watches: &[(&'static str, Option<Instant>)],
    answered: Option<Instant>,
    now: Instant,
) -> Verdict {
    let is_old = |listed: Option<Instant>| now.duration_since(listed.unwrap_or(started)) > WEDGED;
    let dead: Vec<_> = watches.iter().filter(|(_, listed)| is_old(*listed)).map(|(kind, _)| *kind).collect();
    if dead.is_empty() {
        Verdict::Sound
    } else if answered.is_some_and(|answered| now.duration_since(answered) < RELIST) {
        Verdict::Wedged(dead)
    } else {
        Verdict::CutOff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dead_watch_is_told_from_an_api_server_that_is_gone() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let listed = |pods: u64, scalers: u64| [("pods", Some(at(pods))), ("poolscalers", Some(at(scalers)))];
        let judged = |watches: &[_], answered: u64, now: u64| verdict(start, watches, Some(at(answered)), at(now));
        assert_eq!(judged(&listed(100, 100), 160, 160), Verdict::Sound);
        assert_eq!(judged(&listed(100, 150), 160, 161), Verdict::Wedged(vec!["pods"]));
        assert_eq!(judged(&listed(100, 150), 130, 161), Verdict::CutOff);
        assert_eq!(verdict(start, &listed(1, 1), None, at(100)), Verdict::CutOff);
        // Never listed at all, since the start.
        assert_eq!(judged(&[("pods", None)], 60, 60), Verdict::Sound);
        assert_eq!(judged(&[("pods", None)], 61, 61), Verdict::Wedged(vec!["pods"]));
    }
}
