//! Who leads, decided from what the Lease says and how long it has said so: no clock and no network in it.
//!
//! As client-go's leader election, it never compares clocks of two machines: a follower takes over once the Lease has stood
//! unchanged before its own eyes for [`Terms::term`]. The leader stops by itself [`Terms::lead`] after it *sent* its last
//! renewal that succeeded, which is earlier, whatever was lost on the way.

use std::time::Duration;

use tokio::time::Instant;

/// How long a lead lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a Lease must have stood unchanged before somebody else takes it.
    pub term: Duration,
    /// How long after a renewal was sent its leader acts on it. The rest of the term is for clocks that run unevenly.
    pub lead: Duration,
    /// How often a leader renews, and a follower looks.
    pub renewal: Duration,
}

impl Terms {
    /// What the operator uses. A leader that dies right after a renewal is noticed by a look 1 s later at the latest, and
    /// replaced 10 s after that look; with the time of two calls that is below 15 s. A leader has four renewals, each
    /// with an answer within 2 s, before it must stop.
    pub const DEFAULT: Self =
        Self { term: Duration::from_secs(10), lead: Duration::from_secs(8), renewal: Duration::from_secs(1) };
}

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; nobody, if it was given back.
    pub holder: Option<String>,
    /// How often it has changed hands, which is the epoch of grants.
    pub transitions: u64,
    /// What differs after each renewal.
    pub renewed: String,
    /// The address at which the holder is to be reached.
    pub address: Option<String>,
}

/// What is to be done about a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: somebody else leads.
    Wait,
    /// Write it again: we hold it.
    Renew,
    /// Take it, with this number of transitions.
    Take(u64),
    /// Make it, as there is none, with this number of transitions.
    Make(u64),
}

/// Our part in the contest for one Lease.
#[derive(Clone, Debug)]
pub struct Campaign {
    identity: String,
    terms: Terms,
    seen: Option<(Record, Instant)>,
    /// Until when we lead, and in which epoch.
    lead: Option<(u64, Instant)>,
    /// The largest epoch that anybody was ever seen in.
    newest: u64,
}

impl Campaign {
    /// A contender. `identity` must be this process's alone: a container that starts anew is another contender.
    pub fn new(identity: String, terms: Terms) -> Self {
        Self { identity, terms, seen: None, lead: None, newest: 0 }
    }

    /// An epoch that was seen elsewhere: in a status, or in a pod's report. Ours will be newer even if the Lease was deleted.
    pub fn has_seen_epoch(&mut self, epoch: u64) {
        self.newest = self.newest.max(epoch);
    }

    /// What was read, and what is to be done about it.
    pub fn observes(&mut self, record: Option<Record>, now: Instant) -> Step {
        let Some(record) = record else {
            self.seen = None;
            self.lead = None;
            return Step::Make(self.newest + 1);
        };
        self.newest = self.newest.max(record.transitions);
        let since = match &self.seen {
            Some((before, since)) if *before == record => *since,
            _ => now,
        };
        self.seen = Some((record.clone(), since));
        if record.holder.as_deref() == Some(self.identity.as_str()) {
            return if self.leads(now).is_some() { Step::Renew } else { Step::Take(self.newest + 1) };
        }
        self.lead = None;
        let is_free = record.holder.is_none() || now.duration_since(since) >= self.terms.term;
        if is_free { Step::Take(self.newest + 1) } else { Step::Wait }
    }

    /// What we sent at `sent` was written: a renewal, or the beginning of a lead in this epoch.
    pub fn wrote(&mut self, record: Record, sent: Instant) {
        self.newest = self.newest.max(record.transitions);
        self.lead = Some((record.transitions, sent + self.terms.lead));
        self.seen = Some((record, sent));
    }

    /// It was given back, or somebody else was faster.
    pub fn lost(&mut self) {
        self.lead = None;
    }

    /// Our epoch and until when it lasts, if we lead now.
    pub fn leads(&self, now: Instant) -> Option<(u64, Instant)> {
        self.lead.filter(|(_, until)| now < *until)
    }

    /// Where the leader is to be reached, if somebody else leads as far as we know.
    pub fn leader(&self) -> Option<&str> {
        let (record, _) = self.seen.as_ref()?;
        let is_other = record.holder.as_ref().is_some_and(|holder| *holder != self.identity);
        record.address.as_deref().filter(|_| is_other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms::DEFAULT;

    fn record(holder: &str, transitions: u64, renewed: u64) -> Record {
        Record {
            holder: Some(holder.to_owned()).filter(|holder| !holder.is_empty()),
            transitions,
            renewed: renewed.to_string(),
            address: Some(format!("{holder}:1")),
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_takes_over_when_the_lease_stood_still_and_not_before() {
        let (mut b, start) = (Campaign::new("b".into(), TERMS), Instant::now());
        assert_eq!(b.observes(Some(record("a", 3, 0)), start), Step::Wait);
        assert_eq!(b.leader(), Some("a:1"));
        // Renewed meanwhile: it begins anew.
        assert_eq!(b.observes(Some(record("a", 3, 1)), start + seconds(9)), Step::Wait);
        assert_eq!(b.observes(Some(record("a", 3, 1)), start + seconds(18)), Step::Wait);
        assert_eq!(b.observes(Some(record("a", 3, 1)), start + seconds(19)), Step::Take(4));
        b.wrote(record("b", 4, 2), start + seconds(19));
        assert_eq!(b.leads(start + seconds(20)), Some((4, start + seconds(27))));
        assert_eq!(b.leader(), None, "it is us");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_stops_by_its_own_clock_before_anybody_takes_over() {
        let (mut a, mut b, start) =
            (Campaign::new("a".into(), TERMS), Campaign::new("b".into(), TERMS), Instant::now());
        assert_eq!(a.observes(None, start), Step::Make(1));
        a.wrote(record("a", 1, 0), start);
        // b sees it at once, which is the earliest that it can.
        assert_eq!(b.observes(Some(record("a", 1, 0)), start), Step::Wait);
        let last = start + TERMS.lead - Duration::from_nanos(1);
        assert!(a.leads(last).is_some() && a.leads(start + TERMS.lead).is_none());
        assert_eq!(b.observes(Some(record("a", 1, 0)), start + TERMS.lead), Step::Wait);
        assert_eq!(b.observes(Some(record("a", 1, 0)), start + TERMS.term), Step::Take(2));
    }

    #[tokio::test(start_paused = true)]
    async fn each_lead_has_an_epoch_of_its_own() {
        let (mut a, start) = (Campaign::new("a".into(), TERMS), Instant::now());
        assert_eq!(a.observes(None, start), Step::Make(1));
        a.wrote(record("a", 1, 0), start);
        assert_eq!(a.observes(Some(record("a", 1, 0)), start + seconds(1)), Step::Renew);
        // It came too late to renew, and nobody else came: a new lead nevertheless.
        assert_eq!(a.observes(Some(record("a", 1, 0)), start + seconds(30)), Step::Take(2));
        // The Lease was deleted: what was seen anywhere counts on.
        a.has_seen_epoch(7);
        assert_eq!(a.observes(None, start + seconds(31)), Step::Make(8));
        assert!(a.leads(start).is_none());
        // Given back.
        assert_eq!(a.observes(Some(record("", 9, 1)), start + seconds(32)), Step::Take(10));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_lost_it_leads_no_more() {
        let (mut a, start) = (Campaign::new("a".into(), TERMS), Instant::now());
        a.wrote(record("a", 1, 0), start);
        assert_eq!(a.observes(Some(record("b", 2, 1)), start + seconds(1)), Step::Wait);
        assert!(a.leads(start + seconds(1)).is_none());
        assert_eq!(a.leader(), Some("b:1"));
    }

    #[test]
    fn the_terms_leave_room_for_what_can_go_wrong() {
        // A lead ends a fifth earlier than a term, which is more than clocks differ in their speed.
        assert!(TERMS.lead * 5 <= TERMS.term * 4);
        assert!(TERMS.renewal + TERMS.term + 2 * super::super::ANSWER < seconds(16), "fail-over takes too long");
        assert!((TERMS.renewal + super::super::ANSWER) * 2 < TERMS.lead, "one lost answer must not end a lead");
    }
}
