//! The rpcs.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use selvage_faults::Faults;
use selvage_identity::{Caller, Role, caller};
use selvage_proto::operations::v1::operations_server::Operations;
use selvage_proto::operations::v1::{
    EndFaultRequest, Fault, ListFaultsRequest, ListFaultsResponse, ProcessStatus, StartFaultRequest, WatchRequest,
};
use selvage_status::{Error, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::looks::Looks;
use super::{parse, view};
use crate::Life;

/// Watchers at once: four operations pages of 8 each. A status has some 10 KB, so they take 320 KB a second.
const MAX_WATCHERS: usize = 32;
/// The longest that a stream lasts; its client then asks again, perhaps another process.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Who finds no room may come again after this.
const COME_AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Server {
    looks: Looks,
    faults: Faults,
    life: Life,
    room: Arc<Semaphore>,
}

impl Server {
    pub(super) fn new(looks: Looks, faults: Faults, life: Life) -> Self {
        Self { looks, faults, life, room: Arc::new(Semaphore::new(MAX_WATCHERS)) }
    }
}

/// One who watches.
struct Watcher<E> {
    status: watch::Receiver<Arc<ProcessStatus>>,
    faults: Faults,
    /// By their role.
    may_disturb: bool,
    until: Instant,
    stopping: E,
    _room: OwnedSemaphorePermit,
}

impl<E: Future<Output = ()> + Unpin> Watcher<E> {
    async fn next(&mut self) -> Option<ProcessStatus> {
        tokio::select! {
            changed = self.status.changed() => changed.ok()?,
            () = tokio::time::sleep_until(self.until) => return None,
            () = &mut self.stopping => return None,
        }
        let mut status = ProcessStatus::clone(&self.status.borrow_and_update());
        // Who has just started one sees it, though the last look was before.
        status.faults = self.faults.active().iter().map(view::fault).collect();
        status.may_start_faults = status.faults_allowed && self.may_disturb;
        Some(status)
    }
}

/// Who may look at the process.
const LOOK: [Role; 3] = [Role::Operations, Role::Faults, Role::Admin];
/// Who may start and end faults in it.
const DISTURB: [Role; 2] = [Role::Faults, Role::Admin];

/// The caller, who must be in one of `roles`.
fn one_of<'a, T>(roles: &[Role], request: &'a Request<T>) -> Result<&'a Caller, Error> {
    let caller = caller(request)?;
    caller.require(roles)?;
    Ok(caller)
}

#[tonic::async_trait]
impl Operations for Server {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<ProcessStatus, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let may_disturb = DISTURB.contains(&one_of(&LOOK, &request)?.role());
        let room =
            self.room.clone().try_acquire_owned().map_err(|_| {
                Error::new(ErrorCode::ResourceExhausted, "too many watch already").retry_after(COME_AGAIN)
            })?;
        let status = self.looks.watch();
        let stopping = Box::pin(self.life.stopping());
        let (faults, until) = (self.faults.clone(), Instant::now() + LONGEST);
        let watcher = Watcher { status, faults, may_disturb, until, stopping, _room: room };
        let updates = unfold(watcher, |mut watcher| async move { Some((Ok(watcher.next().await?), watcher)) });
        Ok(Response::new(Box::pin(updates)))
    }

    async fn start_fault(&self, request: Request<StartFaultRequest>) -> Result<Response<Fault>, Status> {
        let by = one_of(&DISTURB, &request)?.subject().to_owned();
        parse::is_for_us(&request.get_ref().boot_id)?;
        let started = self.faults.start(parse::ask(request.into_inner(), &by)?).map_err(parse::refused)?;
        Ok(Response::new(view::fault(&started)))
    }

    async fn end_fault(&self, request: Request<EndFaultRequest>) -> Result<Response<Fault>, Status> {
        one_of(&DISTURB, &request)?;
        let (boot_id, id) = parse::fault_id(&request.get_ref().fault_id)?;
        parse::is_for_us(&boot_id)?;
        Ok(Response::new(view::fault(&self.faults.end(id).map_err(parse::refused)?)))
    }

    async fn list_faults(&self, request: Request<ListFaultsRequest>) -> Result<Response<ListFaultsResponse>, Status> {
        one_of(&LOOK, &request)?;
        Ok(Response::new(ListFaultsResponse { faults: self.faults.active().iter().map(view::fault).collect() }))
    }
}
