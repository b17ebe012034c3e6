//! What the API server checks beyond types and bounds: rules in CEL, each with the sentence that refuses.

use serde_json::{Value, json};

/// A rule over the value that it stands at, and the sentence with which a value is refused that breaks it.
///
/// The sentence has no numbers of the object in it: the API server estimates what it costs to put one together, and finds that
/// more than a hundred times too dear. It puts the field in front by itself.
pub(super) fn rule(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message})
}

/// A share of a pool: above 0, and at most 1.
pub(super) fn is_share() -> Vec<Value> {
    vec![rule("self > 0.0 && self <= 1.0", "targetUtilization must be above 0 and at most 1: 0.7 is 70 %")]
}

/// Of a range of replicas, as PoolScaler's spec has it.
pub(super) fn of_scalers() -> Vec<Value> {
    vec![
        rule("self.minReplicas <= self.maxReplicas", "minReplicas must not be above maxReplicas"),
        rule(
            "self.source.type != 'Scrape' || self.pool.floor == self.pool.ceiling",
            "with source.type Scrape, pool.floor must equal pool.ceiling: a pool that is only scraped can't be resized, \
             so both are the maximum that its pods are configured with",
        ),
    ]
}

/// Of a database's address.
pub(super) fn of_databases() -> Vec<Value> {
    vec![
        rule("has(self.urlSecretRef) != has(self.url)", "either urlSecretRef or url must say where the database is"),
        rule(
            "has(self.url) || !has(self.passwordSecretRef)",
            "passwordSecretRef is for url: with urlSecretRef the address has it",
        ),
    ]
}

/// Of a pool's limits.
pub(super) fn of_pools() -> Vec<Value> {
    vec![rule("self.floor <= self.ceiling", "floor must not be above ceiling; where it isn't given it is 2")]
}

/// Of where a pool's state is learned from.
pub(super) fn of_sources() -> Vec<Value> {
    vec![rule(
        "(self.type == 'Scrape') == has(self.scrape)",
        "scrape must be given with type Scrape, and must be absent with any other",
    )]
}

/// Of a target.
pub(super) fn of_targets() -> Vec<Value> {
    vec![rule("self.kind != 'PoolScaler'", "targetRef must not be a PoolScaler: name the workload itself")]
}

/// Of a budget.
pub(super) fn of_budgets() -> Vec<Value> {
    vec![
        rule(
            "has(self.database) || has(self.maxConnections)",
            "give database, so that max_connections is read from the server, or maxConnections, or both",
        ),
        rule(
            "!has(self.maxConnections) || \
             self.others.map(other, other.connections).sum() + (has(self.reserve) ? self.reserve : 0) < self.maxConnections",
            "reserve and others leave nothing of maxConnections to share out",
        ),
    ]
}
