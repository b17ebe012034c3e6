//! Knative's autoscaler with its defaults: each 2 s, calls in a pod as the mean of 60 s, or of 6 s in a panic, at 70 % of what
//! a pod takes at once; a panic begins at 200 %, and nothing shrinks in it (knative.dev, "Autoscaling concepts", and
//! pkg/autoscaler/scaling/autoscaler.go).

use std::collections::VecDeque;

use super::super::shape::{MIN_REPLICAS, Metrics, SERVICES};
use super::super::shop::{STEPS, Shop};
use super::Replicas;

const TICK: usize = 2 * STEPS;
const STABLE: usize = 60;
const PANIC: usize = 6;
const TARGET: f64 = 0.7;
const PANICS_AT: f64 = 2.0;
const MOST_UP: f64 = 1000.0;
const MOST_DOWN: f64 = 2.0;

#[derive(Clone, Debug, Default)]
struct Workload {
    /// Calls at once in all pods, by second.
    calls: VecDeque<f64>,
    /// Since when there is a panic, and the most pods in it.
    panic: Option<(usize, u32)>,
}

#[derive(Clone, Debug)]
pub(super) struct Kpa {
    /// Calls that a pod takes at once.
    at_once: f64,
    workloads: [Workload; SERVICES.len()],
}

impl Kpa {
    pub(super) fn new(at_once: u32) -> Self {
        Self { at_once: f64::from(at_once), workloads: Default::default() }
    }
}

impl Replicas for Kpa {
    fn step(&mut self, shop: &mut Shop) {
        let metrics = shop.shape.metrics(shop.second());
        for (index, service) in shop.services.iter_mut().enumerate() {
            let workload = &mut self.workloads[index];
            let ready = service.pods.iter().filter(|pod| pod.is_ready());
            if shop.step.is_multiple_of(STEPS) {
                let calls: u32 = ready.clone().map(|pod| pod.in_use() + pod.waiting()).sum();
                match metrics {
                    Metrics::Fine => workload.calls.push_back(f64::from(calls)),
                    Metrics::Zero => workload.calls.push_back(0.0),
                    Metrics::Missing => workload.calls.clear(),
                }
                while workload.calls.len() > STABLE {
                    workload.calls.pop_front();
                }
            }
            if !shop.step.is_multiple_of(TICK) || workload.calls.is_empty() {
                continue;
            }
            let ready = (ready.count() as f64).max(1.0);
            let mean = |seconds: usize| {
                let within = workload.calls.iter().rev().take(seconds);
                within.clone().sum::<f64>() / within.count() as f64
            };
            let bounded = |calls: f64| {
                let pods = calls / (TARGET * self.at_once);
                pods.clamp((ready / MOST_DOWN).floor(), (ready * MOST_UP).ceil()).ceil()
            };
            let (stable, panic) = (bounded(mean(STABLE)) as u32, bounded(mean(PANIC)) as u32);
            if f64::from(panic) / ready >= PANICS_AT {
                let most = workload.panic.map_or(0, |(_, most)| most);
                workload.panic = Some((shop.step, most));
            } else if workload.panic.is_some_and(|(since, _)| shop.step - since > STABLE * STEPS) {
                workload.panic = None;
            }
            let desired = match &mut workload.panic {
                Some((_, most)) => {
                    *most = (*most).max(panic).max(service.replicas);
                    *most
                }
                None => stable,
            };
            service.replicas = desired.clamp(MIN_REPLICAS, SERVICES[index].max_replicas);
        }
    }
}
