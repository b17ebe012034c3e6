//! What the processes say of themselves, each asked apart: one that is away keeps nobody waiting.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{Stream, StreamExt as _, select_all};
use selvage_boot::Life;
use selvage_context::deadline;
use selvage_proto::operations::v1::operations_client::OperationsClient;
use selvage_proto::operations::v1::{
    EndFaultRequest, Fault, ListFaultsRequest, ProcessStatus, StartFaultRequest, WatchRequest,
};
use selvage_rpc::{Channel, with_token};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status, Streaming};

/// How long a page waits for a process before it shows it as away.
const LOOK_BOUND: Duration = Duration::from_millis(800);
/// A process that has said nothing for so long is away: it speaks once a second.
const SILENCE: Duration = Duration::from_secs(3);
/// After which one that is away is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// What several say within so long is shown together.
const TOGETHER: Duration = Duration::from_millis(150);

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

/// A process, and what was seen of it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) seen: Seen,
}

/// The processes of the shop.
pub(crate) struct Processes(Vec<(String, OperationsClient<Channel>)>);

type Answer<T> = Result<T, Status>;

impl Processes {
    pub(crate) fn new(processes: Vec<(String, Channel)>) -> Self {
        let client = |(name, channel)| (name, OperationsClient::new(channel));
        Self(processes.into_iter().map(client).collect())
    }

    /// All of them, within a second.
    pub(crate) async fn look(&self, token: &str) -> Vec<Process> {
        let looks = self.0.iter().map(async |(name, client)| {
            let first = async { watch(client.clone(), token).await?.message().await };
            let bounded = deadline::scope(Instant::now() + LOOK_BOUND, timeout(LOOK_BOUND, first));
            let seen = match bounded.await {
                Ok(Ok(Some(status))) => Seen::Here(Box::new(status)),
                Ok(Err(status)) if is_refusal(&status) => Seen::Refused,
                _ => Seen::Away,
            };
            Process { name: name.clone(), seen }
        });
        join_all(looks).await
    }

    /// All of them again and again, as they change; ends with `life`.
    pub(crate) fn watch(&self, token: &str, life: &Life) -> impl Stream<Item = Vec<Process>> + Send + use<> {
        let each = self.0.iter().enumerate().map(|(place, (_, client))| {
            follow(client.clone(), token.to_owned(), life.clone()).map(move |seen| (place, seen)).boxed()
        });
        let mut updates = select_all(each.collect::<Vec<_>>());
        let mut all: Vec<_> = self.0.iter().map(|(name, _)| Process { name: name.clone(), seen: Seen::Away }).collect();
        async_stream::stream! {
            while let Some((place, seen)) = updates.next().await {
                all[place].seen = seen;
                let until = Instant::now() + TOGETHER;
                while let Ok(Some((place, seen))) = timeout_at(until, updates.next()).await {
                    all[place].seen = seen;
                }
                yield all.clone();
            }
        }
    }

    /// Whether a process takes the token; `None` if none can be asked.
    pub(crate) async fn takes(&self, token: &str) -> Option<bool> {
        let asked = self.0.iter().map(async |(_, client)| {
            let request = with_token(token, ListFaultsRequest {});
            deadline::scope(Instant::now() + LOOK_BOUND, client.clone().list_faults(request)).await
        });
        let answers = join_all(asked).await;
        let refused = |answer: &Answer<_>| answer.as_ref().is_err_and(is_refusal);
        if answers.iter().any(refused) {
            return Some(false);
        }
        answers.iter().any(Result::is_ok).then_some(true)
    }

    /// Starts a fault in a process.
    pub(crate) async fn start(&self, process: &str, token: &str, request: StartFaultRequest) -> Answer<Fault> {
        Ok(self.of(process)?.start_fault(with_token(token, request)).await?.into_inner())
    }

    /// Ends a fault in a process.
    pub(crate) async fn end(&self, process: &str, token: &str, fault_id: &str) -> Answer<Fault> {
        let request = EndFaultRequest { fault_id: fault_id.to_owned() };
        Ok(self.of(process)?.end_fault(with_token(token, request)).await?.into_inner())
    }

    fn of(&self, process: &str) -> Answer<OperationsClient<Channel>> {
        let found = self.0.iter().find(|(name, _)| name == process).map(|(_, client)| client.clone());
        found.ok_or_else(|| Status::not_found("there is no such process"))
    }
}

fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}

async fn watch(mut client: OperationsClient<Channel>, token: &str) -> Answer<Streaming<ProcessStatus>> {
    Ok(client.watch(with_token(token, WatchRequest {})).await?.into_inner())
}

/// One process for as long as somebody watches.
fn follow(client: OperationsClient<Channel>, token: String, life: Life) -> impl Stream<Item = Seen> + Send {
    async_stream::stream! {
        let mut stopping = Box::pin(life.stopping());
        loop {
            let watching = deadline::scope(Instant::now() + SILENCE, watch(client.clone(), &token));
            let watching = tokio::select! { watching = watching => watching, () = &mut stopping => return };
            match watching {
                Ok(mut statuses) => {
                    loop {
                        let next = tokio::select! {
                            next = timeout(SILENCE, statuses.message()) => next,
                            () = &mut stopping => return,
                        };
                        match next {
                            Ok(Ok(Some(status))) => yield Seen::Here(Box::new(status)),
                            _ => break,
                        }
                    }
                    yield Seen::Away;
                }
                Err(status) if is_refusal(&status) => yield Seen::Refused,
                Err(_) => yield Seen::Away,
            }
            if !life.sleep(AGAIN).await {
                return;
            }
        }
    }
}
