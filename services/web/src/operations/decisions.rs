//! What the operator says of its decisions and grants, where the pages are told of one.

use std::path::PathBuf;
use std::time::Duration;

use futures::stream::Stream;
use selvage_boot::Life;
use selvage_context::deadline;
use selvage_proto::pool::v1::decisions_client::DecisionsClient;
use selvage_proto::pool::v1::{WatchBudgetsRequest, WatchBudgetsResponse};
use selvage_rpc::{Channel, with_token};
use tokio::time::{Instant, timeout};
use tonic::{Code, Status, Streaming};

/// How long a page waits for the operator before it shows it as away.
const LOOK_BOUND: Duration = Duration::from_millis(800);
/// How long the beginning of a stream may take: a replica that doesn't lead asks the one that does, and both ask Kubernetes.
const OPENING: Duration = Duration::from_secs(5);
/// The operator decides each second: after this long without a word it is away.
const SILENCE: Duration = Duration::from_secs(5);
/// After which it is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// A service account's token has some 1,500 bytes.
const MAX_TOKEN_FILE: usize = 16 * 1024;

/// Where the operator is, and as whom it is asked.
#[derive(Clone, Debug)]
pub struct Decider {
    /// A channel to its replicas.
    pub channel: Channel,
    /// The file with the token of a service account, which is read anew for each stream: it changes.
    pub token_file: PathBuf,
    /// The namespace that is looked at; all of them if it is empty.
    pub namespace: String,
}

/// What was seen of the operator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// It said this.
    Here(Box<WatchBudgetsResponse>),
    /// Nothing, for this reason.
    Away(String),
}

impl Decider {
    /// What it says now.
    pub(crate) async fn look(&self) -> Told {
        let first = async { self.open().await?.message().await };
        match timeout(LOOK_BOUND, first).await {
            Ok(Ok(Some(said))) => Told::Here(Box::new(said)),
            Ok(Err(status)) => Told::Away(in_words(&status)),
            Ok(Ok(None)) | Err(_) => Told::Away("it doesn't answer".to_owned()),
        }
    }

    /// What it says again and again; ends with `life`.
    pub(crate) fn watch(self, life: Life) -> impl Stream<Item = Told> + Send {
        async_stream::stream! {
            let mut stopping = Box::pin(life.stopping());
            loop {
                let opened = tokio::select! {
                    opened = timeout(OPENING, self.open()) => opened,
                    () = &mut stopping => return,
                };
                let why = match opened {
                    Ok(Ok(mut said)) => loop {
                        let heard = tokio::select! {
                            heard = timeout(SILENCE, said.message()) => heard,
                            () = &mut stopping => return,
                        };
                        match heard {
                            Ok(Ok(Some(budgets))) => yield Told::Here(Box::new(budgets)),
                            // It ends a stream now and then, and when another replica leads.
                            Ok(Ok(None)) => break None,
                            Ok(Err(status)) => break Some(in_words(&status)),
                            Err(_) => break Some("it says nothing any more".to_owned()),
                        }
                    },
                    Ok(Err(status)) => Some(in_words(&status)),
                    Err(_) => Some("it doesn't answer".to_owned()),
                };
                if let Some(why) = why {
                    yield Told::Away(why);
                }
                if !life.sleep(AGAIN).await {
                    return;
                }
            }
        }
    }

    async fn open(&self) -> Result<Streaming<WatchBudgetsResponse>, Status> {
        let token = tokio::fs::read_to_string(&self.token_file).await.unwrap_or_default();
        let token = token.trim();
        if token.is_empty() || token.len() > MAX_TOKEN_FILE {
            return Err(Status::unauthenticated("the file of the token for it can't be read"));
        }
        let request = WatchBudgetsRequest { namespace: self.namespace.clone() };
        let mut client = DecisionsClient::new(self.channel.clone());
        let asked = client.watch_budgets(with_token(token, request));
        Ok(deadline::scope(Instant::now() + OPENING, asked).await?.into_inner())
    }
}

/// Why it says nothing, for who runs the shop.
fn in_words(status: &Status) -> String {
    match status.code() {
        Code::Unauthenticated => "it doesn't take the token of these pages".to_owned(),
        Code::PermissionDenied => {
            "these pages may not list PoolScalers: their service account needs a Role for that".to_owned()
        }
        Code::Unavailable | Code::DeadlineExceeded => "it doesn't answer".to_owned(),
        Code::ResourceExhausted => "too many ask it".to_owned(),
        _ => "what answers in its place isn't it".to_owned(),
    }
}
