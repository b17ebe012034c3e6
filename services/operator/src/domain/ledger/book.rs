//! The ledger itself: what it keeps, and how it changes with what it is told.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Account, Presence, Stray};
use super::budget::{Budget, Purse};
use super::inputs::{Hello, Look, ObservedPod, Phase, PodSet, Report, ScalerSpec};
use super::names::{BootId, Bounds, Holder, PodName, PodUid, ScalerId};
use super::own::told_apart;
use crate::domain::moment::Moment;

/// A scaler, and how much of it former decisions have provided for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaler {
    pub(super) spec: ScalerSpec,
    /// Pods whose floors have been set aside. Fewer than its places after more replicas were configured, until there is
    /// room.
    pub(super) provided: u32,
    pub(super) weight: u32,
}

/// The time for which this process leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reign {
    pub(super) epoch: u64,
    pub(super) since: Moment,
    /// Its Lease lapses then, unless it is renewed.
    until: Moment,
    /// All pods that existed when it began have been listed.
    pub(super) listed: bool,
    /// All sessions that existed when it began have been shown.
    pub(super) looked: bool,
    pub(super) sequence: u64,
}

/// The connections of one server, and who may have them. The module says how it works.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) purse: Purse,
    pub(super) scalers: BTreeMap<ScalerId, Scaler>,
    pub(super) accounts: BTreeMap<PodUid, Account>,
    pub(super) strays: BTreeMap<BootId, Stray>,
    pub(super) reign: Option<Reign>,
    listed_at: Moment,
    looked_at: Moment,
    latest_epoch: u64,
    #[cfg(test)]
    pub(super) mutant: Option<super::Mutant>,
}

impl Ledger {
    /// Of a server with this budget, and the scalers whose pods use it.
    pub fn new(budget: Budget, scalers: BTreeMap<ScalerId, ScalerSpec>) -> Self {
        let mut ledger = Self {
            purse: Purse::new(budget),
            scalers: BTreeMap::new(),
            accounts: BTreeMap::new(),
            strays: BTreeMap::new(),
            reign: None,
            listed_at: Moment::default(),
            looked_at: Moment::default(),
            latest_epoch: 0,
            #[cfg(test)]
            mutant: None,
        };
        ledger.configure(budget, scalers);
        for scaler in ledger.scalers.values_mut() {
            scaler.provided = scaler.spec.places();
        }
        ledger
    }

    /// The budget or the scalers have changed.
    pub fn configure(&mut self, budget: Budget, scalers: BTreeMap<ScalerId, ScalerSpec>) {
        self.purse.configure(budget);
        let before = std::mem::take(&mut self.scalers);
        self.scalers = scalers
            .into_iter()
            .map(|(id, spec)| {
                let was = before.get(&id);
                // With a higher floor nothing is provided for, for what was set aside may be too little for each.
                let kept = was.filter(|was| was.spec.bounds.floor >= spec.bounds.floor).map_or(0, |was| was.provided);
                let scaler =
                    Scaler { spec, provided: kept.min(spec.places()), weight: was.map_or(1, |was| was.weight) };
                (id, scaler)
            })
            .collect();
    }

    /// This process is the leader until `until`, unless it says later that it is for longer. A new epoch begins with
    /// nothing but what is known of pods: what any other leader may have granted, counts.
    pub fn lead(&mut self, epoch: u64, until: Moment, now: Moment) {
        match &mut self.reign {
            Some(reign) if reign.epoch > epoch => return,
            Some(reign) if reign.epoch == epoch => {
                reign.until = until;
                return;
            }
            _ => {}
        }
        self.latest_epoch = self.latest_epoch.max(epoch);
        self.reign = Some(Reign { epoch, since: now, until, listed: false, looked: false, sequence: 0 });
        self.strays.clear();
        self.accounts.retain(|_, account| account.is_served());
        for account in self.accounts.values_mut() {
            account.runs.clear();
            account.unheard = true;
        }
    }

    /// This process isn't the leader any more. If it becomes it again without another in between, it goes on in the
    /// same epoch.
    pub fn stop_leading(&mut self, now: Moment) {
        if let Some(reign) = &mut self.reign {
            reign.until = reign.until.min(now);
        }
    }

    /// Whether it may grant anything at `now`.
    pub fn is_leading(&self, now: Moment) -> bool {
        self.reign.is_some_and(|reign| now < reign.until)
    }

    /// The latest epoch that led so far, as far as this process knows. It is beyond what the Lease says if somebody
    /// deleted the Lease: whoever leads next needs a later one, for pods refuse earlier ones, so its transitions must
    /// be set beyond this.
    pub fn latest_epoch(&self) -> u64 {
        self.latest_epoch
    }

    /// All pods, whole: what is missing has gone. A set that goes back to an older list than one before is ignored.
    pub fn pods(&mut self, set: &PodSet, now: Moment) {
        if set.listed_at < self.listed_at {
            return;
        }
        self.listed_at = set.listed_at;
        let of_this_reign = self.reign.is_some_and(|reign| set.listed_at >= reign.since);
        for pod in &set.pods {
            self.pod(pod, of_this_reign, now);
        }
        let present: BTreeSet<_> = set.pods.iter().map(|pod| &pod.uid).collect();
        for (uid, account) in &mut self.accounts {
            if matches!(account.presence, Presence::Listed(_)) && !present.contains(uid) {
                account.left(now);
            }
        }
        if !self.is_leading(now) {
            // Nobody looks at the server meanwhile. Should it lead again in the same epoch, it does that first.
            let before = self.accounts.len();
            self.accounts.retain(|uid, account| !account.is_over() || present.contains(uid));
            if let Some(reign) = self.reign.as_mut().filter(|_| self.accounts.len() < before) {
                (reign.since, reign.looked) = (now, false);
            }
        }
        #[cfg(test)]
        if self.mutant == Some(super::Mutant::RefundsOnDelete) {
            self.accounts.retain(|_, account| !account.is_over());
        }
        if let Some(reign) = &mut self.reign {
            reign.listed |= of_this_reign;
        }
    }

    fn pod(&mut self, pod: &ObservedPod, of_this_reign: bool, now: Moment) {
        let scaler = self.scalers.get(&pod.scaler).map(|scaler| scaler.spec);
        let spec = scaler.map(|spec| spec.bounds);
        let is_own = self.accounts.get(&pod.uid).is_some_and(|account| account.own.is_some());
        let is_fixed = is_own || scaler.is_some_and(|spec| spec.is_fixed);
        // What a pod says, or what was said of it once, holds for it: only new pods have new bounds.
        let known =
            self.accounts.get(&pod.uid).filter(|account| account.scaler.is_some()).map(|account| account.bounds);
        let bounds = match (known, spec) {
            // A ceiling that was said too low, and then corrected, was never what the pod kept to.
            (Some(known), Some(spec)) if is_fixed && spec.ceiling > known.ceiling => Some(spec),
            _ => known.or(spec),
        };
        let bounds = pod.bounds.or(bounds).unwrap_or(Bounds { floor: 0, ceiling: 0 });
        let unheard = self.is_unheard();
        let account = self
            .accounts
            .entry(pod.uid.clone())
            .or_insert_with(|| Account::new(pod.name.clone(), bounds, Presence::Listed(pod.phase), unheard));
        account.listed(pod, bounds, is_fixed, now);
        // On no node after the leader began: nothing of it has run before.
        if of_this_reign && pod.phase == Phase::Unbound && account.runs.is_empty() {
            account.unheard = false;
        }
        #[cfg(test)]
        if self.mutant == Some(super::Mutant::ForgetsPartitioned) && account.runs.is_empty() {
            account.unheard = false;
        }
    }

    /// A pod that appears now may be one that a former leader granted something.
    fn is_unheard(&self) -> bool {
        !self.reign.is_some_and(|reign| reign.listed)
    }

    /// A pod has opened a stream to this leader, as the token says which the API server checked.
    pub fn attached(&mut self, holder: &Holder, hello: &Hello, now: Moment) {
        let Some(epoch) = self.reign.map(|reign| reign.epoch) else { return };
        // A pod that isn't listed may be a new one, or one whose object is gone, and that a former leader granted something.
        let scaler = self.accounts.get(&holder.pod).and_then(|account| account.scaler.as_ref());
        let spec = match scaler.and_then(|scaler| self.scalers.get(scaler)) {
            Some(scaler) => scaler.spec.bounds,
            None => self.largest_bounds(),
        };
        let account = self
            .accounts
            .entry(holder.pod.clone())
            .or_insert_with(|| Account::new(hello.name.clone(), hello.bounds.within(spec), Presence::Unlisted, true));
        account.attached(&holder.boot, hello, spec, epoch, now);
        #[cfg(test)]
        if let (Some(flaw), Some(run)) = (
            self.mutant.and_then(super::Mutant::of_charge),
            account.runs.iter_mut().find(|run| run.boot == holder.boot),
        ) {
            run.charge.flaw = Some(flaw);
        }
    }

    /// What an attached pod says. One that knows a later leader makes this process stop. What was said to an earlier
    /// one is ignored: it may have been on its way for long.
    pub fn report(&mut self, holder: &Holder, report: &Report, now: Moment) {
        let Some(epoch) = self.reign.map(|reign| reign.epoch) else { return };
        if report.epoch > epoch {
            self.latest_epoch = self.latest_epoch.max(report.epoch);
            self.stop_leading(now);
        }
        if let Some(account) = self.accounts.get_mut(&holder.pod).filter(|_| report.epoch == epoch) {
            account.reported(&holder.boot, report, now);
            #[cfg(test)]
            if self.mutant == Some(super::Mutant::ForgetsFormerRuns) {
                account.runs.retain(|run| !run.is_over());
            }
        }
    }

    /// A pod's stream has ended, or nothing has come by it for too long.
    pub fn detached(&mut self, holder: &Holder, now: Moment) {
        if let Some(account) = self.accounts.get_mut(&holder.pod) {
            account.detached(&holder.boot, now);
        }
    }

    /// A pod whose pool is its own says what its pools' maximum is, and what it has open.
    pub fn measured(&mut self, pod: &PodUid, most: u32, open: u32) {
        if let Some(own) = self.accounts.get_mut(pod).and_then(|account| account.own.as_mut()) {
            (own.most, own.open) = (most, open);
        }
    }

    /// What the server showed. A look that began before one that came already is ignored.
    pub fn backends(&mut self, look: &Look, now: Moment) {
        if look.started_at < self.looked_at {
            return;
        }
        self.looked_at = look.started_at;
        let (own, others) = told_apart(&self.accounts, &look.unnamed);
        // Before all pods are listed nobody can tell whose those are that name no run.
        let is_told_apart = look.unnamed.is_empty() || self.reign.is_some_and(|reign| reign.listed);
        if !is_told_apart {
            return;
        }
        self.purse.saw_others(look.others.saturating_add(others), now);
        let Some(reign) = self.reign.filter(|reign| look.started_at >= reign.since) else { return };

        let mut of_pod: BTreeMap<PodUid, Vec<_>> = BTreeMap::new();
        let mut strays = BTreeMap::new();
        let pods = Shown::new(&self.accounts);
        for shown in look.sessions.iter().filter(|shown| shown.count > 0) {
            match pods.of(&shown.boot, &shown.pod) {
                Some(uid) => of_pod.entry(uid.clone()).or_default().push((&shown.boot, shown.count)),
                None => drop(strays.insert(&shown.boot, shown)),
            }
        }
        let began = look.started_at;
        self.accounts.retain(|uid, account| {
            let sessions = of_pod.get(uid).map_or(&[][..], Vec::as_slice);
            if let Some(known) = &mut account.own {
                known.shown = own.get(uid).copied().unwrap_or(0);
            }
            !account.looked(began, sessions, reign.epoch, now)
        });
        for (boot, shown) in &strays {
            self.strays.entry((*boot).clone()).or_insert_with(|| Stray::new(shown.pod.clone(), began));
        }
        let accounts = &self.accounts;
        self.strays.retain(|boot, stray| {
            let is_known = || accounts.values().any(|account| account.runs.iter().any(|run| run.boot == *boot));
            match strays.get(boot) {
                Some(shown) => !stray.looked(began, shown.count),
                None => !is_known() && !stray.looked(began, 0),
            }
        });
        if let Some(reign) = &mut self.reign {
            reign.looked = true;
        }
    }

    /// What holders should have, as far as there is room, and how much their scalers weigh. Whoever isn't named keeps
    /// what was said of it before; at first, what it has.
    pub fn demands(&mut self, wanted: &BTreeMap<Holder, u32>, weights: &BTreeMap<ScalerId, u32>) {
        for (id, scaler) in &mut self.scalers {
            scaler.weight = weights.get(id).copied().unwrap_or(scaler.weight);
        }
        for (holder, connections) in wanted {
            let account = self.accounts.get_mut(&holder.pod);
            let run = account.and_then(|account| account.runs.iter_mut().find(|run| run.boot == holder.boot));
            if let Some(run) = run {
                run.wanted = Some(*connections);
            }
        }
    }
}

/// Finds pods by what `application_name` says of them.
struct Shown<'a> {
    accounts: &'a BTreeMap<PodUid, Account>,
    /// Two pods may have chosen the same boot id, though that is rare.
    by_boot: BTreeMap<&'a BootId, Vec<&'a PodUid>>,
    /// Of pods that had the same name one after the other, the one that is there.
    by_name: BTreeMap<&'a str, &'a PodUid>,
}

impl<'a> Shown<'a> {
    fn new(accounts: &'a BTreeMap<PodUid, Account>) -> Self {
        let (mut by_boot, mut by_name) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for (uid, account) in accounts {
            for run in &account.runs {
                by_boot.entry(&run.boot).or_default().push(uid);
            }
            if account.presence != Presence::Gone {
                by_name.insert(account.name.as_str(), uid);
            }
        }
        Self { accounts, by_boot, by_name }
    }

    fn of(&self, boot: &BootId, pod: &PodName) -> Option<&'a PodUid> {
        // The first name from here on is the only one that can begin with what was cut.
        let named = self.by_name.range(pod.as_str()..).next().map(|(_, uid)| *uid);
        let of_run = self.by_boot.get(boot).into_iter().flatten().copied();
        of_run.chain(named).find(|uid| self.accounts[*uid].is_shown_as(pod))
    }
}
