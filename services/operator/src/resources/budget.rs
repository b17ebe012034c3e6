//! ConnectionBudget: how many connections of a database are shared out.

#![allow(clippy::duplicated_attributes, reason = "columns of one type are no attribute that stands twice")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::status::{Condition, HolderCharge, ScalerShare};

/// What a ConnectionBudget wants.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "selvage.dev",
    version = "v1alpha1",
    kind = "ConnectionBudget",
    plural = "connectionbudgets",
    shortname = "cbud",
    category = "selvage",
    namespaced,
    derive = "PartialEq",
    status = "ConnectionBudgetStatus",
    doc = "A ConnectionBudget is one database server, and the connections of it that PoolScalers share out: max_connections \
           without superuser_reserved_connections, reserved_connections, the reserve, and the connections of others.",
    printcolumn(
        name = "Budget",
        type_ = "integer",
        json_path = ".status.budget",
        description = "Connections that are shared out"
    ),
    printcolumn(
        name = "SetAside",
        type_ = "integer",
        json_path = ".status.setAside",
        description = "Those that are set aside for the floors of pods"
    ),
    printcolumn(
        name = "Charged",
        type_ = "integer",
        json_path = ".status.charged",
        description = "Those that pods may have open"
    ),
    printcolumn(
        name = "Headroom",
        type_ = "integer",
        json_path = ".status.headroom",
        description = "Those that can still be granted"
    ),
    printcolumn(
        name = "Open",
        type_ = "integer",
        json_path = ".status.open",
        description = "Those that pods had open when the status was written",
        priority = 1
    ),
    printcolumn(
        name = "Server",
        type_ = "integer",
        json_path = ".status.maxConnections",
        description = "max_connections of the server",
        priority = 1
    ),
    printcolumn(
        name = "Satisfied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"BudgetSatisfied\")].status",
        description = "Whether all floors fit into the budget"
    ),
    printcolumn(
        name = "Bottleneck",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"DatabaseBottleneck\")].status",
        description = "Whether the database itself is what is short"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether it is at work"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::of_budgets()))]
pub struct ConnectionBudgetSpec {
    /// The database, so that the operator reads its settings, sees who is connected, and notices when it is the database that
    /// is slow. It keeps one connection for that. Without it, maxConnections must be given, no decision can say that the
    /// database is the bottleneck, pods are granted their floors and no more, and what pods held that are gone stays charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// max_connections of the server, 10 to 262143, where it isn't read from it; given as well, the smaller of the two
    /// counts, for instance because a pooler in between has fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 262_143))]
    pub max_connections: Option<i32>,
    /// Connections that stay free for what nobody thought of, 0 to 262143. Default: a tenth of max_connections, and at
    /// least 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 262_143))]
    pub reserve: Option<i32>,
    /// Who else connects to this server, by name, at most 32. Default: 2 probes, 1 migration and 2 people. A list of your
    /// own replaces it.
    #[serde(default = "others")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub others: Vec<Other>,
    /// The database's cores, 1 to 1024. More than twice as many statements at once, on CPU or on I/O, with statements that
    /// have become slow, is a sign of a database that is the bottleneck. Default: this sign isn't looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub cores: Option<i32>,
}

/// How the operator reaches a database. The role needs pg_monitor, and pg_use_reserved_connections from PostgreSQL 16 on, so that
/// it gets in where others don't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::of_databases()))]
pub struct Database {
    /// The Secret with the address of the database, postgres://ROLE:PASSWORD@HOST/DATABASE, in this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_secret_ref: Option<SecretKey>,
    /// The address without a password, postgres://ROLE@HOST/DATABASE, instead of urlSecretRef.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^postgres(ql)?://"))]
    pub url: Option<String>,
    /// The Secret with the password, beside url, in this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKey>,
}

/// A value in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKey {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it. Default url.
    #[serde(default = "url")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Somebody else who connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Other {
    /// Who it is.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The most connections it has, 0 to 262143.
    #[schemars(range(min = 0, max = 262_143))]
    pub connections: i32,
}

/// What became of a ConnectionBudget. Counts are of the time when the status was written, which is when something changed
/// that matters, and not each second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionBudgetStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The server's max_connections, as it is counted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i32>,
    /// The server's superuser_reserved_connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superuser_reserved: Option<i32>,
    /// The server's reserved_connections, which PostgreSQL has from version 16 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<i32>,
    /// The reserve, as it is counted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve: Option<i32>,
    /// The connections of others, together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<i32>,
    /// The budget: connections that are shared out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<i32>,
    /// Connections that are set aside for floors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<i32>,
    /// Connections that pods may have open at most: what was granted, or what is still open if that is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged: Option<i32>,
    /// Connections that can still be granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headroom: Option<i32>,
    /// Connections that pods had open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<i32>,
    /// Which replica of the operator leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub leader: Option<String>,
    /// How often the lead has changed. A pod refuses grants of an earlier lead than it has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// How long the probe's statement takes in ordinary times, in microseconds. Kept here so that an operator that takes over
    /// doesn't learn an overload as ordinary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_baseline_microseconds: Option<i64>,
    /// The PoolScalers of this budget, at most 100, and what each has of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub scalers: Vec<ScalerShare>,
    /// Who is charged with connections, the largest charges first, at most 200.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "atomic"))]
    pub holders: Vec<HolderCharge>,
    /// How many more are charged than holders lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holders_omitted: Option<i32>,
    /// Ready, Probed, BudgetSatisfied and DatabaseBottleneck, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

fn others() -> Vec<Other> {
    [("probes", 2), ("migration", 1), ("people", 2)]
        .map(|(name, connections)| Other { name: name.to_owned(), connections })
        .to_vec()
}

fn url() -> String {
    "url".to_owned()
}
