//! What one division costs with 1,000 pods of 100 scalers, each of which wants another number than before, and what it costs to
//! take in what a second brings: a report of each, the set of pods, and a look at the server.
//!
//! `cargo bench -p selvage-operator --bench ledger`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints figures, and fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use selvage_operator::domain::ledger::{
    BootId, Bounds, Budget, GrantId, Hello, Holder, Ledger, Look, ObservedPod, Phase, PodName, PodSet, PodUid, Report,
    ScalerId, ScalerSpec, Sessions,
};
use selvage_operator::domain::moment::Moment;

const SCALERS: u32 = 100;
const PODS_EACH: u32 = 10;
const SECONDS: u64 = 200;
const BOUNDS: Bounds = Bounds { floor: 2, ceiling: 20 };

struct Pod {
    holder: Holder,
    name: PodName,
    scaler: ScalerId,
    newest: Option<GrantId>,
    limit: u32,
}

fn pods() -> Vec<Pod> {
    let all = (0..SCALERS).flat_map(|scaler| (0..PODS_EACH).map(move |pod| (scaler, pod)));
    all.map(|(scaler, pod)| Pod {
        holder: Holder {
            pod: PodUid::from(format!("6a1f0c52-93d1-4b7e-8f00-{scaler:06}{pod:06}").as_str()),
            boot: BootId::from(format!("{:08x}", scaler * PODS_EACH + pod).as_str()),
        },
        name: PodName::from(format!("service-{scaler}-7d9c5b9f64-{pod:05}").as_str()),
        scaler: ScalerId::from(format!("shop/service-{scaler}").as_str()),
        newest: None,
        limit: 0,
    })
    .collect()
}

fn main() {
    let mut pods = pods();
    let spec = ScalerSpec { bounds: BOUNDS, max_replicas: PODS_EACH, surge: 2, is_fixed: false };
    let scalers: BTreeMap<_, _> = pods.iter().map(|pod| (pod.scaler.clone(), spec)).collect();
    // Half of what all would take.
    let budget = Budget { max_connections: 14_000, ..Budget::default() };
    let mut ledger = Ledger::new(budget, scalers);
    let (mut took_in, mut divided, mut viewed) = (Vec::new(), Vec::new(), Vec::new());
    let mut grants_sent = 0;
    for second in 1..=SECONDS {
        let now = Moment::after_start(Duration::from_secs(second));
        ledger.lead(1, now + Duration::from_secs(10), now);
        let set = PodSet { listed_at: now, pods: pods.iter().map(observed).collect() };
        let look =
            Look { started_at: now, sessions: pods.iter().map(sessions).collect(), unnamed: Vec::new(), others: 3 };
        let wanted: BTreeMap<_, _> = pods
            .iter()
            .enumerate()
            .map(|(nth, pod)| (pod.holder.clone(), ((nth as u64 * 7 + second * 13) % 23) as u32))
            .collect();

        let began = Instant::now();
        ledger.pods(&set, now);
        if second == 1 {
            for pod in &pods {
                ledger.attached(&pod.holder, &Hello { name: pod.name.clone(), bounds: BOUNDS }, now);
            }
        }
        for pod in &pods {
            ledger.report(
                &pod.holder,
                &Report { epoch: 1, newest: pod.newest, limit: pod.limit, open: pod.limit },
                now,
            );
        }
        ledger.backends(&look, now);
        ledger.demands(&wanted, &BTreeMap::new());
        took_in.push(began.elapsed());

        let began = Instant::now();
        let grants: BTreeMap<_, _> = ledger.grants(now).into_iter().collect();
        divided.push(began.elapsed());
        grants_sent += grants.len();
        for pod in &mut pods {
            if let Some(grant) = grants.get(&pod.holder) {
                (pod.newest, pod.limit) = (Some(grant.id), grant.connections);
            }
        }

        let began = Instant::now();
        let view = ledger.view(now);
        viewed.push(began.elapsed());
        // At first all are charged at their ceilings.
        assert!(second < 5 || view.excess == 0, "{second}: {}", view.excess);
    }
    println!("{} pods, {SCALERS} scalers, {SECONDS} seconds, {grants_sent} grants", pods.len());
    for (what, mut times) in [("a second's input", took_in), ("a division", divided), ("a view", viewed)] {
        times.sort();
        println!("{what}: median {:?}, slowest {:?}", times[times.len() / 2], times[times.len() - 1]);
    }
}

fn observed(pod: &Pod) -> ObservedPod {
    ObservedPod {
        uid: pod.holder.pod.clone(),
        name: pod.name.clone(),
        scaler: pod.scaler.clone(),
        phase: Phase::Bound,
        bounds: None,
        address: None,
    }
}

fn sessions(pod: &Pod) -> Sessions {
    Sessions { boot: pod.holder.boot.clone(), pod: pod.name.clone(), count: pod.limit }
}
