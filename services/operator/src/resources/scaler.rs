//! PoolScaler: which workload is scaled, within which bounds.

#![allow(clippy::duplicated_attributes, reason = "columns of one type are no attribute that stands twice")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::status::{Condition, LastDecision, OperationBaseline, PoolTotals};

/// What a PoolScaler wants.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "selvage.dev",
    version = "v1alpha1",
    kind = "PoolScaler",
    plural = "poolscalers",
    shortname = "psc",
    category = "selvage",
    namespaced,
    derive = "PartialEq",
    status = "PoolScalerStatus",
    doc = "A PoolScaler scales one workload, and the limits of its pods' connection pools, on the saturation of these pools. \
           It never gives out more connections than the ConnectionBudget of its database has. \
           The annotation selvage.dev/paused: \"true\" makes it leave everything as it is.",
    scale(
        spec_replicas_path = ".spec.minReplicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".spec.targetRef.name",
        description = "The workload that is scaled"
    ),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".status.lastDecision.class",
        description = "What the last decision found: the class of the trouble, or Calm"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "Pods that there are"
    ),
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".status.desiredReplicas",
        description = "Pods that the last decision wants"
    ),
    printcolumn(
        name = "Min",
        type_ = "integer",
        json_path = ".spec.minReplicas",
        description = "The fewest pods",
        priority = 1
    ),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.maxReplicas", description = "The most pods"),
    printcolumn(
        name = "Granted",
        type_ = "integer",
        json_path = ".status.pool.granted",
        description = "Connections that its pods may have open, together"
    ),
    printcolumn(
        name = "Waiting",
        type_ = "integer",
        json_path = ".status.pool.waiting",
        description = "Callers that waited for a connection when the status was written",
        priority = 1
    ),
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = ".spec.mode",
        description = "Whether decisions are carried out"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether it is at work"
    ),
    printcolumn(
        name = "Why",
        type_ = "string",
        json_path = ".status.lastDecision.reason",
        description = "The last decision in a sentence",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::of_scalers()))]
pub struct PoolScalerSpec {
    /// The workload whose replicas are set, in this namespace. A workload that a HorizontalPodAutoscaler or a ScaledObject
    /// scales too is refused: condition Ready is False, with the reason TargetOwned.
    pub target_ref: TargetRef,
    /// The ConnectionBudget of the database that the workload's pools connect to, in this namespace.
    pub budget_ref: BudgetRef,
    /// The fewest replicas, 1 to 1000. Default 1. `kubectl scale poolscaler NAME --replicas=N` sets it, for instance before a
    /// sale.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// The most replicas, 1 to 1000. For that many, and for those that a roll-out adds, floors are set aside in the budget.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// How many pods beyond maxReplicas a roll-out may start, 0 to 1000. Default: a Deployment's maxSurge is read from it; other
    /// kinds start none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_surge: Option<i32>,
    /// How many connections a replica may have.
    pub pool: PoolLimits,
    /// The share of a replica's connections that should be in use, above 0 and at most 1. Default 0.7. Above it, pools and
    /// replicas grow; well below it, after a calm time, they shrink.
    #[serde(default = "target_utilization")]
    #[schemars(extend("x-kubernetes-validations" = rules::is_share()))]
    pub target_utilization: f64,
    /// How much this workload counts where the budget is short, 1 to 1000. Default 100. What is left above all floors is
    /// shared out in proportion to the weights, and nobody gets more than it needs.
    #[serde(default = "weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: i32,
    /// Enforce: decisions are carried out. Observe: they are written to the status and to metrics only; replicas and limits
    /// stay as they are. Default Enforce.
    #[serde(default)]
    pub mode: Mode,
    /// How the state of the workload's pools is learned. Default: type Stream.
    #[serde(default)]
    pub source: Source,
    /// How fast replicas may change.
    #[serde(default)]
    pub behavior: Behavior,
}

/// A workload with replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::of_targets()))]
pub struct TargetRef {
    /// Group and version of the workload's kind. Default apps/v1.
    #[serde(default = "apps")]
    #[schemars(length(max = 253), regex(pattern = r"^([a-z0-9.-]+/)?v[0-9]+((alpha|beta)[0-9]+)?$"))]
    pub api_version: String,
    /// The workload's kind: anything with a scale subresource. Default Deployment.
    #[serde(default = "deployment")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// The workload's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A ConnectionBudget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How many connections a replica may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules::of_pools()))]
pub struct PoolLimits {
    /// Connections that a replica may always have, all its pools at this database together, 1 to 1000. Default 2. A pod
    /// opens them even where no operator answers, so they are set aside for every pod that can exist at once: maxReplicas,
    /// those of a roll-out, and those that still terminate.
    #[serde(default = "floor")]
    #[schemars(range(min = 1, max = 1000))]
    pub floor: i32,
    /// The most connections that a replica may be granted, all its pools at this database together, 1 to 1000. The sum over
    /// replicas may be above the budget: what is granted never is.
    #[schemars(range(min = 1, max = 1000))]
    pub ceiling: i32,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// They are written only.
    Observe,
    /// They are carried out.
    #[default]
    Enforce,
}

/// How the state of the workload's pools is learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = rules::of_sources()))]
pub struct Source {
    /// Stream: each pod keeps a stream to the operator (selvage.pool.v1.PoolBroker), reports its pools each second, and is
    /// granted its connections. Scrape: the operator reads the pods' metrics; their pools can't be resized, so only replicas
    /// are scaled. Default Stream.
    #[serde(default, rename = "type")]
    pub kind: SourceType,
    /// Where the metrics are, for type Scrape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape: Option<Scrape>,
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SourceType {
    /// A stream from each pod.
    #[default]
    Stream,
    /// Metrics for Prometheus.
    Scrape,
}

/// Where a pod's metrics are, and how they are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scrape {
    /// The port of the pods that serves metrics, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The path of the metrics. Default /metrics.
    #[serde(default = "metrics_path")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^/"))]
    pub path: String,
    /// How the metrics are called: OpenTelemetry (db.client.connection.*), HikariCP (by Micrometer), GoSql (of Go's
    /// database/sql) or Pgxpool.
    pub dialect: Dialect,
    /// The pool's name, where a pod has several. Default: all of them together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub pool_name: Option<String>,
    /// How often each pod is asked, in seconds, 1 to 60. Default 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 60))]
    pub interval_seconds: i32,
}

/// How metrics of pools are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dialect {
    /// By OpenTelemetry's convention.
    OpenTelemetry,
    /// HikariCP's, by Micrometer.
    #[serde(rename = "HikariCP")]
    HikariCp,
    /// Go's database/sql.
    GoSql,
    /// pgxpool's.
    Pgxpool,
}

/// How fast replicas may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// How fast replicas are added.
    #[serde(default)]
    pub scale_up: ScaleUp,
    /// How fast replicas are taken away.
    #[serde(default)]
    pub scale_down: ScaleDown,
}

/// How fast replicas are added: in each period at most the larger of a number and a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleUp {
    /// Replicas that may be added in a period, 1 to 1000. Default 8; the larger of pods and percent counts.
    #[schemars(range(min = 1, max = 1000))]
    pub pods: i32,
    /// The part of the present replicas that may be added in a period, in percent, 1 to 1000. Default 100: twice as many.
    #[schemars(range(min = 1, max = 1000))]
    pub percent: i32,
    /// The period, in seconds, 1 to 1800. Default 15.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

impl Default for ScaleUp {
    fn default() -> Self {
        Self { pods: 8, percent: 100, period_seconds: 15 }
    }
}

/// How fast replicas are taken away: after a calm time, and in each period at most a part, but one at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleDown {
    /// For how long it must have been calm, in seconds, 0 to 3600. Default 300.
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: i32,
    /// The part of the present replicas that may be taken away in a period, in percent, 1 to 100. Default 10. One may always
    /// be.
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,
    /// The period, in seconds, 1 to 1800. Default 60.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self { stabilization_window_seconds: 300, percent: 10, period_seconds: 60 }
    }
}

/// What became of a PoolScaler. Counts are of the time when the status was written, which is when something changed that
/// matters, and not each second: `selvage pool top` and metrics have them live.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolScalerStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Replicas that the target has, as its scale subresource says.
    pub replicas: i32,
    /// Those of them that are ready.
    pub ready_replicas: i32,
    /// Replicas that the last decision wants. In the mode Observe, or while paused, the target isn't told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,
    /// Which pods belong to the target: a label selector, as the target's scale subresource has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub selector: Option<String>,
    /// The sums over the target's pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolTotals>,
    /// The last decision that differs from the one before it, with what it was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<LastDecision>,
    /// How long the workload's operations use a connection in ordinary times, at most 64 of them. They are kept here so that
    /// an operator that takes over doesn't learn an overload as ordinary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["operation"]))]
    pub baselines: Vec<OperationBaseline>,
    /// Ready, MetricsFresh, BudgetSatisfied, PodsWithinBounds, DatabaseBottleneck, ScalingLimited and Paused, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

fn one() -> i32 {
    1
}

fn five() -> i32 {
    5
}

fn floor() -> i32 {
    2
}

fn weight() -> i32 {
    100
}

fn target_utilization() -> f64 {
    0.7
}

fn apps() -> String {
    "apps/v1".to_owned()
}

fn deployment() -> String {
    "Deployment".to_owned()
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}
