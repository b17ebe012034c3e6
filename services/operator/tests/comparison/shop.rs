//! The shop in steps of a tenth of a second: calls come, wait in the pools of the pods and are served, pods start and end. The
//! pools are ours, whoever scales: they queue for a second at most, prefer what is critical, and open a connection when it is
//! needed. Only limits and replicas are a policy's.

use std::collections::VecDeque;

use super::database::{BUDGET, Database, FOR_CLIENTS};
use super::measure::Measured;
use super::random::Random;
use super::shape::{MIN_REPLICAS, SERVICES, SURGE, Shape};

/// Seconds.
pub(crate) const STEP: f64 = 0.1;
/// Steps in a second.
pub(crate) const STEPS: usize = 10;
/// From a pod's birth until it is ready.
const STARTS_IN: usize = 8 * STEPS;
/// A pod that ends keeps its connections for so long.
const ENDS_IN: usize = 10 * STEPS;
/// A statement that doesn't come back ends after so long.
const TIMEOUT: f64 = 5.0;
/// The server notices that a client is gone this much later.
const NOTICED_IN: usize = 25 * STEPS;
/// Cores that a pod may use. It requests one.
const CORES: f64 = 2.0;
/// An answer that comes later is no use.
const USEFUL: f64 = 2.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Ready from this step on, if it may have connections.
    Starting(usize),
    Ready,
    /// Gone at this step.
    Ending(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) id: u32,
    revision: u32,
    pub(crate) phase: Phase,
    pub(crate) ready_since: usize,
    pub(crate) limit: u32,
    pub(crate) open: u32,
    /// Connections that died in silence, until this step.
    dead: (u32, usize),
    /// Those that we ended and the server hasn't noticed, each until a step.
    stranded: Vec<(usize, u32)>,
    leaked: u32,
    pub(crate) leaked_since: Option<usize>,
    leaks: f64,
    queues: [VecDeque<(usize, u32)>; 3],
    /// Parts of a call that could have been served.
    credit: f64,
    /// Connections that work.
    working: f64,
    pub(crate) uses: u64,
    pub(crate) use_seconds: f64,
    pub(crate) refused: u64,
    /// Seconds of CPU used so far.
    pub(crate) cpu: f64,
}

impl Pod {
    fn new(id: u32, revision: u32, phase: Phase, limit: u32) -> Self {
        Self {
            id,
            revision,
            phase,
            ready_since: 0,
            limit,
            open: 0,
            dead: (0, 0),
            stranded: Vec::new(),
            leaked: 0,
            leaked_since: None,
            leaks: 0.0,
            queues: Default::default(),
            credit: 0.0,
            working: 0.0,
            uses: 0,
            use_seconds: 0.0,
            refused: 0,
            cpu: 0.0,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending(_))
    }

    /// It runs, and asks for connections.
    pub(crate) fn has_started(&self, step: usize) -> bool {
        match self.phase {
            Phase::Starting(at) => at <= step,
            Phase::Ready => true,
            Phase::Ending(_) => false,
        }
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.queues.iter().flatten().map(|(_, calls)| calls).sum()
    }

    pub(crate) fn in_use(&self) -> u32 {
        (self.working.round() as u32 + self.leaked + self.dead.0).min(self.open)
    }

    /// What the server has of it: open and stranded connections.
    pub(crate) fn sessions(&self) -> u32 {
        self.open + self.stranded.iter().map(|(_, count)| count).sum::<u32>()
    }

    fn usable(&self) -> u32 {
        self.open.min(self.limit).saturating_sub(self.leaked + self.dead.0)
    }

    /// Refuses calls of a class: those that wait, or others.
    fn refuse(&mut self, class: usize, calls: u32, measured: &mut Measured) {
        self.refused += u64::from(calls);
        measured.refused[class] += u64::from(calls);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) pods: Vec<Pod>,
    pub(crate) replicas: u32,
    revision: u32,
    /// The limit of a new pod. Without one it waits until it is given one.
    pub(crate) initial: Option<u32>,
}

pub(crate) struct Shop {
    pub(crate) shape: Shape,
    pub(crate) step: usize,
    pub(crate) services: Vec<Deployment>,
    pub(crate) database: Database,
    pub(crate) measured: Measured,
    random: Random,
    ids: u32,
}

/// Steps before the shape's first second, in which everybody gets to know the shop.
pub(crate) const BEFORE: usize = 120 * STEPS;

impl Shop {
    pub(crate) fn new(shape: Shape, seed: u64, initial: Option<u32>) -> Self {
        let mut shop = Self {
            shape,
            step: 0,
            services: Vec::new(),
            database: Database::new(),
            measured: Measured::new(shape),
            random: Random::new(seed),
            ids: 0,
        };
        for _ in SERVICES {
            let mut pods = Vec::new();
            for _ in 0..MIN_REPLICAS {
                shop.ids += 1;
                pods.push(Pod::new(shop.ids, 0, Phase::Starting(0), initial.unwrap_or_default()));
            }
            shop.services.push(Deployment { pods, replicas: MIN_REPLICAS, revision: 0, initial });
        }
        shop
    }

    /// The shape's second; below zero before it begins.
    pub(crate) fn second(&self) -> f64 {
        (self.step as f64 - BEFORE as f64) * STEP
    }

    pub(crate) fn is_over(&self) -> bool {
        self.step >= BEFORE + self.shape.seconds() * STEPS
    }

    pub(crate) fn sessions(&self) -> u32 {
        self.services.iter().flat_map(|service| &service.pods).map(Pod::sessions).sum()
    }

    pub(crate) fn advance(&mut self) {
        let second = self.second();
        let (mut busy, mut locked, mut work) = (0.0, 0.0, 0.0);
        let mut asked = [0u32; SERVICES.len()];
        for index in 0..SERVICES.len() {
            asked[index] = self.arrive(index, second);
            work += f64::from(asked[index]) * SERVICES[index].use_time / STEP;
            self.connect(index, second);
            let (works, waits) = self.serve(index, second);
            busy += works;
            locked += waits;
        }
        self.database.step(busy, locked, self.shape.room(second));
        for index in 0..SERVICES.len() {
            self.live(index, second);
        }
        let share = (self.shape.room(second) / work.max(0.001)).min(1.0);
        for (index, asked) in asked.iter().enumerate() {
            self.measured.possible(index, second, f64::from(*asked) * share);
        }
        let over = self.sessions().saturating_sub(BUDGET);
        self.measured.step(second, over, &self.services);
        self.step += 1;
    }

    /// Calls come, and wait in the pods that are ready, in turn.
    fn arrive(&mut self, index: usize, second: f64) -> u32 {
        let service = &SERVICES[index];
        let mean = service.rate * self.shape.load(index, second.max(0.0)) * STEP;
        // The same calls come whatever the pods do.
        let calls: [u32; 3] = std::array::from_fn(|class| self.random.poisson(mean * service.classes[class]));
        let step = self.step;
        let per_connection = STEP / (service.use_time * self.database.slowness);
        for (class, calls) in calls.into_iter().enumerate().filter(|(_, calls)| *calls > 0) {
            self.measured.asked[class] += u64::from(calls);
            let mut ready: Vec<_> = self.services[index].pods.iter_mut().filter(|pod| pod.is_ready()).collect();
            let count = ready.len();
            if count == 0 {
                self.measured.refused[class] += u64::from(calls);
                continue;
            }
            for (place, pod) in ready.iter_mut().enumerate() {
                let share = (calls as usize + (place + step) % count) / count;
                let share = u32::try_from(share).expect("few");
                // Who would wait longer than it can is refused at once.
                let ahead: u32 = pod.queues[..=class].iter().flatten().map(|(_, calls)| calls).sum();
                let room = (f64::from(pod.limit) * per_connection * patience(class) as f64).max(4.0) as u32;
                let taken = share.min(room.saturating_sub(ahead));
                if taken > 0 {
                    pod.queues[class].push_back((step, taken));
                }
                pod.refuse(class, share - taken, &mut self.measured);
            }
        }
        calls.iter().sum()
    }

    /// Connections are opened where they are needed, and closed where they are too many.
    fn connect(&mut self, index: usize, second: f64) {
        let (step, mut sessions) = (self.step, self.sessions());
        let per_call = SERVICES[index].use_time * self.database.slowness / STEP;
        for pod in &mut self.services[index].pods {
            pod.stranded.retain(|(until, _)| *until > step);
            if self.shape.kills(second) {
                pod.dead = (pod.open * 4 / 5, step + (TIMEOUT / STEP) as usize);
            }
            if pod.dead.0 > 0 && pod.dead.1 <= step {
                // Whoever used them has waited in vain; the pool ends them, and the server doesn't know yet.
                let dead = std::mem::take(&mut pod.dead.0);
                pod.stranded.push((step + NOTICED_IN, dead));
                pod.open -= dead;
                pod.uses += u64::from(dead);
                pod.use_seconds += f64::from(dead) * TIMEOUT;
            }
            let needed = (f64::from(pod.waiting()) * per_call).ceil() as u32 + pod.leaked + pod.dead.0;
            let wanted = if pod.is_ready() { needed.min(pod.limit) } else { 0 };
            let missing = wanted.saturating_sub(pod.open);
            let opened = missing.min(FOR_CLIENTS.saturating_sub(sessions));
            self.database.refused += u64::from(missing - opened);
            pod.open += opened;
            sessions += opened;
            let idle = pod.open.saturating_sub(pod.in_use());
            let back = (pod.working * STEP / per_call.max(STEP)).ceil() as u32;
            pod.open -= pod.open.saturating_sub(pod.limit).min(idle.max(back));
        }
    }

    /// Calls are served. Returns connections that work, and those that wait for a lock.
    fn serve(&mut self, index: usize, second: f64) -> (f64, f64) {
        let service = &SERVICES[index];
        let is_locked = self.shape.is_locked(index, second);
        let use_time = if is_locked { TIMEOUT } else { service.use_time * self.database.slowness };
        let leak = self.shape.leak(index, second);
        let (step, mut working) = (self.step, 0.0);
        for pod in &mut self.services[index].pods {
            for class in 0..3 {
                while let Some((since, calls)) = pod.queues[class].front().copied()
                    && step - since > patience(class)
                {
                    pod.queues[class].pop_front();
                    pod.refuse(class, calls, &mut self.measured);
                }
            }
            let usable = f64::from(pod.usable());
            let by_cpu = CORES * STEP / service.cpu;
            let could = (usable * STEP / use_time + pod.credit).min(by_cpu);
            let mut left = could;
            let mut served = 0;
            for class in 0..3 {
                while left >= 1.0
                    && let Some((since, calls)) = pod.queues[class].front_mut()
                {
                    let now = (*calls).min(left as u32);
                    let took = (step - *since) as f64 * STEP + use_time;
                    *calls -= now;
                    left -= f64::from(now);
                    served += now;
                    if !is_locked && took <= USEFUL {
                        self.measured.good(index, second, now);
                    } else {
                        self.measured.failed[class] += u64::from(now);
                    }
                    if *calls == 0 {
                        pod.queues[class].pop_front();
                    }
                }
            }
            let is_full = pod.waiting() > 0;
            // What a connection did of a call that isn't done.
            pod.credit = if is_full { left.min(1.0) } else { 0.0 };
            let by_rate = f64::from(served) * use_time / STEP;
            pod.working = if is_full { usable } else { by_rate.min(usable) };
            working += pod.working;
            pod.uses += u64::from(served);
            pod.use_seconds += f64::from(served) * use_time;
            pod.cpu += f64::from(served) * service.cpu;
            pod.leaks += f64::from(served) * leak;
            if pod.leaks >= 1.0 {
                pod.leaks -= 1.0;
                pod.leaked = (pod.leaked + 1).min(pod.open);
                pod.leaked_since = pod.leaked_since.or(Some(step));
            }
        }
        if is_locked { (0.0, working) } else { (working, 0.0) }
    }

    /// Pods start and end, as a Deployment has it: a roll-out starts `SURGE` pods more, and ends old ones as new ones are ready.
    fn live(&mut self, index: usize, second: f64) {
        let step = self.step;
        let service = &mut self.services[index];
        if self.shape.rolls_out(index, second) {
            service.revision += 1;
        }
        service.pods.retain(|pod| !matches!(pod.phase, Phase::Ending(at) if at <= step));
        for pod in &mut service.pods {
            if matches!(pod.phase, Phase::Starting(at) if at <= step) && pod.limit > 0 {
                (pod.phase, pod.ready_since) = (Phase::Ready, step);
            }
        }
        let revision = service.revision;
        let living = |service: &Deployment, is_wanted: &dyn Fn(&Pod) -> bool| {
            service.pods.iter().filter(|pod| !pod.is_ending() && is_wanted(pod)).count() as u32
        };
        let is_old = |pod: &Pod| pod.revision != revision;
        let most = service.replicas + if living(service, &is_old) > 0 { SURGE } else { 0 };
        while living(service, &|_| true) < most {
            self.ids += 1;
            let limit = service.initial.unwrap_or_default();
            service.pods.push(Pod::new(self.ids, revision, Phase::Starting(step + STARTS_IN), limit));
        }
        loop {
            let all = living(service, &|_| true);
            let ready = living(service, &Pod::is_ready);
            // A roll-out ends an old pod only when enough others are ready; otherwise the youngest goes.
            let is_spare = all > most || (living(service, &is_old) > 0 && ready > service.replicas);
            let is_candidate = |pod: &&mut Pod| !pod.is_ending() && (all > most || is_old(pod));
            let Some(pod) = service.pods.iter_mut().rev().find(is_candidate).filter(|_| is_spare) else { break };
            pod.phase = Phase::Ending(step + ENDS_IN);
            let queues = std::mem::take(&mut pod.queues);
            for (class, calls) in queues.iter().enumerate() {
                // They are called again, and meet another pod.
                let calls: u32 = calls.iter().map(|(_, calls)| calls).sum();
                self.measured.refused[class] += u64::from(calls);
            }
        }
    }
}

/// Steps that a call of a class waits at the most, as in the shop's pools.
fn patience(class: usize) -> usize {
    [3 * STEPS, STEPS, STEPS / 2][class]
}
