//! The kinds that the operator adds to Kubernetes, in `selvage.dev/v1alpha1`: [`PoolScaler`] and [`ConnectionBudget`].
//!
//! Types and descriptions here are the schema: `selvage-operator crd` prints it, `charts/selvage-crds` has it as it was printed,
//! and a test compares both: `tests/it/definitions.rs`, which writes it too. A field is only ever added, with a
//! default, so that objects of an older operator stay valid.

mod budget;
mod rules;
mod scaler;
mod served;
mod status;

pub use budget::{ConnectionBudget, ConnectionBudgetSpec, ConnectionBudgetStatus, Database, Other, SecretKey};
pub use scaler::{
    Behavior, BudgetRef, Dialect, Mode, PoolLimits, PoolScaler, PoolScalerSpec, PoolScalerStatus, ScaleDown, ScaleUp,
    Scrape, Source, SourceType, TargetRef,
};
pub use served::stale;
pub use status::{
    Condition, ConditionStatus, Constraint, DecisionInputs, HolderCharge, LastDecision, OperationBaseline, PoolTotals,
    ScalerShare, Wanted,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Number, Value};

/// The only version that there is.
pub const VERSION: &str = "v1alpha1";

/// With this annotation, set to "true", a PoolScaler leaves everything as it is.
pub const PAUSED: &str = "selvage.dev/paused";

/// The definitions of both kinds.
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [ConnectionBudget::crd(), PoolScaler::crd()]
}

/// A definition as YAML, as `kubectl apply` takes it.
///
/// # Errors
/// If it can't be written, which no definition of ours is a reason for.
pub fn manifest(definition: &CustomResourceDefinition) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(definition)?;
    whole_numbers(&mut value);
    Ok(serde_saphyr::to_string(&value)?)
}

/// Bounds are floating-point numbers to Kubernetes; "1000" is easier to read than "1000.0", and is the same.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        Value::Number(number) => {
            if let Some(float) = number.as_f64()
                && float.fract() == 0.0
                && float.abs() < 1e15
            {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole, and far from the end of the range")]
                let whole = float as i64;
                *number = Number::from(whole);
            }
        }
        _ => {}
    }
}
