//! A pod's process: what kit/broker does with what a broker says, and kit/pool with a limit.

use super::super::{BootId, Bounds, Grant, Holder, Report};
use super::world::Millis;

/// Without a leader for so long, a process that was never granted anything opens its floor.
pub(super) const FLOOR_AFTER: Millis = 10_000;
/// A stream by which nothing has come for so long is given up.
const SILENCE: Millis = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) operator: usize,
    pub(super) id: u64,
    pub(super) welcomed: bool,
    heard_at: Millis,
}

/// What a leader sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    Welcome(u64),
    Grant(Grant),
    /// Something else, which shows that the stream is alive.
    Heard,
}

pub(super) struct Process {
    pub(super) pod: usize,
    pub(super) holder: Holder,
    pub(super) bounds: Bounds,
    /// Its pool is its own: it knows no broker.
    pub(super) is_fixed: bool,
    pub(super) alive: bool,
    known_epoch: u64,
    newest: Option<Grant>,
    /// It has opened its floor by itself.
    pub(super) began_alone: bool,
    pub(super) open: u32,
    /// Closed by the process, and not yet ended by the server.
    pub(super) closing: u32,
    /// Connections that the operator's decisions want for it.
    pub(super) wanted: u32,
    /// Connections that its callers would keep busy.
    pub(super) load: u32,
    /// It keeps each connection for as long as it can.
    pub(super) stubborn: bool,
    pub(super) stream: Option<Stream>,
    without_leader_since: Option<Millis>,
    /// Which of the two operators it can't reach.
    pub(super) cut: [bool; 2],
    /// All that is sent to it takes so much longer.
    pub(super) slow: Millis,
    /// It can't reach the database.
    pub(super) cut_from_database: bool,
    /// The server showed no session of it while its pod's object was gone: the boundary that the module speaks of.
    pub(super) unseen: bool,
}

impl Process {
    pub(super) fn new(pod: usize, holder: Holder, bounds: Bounds, is_fixed: bool, now: Millis) -> Self {
        Self {
            pod,
            holder,
            bounds,
            is_fixed,
            alive: true,
            known_epoch: 0,
            newest: None,
            began_alone: false,
            open: 0,
            closing: 0,
            wanted: 0,
            load: 0,
            stubborn: false,
            stream: None,
            without_leader_since: Some(now),
            cut: [false; 2],
            slow: 0,
            cut_from_database: false,
            unseen: false,
        }
    }

    pub(super) fn boot(&self) -> &BootId {
        &self.holder.boot
    }

    /// What the server has of it.
    pub(super) fn sessions(&self) -> u32 {
        self.open + self.closing
    }

    pub(super) fn limit(&self) -> u32 {
        match self.newest {
            _ if self.is_fixed => self.bounds.ceiling,
            Some(grant) => grant.connections,
            None if self.began_alone => self.bounds.floor,
            None => 0,
        }
    }

    /// What it always has open: a pool of its own keeps one.
    pub(super) fn least(&self) -> u32 {
        if self.is_fixed { 1 } else { self.bounds.floor }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.alive && self.limit() > 0 && self.open >= self.least()
    }

    pub(super) fn report(&self) -> Report {
        let newest = self.newest.map(|grant| grant.id);
        Report { epoch: self.known_epoch, newest, limit: self.limit(), open: self.open }
    }

    /// Something has come by a stream.
    pub(super) fn receives(&mut self, stream: u64, down: Down, takes_old: bool, now: Millis) {
        let mut current = self.stream.filter(|current| current.id == stream);
        if let Some(current) = &mut current {
            current.heard_at = now;
        }
        match down {
            Down::Heard => {}
            Down::Welcome(epoch) if epoch >= self.known_epoch => {
                self.known_epoch = epoch;
                if let Some(current) = &mut current {
                    current.welcomed = true;
                    self.without_leader_since = None;
                }
            }
            // A leader of former times: another one will be looked for.
            Down::Welcome(_) => current = None,
            // What was read counts, even if it came by a stream that has been given up since.
            Down::Grant(grant) => self.takes(grant, takes_old),
        }
        if self.stream.is_some_and(|known| known.id == stream) {
            self.stream = current;
        }
    }

    fn takes(&mut self, grant: Grant, takes_old: bool) {
        let of_a_former = grant.id.epoch < self.known_epoch;
        let is_older = self.newest.is_some_and(|newest| newest.id >= grant.id);
        if if of_a_former { takes_old } else { !is_older } {
            assert!(grant.connections >= self.bounds.floor && grant.connections <= self.bounds.ceiling, "{grant:?}");
            self.known_epoch = self.known_epoch.max(grant.id.epoch);
            self.newest = Some(grant);
        }
    }

    /// Gives a silent stream up, and opens its floor if there has been no leader for too long.
    pub(super) fn looks_at_its_stream(&mut self, now: Millis) {
        if self.stream.is_some_and(|stream| now - stream.heard_at > SILENCE) {
            self.stream = None;
        }
        if !self.stream.is_some_and(|stream| stream.welcomed) {
            let since = *self.without_leader_since.get_or_insert(now);
            if self.newest.is_none() && now - since >= FLOOR_AFTER {
                self.began_alone = true;
            }
        }
    }

    pub(super) fn begins_stream(&mut self, operator: usize, id: u64, now: Millis) {
        self.stream = Some(Stream { operator, id, welcomed: false, heard_at: now });
    }

    /// Its process ends at once: the server has the rest to end.
    pub(super) fn dies(&mut self) {
        self.alive = false;
        self.closing += self.open;
        self.open = 0;
        self.stream = None;
    }
}
