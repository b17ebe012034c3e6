//! What is held against one pod: the charges of its runs, and of what nobody has heard of yet.

use std::time::Duration;

use super::charge::{Charge, SETTLING};
use super::inputs::{Hello, ObservedPod, Phase, Report};
use super::names::{Address, BootId, Bounds, Grant, PodName, ScalerId, total};
use super::own::Own;
use crate::domain::moment::Moment;

/// For how long the server must show no session of a run that seems to be over, and may not be. A message that was sent
/// to it before has arrived by then or never will, for a stream whose other end is silent for 20 s is closed; an
/// attempt to connect has succeeded or failed.
pub const RELEASE_AFTER: Duration = Duration::from_secs(30);

/// Names in `application_name` may be cut from this length on: 63 bytes without a boot id and a slash.
const NAME_SHOWN: usize = 54;

/// What the server keeps of an `application_name`, in bytes.
const SHOWN_AT_MOST: usize = 63;

/// Since when something seems to be over, and for how long the server has shown nothing of it.
#[derive(Clone, Copy, Debug, Default)]
struct Over {
    since: Option<Moment>,
    /// When the first of an unbroken series of looks began that showed nothing.
    quiet_since: Option<Moment>,
}

impl Over {
    fn begin(&mut self, now: Moment) {
        self.since.get_or_insert(now);
    }

    fn undo(&mut self) {
        *self = Self::default();
    }

    /// Looks that began before, or in the second after, show less than there may have been: they don't count.
    fn looked(&mut self, began: Moment, sessions: u32) {
        match self.since {
            Some(since) if sessions == 0 && began >= since + SETTLING => {
                self.quiet_since.get_or_insert(began);
            }
            _ => self.quiet_since = None,
        }
    }

    fn is_quiet_for(&self, wanted: Duration, until: Moment) -> bool {
        self.quiet_since.is_some_and(|since| until.since(since) >= wanted)
    }
}

/// One run of a pod.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) boot: BootId,
    /// What it said in its hello; of one that only the server shows, what is known of its pod.
    pub(super) asked: Bounds,
    /// What of that it may be granted.
    pub(super) bounds: Bounds,
    pub(super) charge: Charge,
    /// Its stream is there.
    pub(super) attached: bool,
    /// It has reported since it attached.
    pub(super) reported: bool,
    /// When it said hello first.
    greeted_at: Option<Moment>,
    pub(super) detached_at: Option<Moment>,
    /// The newest that this leader gave.
    pub(super) newest: Option<Grant>,
    pub(super) wanted: Option<u32>,
    /// Its share at the last division.
    pub(super) share: u32,
    /// Begins when another run of the pod speaks, while this one has no stream.
    over: Over,
}

impl Run {
    fn new(boot: BootId, bounds: Bounds, charge: Charge) -> Self {
        Self {
            boot,
            asked: bounds,
            bounds,
            charge,
            attached: false,
            reported: false,
            greeted_at: None,
            detached_at: None,
            newest: None,
            wanted: None,
            share: 0,
            over: Over::default(),
        }
    }

    /// Connections that it may have, or open by itself.
    pub(super) fn charged(&self, now: Moment) -> u32 {
        self.charge.at(now).max(self.bounds.floor)
    }

    /// It is at hand, has nothing, and opens nothing before it is granted something.
    pub(super) fn waits(&self, now: Moment) -> bool {
        self.attached && self.reported && self.charge.is_nothing(now)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.since.is_some()
    }

    /// Its pools take no fewer than it may be granted at the most.
    pub(super) fn is_beyond(&self) -> bool {
        self.asked.floor > self.bounds.ceiling
    }

    /// What it last had by a grant, or else by itself.
    pub(super) fn has(&self) -> u32 {
        self.newest.map_or(self.charge.limit(), |grant| grant.connections)
    }
}

/// Whether a pod is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It said hello, and no set of pods had it yet.
    Unlisted,
    /// The last set had it.
    Listed(Phase),
    /// A set had it, and the last one hasn't.
    Gone,
}

/// One pod.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: PodName,
    pub(super) scaler: Option<ScalerId>,
    pub(super) bounds: Bounds,
    pub(super) presence: Presence,
    pub(super) runs: Vec<Run>,
    /// It may have runs from before this leader that nobody has shown yet.
    pub(super) unheard: bool,
    /// Of a pod whose pool is its own.
    pub(super) own: Option<Own>,
    over: Over,
}

impl Account {
    /// Of a pod that a former leader may have granted something, if it is `unheard`.
    pub(super) fn new(name: PodName, bounds: Bounds, presence: Presence, unheard: bool) -> Self {
        Self { name, scaler: None, bounds, presence, runs: Vec::new(), unheard, own: None, over: Over::default() }
    }

    /// Connections that the pod may have, or open by itself.
    pub(super) fn charged(&self, now: Moment) -> u32 {
        self.with_unknown_runs(total(self.runs.iter().map(|run| run.charged(now))))
    }

    /// The same, less the floors of runs that only wait: as long as the leader lives, they open nothing.
    pub(super) fn charged_without_waiting(&self, now: Moment) -> u32 {
        let waits = |run: &&Run| !run.waits(now);
        self.with_unknown_runs(total(self.runs.iter().filter(waits).map(|run| run.charged(now))))
    }

    fn with_unknown_runs(&self, known: u32) -> u32 {
        let known = match (self.unheard, self.runs.is_empty()) {
            (true, _) => known.max(self.bounds.ceiling),
            (false, true) => self.bounds.floor,
            (false, false) => known,
        };
        self.own.as_ref().map_or(known, |own| known.max(own.at_most(self.bounds.ceiling)))
    }

    /// What is charged only because a new leader hasn't heard, or not looked for, all that may be there.
    pub(super) fn merely_unheard(&self, now: Moment) -> u32 {
        if !self.unheard || !self.is_served() {
            return 0;
        }
        let heard = self.runs.iter().filter(|run| !run.charge.is_inherited()).map(|run| run.charged(now));
        self.charged(now).saturating_sub(total(heard).max(self.bounds.floor))
    }

    /// What the charges of its runs lack of a floor for each.
    pub(super) fn lacks(&self, floor: u32, now: Moment) -> u32 {
        if self.runs.is_empty() {
            return floor.saturating_sub(self.charged(now));
        }
        total(self.runs.iter().map(|run| floor.saturating_sub(run.charged(now))))
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.since.is_some()
    }

    /// Its processes have ended, as the API server has said.
    fn has_ended(&self) -> bool {
        self.presence == Presence::Listed(Phase::Ended)
    }

    /// Whether it may be granted anything.
    pub(super) fn is_served(&self) -> bool {
        matches!(self.presence, Presence::Listed(phase) if phase != Phase::Ended)
    }

    pub(super) fn listed(&mut self, pod: &ObservedPod, bounds: Bounds, is_fixed: bool, now: Moment) {
        if is_fixed {
            self.own.get_or_insert_default().comes_from(pod.address.as_ref());
        }
        self.name = pod.name.clone();
        if self.scaler.replace(pod.scaler.clone()).is_none() {
            // What it said before anybody knew whose it is was measured by all scalers.
            self.runs.iter_mut().for_each(|run| run.bounds = run.asked.below_ceiling(bounds));
        }
        self.bounds = bounds;
        self.presence = Presence::Listed(pod.phase);
        if pod.phase == Phase::Ended { self.over.begin(now) } else { self.over.undo() }
    }

    /// It isn't in the set of pods any more. Whether its processes have ended isn't known, unless it was said before.
    pub(super) fn left(&mut self, now: Moment) {
        if !self.has_ended() {
            self.presence = Presence::Gone;
        }
        self.over.begin(now);
    }

    fn run(&mut self, boot: &BootId) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.boot == *boot)
    }

    /// It says hello; `spec` is what its scaler allows. A pod is believed up to that, or to what was known of it before.
    pub(super) fn attached(&mut self, boot: &BootId, hello: &Hello, spec: Bounds, epoch: u64, now: Moment) {
        let most = if self.scaler.is_some() { self.bounds.or(spec) } else { spec };
        if self.run(boot).is_none() {
            // A container begins again only after some seconds, so these are few, and each is released in its time.
            let bounds = hello.bounds.below_ceiling(most);
            let charge = self.new_charge(epoch, bounds);
            self.runs.push(Run::new(boot.clone(), bounds, charge));
        }
        let Some(run) = self.run(boot) else { return };
        (run.attached, run.reported, run.detached_at) = (true, false, None);
        (run.asked, run.bounds) = (hello.bounds, hello.bounds.below_ceiling(most));
        run.greeted_at.get_or_insert(now);
        self.bounds = hello.bounds.within(most);
        self.spoke(boot, now);
    }

    fn new_charge(&self, epoch: u64, bounds: Bounds) -> Charge {
        Charge::new(epoch, self.unheard.then_some(bounds.ceiling))
    }

    pub(super) fn reported(&mut self, boot: &BootId, report: &Report, now: Moment) {
        let Some(run) = self.run(boot).filter(|run| run.attached) else { return };
        run.reported = true;
        run.charge.reported(report, now);
        self.spoke(boot, now);
    }

    /// Runs of a pod follow one another: whoever has no stream when another speaks, is over.
    fn spoke(&mut self, boot: &BootId, now: Moment) {
        for run in &mut self.runs {
            if run.boot == *boot {
                run.over.undo();
            } else if !run.attached {
                run.over.begin(now);
            }
        }
    }

    pub(super) fn detached(&mut self, boot: &BootId, now: Moment) {
        if let Some(run) = self.run(boot).filter(|run| run.attached) {
            (run.attached, run.detached_at) = (false, Some(now));
        }
        if self.presence == Presence::Unlisted {
            self.over.begin(now);
        }
    }

    /// The server showed these sessions of the pod, in a look that began at `began`. Answers whether nothing is left of
    /// it.
    pub(super) fn looked(&mut self, began: Moment, sessions: &[(&BootId, u32)], epoch: u64, now: Moment) -> bool {
        for (boot, _) in sessions {
            if self.run(boot).is_none() {
                let run = Run::new((*boot).clone(), self.bounds, self.new_charge(epoch, self.bounds));
                self.runs.push(run);
            }
        }
        for run in &mut self.runs {
            let shown = sessions.iter().find(|(boot, _)| **boot == run.boot).map_or(0, |(_, count)| *count);
            run.charge.shown(shown, now);
            run.over.looked(began, shown);
        }
        self.runs.retain(|run| !run.over.is_quiet_for(RELEASE_AFTER, began));
        // A run was heard, and a look since then has shown what earlier ones left.
        let heard = |run: &Run| run.greeted_at.is_some_and(|at| began >= at + SETTLING) && !run.charge.is_inherited();
        if self.unheard && self.runs.iter().any(heard) {
            self.unheard = false;
        }
        let attached = !self.has_ended() && self.runs.iter().any(|run| run.attached);
        let own = self.own.as_ref().map_or(0, |own| own.shown);
        let shown = total(sessions.iter().map(|(_, count)| *count).chain([own]));
        self.over.looked(began, shown.max(u32::from(attached)));
        self.over.is_quiet_for(if self.has_ended() { Duration::ZERO } else { RELEASE_AFTER }, began)
    }

    /// Whether a session is of this pod, whose pool is its own. A name is cut at 63 bytes.
    pub(super) fn owns(&self, address: Option<&Address>, application: &str) -> bool {
        let is_named = || {
            application == self.name.as_str()
                || application.len() >= SHOWN_AT_MOST && self.name.as_str().starts_with(application)
        };
        self.own
            .as_ref()
            .is_some_and(|own| address.is_some_and(|address| own.address.as_ref() == Some(address)) || is_named())
    }

    /// Whether `application_name` means this pod.
    pub(super) fn is_shown_as(&self, shown: &PodName) -> bool {
        self.name == *shown || (shown.as_str().len() >= NAME_SHOWN && self.name.as_str().starts_with(shown.as_str()))
    }
}

/// A run whose pod nobody knows, and of which the server shows sessions.
#[derive(Clone, Debug)]
pub(super) struct Stray {
    pub(super) pod: PodName,
    pub(super) shown: u32,
    over: Over,
}

impl Stray {
    pub(super) fn new(pod: PodName, began: Moment) -> Self {
        Self { pod, shown: 0, over: Over { since: Some(began), quiet_since: None } }
    }

    /// Answers whether nothing is left of it.
    pub(super) fn looked(&mut self, began: Moment, sessions: u32) -> bool {
        self.shown = sessions;
        self.over.looked(began, sessions);
        self.over.is_quiet_for(RELEASE_AFTER, began)
    }
}
