//! One stream, from its hello to its end.

use std::time::Duration;

use selvage_proto::pool::v1;
use selvage_proto::pool::v1::attach_request::Message;
use selvage_proto::pool::v1::attach_response::Message as Answer;
use selvage_proto::pool::v1::{AttachRequest, AttachResponse};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Status, Streaming};

use super::streams::Attached;
use super::{Event, Happening, Hello, Identity, Leadership, Offer, parse};

/// The longest that a stream lasts: a token that was taken back is found out when the next one begins.
const LONGEST: Duration = Duration::from_secs(600);
/// After this long without a report, ten of which were due, whoever is there isn't.
const SILENCE: Duration = Duration::from_secs(10);
/// Messages of one stream are read this far apart, so that none takes more than 20 turns a second from all others.
const BETWEEN_MESSAGES: Duration = Duration::from_millis(50);
/// How long the last word of a stream waits for its reader.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A stream, and who is on it.
pub(super) struct Session {
    pub(super) attached: Attached,
    pub(super) identity: Identity,
    pub(super) hello: Hello,
    pub(super) incoming: Streaming<AttachRequest>,
    pub(super) offers: watch::Receiver<Offer>,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) answers: mpsc::Sender<Result<AttachResponse, Status>>,
}

/// An answer with this in it.
pub(super) fn answer(message: Answer) -> AttachResponse {
    AttachResponse { message: Some(message) }
}

fn offered(offer: &Offer) -> AttachResponse {
    answer(match offer.clone() {
        Offer::Grant { id: (epoch, sequence), connections } => {
            Answer::Grant(v1::Grant { id: Some(v1::GrantId { epoch, sequence }), connections })
        }
        Offer::Pending(reason) => Answer::Pending(v1::Pending { reason }),
    })
}

impl Session {
    /// Carries messages until the stream is over, and says so to whoever decides.
    pub(super) async fn run(mut self) {
        self.offers.mark_changed();
        let ended = self.carry().await;
        if let Err(status) = ended {
            self.last(Err(status)).await;
        }
        // Err: nobody decides any more, and nobody needs to know.
        let _ = self.tell(Happening::Detached).await;
    }

    /// `Err` if the stream ends with an error.
    async fn carry(&mut self) -> Result<(), Status> {
        let until = Instant::now() + LONGEST;
        let mut silent_at = Instant::now() + SILENCE;
        let mut read_at = Instant::now();
        loop {
            let is_reading = Instant::now() >= read_at;
            let request = tokio::select! {
                biased;
                () = self.attached.replaced.cancelled() => {
                    return Err(Status::aborted("a newer stream of this process has come"));
                }
                () = self.answers.closed() => return Ok(()),
                changed = self.leadership.changed() => {
                    let now = self.leadership.borrow_and_update().clone();
                    // What was said in an epoch is over with it, also where the next one is this replica's again.
                    if changed.is_err() || !matches!(now, Leadership::Leading { .. }) {
                        self.last(Ok(now.answer())).await;
                    }
                    return Ok(());
                }
                () = sleep_until(until) => return Ok(()),
                () = sleep_until(silent_at) => return Err(Status::deadline_exceeded("nothing was reported for 10 s")),
                // A place for it first: what is newest is looked up then.
                Ok(place) = place(&mut self.offers, &self.answers) => {
                    place.send(Ok(offered(&self.offers.borrow_and_update())));
                    continue;
                }
                message = self.incoming.message(), if is_reading => match message? {
                    Some(request) => request,
                    None => return Ok(()),
                },
                () = sleep_until(read_at), if !is_reading => continue,
            };
            self.heard(request).await?;
            read_at = Instant::now() + BETWEEN_MESSAGES;
            silent_at = Instant::now() + SILENCE;
        }
    }

    async fn heard(&mut self, request: AttachRequest) -> Result<(), Status> {
        let invalid = |error: parse::Invalid| Status::invalid_argument(error.to_string());
        match request.message {
            Some(Message::Report(report)) => {
                let report = parse::report(report, &self.hello).map_err(invalid)?;
                self.tell(Happening::Reported(Box::new(report))).await?;
            }
            Some(Message::Hello(hello)) => {
                let (claimed, boot_id, hello) = parse::hello(hello).map_err(invalid)?;
                if claimed != self.identity || boot_id != self.attached.holder.boot_id {
                    return Err(Status::permission_denied("a stream is of one process"));
                }
                if hello.budget != self.hello.budget {
                    return Err(Status::invalid_argument("a stream is about one budget"));
                }
                self.hello = hello.clone();
                self.tell(Happening::Changed(hello)).await?;
            }
            None => return Err(Status::invalid_argument("a message must have a hello or a report")),
        }
        Ok(())
    }

    /// The last word of the stream. One who doesn't read it in time finds that the stream is over.
    async fn last(&self, word: Result<AttachResponse, Status>) {
        let _ = timeout(LAST_WORD, self.answers.send(word)).await;
    }

    /// Waits while whoever decides is behind: the client then finds that its messages aren't taken, and keeps the newest.
    async fn tell(&self, what: Happening) -> Result<(), Status> {
        let event = Event { holder: self.attached.holder.clone(), stream: self.attached.number, what };
        self.events.send(event).await.map_err(|_| Status::unavailable("the operator is about to end"))
    }
}

/// A place in the answers, once there is an offer that wasn't sent.
async fn place<'a>(
    offers: &mut watch::Receiver<Offer>,
    answers: &'a mpsc::Sender<Result<AttachResponse, Status>>,
) -> Result<mpsc::Permit<'a, Result<AttachResponse, Status>>, ()> {
    // An error: nobody can put anything in any more.
    if !offers.has_changed().map_err(drop)? {
        offers.changed().await.map_err(drop)?;
        offers.mark_changed();
    }
    answers.reserve().await.map_err(drop)
}
