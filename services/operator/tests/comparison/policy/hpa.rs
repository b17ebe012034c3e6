//! The HorizontalPodAutoscaler, version 2, with its defaults: each 15 s, tolerance 0.1, up by ×2 or 4 pods in 15 s whichever is
//! more, down to the largest recommendation of 300 s (kubernetes.io, "Horizontal Pod Autoscaling": algorithm details and
//! default behaviour).

use std::collections::{BTreeMap, VecDeque};

use super::super::shape::{MIN_REPLICAS, Metrics, SERVICES};
use super::super::shop::{Pod, STEPS, Shop};
use super::Replicas;

const SYNC: usize = 15 * STEPS;
const TOLERANCE: f64 = 0.1;
const STABILISATION: usize = 300 * STEPS;

/// What the controller remembers of one workload.
#[derive(Clone, Debug, Default)]
struct Behaviour {
    recommended: VecDeque<(usize, u32)>,
    had: VecDeque<(usize, u32)>,
}

impl Behaviour {
    fn replicas(&mut self, step: usize, present: u32, desired: u32, most: u32) -> u32 {
        self.recommended.push_back((step, desired));
        self.recommended.retain(|(at, _)| step - at < STABILISATION);
        self.had.push_back((step, present));
        self.had.retain(|(at, _)| step - at < SYNC);
        let replicas = if desired > present {
            let base = self.had.iter().map(|(_, replicas)| *replicas).min().unwrap_or(present);
            desired.min((2 * base).max(base + 4))
        } else {
            let highest = self.recommended.iter().map(|(_, replicas)| *replicas).max().unwrap_or(desired);
            highest.min(present)
        };
        replicas.clamp(MIN_REPLICAS, most)
    }
}

/// On CPU, at half of what the pods request, from the metrics server's numbers, which are of 15 s and come each 15 s.
#[derive(Clone, Debug, Default)]
pub(super) struct CpuHpa {
    behaviour: [Behaviour; SERVICES.len()],
    /// CPU used by each pod when it was last asked.
    asked: BTreeMap<u32, f64>,
    /// Cores in use by each pod.
    usage: BTreeMap<u32, f64>,
}

const CPU_TARGET: f64 = 0.5;
/// The metrics server isn't in step with the controller.
const ASKED_AT: usize = 7 * STEPS;

impl Replicas for CpuHpa {
    fn step(&mut self, shop: &mut Shop) {
        let metrics = shop.shape.metrics(shop.second());
        if shop.step % SYNC == ASKED_AT {
            let now: BTreeMap<_, _> =
                shop.services.iter().flat_map(|service| &service.pods).map(|pod| (pod.id, pod.cpu)).collect();
            let before = std::mem::replace(&mut self.asked, now);
            let seconds = SYNC as f64 / STEPS as f64;
            let both = self.asked.iter().filter_map(|(id, now)| Some((*id, (now - before.get(id)?) / seconds)));
            self.usage = match metrics {
                Metrics::Fine => both.collect(),
                Metrics::Zero => both.map(|(id, _)| (id, 0.0)).collect(),
                Metrics::Missing => BTreeMap::new(),
            };
        }
        if !shop.step.is_multiple_of(SYNC) {
            return;
        }
        for (index, service) in shop.services.iter_mut().enumerate() {
            let living: Vec<_> = service.pods.iter().filter(|pod| !pod.is_ending()).collect();
            let known: Vec<_> =
                living.iter().filter(|pod| pod.is_ready()).filter_map(|pod| self.usage.get(&pod.id)).collect();
            if known.is_empty() {
                // FailedGetResourceMetric: nothing is changed.
                continue;
            }
            let used: f64 = known.iter().copied().sum();
            let unknown = living.len() - known.len();
            let ratio = used / known.len() as f64 / CPU_TARGET;
            // Those that nothing is known of count as idle when it would grow, and as fully used when it would shrink.
            let assumed = if ratio > 1.0 { 0.0 } else { unknown as f64 * CPU_TARGET };
            let all = (used + assumed) / living.len() as f64 / CPU_TARGET;
            let stays = (all - 1.0).abs() <= TOLERANCE || (ratio > 1.0) != (all > 1.0);
            let desired = if stays { service.replicas } else { (all * living.len() as f64).ceil() as u32 };
            let most = SERVICES[index].max_replicas;
            service.replicas = self.behaviour[index].replicas(shop.step, service.replicas, desired, most);
        }
    }
}

/// On callers who wait for a connection, at five a pod, as Prometheus scrapes them each 30 s.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitersHpa {
    behaviour: [Behaviour; SERVICES.len()],
    scraped: Option<[u32; SERVICES.len()]>,
}

const SCRAPE: usize = 30 * STEPS;
const SCRAPED_AT: usize = 11 * STEPS;
const WAITERS_TARGET: f64 = 5.0;

impl Replicas for WaitersHpa {
    fn step(&mut self, shop: &mut Shop) {
        if shop.step % SCRAPE == SCRAPED_AT {
            let waiting =
                |index: usize| shop.services[index].pods.iter().filter(|pod| pod.is_ready()).map(Pod::waiting);
            self.scraped = match shop.shape.metrics(shop.second()) {
                Metrics::Fine => Some(std::array::from_fn(|index| waiting(index).sum())),
                Metrics::Zero => Some([0; SERVICES.len()]),
                Metrics::Missing => None,
            };
        }
        let Some(scraped) = self.scraped.filter(|_| shop.step.is_multiple_of(SYNC)) else { return };
        for (index, service) in shop.services.iter_mut().enumerate() {
            let wanted = f64::from(scraped[index]) / WAITERS_TARGET;
            let ratio = wanted / f64::from(service.replicas);
            let desired = if (ratio - 1.0).abs() <= TOLERANCE { service.replicas } else { wanted.ceil() as u32 };
            let most = SERVICES[index].max_replicas;
            service.replicas = self.behaviour[index].replicas(shop.step, service.replicas, desired, most);
        }
    }
}
