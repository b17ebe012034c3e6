//! What one holder may have open at the most.
//!
//! A pod takes a grant only if it is newer than the one it has. So once it reports grant *g*, none before *g* counts
//! for it any more, and any of *g* and those after it may: they are in force, on their way, or lost, which nobody can
//! tell. The charge is the greatest of these, of the limit and the open connections that it reported, and of the
//! sessions that the server showed. It falls only by what the pod reports, and a second later than that, for the server
//! ends a session after the client has closed it.

use std::time::Duration;

use super::inputs::Report;
use super::names::{Grant, GrantId};
use crate::domain::moment::Moment;

/// By when the server has ended a session that its client closed. kit/pool awaits that its end of the socket is closed;
/// the server reads that and ends its process in some milliseconds, unless it is short of processors.
pub const SETTLING: Duration = Duration::from_secs(1);

/// Which part of the safety argument a test leaves out.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// What is granted counts, acknowledged or not.
    GrowsBeforeAcknowledged,
    /// The newest grant and what was reported count, not the grants that may still arrive.
    ForgetsInFlight,
}

/// The charge of one holder.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    epoch: u64,
    /// What a former leader's grant, in force or on its way, may come to, until the holder reports in this epoch.
    inherited: Option<u32>,
    /// This leader's grants that may be in force now or later, the newest last. An older one that is no greater than a
    /// newer one is left out: it never decides. So there are at most as many as numbers from floor to ceiling.
    grants: Vec<Grant>,
    accepted: Option<GrantId>,
    limit: u32,
    open: u32,
    shown: u32,
    /// What it was before it fell, and until when that counts.
    settling: Vec<(Moment, u32)>,
    #[cfg(test)]
    pub(super) flaw: Option<Flaw>,
}

impl Charge {
    /// Of a holder that may have been granted up to `inherited` by a former leader.
    pub(super) fn new(epoch: u64, inherited: Option<u32>) -> Self {
        Self {
            epoch,
            inherited,
            grants: Vec::new(),
            accepted: None,
            limit: 0,
            open: 0,
            shown: 0,
            settling: Vec::new(),
            #[cfg(test)]
            flaw: None,
        }
    }

    /// A grant is sent.
    pub(super) fn granted(&mut self, grant: Grant) {
        while self.grants.last().is_some_and(|older| older.connections <= grant.connections) {
            self.grants.pop();
        }
        self.grants.push(grant);
    }

    /// The holder reported. From then on it refuses what former leaders gave. A report in another epoch changes
    /// nothing. One that is older than one before, by its grant, only raises the charge, if it says more than is known.
    pub(super) fn reported(&mut self, report: &Report, now: Moment) {
        if report.epoch != self.epoch {
            return;
        }
        let newest = report.newest.filter(|id| id.epoch == self.epoch);
        let is_late = newest < self.accepted || newest > self.grants.last().map(|grant| grant.id);
        let before = self.instant();
        self.inherited = None;
        if is_late {
            (self.limit, self.open) = (self.limit.max(report.limit), self.open.max(report.open));
        } else if let Some(id) = newest {
            self.accepted = Some(id);
            self.grants.retain(|grant| grant.id >= id);
            (self.limit, self.open) = (report.limit, report.open);
        } else {
            // Without a grant it may begin by itself with its floor, and never goes back.
            (self.limit, self.open) = (self.limit.max(report.limit), report.open);
        }
        self.fell(before, now);
    }

    /// The server showed so many sessions of the holder.
    pub(super) fn shown(&mut self, sessions: u32, now: Moment) {
        let before = self.instant();
        self.shown = sessions;
        self.fell(before, now);
    }

    fn fell(&mut self, before: u32, now: Moment) {
        self.settling.retain(|(until, _)| *until > now);
        if self.instant() < before {
            // An earlier entry that is smaller lapses earlier too.
            self.settling.retain(|(_, charge)| *charge > before);
            self.settling.push((now + SETTLING, before));
        }
    }

    fn instant(&self) -> u32 {
        #[cfg(test)]
        match self.flaw {
            Some(Flaw::GrowsBeforeAcknowledged) if !self.grants.is_empty() => {
                return self.grants.last().map_or(0, |newest| newest.connections);
            }
            Some(Flaw::ForgetsInFlight) => {
                let newest = self.grants.last().map_or(0, |newest| newest.connections);
                return newest.max(self.inherited.unwrap_or(0)).max(self.limit).max(self.open).max(self.shown);
            }
            _ => {}
        }
        // The oldest that is left is the greatest.
        let granted = self.grants.first().map_or(0, |greatest| greatest.connections);
        granted.max(self.inherited.unwrap_or(0)).max(self.limit).max(self.open).max(self.shown)
    }

    /// Connections that the holder may have open at `now`, at the most.
    pub(super) fn at(&self, now: Moment) -> u32 {
        let settling = self.settling.iter().filter(|(until, _)| *until > now).map(|(_, charge)| *charge);
        settling.fold(self.instant(), u32::max)
    }

    /// The newest grant that it is known to have taken.
    pub(super) fn accepted(&self) -> Option<GrantId> {
        self.accepted
    }

    /// Connections that it reported as open.
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    /// The limit that it reported.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Sessions that the server showed last.
    pub(super) fn sessions(&self) -> u32 {
        self.shown
    }

    /// Whether it can't have opened anything: it was granted nothing, and says so too.
    pub(super) fn is_nothing(&self, now: Moment) -> bool {
        self.grants.is_empty() && self.at(now) == 0
    }

    /// Whether a former leader's grant may still count.
    pub(super) fn is_inherited(&self) -> bool {
        self.inherited.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CEILING: u32 = 12;

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn grant(sequence: u64, connections: u32) -> Grant {
        Grant { id: GrantId { epoch: 1, sequence }, connections }
    }

    fn report(sequence: u64, limit: u32, open: u32) -> Report {
        Report { epoch: 1, newest: Some(GrantId { epoch: 1, sequence }), limit, open }
    }

    #[test]
    fn a_smaller_grant_counts_a_second_after_it_was_taken_and_its_surplus_closed() {
        let mut charge = Charge::new(1, None);
        charge.granted(grant(1, 10));
        charge.reported(&report(1, 10, 10), at(0));
        charge.granted(grant(2, 4));
        assert_eq!(charge.at(at(100)), 10, "it may not have arrived");
        charge.reported(&report(2, 4, 7), at(200));
        assert_eq!(charge.at(at(1_199)), 10, "the server may still have what was closed");
        assert_eq!(charge.at(at(1_200)), 7, "three more are in use");
        charge.reported(&report(2, 4, 4), at(1_300));
        assert_eq!((charge.at(at(2_299)), charge.at(at(2_300))), (7, 4));
    }

    #[test]
    fn a_grant_that_may_still_arrive_counts_though_a_smaller_one_was_sent_since() {
        let mut charge = Charge::new(1, None);
        charge.granted(grant(1, 3));
        charge.reported(&report(1, 3, 3), at(0));
        charge.granted(grant(2, 9));
        charge.granted(grant(3, 5));
        charge.reported(&report(1, 3, 3), at(10));
        assert_eq!(charge.at(at(5_000)), 9);
        charge.reported(&report(3, 5, 3), at(5_000));
        assert_eq!(charge.at(at(6_000)), 5, "the pod refuses the other one from now on");
    }

    #[test]
    fn a_late_report_lowers_nothing() {
        let mut charge = Charge::new(1, None);
        charge.granted(grant(1, 3));
        charge.granted(grant(2, 9));
        charge.reported(&report(2, 9, 8), at(0));
        charge.reported(&report(1, 3, 3), at(10));
        assert_eq!(charge.at(at(5_000)), 9);
        charge.reported(&report(7, 3, 3), at(20));
        assert_eq!(charge.at(at(5_000)), 9, "nor does one of a grant that was never given");
        charge.reported(&report(1, 3, 11), at(30));
        assert_eq!(charge.at(at(5_000)), 11, "more than is known is believed");
    }

    #[test]
    fn what_a_former_leader_granted_counts_until_the_pod_refuses_it() {
        let mut charge = Charge::new(2, Some(CEILING));
        let newest = Some(GrantId { epoch: 1, sequence: 99 });
        charge.reported(&Report { epoch: 1, newest, limit: 4, open: 4 }, at(0));
        assert_eq!(charge.at(at(5_000)), CEILING, "a greater one of that leader's may be on its way");
        charge.reported(&Report { epoch: 2, newest, limit: 4, open: 5 }, at(6_000));
        assert_eq!((charge.at(at(6_999)), charge.at(at(7_000))), (CEILING, 5));
    }

    #[test]
    fn what_the_server_shows_counts_whatever_was_reported() {
        let mut charge = Charge::new(1, None);
        charge.granted(grant(1, 4));
        charge.shown(6, at(0));
        charge.reported(&report(1, 4, 4), at(0));
        assert_eq!(charge.at(at(60_000)), 6);
        charge.shown(4, at(60_000));
        assert_eq!(charge.at(at(61_000)), 4);
    }

    /// What happens to a pod and to the messages between.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Grant(u32),
        /// One of the grants that were sent comes, in any order, any number of times.
        Arrives(prop::sample::Index),
        Opens,
        Closes,
        /// The pod writes a report; one of those that it wrote comes.
        Reports(prop::sample::Index),
        Passes(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..=CEILING).prop_map(Step::Grant),
            any::<prop::sample::Index>().prop_map(Step::Arrives),
            Just(Step::Opens),
            Just(Step::Closes),
            any::<prop::sample::Index>().prop_map(Step::Reports),
            (0..1_500_u16).prop_map(Step::Passes),
        ];
        prop::collection::vec(step, 0..150)
    }

    proptest! {
        /// A pod that keeps to the protocol, whatever becomes of the messages: the charge is never less than what its
        /// server has, nor more than the whole history of grants and reports allows.
        #[test]
        fn a_pod_never_has_more_than_its_charge_and_the_charge_forgets_nothing_and_keeps_nothing(steps in steps()) {
            let (mut charge, mut now) = (Charge::new(1, None), at(0));
            let (mut sent, mut written) = (Vec::<Grant>::new(), Vec::<Report>::new());
            let (mut newest, mut open) = (None::<Grant>, 0_u32);
            // When a session was closed: the server has it until it has settled.
            let mut closed = Vec::<Moment>::new();
            // What the charge was at each instant, by the whole history.
            let (mut accepted, mut told, mut history) = (None, (0, 0), vec![(now, 0)]);
            for step in steps {
                match step {
                    Step::Grant(connections) => {
                        let next = grant(sent.len() as u64 + 1, connections);
                        sent.push(next);
                        charge.granted(next);
                    }
                    Step::Arrives(which) if !sent.is_empty() => {
                        let grant = *which.get(&sent);
                        if newest.is_none_or(|known| known.id < grant.id) {
                            newest = Some(grant);
                        }
                    }
                    Step::Opens => {
                        let has = open + closed.len() as u32;
                        open += u32::from(newest.is_some_and(|grant| has < grant.connections));
                    }
                    Step::Closes if open > 0 => {
                        open -= 1;
                        closed.push(now);
                    }
                    Step::Reports(which) => {
                        let limit = newest.map_or(0, |grant| grant.connections);
                        written.push(Report { epoch: 1, newest: newest.map(|grant| grant.id), limit, open });
                        let report = *which.get(&written);
                        charge.reported(&report, now);
                        if report.newest >= accepted {
                            (accepted, told) = (report.newest, (report.limit, report.open));
                        } else {
                            told = (told.0.max(report.limit), told.1.max(report.open));
                        }
                    }
                    Step::Passes(millis) => now = now + Duration::from_millis(millis.into()),
                    Step::Arrives(_) | Step::Closes => {}
                }
                closed.retain(|at| now.since(*at) < SETTLING);
                let sessions = open + closed.len() as u32;
                prop_assert!(sessions <= charge.at(now), "{} sessions, {} charged", sessions, charge.at(now));

                let possible = sent.iter().filter(|grant| Some(grant.id) >= accepted);
                let possible = possible.map(|grant| grant.connections).max().unwrap_or(0);
                history.push((now, possible.max(told.0).max(told.1)));
                // Of the moments before, those count that ended less than a second ago.
                let former = history.iter().zip(&history[1..]);
                let counts = former.filter(|(_, (ended, _))| now.since(*ended) < SETTLING).map(|((_, charge), _)| *charge);
                let expected = counts.chain(history.last().map(|(_, charge)| *charge)).max();
                prop_assert_eq!(Some(charge.at(now)), expected);
                prop_assert!(charge.grants.len() <= CEILING as usize + 1);
            }
        }
    }
}
