//! What the operator reads from Kubernetes, and writes to it. Nothing is decided here.
//!
//! - [`lease`]: which replica leads, and in which epoch.
//! - [`watched`]: whole sets of objects, and whether the watches live.
//! - [`target`]: a workload's replicas; [`owners`]: who else sets them; [`pods`]: its pods.
//! - [`report`], of [`conditions`] and [`status`]: what became of an object, written when it changed; [`generation`]: what of an
//!   object matters.
//! - [`meters`]: what is measured of them.
//! - [`tokens`]: which pod a token was made for; [`readers`]: what its owner may read.
//! - [`rights`]: what all of it needs.
//! - [`kinds`]: whether the cluster serves the kinds that this operator was made with.

pub mod conditions;
pub mod kinds;
pub mod lease;
pub mod meters;
pub mod owners;
pub mod pods;
pub mod readers;
pub mod report;
pub mod rights;
pub mod status;
pub mod target;
pub mod tokens;
pub mod watched;

use std::time::Duration;

use kube::{Resource, ResourceExt as _};

use crate::resources::PAUSED;

/// Who writes: the field manager of all that the operator applies.
pub const MANAGER: &str = "selvage-operator";

/// How long an answer of the API server may take. It itself gives up after a minute; what is asked here takes it
/// milliseconds.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// What of an object of ours matters: its spec, which has a generation, and whether it is paused. A status that is written
/// changes neither, so that whoever writes it doesn't wake itself.
pub fn generation<K: Resource>(object: &K) -> (Option<i64>, Option<String>) {
    (object.meta().generation, object.annotations().get(PAUSED).cloned())
}
