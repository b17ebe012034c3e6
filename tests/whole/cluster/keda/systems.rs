//! Who scales the shop, and how its pools are sized for that.

/// The server's connections.
const MAX_CONNECTIONS: i64 = 100;
/// Of those: reserved for superusers, kept for the unforeseen and for others, as the chart's values have it.
const SET_APART: i64 = 3 + 2 + 5;
/// What is left for the services.
pub(super) const BUDGET: i64 = MAX_CONNECTIONS - SET_APART;
/// The share of a pod's connections that should be in use: the operator's, and KEDA's with it.
const TARGET: f64 = 0.7;
/// The values with which the chart has an operator.
const OPERATOR: &str = "charts/selvage/ci/operator-values.yaml";

/// A service with a database, and how many pods it may have.
pub(super) struct Scaled {
    pub(super) service: &'static str,
    /// Where its pods serve their metrics.
    pub(super) metrics: u16,
    pub(super) least: i64,
    pub(super) most: i64,
    /// Its pools, each with its limit: one pod's.
    pools: &'static [(&'static str, i64)],
}

/// The cart is what is called in the surge; its pool is what differs.
pub(super) const CART: usize = 1;
pub(super) const SCALED: [Scaled; 4] = [
    Scaled { service: "catalogue", metrics: 9464, least: 1, most: 2, pools: &[("catalogue", 2)] },
    Scaled { service: "cart", metrics: 9465, least: 2, most: 6, pools: &[("cart", 0)] },
    Scaled {
        service: "checkout",
        metrics: 9466,
        least: 1,
        most: 2,
        pools: &[("checkout", 2), ("checkout-relay", 1), ("checkout-provider", 1)],
    },
    Scaled { service: "delivery", metrics: 9467, least: 1, most: 2, pools: &[("delivery", 2)] },
];

impl Scaled {
    /// The name by which its pods' addresses are found in a namespace.
    pub(super) fn host(&self, namespace: &str) -> String {
        format!("shop-selvage-{}.{namespace}.svc.cluster.local", self.service)
    }
}

/// Who scales.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    /// Our operator, which moves limits too.
    Selvage,
    /// KEDA, with the budget divided by all pods that there may be: the most replicas, and one more in a roll-out. Of 90 connections
    /// (6 + 1) × 9 are the cart's, (2 + 1) × 2 the catalogue's, (2 + 1) × 4 checkout's, (2 + 1) × 2 delivery's: 87.
    Divided,
    /// KEDA, with pools that fit with the pods that there usually are, as the chart's own sum has it:
    /// (2 + 1) × 24 + (1 + 1) × 2 + (1 + 1) × 4 + (1 + 1) × 2 = 88. With all replicas the cart alone may open 144.
    Usual,
}

impl System {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Selvage => "Selvage",
            Self::Divided => "KEDA, 9 a pod",
            Self::Usual => "KEDA, 24 a pod",
        }
    }

    /// Whether KEDA scales.
    pub(super) fn is_keda(self) -> bool {
        self != Self::Selvage
    }

    /// The cart's limit; with our operator its ceiling.
    fn cart(self) -> i64 {
        match self {
            Self::Selvage | Self::Usual => 24,
            Self::Divided => 9,
        }
    }

    /// Files of values for the chart.
    pub(super) fn files(self) -> &'static [&'static str] {
        if self.is_keda() { &[] } else { &[OPERATOR] }
    }

    /// Values for the chart.
    pub(super) fn values(self) -> Vec<String> {
        let server = format!("budget.servers.main.maxConnections={MAX_CONNECTIONS}");
        let mut values = vec![server, "jaeger.enabled=false".to_owned()];
        if self.is_keda() {
            // The role's limit is worked out for the replicas that the chart knows, and would stop whoever has more.
            values.push("database.setRoleLimits=false".to_owned());
        }
        for (place, Scaled { service, least, most, pools, .. }) in SCALED.iter().enumerate() {
            values.push(format!("{service}.replicas={least}"));
            if !self.is_keda() {
                // The chart would count them for KEDA too, and refuse pools that only fit with the pods that there usually are.
                values.push(format!("{service}.maxReplicas={most}"));
            }
            values.extend([format!("{service}.scaledBy=autoscaler"), format!("{service}.replicasHandedOver=true")]);
            for (pool, limit) in *pools {
                let limit = if place == CART { self.cart() } else { *limit };
                values.extend([
                    format!("{service}.pools.{pool}.floor=1"),
                    format!("{service}.pools.{pool}.limit={limit}"),
                ]);
            }
        }
        values
    }

    /// The connections that should be in use in a pod of this service.
    pub(super) fn target(self, scaled: &Scaled) -> f64 {
        let sum: i64 = scaled.pools.iter().map(|(_, limit)| limit).sum();
        let all = if sum == 0 { self.cart() } else { sum };
        TARGET * f64::from(i32::try_from(all).expect("a small number"))
    }
}
