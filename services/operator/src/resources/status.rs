//! What both kinds say of themselves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What is so, or isn't, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316), regex(pattern = "^[A-Za-z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, in one word.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"))]
    pub reason: String,
    /// Why, in a sentence.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When the status became what it is.
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Time,
    /// The generation of the spec that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It is.
    True,
    /// It isn't.
    False,
    /// Nobody knows.
    Unknown,
}

/// A decision, with what it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// When it was made.
    #[schemars(schema_with = "date_time")]
    pub time: Time,
    /// What was found: NoSlotLeft, DatabaseGone, MetricsStale, LockPileUp, SlowQuery, Leak, DatabaseBound, BudgetBound,
    /// ReplicaBound, PoolTooSmall, Calm, or Hold where nothing of it fits.
    #[schemars(length(min = 1, max = 63))]
    pub class: String,
    /// Why, with numbers, and what would change it.
    #[schemars(length(max = 4096))]
    pub reason: String,
    /// What was observed.
    #[serde(default)]
    pub inputs: DecisionInputs,
    /// What was wanted before any bound.
    pub raw: Wanted,
    /// What is wanted within all bounds.
    #[serde(rename = "final")]
    pub bounded: Wanted,
    /// What made the one into the other, in the order in which it was applied, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub constraints: Vec<Constraint>,
}

/// What a decision was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DecisionInputs {
    /// Replicas that the target had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Those that were ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Pods whose reports were fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporting: Option<i32>,
    /// How old the oldest of these reports was, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_report_milliseconds: Option<i64>,
    /// The sums over pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolTotals>,
    /// The part of its connections that was in use, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<i32>,
    /// How long an operation used a connection, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_microseconds: Option<i64>,
    /// How long it does in ordinary times, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_microseconds: Option<i64>,
    /// What the probe of the database found: Answered, NoSlot or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub probe: Option<String>,
    /// How long the probe's statement took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_microseconds: Option<i64>,
    /// The budget, in connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<i32>,
    /// Connections that could still be granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headroom: Option<i32>,
}

/// Sums over the pods of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolTotals {
    /// Connections that pods may have open.
    pub granted: i32,
    /// Connections that are open.
    pub open: i32,
    /// Connections that are in use.
    pub in_use: i32,
    /// Callers that wait for a connection.
    pub waiting: i32,
}

/// What a decision wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Wanted {
    /// How many replicas.
    pub replicas: i32,
    /// How many connections each of them.
    pub connections_per_replica: i32,
    /// How many connections all of them together at most, where that is bounded because the database is the bottleneck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_at_most: Option<i32>,
}

/// A bound that changed what was wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Constraint {
    /// Which one: maxReplicas, scaleUp, budget, …
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What it did, in a sentence.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// How long an operation uses a connection in ordinary times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationBaseline {
    /// The operation's name.
    #[schemars(length(min = 1, max = 253))]
    pub operation: String,
    /// The time, in microseconds.
    #[schemars(range(min = 0))]
    pub microseconds: i64,
}

/// What a PoolScaler has of a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalerShare {
    /// The PoolScaler's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its pods that can hold connections: ready, starting, of a roll-out, terminating, or gone but not yet seen to be.
    pub pods: i32,
    /// Connections that are set aside for the floors of its pods.
    pub set_aside: i32,
    /// Connections that its pods may have open at most.
    pub charged: i32,
}

/// What a pod is charged with, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HolderCharge {
    /// The pod's name.
    #[schemars(length(min = 1, max = 253))]
    pub pod: String,
    /// The PoolScaler that it belongs to.
    #[schemars(length(max = 253))]
    pub scaler: String,
    /// Which run of the pod: the id that its connections have in application_name. Absent while it hasn't attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub boot_id: Option<String>,
    /// Connections that it was granted.
    pub granted: i32,
    /// Connections that it is charged with.
    pub charged: i32,
    /// Why it is charged with more than it was granted, or with anything at all if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}
