//! What the operator must be allowed to do: the chart's roles say the same, and a test tries that it is enough, and that
//! nothing of it is needless.

/// A right, as a rule of a Role has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The group of the API; empty for the core.
    pub group: &'static str,
    /// What may be touched.
    pub resources: &'static [&'static str],
    /// How.
    pub verbs: &'static [&'static str],
}

/// In the operator's own namespace.
pub const OWN: &[Right] = &[
    // The Lease can't be named: a right to create one is for any name.
    Right { group: "coordination.k8s.io", resources: &["leases"], verbs: &["create", "get", "update"] },
];

/// In each namespace with PoolScalers.
pub const NAMESPACED: &[Right] = &[
    Right { group: "selvage.dev", resources: &["connectionbudgets", "poolscalers"], verbs: &["list", "watch"] },
    Right { group: "selvage.dev", resources: &["connectionbudgets/status", "poolscalers/status"], verbs: &["patch"] },
    Right { group: "", resources: &["pods"], verbs: &["list", "watch"] },
    Right { group: "apps", resources: &["deployments"], verbs: &["list", "watch"] },
    // A target of another kind needs the same for that kind.
    Right { group: "apps", resources: &["deployments/scale", "statefulsets/scale"], verbs: &["get", "patch"] },
    Right { group: "autoscaling", resources: &["horizontalpodautoscalers"], verbs: &["list"] },
    Right { group: "keda.sh", resources: &["scaledobjects"], verbs: &["list"] },
    Right { group: "events.k8s.io", resources: &["events"], verbs: &["create", "patch"] },
    // Only those with databases' addresses, by their names.
    Right { group: "", resources: &["secrets"], verbs: &["get"] },
];

/// In the whole cluster, as these belong to no namespace.
pub const CLUSTER: &[Right] = &[
    Right { group: "authentication.k8s.io", resources: &["tokenreviews"], verbs: &["create"] },
    Right { group: "authorization.k8s.io", resources: &["subjectaccessreviews"], verbs: &["create"] },
    Right { group: "apiextensions.k8s.io", resources: &["customresourcedefinitions"], verbs: &["get"] },
];
