//! What the observations say, in the terms of the classes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::memory::{
    DatabaseMemory, FailedTrial, Level, PodMemory, PoolMemory, Rates, Recent, ScalerMemory, Trial, forget, remember,
};
use super::observed::{Database, Lease, Outcome, PodSeen, PoolPart, Probe, Report, ScalerSeen, Uses};
use super::rules;
use super::spec::{ScalerSpec, Spec};
use crate::domain::moment::Moment;

/// Of one scaler.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) replicas: u32,
    pub(super) ready: u32,
    /// Ready pods whose last report is too old, or empty.
    pub(super) silent: u32,
    /// Sums over those that were heard.
    pub(super) limit: u32,
    pub(super) in_use: u32,
    pub(super) waiting: u32,
    pub(super) rates: Rates,
    /// By the name of the pool, all pods together.
    pub(super) pools: BTreeMap<String, PoolEvidence>,
    /// Every pod that was heard is at its ceiling, or can't be given another limit.
    pub(super) is_at_ceiling: bool,
    /// The highest limit that a pod said.
    pub(super) highest: u32,
    /// Mean over the pods that know it.
    pub(super) cpu: Option<f64>,
    /// Connections that all pods together would use now if they had them.
    pub(super) demand: f64,
    /// The same, as the larger of the means over both windows, or what two reports under pressure ask for if that is more.
    pub(super) steady_demand: f64,
    /// Mean recent use time in seconds.
    pub(super) use_time: Option<f64>,
    /// Recent use times as a multiple of their baselines.
    pub(super) slowness: Option<f64>,
    /// The operation that is furthest from its baseline: its name, use time and baseline in seconds.
    pub(super) slowest: Option<(String, f64, f64)>,
    /// Operations whose use time is normal.
    pub(super) normal: u32,
    pub(super) longest_lease: Option<Lease>,
    /// Somebody waits, or was refused between the last two reports.
    pub(super) has_waiters: bool,
    /// That, or nearly all connections are in use.
    pub(super) is_pressed: bool,
    pub(super) pressed_reports: u32,
    pub(super) pressed_since: Option<Moment>,
    pub(super) calm_for: Duration,
    pub(super) is_on_trial: bool,
    pub(super) failed: Option<FailedTrial>,
    /// What ended since the last decision, by operation.
    pub(super) ended: BTreeMap<String, Recent>,
    pub(super) ended_within: Duration,
}

/// Of one pool of a scaler's pods.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PoolEvidence {
    limit: u32,
    in_use: u32,
    waiting: u32,
    rates: Rates,
    /// What ended since the last decision.
    ended: Recent,
}

impl PoolEvidence {
    /// Connections of it that would be in use if there were enough, by Little's law over all that was asked for: what was served,
    /// refused or began to wait. Those who wait already are to be served within a second.
    fn demand(&self, use_time: f64) -> f64 {
        let Self { rates, .. } = self;
        let asked = rates.uses + rates.refused + rates.queue.max(0.0) + f64::from(self.waiting);
        f64::from(self.in_use).max(asked * use_time)
    }

    fn has_waiters(&self) -> bool {
        self.waiting > 0 || self.rates.refused > 0.0
    }
}

impl Evidence {
    pub(super) fn heard(&self) -> u32 {
        self.ready - self.silent
    }

    pub(super) fn is_slow(&self) -> bool {
        is_slow(self.slowness)
    }

    pub(super) fn is_cpu_bound(&self) -> bool {
        self.cpu.is_some_and(|cpu| cpu >= rules::CPU_BOUND)
    }

    pub(super) fn has_leak(&self) -> bool {
        self.is_pressed && self.longest_lease.as_ref().is_some_and(|lease| lease.held >= rules::LONG_LEASE)
    }

    /// Looks at a scaler's pods, and remembers what the next look needs.
    pub(super) fn of(spec: &ScalerSpec, seen: &ScalerSeen, memory: &mut ScalerMemory, now: Moment) -> Self {
        let mut evidence = Self { replicas: seen.replicas, ..Self::default() };
        let present: BTreeSet<_> = seen.pods.iter().map(|pod| pod.holder.as_str()).collect();
        memory.pods.retain(|holder, _| present.contains(holder.as_str()));
        let mut cpu = (0.0, 0u32);
        let mut is_new = false;
        evidence.is_at_ceiling = true;
        for pod in &seen.pods {
            evidence.ready += 1;
            let Some(report) = heard(spec, pod, now) else {
                // A pod that has only just become ready isn't late yet.
                let is_late = pod.report.is_some() || now.since(pod.ready_since) > spec.heard_within();
                if is_late {
                    evidence.silent += 1;
                } else {
                    evidence.ready -= 1;
                }
                continue;
            };
            is_new |= evidence.add(memory, &pod.holder, report);
            evidence.is_at_ceiling &= spec.is_fixed || report.limit >= spec.ceiling;
            evidence.highest = evidence.highest.max(report.limit);
            if let Some(share) = report.cpu {
                cpu = (cpu.0 + share, cpu.1 + 1);
            }
        }
        evidence.is_at_ceiling &= evidence.heard() > 0;
        evidence.cpu = (cpu.1 > 0).then(|| cpu.0 / f64::from(cpu.1));
        evidence.use_times(memory, now);
        evidence.pressure(spec, memory, is_new, now);
        evidence.demands(spec, memory, now);
        evidence.trial(spec, memory, now);
        evidence
    }

    /// Adds what a pod says. Returns whether it says something new.
    fn add(&mut self, memory: &mut ScalerMemory, holder: &str, report: &Report) -> bool {
        let is_first = !memory.pods.contains_key(holder);
        let known = memory.pods.entry(holder.to_owned()).or_default();
        let is_new = is_first || known.at < report.at;
        if is_new {
            known.hear(report, is_first, &mut self.ended, &mut self.pools);
        }
        for part in report.parts().iter() {
            let rates = known.pools.get(&part.name).map(|pool| pool.rates).unwrap_or_default();
            let sum = of_name(&mut self.pools, &part.name);
            sum.limit = sum.limit.saturating_add(part.limit);
            sum.in_use = sum.in_use.saturating_add(part.in_use);
            sum.waiting = sum.waiting.saturating_add(part.waiting);
            for rates_of in [&mut sum.rates, &mut self.rates] {
                rates_of.uses += rates.uses;
                rates_of.refused += rates.refused;
                rates_of.queue += rates.queue;
            }
        }
        self.limit = self.limit.saturating_add(report.limit);
        self.in_use = self.in_use.saturating_add(report.in_use);
        self.waiting = self.waiting.saturating_add(report.waiting);
        if let Some(lease) = &report.longest_lease
            && self.longest_lease.as_ref().is_none_or(|longest| longest.held < lease.held)
        {
            self.longest_lease = Some(lease.clone());
        }
        is_new
    }

    fn use_times(&mut self, memory: &mut ScalerMemory, now: Moment) {
        self.ended_within = now.since(memory.recent_at);
        memory.recent_at = now;
        let fades = (-self.ended_within.as_secs_f64() / rules::RECENT.as_secs_f64()).exp();
        for all in [&mut memory.recent, &mut memory.recent_of_pools] {
            for recent in all.values_mut() {
                recent.count *= fades;
                recent.seconds *= fades;
            }
            all.retain(|_, recent| recent.count > 0.01);
        }
        for (pool, PoolEvidence { ended, .. }) in &self.pools {
            let recent = of_name(&mut memory.recent_of_pools, pool);
            recent.count += ended.count;
            recent.seconds += ended.seconds;
        }
        for (operation, ended) in &self.ended {
            memory.used = memory.used.saturating_add(ended.count as u64);
            let is_full = memory.recent.len() >= rules::MAX_OPERATIONS as usize;
            if !is_full || memory.recent.contains_key(operation) {
                let recent = memory.recent.entry(operation.clone()).or_default();
                recent.count += ended.count;
                recent.seconds += ended.seconds;
            }
        }
        let (mut count, mut seconds, mut compared, mut normal) = (0.0, 0.0, 0.0, 0.0);
        let (mut worst, mut is_known) = (0.0, false);
        for (operation, recent) in &memory.recent {
            count += recent.count;
            seconds += recent.seconds;
            let known = memory.baselines.get(operation).and_then(super::memory::Baseline::seconds);
            let Some(baseline) = known.filter(|_| recent.count >= rules::RECENT_USES) else {
                // Nothing is known against it, so it is as it always was.
                (compared, normal) = (compared + recent.seconds, normal + recent.seconds);
                continue;
            };
            let mean = recent.seconds / recent.count;
            let is_slower = mean - baseline >= rules::SLOW_BY;
            compared += recent.seconds;
            normal += if is_slower { recent.count * baseline } else { recent.seconds };
            is_known = true;
            self.normal += u32::from(!is_slower || mean / baseline < rules::SLOW);
            if is_slower && mean / baseline > worst {
                worst = mean / baseline;
                self.slowest = Some((operation.clone(), mean, baseline));
            }
        }
        self.use_time = (count > 0.0).then(|| seconds / count);
        self.slowness = (is_known && normal > 0.0).then(|| compared / normal);
    }

    fn pressure(&mut self, spec: &ScalerSpec, memory: &mut ScalerMemory, is_new: bool, now: Moment) {
        self.has_waiters = self.waiting > 0 || self.rates.refused > 0.0;
        let is_used_up = self.limit > 0 && f64::from(self.in_use) >= f64::from(self.limit) * rules::USED;
        self.is_pressed = self.has_waiters || is_used_up;
        let is_another = memory.pressed.is_none_or(|(_, last)| 2 * now.since(last) >= spec.report_every);
        if !self.is_pressed {
            (memory.pressed_reports, memory.pressed) = (0, None);
        } else if is_new && is_another {
            memory.pressed_reports = memory.pressed_reports.saturating_add(1);
            memory.pressed = Some((memory.pressed.map_or(now, |(first, _)| first), now));
        }
        self.pressed_reports = memory.pressed_reports;
        self.pressed_since = memory.pressed.map(|(first, _)| first);
        if self.is_pressed || self.silent > 0 || self.ready == 0 {
            memory.calm_since = None;
        } else {
            self.calm_for = now.since(*memory.calm_since.get_or_insert(now));
        }
    }

    fn demands(&mut self, spec: &ScalerSpec, memory: &mut ScalerMemory, now: Moment) {
        if self.heard() > 0 {
            let lacks = self.pools.values().any(PoolEvidence::has_waiters);
            let of_pool = |(name, pool): (&String, &PoolEvidence)| {
                let recent = memory.recent_of_pools.get(name).copied().unwrap_or_default();
                let demand = pool.demand(if recent.count > 0.0 { recent.seconds / recent.count } else { 0.0 });
                // What one pool has to spare doesn't serve those who wait at another.
                let is_spare = lacks && !pool.has_waiters();
                if is_spare { demand.max(f64::from(pool.limit) * spec.target) } else { demand }
            };
            let demand: f64 = self.pools.iter().map(of_pool).sum();
            // Pods that are silent are taken to be like the others.
            let all = f64::from(self.ready) / f64::from(self.heard());
            self.demand = demand.max(f64::from(self.in_use)) * all;
            remember(&mut memory.demand, self.demand, rules::REPORT_EVERY, now);
        }
        forget(&mut memory.demand, rules::STABLE_WINDOW, now);
        let mean = |window: Duration| {
            let within = memory.demand.iter().filter(|(at, _)| now.since(*at) <= window).map(|(_, demand)| demand);
            let (sum, count) = within.fold((0.0, 0u32), |(sum, count), demand| (sum + demand, count + 1));
            if count == 0 { 0.0 } else { sum / f64::from(count) }
        };
        self.steady_demand = mean(rules::PANIC_WINDOW).max(mean(rules::STABLE_WINDOW));
        if self.pressed_reports >= rules::PRESSED_REPORTS {
            // What two reports in a row ask for is no chance either.
            let both: f64 = memory.demand.iter().rev().take(2).map(|(_, demand)| *demand).sum();
            self.steady_demand = self.steady_demand.max(both / 2.0);
        }
    }

    /// Whether a raised limit gets more done, as long as people wait before it and after.
    fn trial(&mut self, spec: &ScalerSpec, memory: &mut ScalerMemory, now: Moment) {
        let rate = |(begin, since): (u64, Moment), (end, until): (u64, Moment)| {
            let uses = end.saturating_sub(begin);
            (uses, uses as f64 / until.since(since).as_secs_f64().max(0.001))
        };
        let here = (memory.used, now);
        let level = |before| Some(Level { limit: self.limit, began: here, seen: here, before });
        // Uses that are told in lumps, each some seconds, make no rates for a window of a few.
        let is_told_seldom = spec.report_every > rules::REPORT_EVERY;
        if is_told_seldom || !self.has_waiters || self.heard() == 0 || self.is_cpu_bound() {
            (memory.level, memory.trial) = (None, None);
        } else if let Some(trial) = memory.trial {
            let (uses, after) = rate(trial.began, here);
            let took = now.since(trial.began.1);
            let is_gain = after >= trial.before.1 * (1.0 + rules::GAINED);
            if took >= rules::REPORT_EVERY && is_gain {
                (memory.trial, memory.level, memory.failed) = (None, level(None), None);
            } else if took >= rules::BOUND_FOR {
                if uses + trial.before.0 >= u64::from(rules::TRIAL_USES) {
                    let (from, rates) = (trial.from, (trial.before.1, after));
                    memory.failed = Some(FailedTrial { at: now, from, to: self.limit, rates, is_answered: false });
                }
                (memory.trial, memory.level) = (None, level(Some((uses, after))));
            }
        } else if let Some(known) = memory.level {
            // The last report may already tell of the raised limit, so it doesn't count for the time before.
            let lasted = known.seen.1.since(known.began.1);
            let before = rate(known.began, known.seen);
            let latest = if lasted >= rules::REPORT_EVERY { Some(before) } else { known.before };
            if f64::from(self.limit) >= f64::from(known.limit) * (1.0 + rules::RAISED) {
                if let Some(before) = latest {
                    memory.trial = Some(Trial { from: known.limit, began: here, before });
                } else {
                    memory.level = level(None);
                }
            } else if f64::from(self.limit) <= f64::from(known.limit) * (1.0 - rules::RAISED) {
                memory.level = level(None);
            } else if lasted >= rules::BOUND_FOR {
                memory.level = level(latest).map(|level| Level { limit: known.limit, ..level });
            } else {
                memory.level = Some(Level { seen: here, ..known });
            }
        } else {
            memory.level = level(None);
        }
        memory.failed = memory.failed.filter(|failed| now.since(failed.at) < rules::RECOVER_EVERY);
        (self.is_on_trial, self.failed) = (memory.trial.is_some(), memory.failed);
    }
}

fn is_slow(slowness: Option<f64>) -> bool {
    slowness.is_some_and(|slowness| slowness >= rules::SLOW)
}

/// A pod's last report, if it says something about now.
fn heard<'a>(spec: &ScalerSpec, pod: &'a PodSeen, now: Moment) -> Option<&'a Report> {
    pod.report.as_ref().filter(|report| !report.is_empty() && now.since(report.at) <= spec.heard_within())
}

impl PoolMemory {
    fn of(part: &PoolPart, rates: Rates) -> Self {
        Self { refused: part.refused, uses: part.uses, waiting: part.waiting, rates }
    }
}

impl PodMemory {
    /// Takes in a report. Counters that went back are those of a new run, of which nothing is known yet; those of the first
    /// report tell of a time that nobody knows.
    fn hear(
        &mut self,
        report: &Report,
        is_first: bool,
        ended: &mut BTreeMap<String, Recent>,
        pools: &mut BTreeMap<String, PoolEvidence>,
    ) {
        let reported = || report.uses.iter().take(rules::MAX_OPERATIONS as usize);
        let known = reported().filter(|uses| self.uses.contains_key(&uses.operation)).count();
        let is_less = |uses: &Uses| self.uses.get(&uses.operation).is_some_and(|known| uses.count < known.0);
        let parts = report.parts();
        let is_back = |part: &PoolPart| {
            let known = self.pools.get(&part.name);
            known.is_some_and(|known| part.refused < known.refused || part.uses.0 < known.uses.0)
        };
        let went_back = known < self.uses.len() || reported().any(is_less) || parts.iter().any(is_back);
        if is_first || went_back {
            *self = Self { at: report.at, ..Self::default() };
            self.uses.extend(reported().map(|uses| (uses.operation.clone(), (uses.count, uses.time))));
            self.pools.extend(parts.iter().map(|part| (part.name.clone(), PoolMemory::of(part, Rates::default()))));
            return;
        }
        let seconds = report.at.since(self.at).as_secs_f64().max(0.001);
        for Uses { operation, count, time } in reported() {
            let before = match self.uses.get_mut(operation) {
                Some(known) => std::mem::replace(known, (*count, *time)),
                None => self.uses.insert(operation.clone(), (*count, *time)).unwrap_or_default(),
            };
            let more = count.saturating_sub(before.0);
            if more > 0 {
                let sum = of_name(ended, operation);
                sum.count += more as f64;
                sum.seconds += time.saturating_sub(before.1).as_secs_f64();
            }
        }
        // A report at an edge covers too short a time for a rate of its own.
        let share = if 2.0 * seconds < rules::REPORT_EVERY.as_secs_f64() { seconds } else { 1.0 };
        let mean = |before: f64, events: f64| before * (1.0 - share) + events / seconds * share;
        for part in parts.iter() {
            let Some(known) = self.pools.get_mut(&part.name) else {
                self.pools.insert(part.name.clone(), PoolMemory::of(part, Rates::default()));
                continue;
            };
            let uses = part.uses.0.saturating_sub(known.uses.0) as f64;
            let rates = Rates {
                uses: mean(known.rates.uses, uses),
                refused: mean(known.rates.refused, part.refused.saturating_sub(known.refused) as f64),
                queue: mean(known.rates.queue, f64::from(part.waiting) - f64::from(known.waiting)),
            };
            let sum = of_name(pools, &part.name);
            sum.ended.count += uses;
            sum.ended.seconds += part.uses.1.saturating_sub(known.uses.1).as_secs_f64();
            *known = PoolMemory::of(part, rates);
        }
        self.at = report.at;
    }
}

/// What there is under `name`, which is copied only if it is new.
fn of_name<'a, T: Default>(all: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    if !all.contains_key(name) {
        all.insert(name.to_owned(), T::default());
    }
    all.get_mut(name).expect("it was inserted")
}

/// Of the database.
#[derive(Clone, Debug)]
pub(super) struct Condition<'a> {
    /// The probe, if it is recent.
    pub(super) outcome: Option<&'a Outcome>,
    /// When it was.
    pub(super) at: Option<Moment>,
    /// What it answered, if it did.
    pub(super) answer: Option<&'a Database>,
    /// The probe's statement as a multiple of its baseline.
    pub(super) slowness: Option<f64>,
    /// Its baseline in seconds.
    pub(super) baseline: Option<f64>,
    /// More backends are busy than it has room for, and uses are slow.
    pub(super) is_crowded: bool,
    /// How long the statement is slow, it is crowded, and somebody waits.
    pub(super) slow_for: Duration,
    pub(super) crowded_for: Duration,
    pub(super) waiting_for: Duration,
    /// The statement is so slow that it is cut hard, or was a moment ago.
    pub(super) is_lately_hard_slow: bool,
}

impl<'a> Condition<'a> {
    pub(super) fn of(
        spec: &Spec,
        probe: Option<&'a Probe>,
        scalers: &[Evidence],
        memory: &mut DatabaseMemory,
        now: Moment,
    ) -> Self {
        let recent = probe.filter(|probe| now.since(probe.at) <= rules::PROBE_STALE);
        let answer = recent.and_then(|probe| match &probe.outcome {
            Outcome::Answered(database) => Some(database),
            Outcome::NoSlot | Outcome::Failed(_) => None,
        });
        let baseline = memory.statement.seconds();
        let slowness = answer.zip(baseline).map(|(answer, baseline)| {
            let statement = answer.statement.as_secs_f64();
            if (0.0..rules::SLOW_BY).contains(&(statement - baseline)) { 1.0 } else { statement / baseline }
        });
        let compared = scalers.iter().filter(|scaler| scaler.slowness.is_some()).count();
        let slow = scalers.iter().filter(|scaler| scaler.is_slow()).count();
        let busy = answer.map_or(0, |answer| answer.on_cpu.saturating_add(answer.on_io));
        let is_crowded = spec.concurrency.is_some_and(|most| busy > most) && slow > 0 && 2 * slow >= compared;
        memory.hard_slow.see(slowness.is_some_and(|slowness| slowness >= rules::HARD_SLOW), now);
        Self {
            outcome: recent.map(|probe| &probe.outcome),
            at: recent.map(|probe| probe.at),
            answer,
            slowness,
            baseline,
            is_crowded,
            slow_for: memory.slow.see(is_slow(slowness), now),
            crowded_for: memory.crowded.see(is_crowded, now),
            waiting_for: memory.waiting.see(scalers.iter().any(|scaler| scaler.has_waiters), now),
            is_lately_hard_slow: memory.hard_slow.is_on(),
        }
    }

    pub(super) fn is_slow(&self) -> bool {
        is_slow(self.slowness)
    }

    /// Whether nothing that the probe says speaks against more connections: it isn't slow, and was asked since `pressed`.
    pub(super) fn has_room(&self, pressed: Option<Moment>) -> bool {
        !self.is_slow() && self.at.is_none_or(|at| pressed.is_some_and(|pressed| pressed <= at))
    }

    /// The probe's statement takes as long as ever.
    pub(super) fn is_well(&self) -> bool {
        self.slowness.is_some_and(|slowness| slowness <= 1.0 + rules::TOLERANCE)
    }

    /// Waiting for locks dominates.
    pub(super) fn is_locked(&self) -> bool {
        self.answer.is_some_and(|answer| {
            let share = f64::from(answer.on_locks) / f64::from(answer.active().max(1));
            answer.on_locks >= rules::LOCK_WAITERS && share >= rules::LOCK_SHARE
        })
    }
}
