//! What goes wrong, what people change meanwhile, and how all of it ends.

use super::super::{Bounds, Phase};
use super::cluster::OUTLIVES;
use super::random::Random;
use super::world::{Callers, Event, World, scarce};

/// What can go wrong, or be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    ProcessCutOff,
    ProcessHearsLate,
    AllCutOff,
    OperatorPauses,
    OperatorCrashes,
    /// The leader ends, and some pods reach no broker at the same time.
    ZoneLost,
    OperatorCutFromApi,
    OperatorCutFromDatabase,
    WatchBreaks,
    ContainerCrashes,
    DeletedByForce,
    Deleted,
    Rolled,
    Scaled,
    Configured,
    DatabaseRestarts,
    OthersCome,
}

impl Trouble {
    const ALL: [Self; 17] = [
        Self::ProcessCutOff,
        Self::ProcessHearsLate,
        Self::AllCutOff,
        Self::OperatorPauses,
        Self::OperatorCrashes,
        Self::ZoneLost,
        Self::OperatorCutFromApi,
        Self::OperatorCutFromDatabase,
        Self::WatchBreaks,
        Self::ContainerCrashes,
        Self::DeletedByForce,
        Self::Deleted,
        Self::Rolled,
        Self::Scaled,
        Self::Configured,
        Self::DatabaseRestarts,
        Self::OthersCome,
    ];

    /// One of them, and in every second run some others: each run has its own, for some hide what others would show
    /// (Groce and others: Swarm Testing, 2012).
    pub(super) fn of_seed(seed: u64, random: &mut Random) -> Vec<Self> {
        let kinds = Self::ALL.len() as u64;
        let focus = Self::ALL[(seed % kinds) as usize];
        if (seed / kinds).is_multiple_of(2) {
            return vec![focus];
        }
        let often = random.between(10, 50);
        let others: Vec<_> = Self::ALL.into_iter().filter(|_| random.percent(often)).collect();
        others.iter().copied().chain([focus]).collect()
    }

    fn is_grave(self) -> bool {
        use Trouble::{AllCutOff, OperatorCrashes, OperatorCutFromApi, OperatorPauses, ZoneLost};
        matches!(self, AllCutOff | OperatorCrashes | OperatorCutFromApi | OperatorPauses | ZoneLost)
    }

    /// The first seeds whose runs have this one for certain.
    pub(super) fn seeds(self, count: u64) -> impl Iterator<Item = u64> {
        let kinds = Self::ALL.len() as u64;
        let index = Self::ALL.iter().position(|kind| *kind == self).map_or(0, |index| index as u64);
        (0..count).map(move |nth| nth * kinds + index)
    }
}

/// What comes to its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Repair {
    ProcessReaches(usize, usize),
    ProcessReachesDatabase(usize),
    ProcessHearsInTime(usize),
    OperatorReachesApi(usize),
    OperatorReachesDatabase(usize),
    WatchMended(usize),
    AllCutOffAndRolled,
    /// A process without an object is killed by its node after all.
    OrphanDies(usize),
}

impl World {
    pub(super) fn trouble(&mut self) {
        if self.calm {
            return;
        }
        let kinds = self.troubles.clone();
        let kind = self.random.one_of(&kinds);
        // What takes a leader away is given the time to take its effect.
        let recovers = if kind.is_some_and(Trouble::is_grave) { self.random.between(0, 45_000) } else { 0 };
        let pause = recovers + self.random.between(0, self.trouble_each * 2);
        self.after(pause, Event::Trouble);
        match kind {
            None => {}
            Some(Trouble::ProcessCutOff) => self.process_is_cut_off(),
            Some(Trouble::ProcessHearsLate) => {
                let living = self.living();
                if let Some(process) = self.random.one_of(&living) {
                    self.processes[process].slow = self.random.between(1_000, 4_500);
                    let lasts = self.random.between(20_000, 60_000);
                    self.after(lasts, Event::Repaired(Repair::ProcessHearsInTime(process)));
                }
            }
            Some(Trouble::AllCutOff) => self.all_processes_are_cut_off(),
            Some(Trouble::OperatorPauses) => self.operator_pauses(),
            Some(Trouble::OperatorCrashes) => {
                let operator = self.any_operator();
                self.operator_crashes(operator);
            }
            Some(Trouble::ZoneLost) => self.zone_is_lost(),
            Some(Trouble::OperatorCutFromApi) => {
                let (operator, lasts) = (self.any_operator(), self.random.between(1_000, 30_000));
                self.operators[operator].cut_from_api = true;
                self.after(lasts, Event::Repaired(Repair::OperatorReachesApi(operator)));
            }
            Some(Trouble::OperatorCutFromDatabase) => {
                let (operator, lasts) = (self.any_operator(), self.random.between(1_000, 10_000));
                self.operators[operator].cut_from_database = true;
                self.after(lasts, Event::Repaired(Repair::OperatorReachesDatabase(operator)));
            }
            Some(Trouble::WatchBreaks) => {
                let (operator, lasts) = (self.any_operator(), self.random.between(1_000, 20_000));
                self.operators[operator].watch_is_broken = true;
                self.after(lasts, Event::Repaired(Repair::WatchMended(operator)));
            }
            Some(Trouble::ContainerCrashes) => self.container_crashes(),
            Some(Trouble::DeletedByForce) => self.pod_is_deleted_by_force(),
            Some(Trouble::Deleted) => self.pod_is_deleted(),
            Some(Trouble::Rolled) => self.is_rolled(),
            Some(Trouble::Scaled) => self.is_scaled(),
            Some(Trouble::Configured) => self.is_configured_anew(),
            Some(Trouble::DatabaseRestarts) => self.database_restarts(),
            Some(Trouble::OthersCome) => self.others = self.random.count(0, 4),
        }
    }

    pub(super) fn repaired(&mut self, repair: Repair) {
        match repair {
            Repair::ProcessReaches(process, operator) => self.processes[process].cut[operator] = false,
            Repair::ProcessReachesDatabase(process) => self.processes[process].cut_from_database = false,
            Repair::ProcessHearsInTime(process) => self.processes[process].slow = 0,
            Repair::OperatorReachesApi(operator) => {
                self.operators[operator].cut_from_api = false;
                self.operators[operator].lists_again();
            }
            Repair::OperatorReachesDatabase(operator) => self.operators[operator].cut_from_database = false,
            Repair::WatchMended(operator) => self.operators[operator].lists_again(),
            Repair::AllCutOffAndRolled if self.calm => {}
            Repair::AllCutOffAndRolled => {
                for process in self.living() {
                    self.cut_off(process, 0, 40_000);
                    self.cut_off(process, 1, 40_000);
                }
                self.no_broker_until = self.now + self.random.between(12_000, 35_000);
                self.all_are_rolled();
            }
            Repair::OrphanDies(process) => self.kill(process),
        }
    }

    fn any_operator(&mut self) -> usize {
        self.random.between(0, 1) as usize
    }

    fn any_scaler(&mut self) -> usize {
        self.random.between(0, self.scalers.len() as u64 - 1) as usize
    }

    fn living(&self) -> Vec<usize> {
        (0..self.pods.len()).filter_map(|pod| self.alive(pod)).collect()
    }

    fn cut_off(&mut self, process: usize, operator: usize, longest: u64) {
        let lasts = self.random.between(500, longest);
        self.processes[process].cut[operator] = true;
        self.after(lasts, Event::Repaired(Repair::ProcessReaches(process, operator)));
    }

    fn process_is_cut_off(&mut self) {
        let living = self.living();
        let Some(process) = self.random.one_of(&living) else { return };
        match self.random.between(0, 3) {
            0 => {
                let operator = self.any_operator();
                self.cut_off(process, operator, 30_000);
            }
            1 => {
                let lasts = self.random.between(500, 20_000);
                self.processes[process].cut_from_database = true;
                self.after(lasts, Event::Repaired(Repair::ProcessReachesDatabase(process)));
            }
            _ => {
                self.cut_off(process, 0, 60_000);
                self.cut_off(process, 1, 60_000);
            }
        }
    }

    /// All is rolled, and while the pods from before still terminate, it is rolled again where no pod finds a broker.
    fn all_processes_are_cut_off(&mut self) {
        self.all_are_rolled();
        let soon = self.random.between(5_000, 25_000);
        self.after(soon, Event::Repaired(Repair::AllCutOffAndRolled));
    }

    fn all_are_rolled(&mut self) {
        for workload in &mut self.workloads {
            workload.generation += 1;
        }
    }

    fn operator_crashes(&mut self, operator: usize) {
        let pause = self.random.between(100, 8_000);
        self.operators[operator].alive = false;
        self.after(pause, Event::OperatorStarts(operator));
    }

    fn zone_is_lost(&mut self) {
        if let Some((operator, _)) = self.lease.holder {
            self.operator_crashes(operator);
        }
        for process in self.living() {
            if self.random.percent(40) {
                self.cut_off(process, 0, 60_000);
                self.cut_off(process, 1, 60_000);
            }
        }
    }

    /// Its process stands still, and what comes meanwhile waits: a leader may find that its Lease has lapsed. It may
    /// stand still between a decision and its sending.
    fn operator_pauses(&mut self) {
        let pause = self.random.between(500, 30_000);
        let leader = self.lease.holder.filter(|_| self.random.percent(70)).map(|(operator, _)| operator);
        let operator = leader.unwrap_or_else(|| self.any_operator());
        if self.random.percent(50) {
            self.operators[operator].paused_until = self.now + pause;
        } else {
            self.operators[operator].pauses_before_sending = pause;
        }
    }

    fn container_crashes(&mut self) {
        let living = self.living();
        let Some(process) = self.random.one_of(&living) else { return };
        let pod = self.processes[process].pod;
        if !self.has_place(self.pods[pod].scaler) {
            return;
        }
        self.kill(process);
        let delay = self.random.between(100, 5_000);
        self.after(delay, Event::ContainerStarts(pod));
    }

    /// Its object goes at once, and its process ends when its node comes to it.
    fn pod_is_deleted_by_force(&mut self) {
        let has_something = |process: &usize| {
            let process = &self.processes[*process];
            process.sessions() > 0 && !process.cut_from_database
        };
        let candidates: Vec<_> = self
            .living()
            .into_iter()
            .filter(|process| self.pods[self.processes[*process].pod].object.is_some())
            .filter(|process| self.beyond || has_something(process))
            .collect();
        let Some(process) = self.random.one_of(&candidates) else { return };
        self.changes(self.processes[process].pod, None);
        let lasts = self.random.between(0, OUTLIVES);
        self.after(lasts, Event::Repaired(Repair::OrphanDies(process)));
    }

    fn pod_is_deleted(&mut self) {
        let present: Vec<_> = (0..self.pods.len()).filter(|pod| self.pods[*pod].object.is_some()).collect();
        if let Some(pod) = self.random.one_of(&present) {
            self.deletes_pod(pod);
        }
    }

    fn is_rolled(&mut self) {
        let scaler = self.any_scaler();
        self.workloads[scaler].generation += 1;
    }

    fn is_scaled(&mut self) {
        let scaler = self.any_scaler();
        let by_hand = if self.beyond { self.random.count(0, 3) } else { 0 };
        let most = self.workloads[scaler].max_replicas + by_hand;
        self.workloads[scaler].replicas = self.random.count(0, most);
    }

    fn is_configured_anew(&mut self) {
        let scaler = self.any_scaler();
        let id = self.scalers[scaler].clone();
        let mut configured = self.configured.clone();
        if let Some(spec) = configured.scalers.get_mut(&id) {
            match self.random.between(0, 2) {
                // Fewer, where nobody can keep pods waiting that start: that is beyond the boundary.
                0 if spec.is_fixed => spec.max_replicas = self.random.count(spec.max_replicas, 3),
                0 => spec.max_replicas = self.random.count(1, 3),
                1 if !spec.is_fixed => {
                    let floor = self.random.count(1, 2);
                    spec.bounds = Bounds { floor, ceiling: floor + self.random.count(1, 40) };
                }
                _ => {}
            }
        }
        configured.budget = scarce(&configured.scalers, &mut self.random);
        let spec = configured.scalers[&id];
        self.configured = configured;
        // Where there may be fewer pods from now on, there soon are.
        let workload = &mut self.workloads[scaler];
        workload.max_replicas = workload.max_replicas.min(spec.max_replicas);
        workload.replicas = workload.replicas.min(spec.max_replicas);
        self.judged_budget = self.judged_budget.max(self.configured.budget.connections());
    }

    /// All sessions end at once.
    fn database_restarts(&mut self) {
        let is_orphan = |process: usize| self.pods[self.processes[process].pod].object.is_none();
        if !self.beyond && self.living().into_iter().any(is_orphan) {
            return;
        }
        for process in &mut self.processes {
            (process.open, process.closing) = (0, 0);
        }
        self.sessions = 0;
    }

    pub(super) fn load_moves(&mut self) {
        if self.calm {
            return;
        }
        let pause = self.random.between(500, self.load_moves_each);
        self.after(pause, Event::LoadMoves);
        for process in self.living() {
            let load = match self.random.between(0, 3) {
                0 => 0,
                1 => self.random.count(0, 40),
                _ => 40,
            };
            self.processes[process].wanted = load;
            if self.callers == Callers::AsWanted {
                self.processes[process].load = load;
            }
        }
    }

    /// From now on nothing goes wrong, and all of them want all that they can have.
    pub(super) fn calms_down(&mut self) {
        self.calm = true;
        self.no_broker_until = self.now;
        self.others = 0;
        self.mends_operators();
        for process in &mut self.processes {
            (process.cut, process.cut_from_database, process.stubborn) = ([false; 2], false, false);
            process.slow = 0;
            (process.load, process.wanted) = (u32::MAX, u32::MAX);
        }
        for scaler in 0..self.scalers.len() {
            let max_replicas = self.configured.scalers[&self.scalers[scaler]].max_replicas;
            self.workloads[scaler].replicas = self.workloads[scaler].replicas.clamp(1, max_replicas);
        }
        for pod in 0..self.pods.len() {
            if std::mem::take(&mut self.pods[pod].never_starts) {
                self.after(100, Event::ContainerStarts(pod));
            }
        }
        let terminating =
            (0..self.pods.len()).filter(|pod| self.pods[*pod].object == Some(Phase::Terminating)).collect::<Vec<_>>();
        for pod in terminating {
            self.grace_ends(pod);
        }
    }
}
