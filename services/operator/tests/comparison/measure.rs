//! What is counted.

use super::shape::{SERVICES, Shape};
use super::shop::{Deployment, STEP};

/// Of the answers that were possible, so many must have been given.
pub(crate) const RELIEVED: f64 = 0.95;
/// Seconds over which that is a mean.
const MEAN: usize = 3;

pub(crate) struct Measured {
    shape: Shape,
    /// By second: useful answers, and those that were possible, of services that count, by the database's work for them. It
    /// would be a virtue otherwise to answer what is cheap.
    good: Vec<f64>,
    possible: Vec<f64>,
    /// By second: useful answers of everybody.
    pub(crate) answers_by_second: Vec<f64>,
    /// Useful answers of everybody, from the onset on.
    pub(crate) answers: u64,
    /// By class.
    pub(crate) asked: [u64; 3],
    pub(crate) refused: [u64; 3],
    pub(crate) failed: [u64; 3],
    /// Connections over the budget at the worst moment.
    pub(crate) over: u32,
    pod_seconds: f64,
    replicas: [u32; SERVICES.len()],
    /// Whether the last change was up.
    went: [Option<bool>; SERVICES.len()],
    pub(crate) flaps: u32,
    /// Seconds at which replicas grew although the database was what limited.
    pub(crate) scaled_out_behind: Vec<f64>,
}

impl Measured {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            good: vec![0.0; shape.seconds()],
            possible: vec![0.0; shape.seconds()],
            answers_by_second: vec![0.0; shape.seconds()],
            answers: 0,
            asked: [0; 3],
            refused: [0; 3],
            failed: [0; 3],
            over: 0,
            pod_seconds: 0.0,
            replicas: [0; SERVICES.len()],
            went: [None; SERVICES.len()],
            flaps: 0,
            scaled_out_behind: Vec::new(),
        }
    }

    fn at(&self, second: f64) -> Option<usize> {
        (second >= 0.0).then_some(second as usize).filter(|second| *second < self.good.len())
    }

    pub(crate) fn good(&mut self, service: usize, second: f64, answers: u32) {
        if second >= self.shape.onset() {
            self.answers += u64::from(answers);
        }
        let Some(at) = self.at(second) else { return };
        self.answers_by_second[at] += f64::from(answers);
        if self.shape.counts(service, second) {
            self.good[at] += f64::from(answers) * SERVICES[service].use_time;
        }
    }

    pub(crate) fn possible(&mut self, service: usize, second: f64, answers: f64) {
        if let Some(at) = self.at(second).filter(|_| self.shape.counts(service, second)) {
            self.possible[at] += answers * SERVICES[service].use_time;
        }
    }

    pub(crate) fn step(&mut self, second: f64, over: u32, services: &[Deployment]) {
        if second < self.shape.onset() - STEP {
            (self.asked, self.refused, self.failed) = ([0; 3], [0; 3], [0; 3]);
        }
        self.over = self.over.max(over);
        for (index, service) in services.iter().enumerate() {
            if second >= 0.0 {
                self.pod_seconds += service.pods.len() as f64 * STEP;
            }
            let before = std::mem::replace(&mut self.replicas[index], service.replicas);
            if before == service.replicas || before == 0 {
                continue;
            }
            let is_up = service.replicas > before;
            self.flaps += u32::from(self.went[index].is_some_and(|was_up| was_up != is_up));
            self.went[index] = Some(is_up);
            if is_up && self.shape.is_behind(second) {
                self.scaled_out_behind.push(second);
            }
        }
    }

    pub(crate) fn replica_hours(&self) -> f64 {
        self.pod_seconds / 3600.0
    }

    /// Seconds from the onset on in which too few of the possible answers were given.
    pub(crate) fn unrelieved(&self) -> usize {
        let onset = self.shape.onset() as usize;
        let is_short = |second: &usize| {
            let sum = |of: &[f64]| of[(*second + 1).saturating_sub(MEAN).max(onset)..=*second].iter().sum::<f64>();
            sum(&self.good) < sum(&self.possible) * RELIEVED
        };
        (onset..self.good.len()).filter(is_short).count()
    }

    /// Useful answers a second, from the onset on.
    pub(crate) fn goodput(&self) -> f64 {
        self.answers as f64 / (self.shape.seconds() as f64 - self.shape.onset())
    }

    /// Shares of each class that were refused or failed.
    pub(crate) fn lost(&self) -> [f64; 3] {
        std::array::from_fn(|class| {
            (self.refused[class] + self.failed[class]) as f64 / (self.asked[class] as f64).max(1.0)
        })
    }
}
