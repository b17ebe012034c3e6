//! What the processes say of themselves: every instance of every service, each asked apart, so that one that is away keeps
//! nobody waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use futures::stream::Stream;
use selvage_boot::Life;
use selvage_context::deadline;
use selvage_proto::operations::v1::operations_client::OperationsClient;
use selvage_proto::operations::v1::{
    EndFaultRequest, Fault, ListFaultsRequest, ProcessStatus, StartFaultRequest, WatchRequest,
};
use selvage_rpc::{Channel, with_token};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Response, Status, Streaming};

/// How long a page waits for a process before it shows it as away.
const LOOK_BOUND: Duration = Duration::from_millis(800);
/// How long a fault's start or end may take in all the instances that it is for.
const ACT_BOUND: Duration = Duration::from_secs(2);
/// Instances that are shown; further ones aren't. One says some 5 KB a second, so 200 say 1 MB to a page that watches and 8 MB to
/// eight; each has a stream to each of them, of the 32 that an instance has for four processes of pages.
pub(crate) const MAX_INSTANCES: usize = 200;
/// A process that has said nothing for so long is away: it speaks once a second.
const SILENCE: Duration = Duration::from_secs(3);
/// After which one that is away is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// What several say within so long is shown together, and so much longer for each of them: 200 are drawn once a second.
const TOGETHER: Duration = Duration::from_millis(150);
const TOGETHER_EACH: Duration = Duration::from_millis(4);

/// What was seen of a process.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// It said this.
    Here(Box<ProcessStatus>),
    /// It doesn't answer, or not in time.
    Away,
    /// It doesn't take the token.
    Refused,
}

/// An instance of a service, and what was seen of it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// The service's.
    pub(crate) name: String,
    /// Where it is; empty in this process, and where the service's name has no address.
    pub(crate) address: String,
    /// The service has several instances, so that its name alone doesn't tell which.
    pub(crate) is_one_of_several: bool,
    pub(crate) seen: Seen,
}

impl Process {
    fn boot_id(&self) -> &str {
        match &self.seen {
            Seen::Here(status) => &status.boot_id,
            Seen::Away | Seen::Refused => "",
        }
    }

    /// As people tell it from others: "cart", or "cart at 10.0.0.7:50052 (cart-7f9c, 1a2b3c4d)".
    pub(crate) fn label(&self) -> String {
        if !self.is_one_of_several {
            return self.name.clone();
        }
        match &self.seen {
            Seen::Here(status) => {
                let known =
                    [status.host.as_str(), status.boot_id.as_str()].into_iter().filter(|known| !known.is_empty());
                format!("{} at {} ({})", self.name, self.address, known.collect::<Vec<_>>().join(", "))
            }
            Seen::Away | Seen::Refused => format!("{} at {}", self.name, self.address),
        }
    }

    /// `name` for one of its kind on a page: "cart", or "cart-127.0.0.1:50052".
    pub(crate) fn id(&self, name: &str) -> String {
        if self.is_one_of_several { format!("{name}-{}", self.address) } else { name.to_owned() }
    }

    /// By which a form names it: its service, where and which run of it, so that nobody is meant who came after it.
    pub(crate) fn key(&self) -> String {
        if self.is_one_of_several {
            format!("{}@{}@{}", self.name, self.address, self.boot_id())
        } else {
            self.name.clone()
        }
    }
}

/// The processes of the shop, by service.
pub(crate) struct Processes(Arc<[(String, Channel)]>);

type Answer<T> = Result<T, Status>;
/// What each instance that was asked has answered, with its address.
pub(crate) type Answers<T> = Vec<(String, Answer<T>)>;

impl Processes {
    pub(crate) fn new(processes: Vec<(String, Channel)>) -> Self {
        Self(processes.into())
    }

    /// All instances, at most [`MAX_INSTANCES`]: the number of their service, their address and a channel to each.
    async fn instances(&self) -> Vec<(usize, String, Channel)> {
        let found = self.0.iter().map(|(_, channel)| timeout(LOOK_BOUND, channel.instances()));
        let found = join_all(found).await.into_iter().enumerate();
        let each = found.flat_map(|(service, found)| {
            found.unwrap_or_default().into_iter().map(move |(address, channel)| (service, address, channel))
        });
        each.take(MAX_INSTANCES).collect()
    }

    /// All of them, within two seconds.
    pub(crate) async fn look(&self, token: &str) -> Vec<Process> {
        let instances = self.instances().await;
        let looks = instances.into_iter().map(async |(service, address, channel)| {
            let first = async { watch(&channel, token).await?.message().await };
            let bounded = deadline::scope(Instant::now() + LOOK_BOUND, timeout(LOOK_BOUND, first));
            let seen = match bounded.await {
                Ok(Ok(Some(status))) => Seen::Here(Box::new(status)),
                Ok(Err(status)) if is_refusal(&status) => Seen::Refused,
                _ => Seen::Away,
            };
            ((service, address), seen)
        });
        listed(&self.0, &join_all(looks).await.into_iter().collect())
    }

    /// All of them again and again, as they change; ends with `life`.
    pub(crate) fn watch(&self, token: &str, life: &Life) -> impl Stream<Item = Vec<Process>> + Send + use<> {
        let (services, token, life) = (self.0.clone(), token.to_owned(), life.clone());
        async_stream::stream! {
            let mut stopping = Box::pin(life.stopping());
            let mut watched = Watched::new(services, token, life);
            loop {
                let mut is_other = watched.follow();
                let heard = tokio::select! {
                    heard = timeout(AGAIN, watched.heard.recv()) => heard.ok().flatten(),
                    () = &mut stopping => return,
                };
                if let Some(said) = heard {
                    is_other = true;
                    watched.take(said);
                    let until = Instant::now() + TOGETHER + TOGETHER_EACH * u32::try_from(watched.all.len()).unwrap_or(0);
                    while let Ok(Some(said)) = timeout_at(until, watched.heard.recv()).await {
                        watched.take(said);
                    }
                }
                if is_other {
                    yield listed(&watched.services, &watched.all);
                }
            }
        }
    }

    /// Whether the processes take the token; `None` if none can be asked.
    pub(crate) async fn takes(&self, token: &str) -> Option<bool> {
        let instances = self.instances().await;
        let asked = instances.into_iter().map(async |(_, _, channel)| {
            let request = with_token(token, ListFaultsRequest {});
            deadline::scope(Instant::now() + LOOK_BOUND, OperationsClient::new(channel).list_faults(request)).await
        });
        let answers = join_all(asked).await;
        let refused = |answer: &Answer<_>| answer.as_ref().is_err_and(is_refusal);
        if answers.iter().any(refused) {
            return Some(false);
        }
        answers.iter().any(Result::is_ok).then_some(true)
    }

    /// Starts a fault in an instance, or in all of a service's, as `key` says.
    pub(crate) async fn start(&self, key: &str, token: &str, request: StartFaultRequest) -> Answers<Fault> {
        let (meant, boot_id) = self.meant(key).await;
        let asked = meant.into_iter().map(async |(address, channel)| {
            let request = StartFaultRequest { boot_id: boot_id.to_owned(), ..request.clone() };
            let mut client = OperationsClient::new(channel);
            let asked = client.start_fault(with_token(token, request));
            (address, deadline::scope(Instant::now() + ACT_BOUND, asked).await.map(Response::into_inner))
        });
        or_nobody(key, join_all(asked).await)
    }

    /// Ends a fault in the instance that `key` names, whose boot id the fault's has in it.
    pub(crate) async fn end(&self, key: &str, token: &str, fault_id: &str) -> Answers<Fault> {
        let (meant, _) = self.meant(key).await;
        let asked = meant.into_iter().map(async |(address, channel)| {
            let request = EndFaultRequest { fault_id: fault_id.to_owned() };
            let mut client = OperationsClient::new(channel);
            let asked = client.end_fault(with_token(token, request));
            (address, deadline::scope(Instant::now() + ACT_BOUND, asked).await.map(Response::into_inner))
        });
        or_nobody(key, join_all(asked).await)
    }

    /// The instances that `key` means, as [`Process::key`] makes it, and the run that it must be; a service's name alone means
    /// all of them.
    async fn meant<'a>(&self, key: &'a str) -> (Vec<(String, Channel)>, &'a str) {
        let mut parts = key.splitn(3, '@').chain(std::iter::repeat(""));
        let mut part = || parts.next().unwrap_or_default();
        let (name, meant, boot_id) = (part(), part(), part());
        let all = self.instances().await.into_iter();
        let found = all.filter(|(service, address, _)| {
            self.0[*service].0 == name && (meant.is_empty() || address.as_str() == meant)
        });
        (found.map(|(_, address, channel)| (address, channel)).collect(), boot_id)
    }
}

fn or_nobody<T>(key: &str, answers: Answers<T>) -> Answers<T> {
    if answers.is_empty() {
        vec![(key.to_owned(), Err(Status::not_found("there is no such process")))]
    } else {
        answers
    }
}

/// By the number of its service, and its address.
type Key = (usize, String);

/// What was seen, in the order of the services; one of which nothing is known is away.
fn listed(services: &[(String, Channel)], all: &BTreeMap<Key, Seen>) -> Vec<Process> {
    let of = |(service, (name, _)): (usize, &(String, Channel))| {
        let seen: Vec<_> = all.iter().filter(|((of, _), _)| *of == service).collect();
        let is_one_of_several = seen.len() > 1;
        let process = |address: &str, seen: Seen| Process {
            name: name.clone(),
            address: address.to_owned(),
            is_one_of_several,
            seen,
        };
        match seen.is_empty() {
            true => vec![process("", Seen::Away)],
            false => seen.into_iter().map(|((_, address), seen)| process(address, seen.clone())).collect(),
        }
    };
    services.iter().enumerate().flat_map(of).collect()
}

/// The instances that somebody watches, as they come and go.
struct Watched {
    services: Arc<[(String, Channel)]>,
    token: String,
    life: Life,
    all: BTreeMap<Key, Seen>,
    following: BTreeMap<Key, AbortHandle>,
    /// Dropped with this, and so ended.
    tasks: JoinSet<()>,
    say: mpsc::Sender<(Key, Seen)>,
    heard: mpsc::Receiver<(Key, Seen)>,
}

impl Watched {
    fn new(services: Arc<[(String, Channel)]>, token: String, life: Life) -> Self {
        let (say, heard) = mpsc::channel(MAX_INSTANCES);
        let (all, following) = (BTreeMap::new(), BTreeMap::new());
        Self { services, token, life, all, following, tasks: JoinSet::new(), say, heard }
    }

    /// Begins to follow the instances that are new, and forgets those that are gone; whether there were any.
    fn follow(&mut self) -> bool {
        let mut now = BTreeMap::new();
        for (service, (_, channel)) in self.services.iter().enumerate() {
            let found = channel.instances().now_or_never().unwrap_or_default();
            now.extend(found.into_iter().map(|(address, channel)| ((service, address), channel)));
        }
        while now.len() > MAX_INSTANCES {
            now.pop_last();
        }
        let before = self.following.len();
        self.following.retain(|key, task| {
            let is_there = now.contains_key(key);
            if !is_there {
                task.abort();
                self.all.remove(key);
            }
            is_there
        });
        let mut is_other = self.following.len() != before;
        for (key, channel) in now {
            if !self.following.contains_key(&key) {
                is_other = true;
                self.all.insert(key.clone(), Seen::Away);
                let (token, life, say) = (self.token.clone(), self.life.clone(), self.say.clone());
                let task = self.tasks.spawn(follow(key.clone(), channel, token, life, say));
                self.following.insert(key, task);
            }
        }
        // Those that were aborted.
        while self.tasks.try_join_next().is_some() {}
        is_other
    }

    fn take(&mut self, (key, seen): (Key, Seen)) {
        // The last word of one that is gone isn't taken.
        if let Some(known) = self.all.get_mut(&key) {
            *known = seen;
        }
    }
}

fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}

async fn watch(channel: &Channel, token: &str) -> Answer<Streaming<ProcessStatus>> {
    Ok(OperationsClient::new(channel.clone()).watch(with_token(token, WatchRequest {})).await?.into_inner())
}

/// Says what one instance says, for as long as somebody listens.
async fn follow(key: Key, channel: Channel, token: String, life: Life, say: mpsc::Sender<(Key, Seen)>) {
    let say = async |seen| say.send((key.clone(), seen)).await.is_ok();
    loop {
        let watching = deadline::scope(Instant::now() + SILENCE, watch(&channel, &token)).await;
        let last = match watching {
            Ok(mut statuses) => {
                while let Ok(Ok(Some(status))) = timeout(SILENCE, statuses.message()).await {
                    if !say(Seen::Here(Box::new(status))).await {
                        return;
                    }
                }
                Seen::Away
            }
            Err(status) if is_refusal(&status) => Seen::Refused,
            Err(_) => Seen::Away,
        };
        if !say(last).await || !life.sleep(AGAIN).await {
            return;
        }
    }
}
