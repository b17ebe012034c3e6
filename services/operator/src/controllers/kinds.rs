//! Whether the cluster serves the kinds that this operator was made with.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, ResourceExt as _};
use tokio::time::timeout;

use super::ANSWER;
use crate::resources::{definitions, stale};

/// What is wrong with the kinds that the cluster serves, each as a sentence with the kind and the place; nothing if all is well.
///
/// # Errors
/// What the API server says, for instance that we may not look, or that it doesn't answer.
pub async fn stale_kinds(client: &Client) -> anyhow::Result<Vec<String>> {
    let served: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut found = Vec::new();
    for own in definitions() {
        let kind = &own.spec.names.kind;
        match timeout(ANSWER, served.get_opt(&own.name_any())).await?? {
            None => found.push(format!("{kind} isn't there: install charts/selvage-crds")),
            Some(served) => found.extend(stale(&own, &served).into_iter().map(|what| format!("{kind}: {what}"))),
        }
    }
    Ok(found)
}
