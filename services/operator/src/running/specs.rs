//! What objects ask for, in the terms of what decides.

use std::time::Duration;

use crate::controllers::target::is_paused;
use crate::domain::control::Scaled;
use crate::domain::decide::{Behaviour, Mode, ScalerSpec, rules};
use crate::domain::ledger::Budget;
use crate::probe::Settings;
use crate::resources::{self, ConnectionBudgetSpec, PoolScaler, SourceType};

/// What a PostgreSQL keeps for superusers unless it is told otherwise, for as long as it hasn't been asked.
const SUPERUSER_RESERVED: u32 = 3;

/// Connections that are shared out: as the object says and the server confirms. None of both, and nothing is shared out.
pub(super) fn budget(spec: &ConnectionBudgetSpec, server: Option<Settings>) -> Budget {
    let said = spec.max_connections.map(i32::unsigned_abs);
    let of_server = server.map(|server| server.max_connections);
    let max_connections = match (said, of_server) {
        (Some(said), Some(of_server)) => said.min(of_server),
        (said, of_server) => said.or(of_server).unwrap_or(0),
    };
    let reserve = spec.reserve.map_or_else(|| (max_connections / 10).max(5), i32::unsigned_abs);
    Budget {
        max_connections,
        superuser_reserved: server.map_or(SUPERUSER_RESERVED, |server| server.superuser_reserved),
        reserved: server.map_or(0, |server| server.reserved),
        reserve,
        others: spec.others.iter().map(|other| other.connections.unsigned_abs()).sum(),
    }
}

/// What a database can keep busy at once: twice its cores.
pub(super) fn concurrency(spec: &ConnectionBudgetSpec) -> Option<u32> {
    spec.cores.map(|cores| 2 * cores.unsigned_abs())
}

/// What a scaler asks for. `surge` is what its workload's roll-outs add; `is_held` if nothing may be changed now.
pub(super) fn scaled(id: &str, scaler: &PoolScaler, surge: u32, is_held: bool) -> Scaled {
    let spec = &scaler.spec;
    let (up, down) = (&spec.behavior.scale_up, &spec.behavior.scale_down);
    let seconds = |seconds: i32| Duration::from_secs(u64::from(seconds.unsigned_abs()));
    let behaviour = Behaviour {
        calm_for: seconds(down.stabilization_window_seconds),
        up_factor: 1.0 + f64::from(up.percent) / 100.0,
        up_pods: up.pods.unsigned_abs(),
        up_every: seconds(up.period_seconds),
        down_share: f64::from(down.percent) / 100.0,
        down_every: seconds(down.period_seconds),
    };
    let replicas = (spec.min_replicas.unsigned_abs(), spec.max_replicas.unsigned_abs());
    let connections = (spec.pool.floor.unsigned_abs(), spec.pool.ceiling.unsigned_abs());
    let scrape = spec.source.scrape.as_ref().filter(|_| spec.source.kind == SourceType::Scrape);
    let mode = match spec.mode {
        resources::Mode::Observe => Mode::Observe,
        resources::Mode::Enforce => Mode::Enforce,
    };
    let spec = ScalerSpec {
        surge: spec.max_surge.map_or(surge, i32::unsigned_abs),
        target: spec.target_utilization,
        mode,
        is_paused: is_held || is_paused(scaler),
        is_fixed: spec.source.kind == SourceType::Scrape,
        report_every: scrape.map_or(rules::REPORT_EVERY, |scrape| seconds(scrape.interval_seconds)),
        behaviour,
        ..ScalerSpec::new(id, replicas, connections)
    };
    Scaled { spec, weight: scaler.spec.weight.unsigned_abs() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the schema says of a field that isn't set is the rule that counts.
    #[test]
    fn the_defaults_of_the_kinds_are_the_rules() {
        let scaler: PoolScaler = serde_json::from_value(json!({
            "metadata": {"name": "cart"},
            "spec": {
                "targetRef": {"name": "cart"}, "budgetRef": {"name": "main"}, "maxReplicas": 9, "pool": {"ceiling": 12},
            },
        }))
        .unwrap();
        let Scaled { spec, .. } = scaled("shop/cart", &scaler, 1, false);
        assert_eq!(spec.behaviour, Behaviour::default());
        assert!((spec.target - rules::TARGET).abs() < 1e-9);
    }

    fn spec(value: serde_json::Value) -> ConnectionBudgetSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_smaller_of_what_is_said_and_what_the_server_has_counts() {
        let server = Settings { max_connections: 200, superuser_reserved: 4, reserved: 1 };
        let of = |value, server| budget(&spec(value), server);
        assert_eq!(of(json!({"maxConnections": 100, "reserve": 2, "others": []}), None).connections(), 95);
        assert_eq!(of(json!({"maxConnections": 100, "reserve": 2, "others": []}), Some(server)).connections(), 93);
        assert_eq!(of(json!({"maxConnections": 300, "reserve": 2, "others": []}), Some(server)).max_connections, 200);
        // A tenth in reserve, and the usual others: 2 probes, 1 migration, 2 people.
        assert_eq!(of(json!({}), Some(server)).connections(), 200 - 4 - 1 - 20 - 5);
        assert_eq!(of(json!({}), None).connections(), 0, "nobody knows anything");
    }

    #[test]
    fn a_scaler_is_taken_as_it_is_written() {
        let scaler: PoolScaler = serde_json::from_value(json!({
            "metadata": {"name": "cart"},
            "spec": {
                "targetRef": {"name": "cart"}, "budgetRef": {"name": "main"}, "minReplicas": 2, "maxReplicas": 9,
                "pool": {"floor": 3, "ceiling": 12}, "weight": 30, "mode": "Observe",
                "behavior": {"scaleUp": {"percent": 50, "pods": 2, "periodSeconds": 30}},
            },
        }))
        .unwrap();
        let Scaled { spec, weight } = scaled("shop/cart", &scaler, 4, false);
        assert_eq!((spec.min_replicas, spec.max_replicas, spec.floor, spec.ceiling, spec.surge), (2, 9, 3, 12, 4));
        assert_eq!((spec.mode, weight, spec.is_paused), (Mode::Observe, 30, false));
        assert_eq!((spec.behaviour.up_factor, spec.behaviour.up_pods), (1.5, 2));
        assert_eq!(spec.behaviour.calm_for, Duration::from_secs(300));
        assert!(scaled("shop/cart", &scaler, 4, true).spec.is_paused);
    }
}
